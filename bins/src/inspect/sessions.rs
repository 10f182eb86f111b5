//! Sessions as text, JSON and a page of contact sheets.

use super::{Arguments, name_of, percent};
use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::report::{CURRENT_COLOUR, Figure, NEXT_COLOUR, Page, Picture, overlaid};
use crate::table::{Align, Table};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use vincie_data::session::{ImportConfig, Session, SessionRecord, Transition, open_sessions};
use vincie_data::shard::{Dataset, Statistics};
use vincie_data::{Image, Mask};

/// Sessions that are listed when nothing else is asked.
const DEFAULT_LIMIT: usize = 10;

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'s> {
    path: &'s Path,
    kind: &'static str,
    /// Over all sessions.
    statistics: &'s Statistics,
    /// Those that are listed.
    sessions: Vec<Listed<'s>>,
    /// Sessions that cannot be read.
    bad: &'s [String],
}

/// A session in an answer.
#[derive(Serialize)]
struct Listed<'s> {
    #[serde(flatten)]
    record: SessionRecord,
    /// Share of the frame in the current and next mask of each transition, 0 to 1.
    mask_shares: Vec<[Option<f64>; 2]>,
    #[serde(skip)]
    session: &'s Session,
}

/// What was read.
struct Sessions {
    listed: Vec<Session>,
    statistics: Statistics,
    bad: Vec<String>,
}

pub(super) fn inspect(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT);
    let found = read(&arguments.path, limit, console)?;
    let sessions: Vec<Listed<'_>> = found.listed.iter().map(Listed::of).collect();
    if let Some(html) = &arguments.html {
        page(&arguments.path, &found, &sessions)?.write(html)?;
        console.note(format!("wrote {}", html.display()));
    }
    if arguments.json {
        console.json(&Answer {
            path: &arguments.path,
            kind: "sessions",
            statistics: &found.statistics,
            sessions,
            bad: &found.bad,
        })?;
    } else {
        print(&found, &sessions, console)?;
    }
    match found.bad.len() {
        0 => Ok(()),
        1 => Err(Failure::new(&found.bad[0])),
        count => Err(Failure::new(format!("{count} sessions cannot be read"))),
    }
}

/// Reads the sessions to list. Counts come from the data set's summary; without one all sessions
/// are read.
fn read(path: &Path, limit: usize, console: &Console) -> Result<Sessions, Failure> {
    let summary = if path.is_dir() { Dataset::read(path)? } else { None };
    let mut found = Sessions { listed: Vec::new(), statistics: Statistics::default(), bad: vec![] };
    let total = summary.as_ref().map(|dataset| dataset.statistics.sessions);
    let progress = console.progress("reading", "sessions", total.map(|t| t.min(limit as u64)));
    for session in open_sessions(path, &ImportConfig::default())? {
        if summary.is_some() && found.listed.len() + found.bad.len() >= limit {
            break;
        }
        match session {
            Ok(session) => {
                found.statistics.add(&Statistics::of(&session, 0));
                if found.listed.len() < limit {
                    found.listed.push(session);
                }
            }
            Err(error) => found.bad.push(error.to_string()),
        }
        progress.advance(1);
    }
    if let Some(dataset) = summary {
        found.statistics = dataset.statistics;
    }
    Ok(found)
}

impl<'s> Listed<'s> {
    fn of(session: &'s Session) -> Self {
        let share = |mask: &Option<Mask>| mask.as_ref().map(Mask::share);
        let mask_shares = session
            .transitions
            .iter()
            .map(|transition| [share(&transition.current_mask), share(&transition.next_mask)])
            .collect();
        Self { record: SessionRecord::of(session), mask_shares, session }
    }

    /// Where the session comes from.
    fn source(&self) -> String {
        let source = &self.session.source;
        let shot = source.shot.map(|shot| format!("shot {shot}")).unwrap_or_default();
        let parts = [&source.name, &source.decoder, &source.sampling, &shot];
        let known: Vec<&str> =
            parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        if known.is_empty() { "not known".to_owned() } else { known.join(", ") }
    }

    /// Which backends made its fields.
    fn backends(&self) -> String {
        let entries = self.session.transitions.iter().flat_map(|t| &t.provenance);
        let backends: BTreeSet<String> = entries
            .map(|entry| match &entry.model {
                Some(model) => format!("{} {} ({model})", entry.backend, entry.version),
                None => format!("{} {}", entry.backend, entry.version),
            })
            .collect();
        match backends.is_empty() {
            true => "none".to_owned(),
            false => backends.into_iter().collect::<Vec<_>>().join(", "),
        }
    }

    /// Frames, size and time span.
    fn extent(&self) -> String {
        let (width, height) = self.session.size();
        let time = |frame: Option<&vincie_data::session::Frame>| frame.map_or(0.0, |f| f.time);
        let frames = &self.session.frames;
        format!(
            "{} frames of {width} x {height}, {:.2} s to {:.2} s",
            frames.len(),
            time(frames.first()),
            time(frames.last())
        )
    }
}

/// Counts by name, for text and page.
fn counts(statistics: &Statistics) -> Vec<(&'static str, String)> {
    let side = |range: Option<[usize; 2]>| match range {
        None => "-".to_owned(),
        Some([low, high]) if low == high => low.to_string(),
        Some([low, high]) => format!("{low} to {high}"),
    };
    vec![
        ("sessions", statistics.sessions.to_string()),
        ("frames", statistics.frames.to_string()),
        ("transitions", statistics.transitions.to_string()),
        ("instructions", statistics.instructions.to_string()),
        ("current masks", statistics.current_masks.to_string()),
        ("next masks", statistics.next_masks.to_string()),
        ("width", side(statistics.width)),
        ("height", side(statistics.height)),
    ]
}

fn print(found: &Sessions, sessions: &[Listed<'_>], console: &Console) -> Result<(), Failure> {
    let counts = counts(&found.statistics);
    let counts: Vec<String> =
        counts.iter().map(|(name, value)| format!("{name} {value}")).collect();
    console.line(counts.join(", "))?;
    for listed in sessions {
        console.line("")?;
        console.line(&listed.session.key)?;
        console.line(printable(&format!("  {}", listed.extent())))?;
        console.line(printable(&format!("  from {}", listed.source())))?;
        console.line(printable(&format!("  made by {}", listed.backends())))?;
        console.line(transitions(listed))?;
    }
    for bad in &found.bad {
        console.line(format!("\nbad: {}", printable(bad)))?;
    }
    let shown = sessions.len() as u64;
    if shown < found.statistics.sessions && found.bad.is_empty() {
        console
            .line(format!("\n{} more; --limit shows them", found.statistics.sessions - shown))?;
    }
    Ok(())
}

/// A row a transition.
fn transitions(listed: &Listed<'_>) -> Table {
    let columns = [
        ("  step", Align::Right),
        ("time", Align::Right),
        ("current", Align::Right),
        ("next", Align::Right),
        ("instruction", Align::Left),
    ];
    let mut table = Table::new(columns);
    let share = |share: Option<f64>| share.map_or("-".to_owned(), percent);
    let session = listed.session;
    for (index, (transition, shares)) in
        session.transitions.iter().zip(&listed.mask_shares).enumerate()
    {
        let time = format!("{:.2} s", session.frames[index + 1].time);
        let [current, next] = shares.map(share);
        table.row([index.to_string(), time, current, next, transition.instruction.clone()]);
    }
    table
}

fn page(path: &Path, found: &Sessions, sessions: &[Listed<'_>]) -> Result<Page, Failure> {
    let mut page = Page::new(format!("Sessions in {}", name_of(path)))
        .facts(counts(&found.statistics))
        .paragraph(
            "Each figure is one transition: the frame before it with what will change in orange \
             (current mask), and the frame after it with what has changed in cyan (next mask).",
        );
    if (sessions.len() as u64) < found.statistics.sessions {
        page = page.paragraph(&format!(
            "The first {} of {} sessions are shown.",
            sessions.len(),
            found.statistics.sessions
        ));
    }
    for listed in sessions {
        let figures = transition_figures(listed.session)?;
        page = page
            .section(&listed.session.key)
            .facts([
                ("frames", listed.extent()),
                ("from", listed.source()),
                ("made by", listed.backends()),
            ])
            .image_strip(&figures);
    }
    if !found.bad.is_empty() {
        page = page.section("Sessions that cannot be read").code(&found.bad.join("\n"));
    }
    Ok(page)
}

/// All transitions of a session.
pub(crate) fn transition_figures(session: &Session) -> Result<Vec<Figure>, Failure> {
    let transitions = session.transitions.iter().enumerate();
    transitions.map(|(index, transition)| figure(session, index, transition)).collect()
}

/// A transition: both frames with their masks, the instruction and what was measured.
fn figure(session: &Session, index: usize, transition: &Transition) -> Result<Figure, Failure> {
    let picture = |frame: usize, mask: &Option<Mask>, colour| -> Result<Picture, Failure> {
        let image = &session.frames[frame].image;
        let drawn: Option<Image> = mask.as_ref().map(|mask| overlaid(image, mask, colour));
        let share = mask.as_ref().map(|mask| format!(", {}", percent(mask.share())));
        let label = format!("{:.2} s{}", session.frames[frame].time, share.unwrap_or_default());
        Picture::new(drawn.as_ref().unwrap_or(image), label)
    };
    let caption = match transition.instruction.as_str() {
        "" => "(no instruction)".to_owned(),
        text => text.to_owned(),
    };
    let event = transition.facts.get("event").and_then(|event| event.as_str());
    Ok(Figure {
        pictures: vec![
            picture(index, &transition.current_mask, CURRENT_COLOUR)?,
            picture(index + 1, &transition.next_mask, NEXT_COLOUR)?,
        ],
        caption,
        note: event.map(|event| format!("event: {event}")).unwrap_or_default(),
    })
}
