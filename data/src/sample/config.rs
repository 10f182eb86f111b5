//! What to sample, and the counts that say what became of every candidate.

use crate::session::MAX_FRAMES;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How sessions are drawn from a video. Both modes of the paper's data (section on data
/// construction) are on by default; it gives no numbers, so the defaults here are our own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// Frames at equal time steps within one shot: small, object-level changes.
    pub interval: Option<IntervalSampling>,
    /// A fixed number of frames spread over the video: large changes, also across cuts.
    pub count: Option<CountSampling>,
    /// A candidate is dropped when no cell of its 32 x 18 grid differs from the frame kept
    /// before it by more than this many grey levels. A change of 0.2 % of the picture with a
    /// contrast of 20 levels passes the default of 4.
    pub near_duplicate: u8,
    /// Longer side of the thumbnails handed to the annotator as background samples, pixels.
    pub analysis_side: usize,
    /// Background samples per session and shot; more than the session keeps frames, so that a
    /// subject that is in most of the session's frames does not become background.
    pub background_samples: usize,
    /// The samples are spread over the session's part of the shot, widened to this many seconds
    /// where the shot is long enough.
    pub background_seconds: f64,
    /// Most sessions drawn from one video; the rest is counted.
    pub sessions: usize,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            interval: Some(IntervalSampling::default()),
            count: Some(CountSampling::default()),
            near_duplicate: 4,
            analysis_side: 320,
            background_samples: 40,
            background_seconds: 180.0,
            sessions: 256,
        }
    }
}

/// Frames every `seconds`, never across a cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntervalSampling {
    /// Time from frame to frame.
    pub seconds: f64,
    /// Most frames a session; a longer shot gives several sessions one after the other.
    pub frames: usize,
    /// Interleaved series of sessions: series `i` of `n` starts `i / n` of a step later.
    pub phases: usize,
}

impl Default for IntervalSampling {
    fn default() -> Self {
        Self { seconds: 1.0, frames: MAX_FRAMES, phases: 1 }
    }
}

/// `frames` frames spread evenly, ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CountSampling {
    /// Frames a session, 2 to 20.
    pub frames: usize,
    /// Equal parts of the video that give a session each.
    pub windows: usize,
}

impl Default for CountSampling {
    fn default() -> Self {
        Self { frames: 8, windows: 1 }
    }
}

impl SampleConfig {
    /// `Err` with one line when a value is out of its range.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Unsupported(format!("sampling: {what}")));
        if let Some(interval) = &self.interval {
            if !(interval.seconds.is_finite() && interval.seconds > 0.0) {
                return fail(format!(
                    "interval of {} s; it must be finite and above 0",
                    interval.seconds
                ));
            }
            check_frames("interval", interval.frames)?;
            if interval.phases == 0 || interval.phases > MAX_FRAMES {
                return fail(format!("{} phases; 1 to {MAX_FRAMES} are possible", interval.phases));
            }
        }
        if let Some(count) = &self.count {
            check_frames("count", count.frames)?;
            if count.windows == 0 || count.windows > 10_000 {
                return fail(format!("{} windows; 1 to 10000 are possible", count.windows));
            }
        }
        if !(16..=4096).contains(&self.analysis_side) {
            return fail(format!(
                "analysis side of {} pixels; 16 to 4096 are possible",
                self.analysis_side
            ));
        }
        if self.background_samples > 1000 {
            return fail(format!(
                "{} background samples; 1000 is the most",
                self.background_samples
            ));
        }
        if !(self.background_seconds.is_finite() && self.background_seconds >= 0.0) {
            return fail(format!("background of {} s; it must be finite", self.background_seconds));
        }
        Ok(())
    }
}

fn check_frames(mode: &str, frames: usize) -> Result<()> {
    if (2..=MAX_FRAMES).contains(&frames) {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "sampling: {mode} sessions of {frames} frames; a session has 2 to {MAX_FRAMES}"
    )))
}

/// What became of a video's frames. Sums over videos are made with `add`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleStatistics {
    /// Videos surveyed.
    pub videos: usize,
    /// Frames decoded.
    pub frames: usize,
    /// Shots found.
    pub shots: usize,
    /// Hard cuts found.
    pub cuts: usize,
    /// Dissolves found.
    pub dissolves: usize,
    /// Fades and black stretches found.
    pub fades: usize,
    /// Frames that are dark everywhere.
    pub black_frames: usize,
    /// Frames considered for sessions.
    pub candidates: usize,
    /// Candidates that are black or mixed of two shots, with no clean frame near.
    pub dropped_mixed: usize,
    /// Candidates that look like the frame kept before them.
    pub dropped_near_duplicates: usize,
    /// Sessions left with fewer than two frames.
    pub dropped_short_sessions: usize,
    /// Sessions above the configured number.
    pub dropped_excess_sessions: usize,
    /// Sessions drawn at equal time steps.
    pub interval_sessions: usize,
    /// Sessions of a fixed number of frames.
    pub count_sessions: usize,
    /// Frames in all sessions.
    pub session_frames: usize,
}

impl SampleStatistics {
    /// Adds another video's counts.
    pub fn add(&mut self, other: &Self) {
        let Self {
            videos,
            frames,
            shots,
            cuts,
            dissolves,
            fades,
            black_frames,
            candidates,
            dropped_mixed,
            dropped_near_duplicates,
            dropped_short_sessions,
            dropped_excess_sessions,
            interval_sessions,
            count_sessions,
            session_frames,
        } = other;
        self.videos += videos;
        self.frames += frames;
        self.shots += shots;
        self.cuts += cuts;
        self.dissolves += dissolves;
        self.fades += fades;
        self.black_frames += black_frames;
        self.candidates += candidates;
        self.dropped_mixed += dropped_mixed;
        self.dropped_near_duplicates += dropped_near_duplicates;
        self.dropped_short_sessions += dropped_short_sessions;
        self.dropped_excess_sessions += dropped_excess_sessions;
        self.interval_sessions += interval_sessions;
        self.count_sessions += count_sessions;
        self.session_frames += session_frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_bad_values_are_named() {
        SampleConfig::default().check().expect("the defaults are possible");
        let interval = |seconds, frames, phases| SampleConfig {
            interval: Some(IntervalSampling { seconds, frames, phases }),
            ..SampleConfig::default()
        };
        for (config, word) in [
            (interval(0.0, 5, 1), "0 s"),
            (interval(f64::NAN, 5, 1), "NaN"),
            (interval(1.0, 21, 1), "21 frames"),
            (interval(1.0, 5, 0), "0 phases"),
            (SampleConfig { analysis_side: 3, ..SampleConfig::default() }, "3 pixels"),
            (SampleConfig { background_samples: 5000, ..SampleConfig::default() }, "5000"),
        ] {
            let message = config.check().expect_err("must be refused").to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn configs_may_name_a_few_fields_only() {
        let text = r#"{"interval": {"seconds": 0.5}, "count": null}"#;
        let config: SampleConfig = serde_json::from_str(text).expect("is a config");
        assert_eq!(config.interval.as_ref().map(|i| i.frames), Some(MAX_FRAMES));
        assert_eq!(config.count, None);
        assert!(serde_json::from_str::<SampleConfig>(r#"{"intervall": null}"#).is_err());
    }
}
