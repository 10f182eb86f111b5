//! A folder of pictures as a video.
//!
//! Frames are the PNG and JPEG files of the folder itself (by extension or by content; hidden
//! files and subfolders are passed over), in natural order of their names: `2.png` comes before
//! `10.png`. Frame `i` is shown at `i / rate` seconds.

use super::{
    still::{JPEG_SIGNATURE, PNG_SIGNATURE, read_image},
    video::{Frames, VideoInfo, builtin_decoder, rate},
};
use crate::{Error, Image, Limits, Result};
use std::{
    cmp::Ordering,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

struct Folder {
    pictures: std::vec::IntoIter<PathBuf>,
    /// The first picture, decoded when the folder was opened.
    first: Option<Image>,
    /// Size of the first picture.
    size: (usize, usize),
    seconds_per_frame: f64,
    index: usize,
    limits: Limits,
}

/// Opens a folder whose pictures follow each other at `pictures_per_second`, a fraction.
pub(super) fn open(
    path: &Path,
    pictures_per_second: (u32, u32),
    limits: &Limits,
) -> Result<(VideoInfo, Box<dyn Frames>)> {
    let (numerator, denominator) = pictures_per_second;
    let Some(rate) = rate(numerator.into(), denominator.into()) else {
        return Err(Error::Unsupported(format!(
            "{}: a folder cannot be read at {numerator}/{denominator} pictures a second",
            path.display()
        )));
    };
    let pictures = pictures(path, limits)?;
    let Some(first_path) = pictures.first() else {
        return Err(Error::format(path, "folder holds no PNG or JPEG pictures"));
    };
    let first = read_image(first_path, limits)?;
    let seconds_per_frame = f64::from(denominator) / f64::from(numerator);
    let info = VideoInfo {
        width: first.width,
        height: first.height,
        rate: Some(rate),
        frames: Some(pictures.len()),
        duration: Some(pictures.len() as f64 * seconds_per_frame),
        decoder: builtin_decoder(),
        codec: "folder of pictures".to_owned(),
        stream: 0,
        rotation: 0,
    };
    let source = Folder {
        size: (first.width, first.height),
        pictures: pictures.into_iter(),
        first: Some(first),
        seconds_per_frame,
        index: 0,
        limits: *limits,
    };
    Ok((info, Box::new(source)))
}

impl Frames for Folder {
    fn next_picture(&mut self) -> Result<Option<(Image, f64)>> {
        let Some(path) = self.pictures.next() else { return Ok(None) };
        let image = match self.first.take() {
            Some(image) => image,
            None => read_image(&path, &self.limits)?,
        };
        if (image.width, image.height) != self.size {
            let what = format!(
                "picture is {} x {}, the folder began with {} x {}; all have to be one size",
                image.width, image.height, self.size.0, self.size.1
            );
            return Err(Error::format(path, what));
        }
        let time = self.index as f64 * self.seconds_per_frame;
        self.index += 1;
        Ok(Some((image, time)))
    }
}

fn pictures(path: &Path, limits: &Limits) -> Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| Error::io(path, e))? {
        let entry = entry.map_err(|e| Error::io(path, e))?;
        let file = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if is_hidden || !file.is_file() || !is_picture(&file)? {
            continue;
        }
        if pictures.len() == limits.frames {
            let what = format!("folder of more than {} pictures, the limit", limits.frames);
            return Err(Error::limit(path, what));
        }
        pictures.push(file);
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    pictures.sort_by(|a, b| natural_order(&name(a), &name(b)));
    Ok(pictures)
}

/// By extension, so that an empty `7.png` is an error and not a gap, or else by content.
fn is_picture(path: &Path) -> Result<bool> {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    if extension.is_some_and(|e| e == "png" || e == "jpg" || e == "jpeg") {
        return Ok(true);
    }
    let mut prefix = Vec::new();
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let length = PNG_SIGNATURE.len() as u64;
    file.take(length).read_to_end(&mut prefix).map_err(|e| Error::io(path, e))?;
    Ok(prefix.starts_with(PNG_SIGNATURE) || prefix.starts_with(JPEG_SIGNATURE))
}

/// Runs of digits compare as numbers, all else byte by byte; names that differ only in leading
/// zeros compare as plain text.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let order = match (left.first(), right.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (x, y) = (take_number(&mut left), take_number(&mut right));
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            (Some(x), Some(y)) => {
                (left, right) = (&left[1..], &right[1..]);
                x.cmp(y)
            }
            (x, y) => return x.cmp(&y).then_with(|| a.cmp(b)),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The digits at the start without leading zeros; `text` moves past them.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Video, VideoOptions, encode_jpeg, tests, video::DecoderChoice, write_png};

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = [
            "f10.png",
            "f2.png",
            "f1.png",
            "f02.png",
            "e9",
            "f",
            "f2a",
            "f99999999999999999999999",
        ];
        names.sort_by(|a, b| natural_order(a, b));
        let expected = [
            "e9",
            "f",
            "f1.png",
            "f02.png",
            "f2.png",
            "f2a",
            "f10.png",
            "f99999999999999999999999",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn pictures_come_in_order_with_times() {
        let folder = tests::folder("pictures");
        for (name, value) in [("10.png", 200), ("9.png", 100), ("1.png", 0)] {
            write_png(folder.join(name), &Image::filled(5, 4, [value; 3])).unwrap();
        }
        let jpeg = encode_jpeg(&Image::filled(5, 4, [250; 3]), 95).unwrap();
        fs::write(folder.join("11"), jpeg).unwrap();
        fs::write(folder.join("notes.txt"), "not a picture").unwrap();
        fs::write(folder.join(".hidden.png"), "junk").unwrap();
        fs::create_dir(folder.join("12.png")).unwrap();

        let options = VideoOptions { folder_rate: (4, 2), ..VideoOptions::default() };
        let video = Video::open_with(&*folder, &options).unwrap();
        assert_eq!((video.info().rate, video.info().frames), (Some((2, 1)), Some(4)));
        let frames: Vec<_> = video.map(|frame| frame.unwrap()).collect();
        let seen: Vec<_> = frames.iter().map(|f| (f.image.pixel(2, 2)[0], f.time)).collect();
        assert_eq!(seen, [(0, 0.0), (100, 0.5), (200, 1.0), (250, 1.5)]);
    }

    #[test]
    fn damage_is_named_by_file() {
        let folder = tests::folder("pictures-damaged");
        let open = |frames: usize| {
            let limits = Limits { frames, ..Limits::default() };
            Video::open_with(
                &*folder,
                &VideoOptions { limits, decoder: DecoderChoice::Builtin, ..Default::default() },
            )
        };
        assert!(open(9).err().unwrap().to_string().contains("holds no PNG or JPEG"));
        write_png(folder.join("1.png"), &Image::filled(5, 4, [1; 3])).unwrap();
        fs::write(folder.join("2.png"), b"").unwrap();
        let mut video = open(2).unwrap();
        assert!(video.next_frame().unwrap().is_some());
        let line = video.next_frame().unwrap_err().to_string();
        assert!(line.contains("2.png: is empty"), "{line}");
        assert!(video.next_frame().unwrap().is_none());

        write_png(folder.join("2.png"), &Image::filled(4, 4, [1; 3])).unwrap();
        let line = open(2).unwrap().nth(1).unwrap().unwrap_err().to_string();
        assert!(line.contains("2.png: picture is 4 x 4, the folder began with 5 x 4"), "{line}");
        assert!(open(1).err().unwrap().to_string().contains("more than 1 pictures"));
    }
}
