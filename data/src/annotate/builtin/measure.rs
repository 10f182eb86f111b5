//! A pair of frames brought to one grid and one light: the camera's motion between them, the
//! change of exposure, and the background of their shot where it is known.

use super::background::{ALIGNING_SIDE, Background, read_through};
use super::exposure::Exposure;
use crate::Image;
use crate::sample::motion::{Motion, Prepared, Similarity, estimate, follow};
use crate::sample::plane::Plane;
use crate::sample::thumbnail;

/// Corner displacement above which the camera's motion is part of the edit, picture widths.
pub(crate) const CAMERA_MOVES: f32 = 0.015;
/// The same for the motion followed through the video, which sums up small errors.
pub(crate) const CAMERA_TRAVELS: f32 = 0.03;
/// A motion that explains this share of the picture can be undone.
const RELIABLE: f32 = 0.8;
/// Motions below this many pixels of the analysis grid are not undone.
const NEGLIGIBLE: f32 = 0.15;

/// What the camera does between two frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Camera {
    /// It stands still, up to a shake that is undone.
    Still,
    /// One motion explains the picture and is undone.
    Compensated(Similarity),
    /// It moves, but no single motion explains the picture, as in a drive.
    Travels(Similarity),
    /// The pictures have too little in common to tell.
    Unknown,
}

/// Both frames on the current frame's grid.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// The current frame at analysis size.
    pub(crate) current: [Plane; 3],
    /// The next frame at analysis size, on the current frame's grid.
    pub(crate) next: [Plane; 3],
    /// Pixels that both frames show.
    pub(crate) covered: Vec<bool>,
    /// Motion of the picture as fitted.
    pub(crate) motion: Motion,
    /// What that and the video say of the camera.
    pub(crate) camera: Camera,
    /// The motion that was undone to bring the next frame to the grid.
    pub(crate) undone: Similarity,
    /// Change of light from the current frame to the next.
    pub(crate) light: Exposure,
    /// Background on the grid.
    pub(crate) background: Option<Behind>,
}

/// The background seen from the current frame.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    /// In the light of the current frame.
    pub(crate) current: [Plane; 3],
    /// In the light of the next frame.
    pub(crate) next: [Plane; 3],
    /// Deviation of the samples.
    pub(crate) spread: Plane,
    /// Pixels that it shows.
    pub(crate) covered: Vec<bool>,
    /// Samples it was made of.
    pub(crate) samples: usize,
}

impl Measured {
    /// Measures a pair of one size. `path` is the camera's motion followed through the video.
    pub(crate) fn of(
        current: &Image,
        next: &Image,
        path: Option<Similarity>,
        background: Option<&Background>,
        side: usize,
    ) -> Self {
        let (a, b) = (thumbnail(current, side), thumbnail(next, side));
        let prepare = |image: &Image| Prepared::new(&Plane::luma(&thumbnail(image, ALIGNING_SIDE)));
        let (first, second) = (prepare(&a), prepare(&b));
        // Where the camera was followed through the video there is no need to search for it.
        let motion = match path {
            Some(path) if path.is_plausible(2.0) => follow(&first, &second, path),
            _ => estimate(&first, &second),
        };
        let camera = camera(&motion, path, first.aspect());
        let undone = match camera {
            Camera::Compensated(similarity) => similarity,
            Camera::Still if is_shake(&motion, first.aspect(), a.width) => motion.similarity,
            _ => Similarity::IDENTITY,
        };
        let current = Plane::channels(&a);
        let (next, covered) = if undone == Similarity::IDENTITY {
            (Plane::channels(&b), vec![true; a.width * a.height])
        } else {
            read_through(&Plane::channels(&b), &undone)
        };
        let light = Exposure::between(&current, &next, |i| covered[i]);
        let background = background
            .filter(|b| same_size(&b.channels[0], &current[0]))
            .and_then(|b| behind(b, &first, &current, &next, &covered));
        Self { current, next, covered, motion, camera, undone, light, background }
    }

    /// Columns of the analysis grid.
    pub(crate) fn width(&self) -> usize {
        self.current[0].width
    }

    /// Rows of the analysis grid.
    pub(crate) fn height(&self) -> usize {
        self.current[0].height
    }
}

fn same_size(a: &Plane, b: &Plane) -> bool {
    (a.width, a.height) == (b.width, b.height)
}

/// A small motion that explains the picture at least as well as standing still.
fn is_shake(motion: &Motion, aspect: f32, width: usize) -> bool {
    let distance = motion.similarity.displacement(aspect);
    distance * width as f32 > NEGLIGIBLE
        && distance < CAMERA_MOVES
        && motion.cells_won >= motion.cells_lost
}

fn camera(motion: &Motion, path: Option<Similarity>, aspect: f32) -> Camera {
    let travelled = path.filter(|p| p.displacement(aspect) > CAMERA_TRAVELS);
    let fitted = Some(motion.similarity)
        .filter(|s| motion.is_camera(aspect) && s.displacement(aspect) > CAMERA_MOVES);
    match (fitted, travelled) {
        (Some(fitted), path) if motion.explained >= RELIABLE && agrees(fitted, path, aspect) => {
            Camera::Compensated(fitted)
        }
        (_, Some(path)) => Camera::Travels(path),
        (Some(fitted), None) => Camera::Travels(fitted),
        (None, None) if motion.is_unknown() && motion.still < 0.3 => Camera::Unknown,
        (None, None) => Camera::Still,
    }
}

/// Whether the fit and the path tell about the same motion.
fn agrees(fitted: Similarity, path: Option<Similarity>, aspect: f32) -> bool {
    path.is_none_or(|path| {
        let rest = fitted.inverse().after(&path).displacement(aspect);
        rest < 0.5 * path.displacement(aspect).max(fitted.displacement(aspect)) + 0.01
    })
}

/// The background on the current frame's grid, where it can be aligned.
fn behind(
    background: &Background,
    first: &Prepared,
    current: &[Plane; 3],
    next: &[Plane; 3],
    covered: &[bool],
) -> Option<Behind> {
    let motion = follow(first, &background.prepared, Similarity::IDENTITY);
    let distance = motion.similarity.displacement(first.aspect());
    if distance > CAMERA_TRAVELS {
        return None;
    }
    let (planes, spread, seen) = if distance * current[0].width as f32 > NEGLIGIBLE {
        let (planes, seen) = read_through(&background.channels, &motion.similarity);
        let spread = crate::sample::motion::warped(&background.spread, &motion.similarity).0;
        (planes, spread, seen)
    } else {
        (background.channels.clone(), background.spread.clone(), vec![true; covered.len()])
    };
    let both: Vec<bool> = seen.iter().zip(covered).map(|(&a, &b)| a && b).collect();
    Some(Behind {
        current: Exposure::between(&planes, current, |i| both[i]).applied(&planes),
        next: Exposure::between(&planes, next, |i| both[i]).applied(&planes),
        spread,
        covered: both,
        samples: background.samples,
    })
}
