//! A session as a plain folder that people can make and look at.
//!
//! ```text
//! my-session/
//!   session.json        {"instructions": ["make it snow", ...]}, or the full record
//!   instructions.txt    instead of session.json: one line a transition
//!   frames/000.png ...  2 to 20 numbered PNG or JPEG files of one size (or beside session.json)
//!   masks/000.cur.png   optional: what of frame 000 changes (or beside the frames)
//!   masks/000.next.png  optional: what of the frame after 000 has changed
//! ```
//!
//! A file's number is the digits that end its name before the extension (`frame_012.png` is 12).
//! Frames are ordered by number, gaps are fine, and a mask belongs to the transition that starts
//! at the frame of its number.

use super::{
    ImportConfig, MAX_FRAMES, Provenance, Session, SessionRecord, Source, record::MAX_RECORD_BYTES,
};
use crate::decode::{encode_mask_png, encode_png, read_image, read_mask};
use crate::{Error, Image, Mask, Result, shard::publish};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of a folder by number.
#[derive(Default)]
struct Files {
    frames: BTreeMap<u64, PathBuf>,
    current: BTreeMap<u64, PathBuf>,
    next: BTreeMap<u64, PathBuf>,
}

/// Reads a session from a folder laid out as above. The key is the record's, else the folder's
/// name. The result is validated.
pub fn read_folder(folder: impl AsRef<Path>, config: &ImportConfig) -> Result<Session> {
    let folder = folder.as_ref();
    let record = read_record(folder)?;
    let files = Files::of(folder)?;
    if files.frames.len() != record.frames.len() {
        return Err(Error::format(
            folder,
            format!(
                "{} numbered pictures for {} instructions; there is one picture more",
                files.frames.len(),
                record.transitions.len()
            ),
        ));
    }
    let limits = &config.limits;
    let images =
        files.frames.values().map(|path| read_image(path, limits)).collect::<Result<Vec<_>>>()?;
    let starts: Vec<u64> = files.frames.keys().copied().collect();
    let starts = &starts[..starts.len() - 1];
    for (number, path) in files.current.iter().chain(&files.next) {
        if !starts.contains(number) {
            return Err(Error::format(
                path,
                format!("no transition starts at frame {number}; a mask has its frame's number"),
            ));
        }
    }
    let read = |files: &BTreeMap<u64, PathBuf>, number: &u64| {
        files.get(number).map(|path| read_mask(path, limits)).transpose()
    };
    let masks = starts
        .iter()
        .map(|number| Ok([read(&files.current, number)?, read(&files.next, number)?]))
        .collect::<Result<Vec<_>>>()?;
    for (index, (entry, [current, next])) in record.transitions.iter().zip(&masks).enumerate() {
        if entry.current_mask && current.is_none() || entry.next_mask && next.is_none() {
            return Err(Error::format(
                folder,
                format!("session.json names a mask of transition {index} that is not there"),
            ));
        }
    }
    assemble(record, images, masks, config)
}

/// Writes a session as a folder laid out as above, losslessly. The folder must not exist; it
/// appears under its name only when everything is in it.
pub fn write_folder(session: &Session, folder: impl AsRef<Path>) -> Result<()> {
    session.validate()?;
    publish::folder(folder.as_ref(), |temporary| {
        let frames = temporary.join("frames");
        let masks = temporary.join("masks");
        fs::create_dir(&frames).map_err(|error| Error::io(&frames, error))?;
        fs::create_dir(&masks).map_err(|error| Error::io(&masks, error))?;
        for (index, frame) in session.frames.iter().enumerate() {
            write(&frames.join(format!("{index:03}.png")), &encode_png(&frame.image))?;
        }
        for (index, transition) in session.transitions.iter().enumerate() {
            let kinds = [("cur", &transition.current_mask), ("next", &transition.next_mask)];
            for (kind, mask) in kinds {
                if let Some(mask) = mask {
                    let file = masks.join(format!("{index:03}.{kind}.png"));
                    write(&file, &encode_mask_png(mask))?;
                }
            }
        }
        let record = SessionRecord::of(session).to_pretty_json();
        write(&temporary.join("session.json"), &record)
    })
}

/// Whether a folder says what its transitions are.
pub(super) fn is_session_folder(folder: &Path) -> bool {
    folder.join("session.json").is_file() || folder.join("instructions.txt").is_file()
}

/// Puts imported parts together: masks without provenance are marked as imported, and frames and
/// masks are brought to the size asked for.
pub(super) fn assemble(
    record: SessionRecord,
    images: Vec<Image>,
    masks: Vec<[Option<Mask>; 2]>,
    config: &ImportConfig,
) -> Result<Session> {
    let mut session = config.fitted(record.into_session(images, masks));
    for transition in &mut session.transitions {
        let masks =
            [("current_mask", &transition.current_mask), ("next_mask", &transition.next_mask)];
        for (field, mask) in masks {
            let is_known = transition.provenance.iter().any(|entry| entry.field == field);
            if mask.is_some() && !is_known {
                transition.provenance.push(Provenance::imported(field));
            }
        }
    }
    session.validate()?;
    Ok(session)
}

fn read_record(folder: &Path) -> Result<SessionRecord> {
    let key = folder
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Error::format(folder, "folder name is not text; it is the session's key"))?;
    let json = folder.join("session.json");
    if json.is_file() {
        let bytes = read_bounded(&json, MAX_RECORD_BYTES)?;
        return SessionRecord::parse(&bytes, key).map_err(|what| Error::format(json, what));
    }
    let text = folder.join("instructions.txt");
    if !text.is_file() {
        return Err(Error::format(folder, "neither session.json nor instructions.txt"));
    }
    let lines = String::from_utf8(read_bounded(&text, MAX_RECORD_BYTES)?)
        .map_err(|_| Error::format(&text, "instructions are not UTF-8"))?;
    let instructions = lines.lines().map(|line| line.trim().to_owned()).collect();
    let source =
        Source { name: key.to_owned(), sampling: "import".to_owned(), ..Source::default() };
    SessionRecord::imported(key.to_owned(), instructions, None, source)
        .map_err(|what| Error::format(text, what))
}

impl Files {
    /// Sorts the pictures of `frames/`, or of the folder itself, and those of `masks/`.
    fn of(folder: &Path) -> Result<Self> {
        let mut files = Self::default();
        let frames = folder.join("frames");
        files.add(if frames.is_dir() { &frames } else { folder })?;
        let masks = folder.join("masks");
        if masks.is_dir() {
            let before = files.frames.len();
            files.add(&masks)?;
            if files.frames.len() != before {
                return Err(Error::format(masks, "a mask's name ends in .cur.png or .next.png"));
            }
        }
        Ok(files)
    }

    fn add(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).map_err(|error| Error::io(folder, error))? {
            let path = entry.map_err(|error| Error::io(folder, error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let lower = name.to_ascii_lowercase();
            let (stem, list) = if let Some(stem) = lower.strip_suffix(".cur.png") {
                (stem, &mut self.current)
            } else if let Some(stem) = lower.strip_suffix(".next.png") {
                (stem, &mut self.next)
            } else {
                let suffixes = [".png", ".jpg", ".jpeg"];
                let found = suffixes.iter().find_map(|suffix| lower.strip_suffix(suffix));
                let Some(stem) = found else { continue };
                (stem, &mut self.frames)
            };
            if name.starts_with('.') {
                continue;
            }
            let number = trailing_number(stem).ok_or_else(|| {
                Error::format(&path, "picture without a number; its name ends in digits")
            })?;
            if list.len() >= MAX_FRAMES {
                return Err(Error::limit(
                    folder,
                    format!("more than {MAX_FRAMES} pictures; a session has at most so many"),
                ));
            }
            if let Some(other) = list.insert(number, path.clone()) {
                return Err(Error::format(
                    path,
                    format!("number {number} is also that of {}", other.display()),
                ));
            }
        }
        Ok(())
    }
}

fn trailing_number(stem: &str) -> Option<u64> {
    let text = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    stem[text.len()..].parse().ok()
}

fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
    if length > limit as u64 {
        return Err(Error::limit(path, format!("{length} bytes; the limit is {limit}")));
    }
    fs::read(path).map_err(|error| Error::io(path, error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Error::io(path, error))
}
