//! One video on its way into the shards.

use super::summary::VideoSummary;
use super::{Plan, file_name};
use crate::console::Console;
use crate::failure::Failure;
use crate::progress::Progress;
use rayon::prelude::*;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Instant;
use vincie_data::annotate::builtin::{Builtin, BuiltinConfig};
use vincie_data::annotate::{
    AnnotateStatistics, SheetConfig, annotate_session, contact_sheet, session_key,
};
use vincie_data::decode::{Video, VideoOptions, fit, sha256_file, write_png};
use vincie_data::sample::{Sampled, sample};
use vincie_data::session::{Frame, Source};
use vincie_data::shard::{FrameFormat, PackedSession, ShardWriter};

/// Most sessions that are annotated at a time. Each holds up to 20 frames in full size.
const MAX_BATCH: usize = 8;

/// Annotates a video and writes its sessions. What is wrong with the video stands in the summary;
/// `Err` is what is wrong with the output.
pub(super) fn annotate(
    path: &Path,
    name: &str,
    plan: &Plan,
    writer: &mut ShardWriter,
    console: &Console,
) -> Result<VideoSummary, Failure> {
    let start = Instant::now();
    let mut summary = VideoSummary::new(path);
    let outcome = match (Job { path, name, plan }).run(&mut summary, writer, console) {
        Err(Trouble::Output(error)) => return Err(error.into()),
        Err(Trouble::Video(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    summary.seconds = start.elapsed().as_secs_f64();
    summary.error = outcome.err().map(|error| error.to_string());
    Ok(summary)
}

/// What went wrong on the way.
enum Trouble {
    /// The video is at fault; others may be fine.
    Video(vincie_data::Error),
    /// Nothing more can be written.
    Output(vincie_data::Error),
}

impl From<vincie_data::Error> for Trouble {
    fn from(error: vincie_data::Error) -> Self {
        Self::Video(error)
    }
}

/// A video and what to do with it.
struct Job<'a> {
    path: &'a Path,
    name: &'a str,
    plan: &'a Plan,
}

/// A session in the form in which it is written.
struct Annotated {
    packed: PackedSession,
    /// File and picture of its contact sheet, where one is wanted.
    sheet: Option<(PathBuf, vincie_data::Image)>,
}

impl Job<'_> {
    fn run(
        &self,
        summary: &mut VideoSummary,
        writer: &mut ShardWriter,
        console: &Console,
    ) -> Result<(), Trouble> {
        let Self { path, plan, .. } = *self;
        let options = VideoOptions { decoder: plan.decoder, ..VideoOptions::default() };
        let first = Video::open_with(path, &options)?;
        let info = first.info().clone();
        let source = Source {
            name: file_name(path),
            sha256: if path.is_file() { sha256_file(path)? } else { String::new() },
            decoder: info.decoder.clone(),
            ..Source::default()
        };
        // The video is read twice: once to plan, once to pick up what was planned.
        let total = info.frames.map(|frames| 2 * frames as u64);
        summary.info = Some(info);
        let progress = console.progress(&file_name(path), "frames", total);
        let complaints = RefCell::new(Vec::new());
        let opened = RefCell::new(Some(first));
        let open = || {
            let video = match opened.take() {
                Some(video) => video,
                None => Video::open_with(path, &options)?,
            };
            Ok(Frames { video, size: plan.size, progress: &progress, complaints: &complaints })
        };
        let mut batch = Vec::new();
        let mut trouble = None;
        let batch_size = rayon::current_num_threads().min(MAX_BATCH);
        let sampled = sample(open, &plan.sample, |sampled| {
            batch.push(sampled);
            if batch.len() < batch_size {
                return Ok(());
            }
            let written = self.write(&mut batch, &source, &mut summary.annotate, writer);
            progress.message(&format!("{} sessions", summary.annotate.sessions));
            written.map_err(|error| {
                trouble = Some(error);
                // Only ends the reading: what happened is in `trouble`.
                vincie_data::Error::Unsupported("annotation stopped".to_owned())
            })
        });
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        summary.sample = sampled?;
        self.write(&mut batch, &source, &mut summary.annotate, writer)?;
        drop(progress);
        for complaint in complaints.take() {
            console.note(format!("{}: decoder: {complaint}", path.display()));
        }
        Ok(())
    }

    /// Annotates the sessions of a batch on all threads and writes them in their order. Each is
    /// annotated by itself, so how many there are makes no difference.
    fn write(
        &self,
        batch: &mut Vec<Sampled>,
        source: &Source,
        statistics: &mut AnnotateStatistics,
        writer: &mut ShardWriter,
    ) -> Result<(), Trouble> {
        let batch: Vec<Sampled> = std::mem::take(batch);
        let annotated: Vec<_> = batch
            .into_par_iter()
            .map(|sampled| {
                let mut counts = AnnotateStatistics::default();
                self.annotate(sampled, source, &mut counts).map(|session| (session, counts))
            })
            .collect();
        for outcome in annotated {
            let (session, counts) = outcome?;
            statistics.add(&counts);
            let Some(Annotated { packed, sheet }) = session else { continue };
            writer.append(packed).map_err(Trouble::Output)?;
            if let Some((file, picture)) = sheet {
                write_png(file, &picture).map_err(Trouble::Output)?;
            }
        }
        Ok(())
    }

    fn annotate(
        &self,
        sampled: Sampled,
        source: &Source,
        counts: &mut AnnotateStatistics,
    ) -> vincie_data::Result<Option<Annotated>> {
        let mut annotator = Builtin::annotator(BuiltinConfig::default())?;
        let key = session_key(self.name, &sampled);
        let config = &self.plan.annotate;
        let session = annotate_session(sampled, &key, source, &mut annotator, config, counts)?;
        let Some(session) = session else { return Ok(None) };
        let sheet = self.plan.sheets.as_ref().map(|folder| {
            let picture = contact_sheet(&session, &SheetConfig::default());
            (folder.join(format!("{key}.png")), picture)
        });
        let packed = PackedSession::new(&session, FrameFormat::default())?;
        Ok(Some(Annotated { packed, sheet }))
    }
}

/// A video's frames in the size of the sessions. Regions are then measured on what is left after
/// cutting, so no instruction speaks of what is out of sight.
struct Frames<'a> {
    video: Video,
    size: Option<[usize; 2]>,
    progress: &'a Progress,
    complaints: &'a RefCell<Vec<String>>,
}

impl Iterator for Frames<'_> {
    type Item = vincie_data::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = match self.video.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                self.complaints.replace(self.video.warnings().to_vec());
                return None;
            }
            Err(error) => return Some(Err(error)),
        };
        self.progress.advance(1);
        let image = match self.size {
            Some([width, height]) => fit(&frame.image, width, height),
            None => frame.image,
        };
        Some(Ok(Frame { image, time: frame.time }))
    }
}
