//! Pictures with a known flaw, and which score must fail because of it. The judge's tests and
//! `vincie eval sprites --planted` show them to the judge.

use crate::Image;
use crate::sprites::edit::{Edit, apply};
use crate::sprites::random::{Draws, Purpose};
use crate::sprites::render::{Canvas, Outline};
use crate::sprites::scene::{Colour, Scene, Shape, Size, cell_centre, is_in_view};
use crate::sprites::{Category, Turn};

/// What is wrong with a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    /// Nothing.
    Nothing,
    /// It is the picture before the edit.
    Untouched,
    /// What was removed shines through, with this opacity.
    Ghost(f32),
    /// The sprite that was asked for has another shape; a square becomes a blob.
    Shape,
    /// It has the other size.
    Size,
    /// It has another colour.
    Colour,
    /// It is half way between before and after.
    Half,
    /// A sprite that was not asked for has moved by so many pixels of a 32 x 32 picture.
    Shifted(f32),
    /// A sprite that was not asked for has gone.
    Lost,
    /// A sprite that was not asked for has come.
    Extra,
    /// The ground is off by this share of the range.
    Tint(f32),
    /// Noise of this standard deviation in every channel.
    Noise(f32),
}

/// What a flaw must do to the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// Both pass.
    Nothing,
    /// `prompt_following` fails.
    Prompt,
    /// `consistency` fails.
    Consistency,
    /// At least one of them.
    Either,
}

impl Flaw {
    /// Every flaw at the strength that the judge is tested with.
    pub const ALL: [Self; 14] = [
        Self::Nothing,
        Self::Untouched,
        Self::Ghost(0.2),
        Self::Shape,
        Self::Size,
        Self::Colour,
        Self::Half,
        Self::Shifted(2.5),
        Self::Lost,
        Self::Extra,
        Self::Tint(0.08),
        Self::Noise(0.05),
        Self::Noise(0.1),
        Self::Noise(0.15),
    ];

    /// Which score fails.
    pub fn fails(self) -> Fails {
        match self {
            Self::Nothing => Fails::Nothing,
            Self::Untouched | Self::Ghost(_) | Self::Shape | Self::Size | Self::Colour => {
                Fails::Prompt
            }
            Self::Half => Fails::Prompt,
            Self::Shifted(_) | Self::Lost | Self::Extra | Self::Tint(_) => Fails::Consistency,
            Self::Noise(sigma) if sigma <= 0.05 => Fails::Nothing,
            Self::Noise(_) => Fails::Either,
        }
    }

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::Nothing => "truth".into(),
            Self::Untouched => "untouched".into(),
            Self::Ghost(opacity) => format!("ghost, opacity {opacity}"),
            Self::Shape => "wrong shape".into(),
            Self::Size => "wrong size".into(),
            Self::Colour => "wrong color".into(),
            Self::Half => "half of the edit".into(),
            Self::Shifted(pixels) => format!("neighbor moved by {pixels} pixels"),
            Self::Lost => "neighbor lost".into(),
            Self::Extra => "sprite too many".into(),
            Self::Tint(share) => format!("ground tinted by {share}"),
            Self::Noise(sigma) => format!("noise of {sigma}"),
        }
    }

    /// The picture after a turn with this flaw; `None` where the turn cannot have it, for instance
    /// because no sprite was removed. `seed` picks details.
    pub fn plant(self, before: &Scene, turn: &Turn, side: usize, seed: u64) -> Option<Image> {
        let edited = apply(before, &turn.edits);
        let mut next = edited.scene.clone();
        let mut draws = Draws::new(seed, Purpose::Benchmark, u64::MAX);
        let asked = asked(turn, &edited.numbers, next.sprites.len());
        let spared = (0..next.sprites.len()).find(|number| !asked.contains(number));
        let is_camera = turn.category == Category::Camera;
        match self {
            Self::Nothing => {}
            Self::Untouched => next = before.clone(),
            Self::Ghost(opacity) => return ghost(before, turn, &next, side, opacity),
            Self::Shape | Self::Size | Self::Colour => {
                let sprite = &mut next.sprites[*asked.first()?];
                match self {
                    Self::Shape if sprite.shape == Shape::Square => sprite.shape = Shape::Circle,
                    Self::Shape => sprite.shape = Shape::Square,
                    Self::Size if sprite.size == Size::Large => sprite.size = Size::Small,
                    Self::Size => sprite.size = Size::Large,
                    _ => {
                        let now = sprite.colour;
                        sprite.colour = Colour::ALL.into_iter().find(|&c| c != now)?;
                    }
                }
            }
            Self::Half => {
                let scenes = [before, &next].map(|scene| Canvas::scene(scene, side));
                let [mut canvas, after] = scenes;
                for (pixel, after) in canvas.pixels.iter_mut().zip(after.pixels) {
                    *pixel = [0, 1, 2].map(|c| 0.5 * (pixel[c] + after[c]));
                }
                return Some(canvas.to_image());
            }
            Self::Shifted(pixels) if !is_camera => {
                let sprite = &mut next.sprites[spared?];
                // Towards the middle, so that it stays in view.
                let sign = if sprite.at[0] > next.camera.centre()[0] { -1.0 } else { 1.0 };
                sprite.at[0] += sign * pixels / (32.0 * next.camera.zoom());
            }
            Self::Lost if !is_camera => {
                next.sprites.remove(spared?);
            }
            Self::Shifted(_) | Self::Lost => return None,
            Self::Extra => {
                let mut extra = next.sprites[draws.below(next.sprites.len())];
                extra.size = Size::Small;
                let place = (0..9).find_map(|_| {
                    let cell =
                        next.camera.cell_at([draws.below(3), draws.below(3)].map(|i| i as i32));
                    let at = cell_centre(cell);
                    let is_free = |other: &&crate::sprites::Sprite| {
                        !crate::sprites::Sprite { at, ..extra }.is_near(other, 0.05)
                    };
                    let is_apart = next.sprites.iter().all(|other| is_free(&other))
                        && before.sprites.iter().all(|other| is_free(&other));
                    (is_apart && is_in_view(next.camera.place_of(cell))).then_some(at)
                })?;
                extra.at = place;
                next.sprites.push(extra);
            }
            Self::Tint(share) => {
                let mut canvas = Canvas::ground(&next, side);
                // Bright grounds are tinted downwards, where there is room.
                let red: f32 = canvas.pixels.iter().map(|pixel| pixel[0]).sum();
                let is_bright = red > 128.0 * canvas.pixels.len() as f32;
                let tint = if is_bright { -255.0 * share } else { 255.0 * share };
                canvas.pixels.iter_mut().for_each(|pixel| pixel[0] += tint);
                for sprite in &next.sprites {
                    let colour = sprite.colour.rgb().map(|c| c * next.light.factor());
                    canvas.paint(&Outline::of(sprite, next.camera, side), colour);
                }
                let is_asked = turn.edits.iter().any(|edit| matches!(edit, Edit::Background(_)));
                return (!is_asked).then(|| canvas.to_image());
            }
            Self::Noise(sigma) => {
                let mut canvas = Canvas::scene(&next, side);
                for value in canvas.pixels.iter_mut().flatten() {
                    // The sum of twelve even numbers is nearly normal.
                    let normal = (0..12).map(|_| draws.around_zero()).sum::<f32>() / 2.0;
                    *value += 255.0 * sigma * normal;
                }
                return Some(canvas.to_image());
            }
        }
        Some(Canvas::scene(&next, side).to_image())
    }
}

/// Sprites of the new scene that the turn asks for.
fn asked(turn: &Turn, numbers: &[Option<usize>], count: usize) -> Vec<usize> {
    let mut asked: Vec<usize> =
        turn.edits.iter().filter_map(|edit| numbers[edit.target()?]).collect();
    asked.extend(numbers.iter().flatten().count()..count);
    asked
}

/// The new scene with a sprite that has gone shining through.
fn ghost(before: &Scene, turn: &Turn, next: &Scene, side: usize, opacity: f32) -> Option<Image> {
    let is_gone = |edit: &&Edit| matches!(edit, Edit::Leave(_) | Edit::Move(..));
    let gone = before.sprites[turn.edits.iter().find(is_gone)?.target()?];
    let mut canvas = Canvas::scene(next, side);
    let mut with = canvas.clone();
    let colour = gone.colour.rgb().map(|c| c * next.light.factor());
    with.paint(&Outline::of(&gone, next.camera, side), colour);
    for (pixel, with) in canvas.pixels.iter_mut().zip(with.pixels) {
        *pixel = [0, 1, 2].map(|c| pixel[c] + opacity * (with[c] - pixel[c]));
    }
    Some(canvas.to_image())
}
