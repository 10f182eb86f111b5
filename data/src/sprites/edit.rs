//! Edits of the scene graph, what they do, and which of them may happen in a scene.

use super::random::Draws;
use super::scene::{
    Background, CELLS, Camera, Colour, Ground, Light, Pattern, Scene, Shape, Size, Sprite,
    cell_centre, is_in_view,
};
use crate::{Error, Result};

/// Kinds of a turn; the categories that the benchmark reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// A sprite enters.
    Add,
    /// A sprite leaves.
    Remove,
    /// A sprite gives way to another one.
    Replace,
    /// A sprite gets another colour.
    Recolour,
    /// A sprite gets another shape.
    Reshape,
    /// A sprite grows.
    Enlarge,
    /// A sprite shrinks.
    Shrink,
    /// A sprite moves.
    Move,
    /// The background changes.
    Background,
    /// The light changes.
    Light,
    /// The camera pans or zooms.
    Camera,
    /// Two edits at once.
    Several,
}

impl Category {
    /// All categories.
    pub const ALL: [Self; 12] = [
        Self::Add,
        Self::Remove,
        Self::Replace,
        Self::Recolour,
        Self::Reshape,
        Self::Enlarge,
        Self::Shrink,
        Self::Move,
        Self::Background,
        Self::Light,
        Self::Camera,
        Self::Several,
    ];

    /// How often turns of each category are drawn where nothing else is asked for, in the order of
    /// [`Category::ALL`].
    pub const WEIGHTS: [u32; 12] = [3, 3, 2, 3, 3, 2, 2, 3, 3, 1, 2, 3];

    /// Its name in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
            Self::Recolour => "recolour",
            Self::Reshape => "reshape",
            Self::Enlarge => "enlarge",
            Self::Shrink => "shrink",
            Self::Move => "move",
            Self::Background => "background",
            Self::Light => "light",
            Self::Camera => "camera",
            Self::Several => "several",
        }
    }

    /// Weights of these categories alone, in the usual proportion; of all where none is named.
    /// `Err` with one line on a name that no category has.
    pub fn weights<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<[u32; 12]> {
        let mut weights = [0; 12];
        for name in names {
            let Some(category) = Self::of_name(name) else {
                let all = Self::ALL.map(Self::name).join(", ");
                let what = format!("sprites: no edit is called {name:?}; there are {all}");
                return Err(Error::Unsupported(what));
            };
            weights[category as usize] = Self::WEIGHTS[category as usize];
        }
        Ok(if weights == [0; 12] { Self::WEIGHTS } else { weights })
    }

    /// The category of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

/// Where a sprite goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the centre of a place of the picture: column and row, 0 to 2.
    To([i32; 2]),
    /// One cell in a direction: its unit vector.
    Step([i32; 2]),
}

/// One change of a scene. Sprites are named by their number in the scene that is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edit {
    /// A sprite enters.
    Enter(Sprite),
    /// A sprite leaves.
    Leave(usize),
    /// A sprite gets another shape and another colour.
    Replace(usize, Shape, Colour),
    /// A sprite gets another colour.
    Recolour(usize, Colour),
    /// A sprite gets another shape.
    Reshape(usize, Shape),
    /// A sprite gets another size.
    Resize(usize, Size),
    /// A sprite moves.
    Move(usize, Way),
    /// The background changes.
    Background(Background),
    /// The light changes.
    Light(Light),
    /// The camera moves by one cell: a unit vector.
    Pan([i32; 2]),
    /// The camera stands back (true) or comes closer again.
    Zoom(bool),
}

impl Edit {
    /// The sprite that is edited, where it is in the scene already.
    pub fn target(&self) -> Option<usize> {
        match *self {
            Self::Leave(sprite)
            | Self::Replace(sprite, ..)
            | Self::Recolour(sprite, _)
            | Self::Reshape(sprite, _)
            | Self::Resize(sprite, _)
            | Self::Move(sprite, _) => Some(sprite),
            Self::Enter(_)
            | Self::Background(_)
            | Self::Light(_)
            | Self::Pan(_)
            | Self::Zoom(_) => None,
        }
    }
}

/// A scene after edits.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// The new scene. Sprites that stay keep their order; new ones come last.
    pub scene: Scene,
    /// For each sprite of the old scene its number in the new one, `None` where it has left.
    pub numbers: Vec<Option<usize>>,
}

/// Does edits in order. The result need not be a valid scene.
pub fn apply(scene: &Scene, edits: &[Edit]) -> Edited {
    let mut new = scene.clone();
    let mut sprites: Vec<Option<Sprite>> = scene.sprites.iter().copied().map(Some).collect();
    let mut entered = Vec::new();
    for edit in edits {
        if let (Some(target), Edit::Leave(_)) = (edit.target(), edit) {
            sprites[target] = None;
            continue;
        }
        if let Some(sprite) = edit.target().and_then(|target| sprites[target].as_mut()) {
            match *edit {
                Edit::Replace(_, shape, colour) => {
                    (sprite.shape, sprite.colour) = (shape, colour);
                }
                Edit::Recolour(_, colour) => sprite.colour = colour,
                Edit::Reshape(_, shape) => sprite.shape = shape,
                Edit::Resize(_, size) => sprite.size = size,
                Edit::Move(_, Way::To(place)) => {
                    sprite.at = cell_centre(new.camera.cell_at(place));
                }
                Edit::Move(_, Way::Step(step)) => {
                    let cell = 1.0 / CELLS as f32;
                    sprite.at = [0, 1].map(|axis| sprite.at[axis] + step[axis] as f32 * cell);
                }
                _ => {}
            }
        }
        match *edit {
            Edit::Enter(sprite) => entered.push(sprite),
            Edit::Background(background) => new.background = background,
            Edit::Light(light) => new.light = light,
            Edit::Pan(step) => {
                new.camera.pan = [0, 1].map(|axis| new.camera.pan[axis] + step[axis]);
            }
            Edit::Zoom(is_wide) => new.camera.is_wide = is_wide,
            _ => {}
        }
    }
    let mut count = 0;
    let numbers = sprites
        .iter()
        .map(|sprite| {
            sprite.map(|_| {
                count += 1;
                count - 1
            })
        })
        .collect();
    new.sprites = sprites.into_iter().flatten().chain(entered).collect();
    Edited { scene: new, numbers }
}

/// The unit vectors of the four directions: left, right, up, down.
pub const DIRECTIONS: [[i32; 2]; 4] = [[-1, 0], [1, 0], [0, -1], [0, 1]];

/// Categories of which two may happen at once.
const SINGLE: [Category; 10] = [
    Category::Add,
    Category::Remove,
    Category::Replace,
    Category::Recolour,
    Category::Reshape,
    Category::Enlarge,
    Category::Shrink,
    Category::Move,
    Category::Background,
    Category::Light,
];

/// Farthest that the camera goes from its start, cells on either axis.
const FARTHEST: i32 = 1;

/// Tries before another category is drawn.
const TRIES: usize = 8;

/// Most edits that are drawn before a scene is given up; one of a few is possible nearly always.
const MOST_DRAWS: usize = 10_000;

/// Draws the edits of a turn; the scene after them is valid. Categories are as likely as their
/// weights, except where one is not possible in this scene and another is drawn instead.
pub(super) fn draw_edits(
    scene: &Scene,
    weights: &[u32; 12],
    draws: &mut Draws,
) -> (Category, Vec<Edit>) {
    for _ in 0..MOST_DRAWS {
        let category = Category::ALL[draws.weighted(weights)];
        for _ in 0..TRIES {
            let edits = match category {
                Category::Several => two(scene, draws),
                single => edit(scene, single, draws).map(|edit| vec![edit]),
            };
            if let Some(edits) = edits
                && apply(scene, &edits).scene.is_valid()
            {
                return (category, edits);
            }
        }
    }
    unreachable!("no edit of {scene:?} was found with weights {weights:?}")
}

/// Two edits of different categories and of different sprites.
fn two(scene: &Scene, draws: &mut Draws) -> Option<Vec<Edit>> {
    let first_category = draws.one_of(&SINGLE);
    let second_category = draws.one_of(&SINGLE);
    if first_category == second_category {
        return None;
    }
    let (first, second) =
        (edit(scene, first_category, draws)?, edit(scene, second_category, draws)?);
    let is_apart = first.target().is_none() || first.target() != second.target();
    is_apart.then(|| vec![first, second])
}

/// An edit of a category, which may break the scene's rules; `None` where none was found.
fn edit(scene: &Scene, category: Category, draws: &mut Draws) -> Option<Edit> {
    let number = draws.below(scene.sprites.len());
    let sprite = scene.sprites[number];
    let shape = draws.one_of(&Shape::ALL);
    let colour = draws.one_of(&Colour::ALL);
    let place = [draws.below(3) as i32, draws.below(3) as i32];
    let direction = draws.one_of(&DIRECTIONS);
    let resize = |size: Size| (sprite.size != size).then_some(Edit::Resize(number, size));
    match category {
        Category::Add => {
            let at = cell_centre(scene.camera.cell_at(place));
            Some(Edit::Enter(Sprite { shape, colour, size: draws.one_of(&Size::ALL), at }))
        }
        Category::Remove => Some(Edit::Leave(number)),
        Category::Replace => (shape != sprite.shape && colour != sprite.colour)
            .then_some(Edit::Replace(number, shape, colour)),
        Category::Recolour => (colour != sprite.colour).then_some(Edit::Recolour(number, colour)),
        Category::Reshape => (shape != sprite.shape).then_some(Edit::Reshape(number, shape)),
        Category::Enlarge => resize(Size::Large),
        Category::Shrink => resize(Size::Small),
        Category::Move if draws.happens(1, 2) => {
            let place_now = scene.place(&sprite);
            (place != place_now).then_some(Edit::Move(number, Way::To(place)))
        }
        Category::Move => {
            let now = scene.place(&sprite);
            let then = [now[0] + direction[0], now[1] + direction[1]];
            is_in_view(then).then_some(Edit::Move(number, Way::Step(direction)))
        }
        Category::Background => {
            let background = draw_background(draws);
            (background != scene.background).then_some(Edit::Background(background))
        }
        Category::Light => Some(Edit::Light(match scene.light {
            Light::Full => Light::Dim,
            Light::Dim => Light::Full,
        })),
        Category::Camera if draws.happens(1, 3) => Some(Edit::Zoom(!scene.camera.is_wide)),
        Category::Camera => {
            let pan = [0, 1].map(|axis| scene.camera.pan[axis] + direction[axis]);
            pan.iter().all(|cells| cells.abs() <= FARTHEST).then_some(Edit::Pan(direction))
        }
        Category::Several => None,
    }
}

fn draw_background(draws: &mut Draws) -> Background {
    Background { pattern: draws.one_of(&Pattern::ALL), ground: draws.one_of(&Ground::ALL) }
}

/// Largest distance of a sprite from its cell's centre at the start, in sides of the picture.
const JITTER: f32 = 0.04;

/// Least distance of a sprite's square from the picture's edge at the start.
const EDGE: f32 = 0.005;

/// The first scene of an episode: its sprites stand anywhere near the centres of their cells.
pub(super) fn draw_scene(draws: &mut Draws) -> Scene {
    for _ in 0..MOST_DRAWS {
        let light = if draws.happens(1, 5) { Light::Dim } else { Light::Full };
        let count = 1 + draws.weighted(&[2, 4, 4, 2]);
        let mut scene = Scene {
            background: draw_background(draws),
            light,
            camera: Camera::START,
            sprites: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let centre = cell_centre([draws.below(3) as i32, draws.below(3) as i32]);
            let size = draws.one_of(&Size::ALL);
            let least = size.radius() + EDGE;
            let at = centre.map(|c| (c + JITTER * draws.around_zero()).clamp(least, 1.0 - least));
            scene.sprites.push(Sprite {
                shape: draws.one_of(&Shape::ALL),
                colour: draws.one_of(&Colour::ALL),
                size,
                at,
            });
        }
        if scene.is_valid() {
            return scene;
        }
    }
    unreachable!("one sprite alone is a valid scene, and one in six scenes has one")
}
