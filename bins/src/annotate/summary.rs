//! What became of the videos of a run.

use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::table::{Align, Table};
use serde::Serialize;
use std::path::{Path, PathBuf};
use vincie_data::annotate::AnnotateStatistics;
use vincie_data::decode::VideoInfo;
use vincie_data::sample::SampleStatistics;
use vincie_data::shard::Statistics;

/// A run; `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    out: PathBuf,
    /// Over all sessions that were written.
    pub(super) statistics: Statistics,
    pub(super) videos: Vec<VideoSummary>,
}

/// One video.
#[derive(Debug, Serialize)]
pub(super) struct VideoSummary {
    path: PathBuf,
    /// Why it failed, where it did.
    pub(super) error: Option<String>,
    /// Absent where the video could not be opened.
    pub(super) info: Option<VideoInfo>,
    pub(super) sample: SampleStatistics,
    pub(super) annotate: AnnotateStatistics,
    /// Time taken.
    pub(super) seconds: f64,
}

impl VideoSummary {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            error: None,
            info: None,
            sample: SampleStatistics::default(),
            annotate: AnnotateStatistics::default(),
            seconds: 0.0,
        }
    }
}

impl Summary {
    pub(super) fn new(out: &Path, videos: Vec<VideoSummary>, statistics: Statistics) -> Self {
        Self { out: out.to_owned(), statistics, videos }
    }

    /// A row a video, then where the sessions are.
    pub(super) fn print(&self, console: &Console) -> Result<(), Failure> {
        console.line(self.table())?;
        console.line(
            "dropped: frames that are near-duplicates, mixed (black, or of two shots) or unchanged; \
             sessions that are too short or in excess",
        )?;
        let Statistics { sessions, transitions, bytes, .. } = self.statistics;
        let megabytes = bytes as f64 / 1e6;
        console.line(printable(&format!(
            "{sessions} sessions with {transitions} transitions, {megabytes:.1} MB, in {}",
            self.out.display()
        )))
    }

    fn table(&self) -> Table {
        let columns = [
            ("video", Align::Left),
            ("frames", Align::Right),
            ("shots", Align::Right),
            ("sessions", Align::Right),
            ("transitions", Align::Right),
            ("masks", Align::Right),
            ("near-dup", Align::Right),
            ("mixed", Align::Right),
            ("unchanged", Align::Right),
            ("short", Align::Right),
            ("excess", Align::Right),
            ("time", Align::Right),
            ("result", Align::Left),
        ];
        let mut table = Table::new(columns);
        for video in &self.videos {
            let (sample, annotate) = (&video.sample, &video.annotate);
            let masks = 2 * annotate.global
                + annotate.masks
                + annotate.masks_borrowed
                + annotate.masks_global;
            let counts = [
                sample.frames,
                sample.shots,
                annotate.sessions,
                annotate.transitions,
                masks,
                sample.dropped_near_duplicates,
                sample.dropped_mixed,
                annotate.dropped_frames,
                sample.dropped_short_sessions + annotate.dropped_sessions,
                sample.dropped_excess_sessions,
            ];
            let mut cells = vec![super::file_name(&video.path)];
            cells.extend(counts.map(|count| count.to_string()));
            cells.push(format!("{:.1} s", video.seconds));
            cells.push(if video.error.is_some() { "FAIL" } else { "ok" }.to_owned());
            table.row(cells);
        }
        table
    }
}
