//! The first pass over a video: time stamps, a fingerprint of every frame and the camera's path in
//! steps of an eighth of a second. About 1.8 kB a frame are kept, no pictures.

use super::fingerprint::Fingerprint;
use super::motion::{LARGEST_ZOOM, Prepared, Similarity, follow};
use super::plane::Plane;
use super::thumbnail::thumbnail;
use crate::session::Frame;
use crate::{Error, Image, Result};
use std::ops::Range;

/// Longer side of the picture on which the camera is tracked, pixels.
const TRACKING_SIDE: usize = 128;
/// Time from one camera step to the next, seconds: long enough for a motion to show, short enough
/// for scenery to stay in view.
const STEP_SECONDS: f64 = 0.115;

/// What the first pass knows of a video.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Columns of every frame.
    pub width: usize,
    /// Rows of every frame.
    pub height: usize,
    /// Time of every frame, seconds, never falling.
    pub times: Vec<f64>,
    /// The camera's path, in order of frames.
    pub steps: Vec<CameraStep>,
    pub(crate) fingerprints: Vec<Fingerprint>,
}

/// The camera's motion between two frames about an eighth of a second apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraStep {
    /// Frame at the start.
    pub from: usize,
    /// Frame at the end.
    pub to: usize,
    /// The motion; the identity for a camera that stands still, none where the two pictures have
    /// too little in common.
    pub motion: Option<Similarity>,
}

impl Survey {
    /// Reads the stream to its end. A frame of another size than the first, a time that falls or
    /// is not finite, and whatever error the stream has, are returned as errors.
    pub fn of(frames: impl IntoIterator<Item = Result<Frame>>) -> Result<Self> {
        let mut survey = Self {
            width: 0,
            height: 0,
            times: Vec::new(),
            steps: Vec::new(),
            fingerprints: Vec::new(),
        };
        let mut anchor: Option<(usize, Prepared)> = None;
        for frame in frames {
            let Frame { image, time } = frame?;
            let index = survey.times.len();
            if index == 0 {
                (survey.width, survey.height) = (image.width, image.height);
            }
            survey.check(index, &image, time)?;
            let small = thumbnail(&image, TRACKING_SIDE);
            survey.times.push(time);
            survey.fingerprints.push(Fingerprint::new(&small));
            if anchor.as_ref().is_some_and(|(at, _)| time < survey.times[*at] + STEP_SECONDS) {
                continue;
            }
            let current = Prepared::new(&Plane::luma(&small));
            if let Some((from, before)) = &anchor {
                let hint = survey.steps.last().and_then(|step| step.motion);
                let motion = step(before, &current, hint);
                survey.steps.push(CameraStep { from: *from, to: index, motion });
            }
            anchor = Some((index, current));
        }
        Ok(survey)
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.times.len()
    }

    /// The camera's motion over a range of frames, put together from the steps whose middle lies
    /// in it; none when there is no such step, when more than a quarter of them are unknown or
    /// the sum is not plausible. It is exact to a step, which is enough to tell how the camera
    /// moves and where to start a fit.
    pub fn camera(&self, range: Range<usize>) -> Option<Similarity> {
        let middle = |step: &CameraStep| (step.from + step.to) / 2;
        let steps: Vec<_> = self.steps.iter().filter(|s| range.contains(&middle(s))).collect();
        let unknown = steps.iter().filter(|step| step.motion.is_none()).count();
        if steps.is_empty() || 4 * unknown > steps.len() {
            return None;
        }
        let sum = steps
            .iter()
            .filter_map(|step| step.motion)
            .fold(Similarity::IDENTITY, |motion, step| step.after(&motion));
        sum.is_plausible(4.0 * LARGEST_ZOOM).then_some(sum)
    }

    fn check(&self, index: usize, image: &Image, time: f64) -> Result<()> {
        if (image.width, image.height) != (self.width, self.height) || image.rgb.is_empty() {
            return Err(Error::Unsupported(format!(
                "frame {index} is {} x {}, the first one {} x {}; frames must have one size",
                image.width, image.height, self.width, self.height
            )));
        }
        let last = self.times.last().copied().unwrap_or(f64::MIN);
        if !time.is_finite() || time < last {
            return Err(Error::Unsupported(format!(
                "frame {index} has time {time} s after {last} s; times must be finite and not fall"
            )));
        }
        Ok(())
    }
}

/// One step of the path.
fn step(first: &Prepared, second: &Prepared, hint: Option<Similarity>) -> Option<Similarity> {
    let motion = follow(first, second, hint.unwrap_or(Similarity::IDENTITY));
    if motion.is_unknown() {
        None
    } else if motion.may_be_camera(first.aspect()) {
        Some(motion.similarity)
    } else {
        Some(Similarity::IDENTITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: usize, time: f64) -> Result<Frame> {
        Ok(Frame { image: Image::filled(width, 4, [9; 3]), time })
    }

    #[test]
    fn sizes_and_times_are_checked() {
        let survey = Survey::of([frame(4, 0.0), frame(4, 0.0), frame(4, 1.0)]).expect("is sound");
        assert_eq!((survey.frames(), survey.steps.len()), (3, 1));
        assert_eq!(survey.camera(0..2), Some(Similarity::IDENTITY), "flat frames stand still");
        assert_eq!(survey.camera(0..0), None);
        for (bad, word) in [
            (vec![frame(4, 0.0), frame(5, 1.0)], "size"),
            (vec![frame(4, 1.0), frame(4, 0.5)], "times"),
            (vec![frame(4, f64::NAN)], "times"),
            (vec![frame(0, 0.0)], "size"),
            (vec![Err(Error::Unsupported("broken stream".into()))], "broken"),
        ] {
            let message = Survey::of(bad).expect_err("must be refused").to_string();
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(Survey::of([]).expect("an empty stream is one").frames(), 0);
    }
}
