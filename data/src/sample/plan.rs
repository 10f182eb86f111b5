//! Which frames make up which session, decided on the survey alone: the second pass over the
//! video then only has to pick them up.

use super::config::{CountSampling, IntervalSampling, SampleConfig, SampleStatistics};
use super::shots::{BoundaryKind, Shots};
use super::survey::Survey;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a session's frames were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Equal time steps within one shot.
    Interval,
    /// A fixed number of frames spread over a stretch of video.
    Count,
}

impl Mode {
    /// The word in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Count => "count",
        }
    }
}

/// One session to be.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionPlan {
    /// How the frames were chosen.
    pub mode: Mode,
    /// The shot that all frames lie in, where it is one.
    pub shot: Option<usize>,
    /// Frame numbers, rising.
    pub frames: Vec<usize>,
    /// Background samples, for each shot in which two neighbouring frames lie.
    pub backgrounds: Vec<BackgroundPlan>,
}

/// Frames that tell what stays in a shot.
#[derive(Clone, Debug, PartialEq)]
pub struct BackgroundPlan {
    /// The shot.
    pub shot: usize,
    /// Frame numbers, rising.
    pub frames: Vec<usize>,
}

/// Plans the sessions of a video and counts what is dropped. `config` must have passed `check`.
pub fn plan(
    survey: &Survey,
    shots: &Shots,
    config: &SampleConfig,
) -> (Vec<SessionPlan>, SampleStatistics) {
    let of_kind = |kind| shots.boundaries.iter().filter(|b| b.kind == kind).count();
    let mut statistics = SampleStatistics {
        videos: 1,
        frames: survey.frames(),
        shots: shots.shots.len(),
        cuts: of_kind(BoundaryKind::Cut),
        dissolves: of_kind(BoundaryKind::Dissolve),
        fades: of_kind(BoundaryKind::Fade),
        black_frames: shots.black.iter().filter(|&&b| b).count(),
        ..SampleStatistics::default()
    };
    let mut candidates: Vec<(Mode, Vec<Option<usize>>)> = Vec::new();
    if let Some(interval) = &config.interval {
        for shot in &shots.shots {
            let series = interval_candidates(survey, shot, interval);
            candidates.extend(series.into_iter().map(|frames| (Mode::Interval, frames)));
        }
    }
    if let Some(count) = &config.count {
        let series = count_candidates(survey, shots, count);
        candidates.extend(series.into_iter().map(|frames| (Mode::Count, frames)));
    }
    let mut plans = Vec::new();
    for (mode, candidates) in candidates {
        statistics.candidates += candidates.len();
        let frames = distinct(survey, &candidates, config.near_duplicate, &mut statistics);
        if frames.len() < 2 {
            statistics.dropped_short_sessions += 1;
        } else if plans.len() >= config.sessions {
            statistics.dropped_excess_sessions += 1;
        } else {
            match mode {
                Mode::Interval => statistics.interval_sessions += 1,
                Mode::Count => statistics.count_sessions += 1,
            }
            statistics.session_frames += frames.len();
            plans.push(finish(survey, shots, config, mode, frames));
        }
    }
    (plans, statistics)
}

/// The frame nearest to a time, among those of a non-empty range.
fn nearest(times: &[f64], range: &Range<usize>, time: f64) -> usize {
    let after = range.start + times[range.clone()].partition_point(|&t| t < time);
    let before = after.saturating_sub(1).max(range.start);
    let after = after.min(range.end - 1);
    if time - times[before] <= times[after] - time { before } else { after }
}

fn interval_candidates(
    survey: &Survey,
    shot: &Range<usize>,
    config: &IntervalSampling,
) -> Vec<Vec<Option<usize>>> {
    let (start, end) = (survey.times[shot.start], survey.times[shot.end - 1]);
    let mut sessions = Vec::new();
    for phase in 0..config.phases {
        let offset = start + config.seconds * phase as f64 / config.phases as f64;
        // Half a frame of tolerance keeps the last step of a shot that ends on a multiple.
        let steps = ((end - offset) / config.seconds + 1e-6).floor();
        if steps < 0.0 {
            continue;
        }
        // There are never more useful steps than frames.
        let steps = (steps as usize).min(shot.len());
        let frames: Vec<Option<usize>> = (0..=steps)
            .map(|i| Some(nearest(&survey.times, shot, offset + i as f64 * config.seconds)))
            .collect();
        sessions.extend(frames.chunks(config.frames).map(<[_]>::to_vec));
    }
    sessions
}

fn count_candidates(
    survey: &Survey,
    shots: &Shots,
    config: &CountSampling,
) -> Vec<Vec<Option<usize>>> {
    let count = survey.frames();
    if count == 0 {
        return Vec::new();
    }
    let (start, end) = (survey.times[0], survey.times[count - 1]);
    let window = (end - start) / config.windows as f64;
    let step = window / (config.frames - 1) as f64;
    let all = 0..count;
    (0..config.windows)
        .map(|w| {
            (0..config.frames)
                .map(|i| {
                    let frame = if end > start {
                        let time = start + window * w as f64 + step * i as f64;
                        nearest(&survey.times, &all, time)
                    } else {
                        // Sources without time are spread by number.
                        let share = (w * (config.frames - 1) + i) as f64
                            / (config.windows * (config.frames - 1)) as f64;
                        (share * (count - 1) as f64).round() as usize
                    };
                    clean_frame(survey, shots, frame, 0.5 * step)
                })
                .collect()
        })
        .collect()
}

/// The frame itself where it lies in a shot, else the nearest one that does, at most `reach`
/// seconds away.
fn clean_frame(survey: &Survey, shots: &Shots, frame: usize, reach: f64) -> Option<usize> {
    if shots.shot_of(frame).is_some() {
        return Some(frame);
    }
    let after = shots.shots.iter().find(|s| s.start > frame).map(|s| s.start);
    let before = shots.shots.iter().rev().find(|s| s.end <= frame).map(|s| s.end - 1);
    let distance = |i: usize| (survey.times[i] - survey.times[frame]).abs();
    [before, after]
        .into_iter()
        .flatten()
        .filter(|&i| distance(i) <= reach)
        .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
}

/// Drops what is missing, repeated or nearly the same as the frame before.
fn distinct(
    survey: &Survey,
    candidates: &[Option<usize>],
    near_duplicate: u8,
    statistics: &mut SampleStatistics,
) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for candidate in candidates {
        let Some(frame) = *candidate else {
            statistics.dropped_mixed += 1;
            continue;
        };
        let is_new = kept.last().is_none_or(|&last| {
            let (a, b) = (&survey.fingerprints[last], &survey.fingerprints[frame]);
            frame > last && a.largest_difference(b) > near_duplicate
        });
        if is_new {
            kept.push(frame);
        } else {
            statistics.dropped_near_duplicates += 1;
        }
    }
    kept
}

fn finish(
    survey: &Survey,
    shots: &Shots,
    config: &SampleConfig,
    mode: Mode,
    frames: Vec<usize>,
) -> SessionPlan {
    let homes: Vec<Option<usize>> = frames.iter().map(|&f| shots.shot_of(f)).collect();
    let mut backgrounds: Vec<BackgroundPlan> = Vec::new();
    for (pair, numbers) in homes.windows(2).zip(frames.windows(2)) {
        let (Some(first), Some(second)) = (pair[0], pair[1]) else { continue };
        if first != second || backgrounds.iter().any(|b| b.shot == first) {
            continue;
        }
        let last = frames[homes.iter().rposition(|&h| h == Some(first)).unwrap_or(0)];
        let span = numbers[0]..last + 1;
        let samples = background_frames(survey, &shots.shots[first], span, config);
        if !samples.is_empty() {
            backgrounds.push(BackgroundPlan { shot: first, frames: samples });
        }
    }
    let shot = homes.iter().all(|&h| h == homes[0]).then_some(homes[0]).flatten();
    SessionPlan { mode, shot, frames, backgrounds }
}

/// Evenly spread frames of a shot around `span`.
fn background_frames(
    survey: &Survey,
    shot: &Range<usize>,
    span: Range<usize>,
    config: &SampleConfig,
) -> Vec<usize> {
    let (shot_start, shot_end) = (survey.times[shot.start], survey.times[shot.end - 1]);
    let (first, last) = (survey.times[span.start], survey.times[span.end - 1]);
    let missing = (config.background_seconds - (last - first)).max(0.0);
    // What one side lacks is taken from the other.
    let mut start = (first - 0.5 * missing).max(shot_start);
    let end = (start + (last - first) + missing).min(shot_end).max(last);
    start = (end - (last - first) - missing).clamp(shot_start, first);
    let samples = config.background_samples;
    let mut frames: Vec<usize> = if end > start {
        (0..samples)
            .map(|i| {
                let share = (i as f64 + 0.5) / samples as f64;
                nearest(&survey.times, shot, start + share * (end - start))
            })
            .collect()
    } else {
        let step = shot.len().div_ceil(samples.max(1)).max(1);
        shot.clone().step_by(step).collect()
    };
    frames.dedup();
    frames
}
