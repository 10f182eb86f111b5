//! The second pass over a video: full frames and background samples for the planned sessions.
//! A session leaves as soon as its last frame or sample has passed, so only sessions whose time
//! spans overlap are in memory together.

use super::config::{SampleConfig, SampleStatistics};
use super::motion::Similarity;
use super::plan::{Mode, SessionPlan, plan};
use super::shots::{Boundary, Shots};
use super::survey::Survey;
use super::thumbnail::thumbnail;
use crate::session::{Frame, MAX_FRAMES};
use crate::{Error, Image, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A session's frames with all that the annotator may know about them.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Place of the session in the video's plan, from 0.
    pub number: usize,
    /// How the frames were chosen.
    pub mode: Mode,
    /// The shot that all frames lie in, where it is one.
    pub shot: Option<usize>,
    /// Frames with their times.
    pub frames: Vec<Frame>,
    /// Frame numbers in the video.
    pub numbers: Vec<usize>,
    /// What lies between frame `i` and frame `i + 1`.
    pub links: Vec<Link>,
    /// Background samples by shot: thumbnails over a longer stretch than the session's.
    pub backgrounds: Vec<Vec<Arc<Image>>>,
}

/// What the video says about a pair of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Change of shot between them.
    pub boundary: Option<Boundary>,
    /// The camera's motion from one to the other, followed through the frames between.
    pub camera: Option<Similarity>,
    /// Entry of `backgrounds` that shows the shot of both.
    pub background: Option<usize>,
}

impl Sampled {
    /// A session of frames that come without a video: the frames themselves, where they are
    /// three or more, are the background samples of every pair.
    pub fn from_frames(frames: Vec<Frame>, analysis_side: usize) -> Result<Self> {
        if !(2..=MAX_FRAMES).contains(&frames.len()) {
            return Err(Error::Unsupported(format!(
                "{} frames; a session has 2 to {MAX_FRAMES}",
                frames.len()
            )));
        }
        let (width, height) = (frames[0].image.width, frames[0].image.height);
        if width == 0 || height == 0 {
            return Err(Error::Unsupported(format!(
                "frames are {width} x {height}; both sides must be at least 1"
            )));
        }
        if let Some(other) =
            frames.iter().find(|f| (f.image.width, f.image.height) != (width, height))
        {
            return Err(Error::Unsupported(format!(
                "frames of {width} x {height} and {} x {}; a session's frames have one size",
                other.image.width, other.image.height
            )));
        }
        let mut backgrounds = Vec::new();
        if frames.len() > 2 {
            let samples = frames.iter().map(|f| Arc::new(thumbnail(&f.image, analysis_side)));
            backgrounds.push(samples.collect());
        }
        let link = Link { background: (!backgrounds.is_empty()).then_some(0), ..Link::default() };
        Ok(Self {
            number: 0,
            mode: Mode::Count,
            shot: None,
            numbers: (0..frames.len()).collect(),
            links: vec![link; frames.len() - 1],
            frames,
            backgrounds,
        })
    }
}

/// Draws the sessions of one video. `open` starts the stream of its frames and is called twice:
/// the first pass surveys every frame, the second picks up what the plan names. `emit` receives
/// each session as soon as it is complete, in a fixed order; an error of its own ends the work.
pub fn sample<I>(
    open: impl Fn() -> Result<I>,
    config: &SampleConfig,
    emit: impl FnMut(Sampled) -> Result<()>,
) -> Result<SampleStatistics>
where
    I: IntoIterator<Item = Result<Frame>>,
{
    config.check()?;
    let survey = Survey::of(open()?)?;
    let shots = Shots::of(&survey);
    let (plans, statistics) = plan(&survey, &shots, config);
    if !plans.is_empty() {
        gather(open()?, &survey, &shots, plans, config.analysis_side, emit)?;
    }
    Ok(statistics)
}

/// Where a frame of the video goes.
#[derive(Clone, Copy)]
enum Use {
    Frame { session: usize, slot: usize },
    Sample { session: usize, background: usize, slot: usize },
}

impl Use {
    fn session(self) -> usize {
        match self {
            Self::Frame { session, .. } | Self::Sample { session, .. } => session,
        }
    }
}

/// A session that still waits for frames.
struct Pending {
    frames: Vec<Option<Frame>>,
    samples: Vec<Vec<Option<Arc<Image>>>>,
    missing: usize,
}

impl Pending {
    fn of(plan: &SessionPlan) -> Self {
        let samples: Vec<_> = plan.backgrounds.iter().map(|b| vec![None; b.frames.len()]).collect();
        let missing = plan.frames.len() + samples.iter().map(Vec::len).sum::<usize>();
        Self { frames: vec![None; plan.frames.len()], samples, missing }
    }
}

/// The second pass.
pub fn gather(
    frames: impl IntoIterator<Item = Result<Frame>>,
    survey: &Survey,
    shots: &Shots,
    plans: Vec<SessionPlan>,
    analysis_side: usize,
    mut emit: impl FnMut(Sampled) -> Result<()>,
) -> Result<()> {
    let mut uses: BTreeMap<usize, Vec<Use>> = BTreeMap::new();
    for (session, plan) in plans.iter().enumerate() {
        for (slot, &frame) in plan.frames.iter().enumerate() {
            uses.entry(frame).or_default().push(Use::Frame { session, slot });
        }
        for (background, samples) in plan.backgrounds.iter().enumerate() {
            for (slot, &frame) in samples.frames.iter().enumerate() {
                uses.entry(frame).or_default().push(Use::Sample { session, background, slot });
            }
        }
    }
    let mut pending: BTreeMap<usize, Pending> = BTreeMap::new();
    for (index, frame) in frames.into_iter().enumerate() {
        let frame = frame?;
        let Some(places) = uses.remove(&index) else { continue };
        let mut small: Option<Arc<Image>> = None;
        for place in places {
            let session = place.session();
            let waiting = pending.entry(session).or_insert_with(|| Pending::of(&plans[session]));
            match place {
                Use::Frame { slot, .. } => waiting.frames[slot] = Some(frame.clone()),
                Use::Sample { background, slot, .. } => {
                    let small = small
                        .get_or_insert_with(|| Arc::new(thumbnail(&frame.image, analysis_side)));
                    waiting.samples[background][slot] = Some(Arc::clone(small));
                }
            }
            waiting.missing -= 1;
            if waiting.missing == 0
                && let Some(complete) = pending.remove(&session)
            {
                emit(finish(session, &plans[session], complete, survey, shots))?;
            }
        }
        if uses.is_empty() {
            return Ok(());
        }
    }
    Err(Error::Unsupported(format!(
        "the second pass over the video ended before frame {}; the first one saw {} frames",
        uses.keys().next().copied().unwrap_or(0),
        survey.frames()
    )))
}

fn finish(
    number: usize,
    plan: &SessionPlan,
    complete: Pending,
    survey: &Survey,
    shots: &Shots,
) -> Sampled {
    let links = plan
        .frames
        .windows(2)
        .map(|pair| {
            let boundary = shots.between(pair[0], pair[1]);
            let shot = shots.shot_of(pair[0]).filter(|_| boundary.is_none());
            Link {
                boundary,
                camera: survey.camera(pair[0]..pair[1]).filter(|_| boundary.is_none()),
                background: plan.backgrounds.iter().position(|b| Some(b.shot) == shot),
            }
        })
        .collect();
    Sampled {
        number,
        mode: plan.mode,
        shot: plan.shot,
        frames: complete.frames.into_iter().flatten().collect(),
        numbers: plan.frames.clone(),
        links,
        backgrounds: complete
            .samples
            .into_iter()
            .map(|samples| samples.into_iter().flatten().collect())
            .collect(),
    }
}
