//! An exact judge of edits: no model, only the rendered truth.
//!
//! A picture is compared with the scene that the instruction leads to. Every sprite is looked for
//! near its place among all shapes, colours and sizes; the ground is compared pixel by pixel. What
//! the instruction asks for makes `prompt_following`, everything else `consistency`, 0 to 10 each and
//! the lowest of their parts. Both pass above 6 ([`crate::benchmark::PASS`]).
//!
//! | part | score |
//! | --- | --- |
//! | a sprite | 10 x (1 - wrong pixels / its pixels); at most 5 when another shape, colour or size fits as well, or when it stands more than a pixel of a 32 x 32 picture (1.5 where it was told to go) from its place |
//! | a place that became empty | 10 x (1 - dirty share / 0.2), and 10 x (1 - opacity of what was there / 0.25) |
//! | the ground | 10 x (1 - wrong share), 10 x (1 - mean error / 0.15) per channel, and 10 x (1 - share / 0.35) of the worst square of seven pixels of a 32 x 32 picture |
//! | a new ground | 10 x (1 - missing share of the way from the old one / 0.6) |
//! | the light | 10 x (1 - error of the brightness / 0.25) |
//!
//! A pixel is wrong when one of its channels is off by more than 0.15 of the range. Noise of standard
//! deviation 0.05 in every channel passes, 0.1 does not.

mod fit;
mod ground;
pub mod planted;
#[cfg(test)]
mod tests;

use super::edit::{Edit, apply};
use super::render::{Canvas, Outline};
use super::scene::{Scene, Shape, Size, Sprite};
use super::{Category, Turn};
use crate::{Error, Image, Result};

/// Error of a channel from which a pixel is wrong, as a share of the range.
const WRONG: f32 = 0.15;

/// Farthest that a sprite may stand from its place, in sides of the picture.
const NEAR: f32 = 1.0 / 32.0;

/// The same for one that was told to come there.
const NEAR_TOLD: f32 = 1.5 / 32.0;

/// Highest score of a sprite that is another one, or elsewhere.
const CAP: f64 = 5.0;

/// Opacity of what should have gone at which its place scores 0.
const GHOST: f64 = 0.25;

/// Opacity that rounding to bytes may look like.
const NO_GHOST: f64 = 0.01;

/// Dirty share of a place that should be empty at which it scores 0.
const DIRTY: f64 = 0.2;

/// Share of the way to a new ground that may miss before it scores 0.
const WAY: f64 = 0.6;

/// Relative error of the brightness at which the light scores 0.
const GAIN: f64 = 0.25;

/// One part of a judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// Whether the instruction asked for it.
    pub is_asked: bool,
    /// 0 to 10.
    pub score: f64,
}

/// The judge's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// How well the instruction was followed, 0 to 10.
    pub prompt_following: f64,
    /// How well everything else was kept, 0 to 10.
    pub consistency: f64,
    /// All parts; the lowest of each kind is the score.
    pub findings: Vec<Finding>,
}

/// The picture under judgement beside the truth, channels 0 to 1.
struct Look {
    side: usize,
    picture: Vec<[f32; 3]>,
    /// The true ground.
    ground: Vec<[f32; 3]>,
    /// The true picture.
    truth: Vec<[f32; 3]>,
    /// Pixels that a true sprite touches, grown by one: its number, if only one does.
    sprites: Vec<Vec<bool>>,
}

impl Look {
    fn new(scene: &Scene, picture: &Image) -> Self {
        let side = picture.width;
        let unit = |canvas: Canvas| canvas.pixels.iter().map(|p| p.map(|c| c / 255.0)).collect();
        let outlines = scene.sprites.iter().map(|s| Outline::of(s, scene.camera, side));
        Self {
            side,
            picture: picture
                .rgb
                .chunks_exact(3)
                .map(|p| [p[0], p[1], p[2]].map(|c| f32::from(c) / 255.0))
                .collect(),
            ground: unit(Canvas::ground(scene, side)),
            truth: unit(Canvas::scene(scene, side)),
            sprites: outlines.map(|outline| grown(&outline, side)).collect(),
        }
    }

    fn is_wrong(&self, at: usize, expected: [f32; 3]) -> bool {
        self.picture[at].iter().zip(expected).any(|(p, e)| (p - e).abs() > WRONG)
    }

    /// Pixels of all sprites but one.
    fn others(&self, number: Option<usize>) -> Vec<bool> {
        let mut all = vec![false; self.side * self.side];
        for (_, pixels) in self.sprites.iter().enumerate().filter(|(i, _)| Some(*i) != number) {
            all.iter_mut().zip(pixels).for_each(|(all, one)| *all |= one);
        }
        all
    }
}

/// Pixels that an outline touches, and their neighbours.
fn grown(outline: &Outline, side: usize) -> Vec<bool> {
    let mut pixels = vec![false; side * side];
    let [columns, rows] = outline.bounds(0.0, side);
    let last = side as i32 - 1;
    for y in rows[0]..rows[1] {
        for x in columns[0]..columns[1] {
            if outline.coverage(x, y) > 0.0 {
                for y in (y - 1).max(0)..=(y + 1).min(last) {
                    for x in (x - 1).max(0)..=(x + 1).min(last) {
                        pixels[y as usize * side + x as usize] = true;
                    }
                }
            }
        }
    }
    pixels
}

/// Judges the picture that followed `before` when `turn` was asked for. The picture is square.
pub fn judge(before: &Scene, turn: &Turn, picture: &Image) -> Result<Judgement> {
    let side = picture.width;
    if picture.height != side || !super::SIDES.contains(&side) {
        let (least, most) = (super::SIDES.start(), super::SIDES.end());
        return Err(Error::Unsupported(format!(
            "judge: picture of {side} x {}; expected equal sides of {least} to {most} pixels",
            picture.height
        )));
    }
    let edited = apply(before, &turn.edits);
    let next = &edited.scene;
    let look = Look::new(next, picture);
    let mut case = Case {
        before,
        next,
        look: &look,
        findings: Vec::new(),
        asked: Vec::new(),
        edited: vec![false; side * side],
    };
    let stayed = edited.numbers.iter().flatten().count();
    let mut entered = stayed;
    for edit in &turn.edits {
        let target = edit.target().map(|old| (old, edited.numbers[old]));
        case.edit(edit, target, &mut entered);
    }
    let is_camera = turn.category == Category::Camera;
    let near = if is_camera { NEAR_TOLD } else { NEAR };
    for number in 0..next.sprites.len() {
        if !case.asked.contains(&number) {
            case.sprite(number, is_camera, near, &[]);
        }
    }
    let is_ground = |edit: &&Edit| matches!(edit, Edit::Background(_));
    let is_ground_asked = turn.edits.iter().any(|edit| is_ground(&edit));
    let mut apart = look.others(None);
    apart.iter_mut().zip(&case.edited).for_each(|(apart, edited)| *apart |= edited);
    let [whole, spot] = ground::scores(&look, &apart);
    case.add("the background", is_ground_asked, whole);
    case.add("a spot of the background", false, spot);
    if is_ground_asked {
        case.add("the new background", true, ground::change(&look, before, &apart));
    }
    if turn.edits.iter().any(|edit| matches!(edit, Edit::Light(_))) {
        let score = ground::light(&look, &case.edited);
        case.add("the light", true, score);
    }
    Ok(Judgement::of(case.findings))
}

impl Judgement {
    /// The part with the lowest score in words, if any is below full marks.
    pub fn worst(&self) -> Option<String> {
        let worst = self.findings.iter().min_by(|a, b| a.score.total_cmp(&b.score))?;
        (worst.score < 10.0).then(|| format!("{} {:.1}", worst.what, worst.score))
    }

    fn of(findings: Vec<Finding>) -> Self {
        let least = |is_asked: bool| {
            let scores = findings.iter().filter(|f| f.is_asked == is_asked).map(|f| f.score);
            scores.fold(10.0, f64::min)
        };
        Self { prompt_following: least(true), consistency: least(false), findings }
    }
}

/// A judgement under way.
struct Case<'c> {
    before: &'c Scene,
    next: &'c Scene,
    look: &'c Look,
    findings: Vec<Finding>,
    /// Sprites of the new scene that were asked for.
    asked: Vec<usize>,
    /// Pixels where edited sprites stood, and the squares that they may fill.
    edited: Vec<bool>,
}

impl Case<'_> {
    fn add(&mut self, what: impl Into<String>, is_asked: bool, score: f64) {
        self.findings.push(Finding { what: what.into(), is_asked, score: score.clamp(0.0, 10.0) });
    }

    /// Judges what one edit asks for.
    fn edit(&mut self, edit: &Edit, target: Option<(usize, Option<usize>)>, entered: &mut usize) {
        let mut old = Vec::new();
        if let Some((number, _)) = target {
            let sprite = &self.before.sprites[number];
            old = grown(&Outline::of(sprite, self.next.camera, self.look.side), self.look.side);
            self.mark_edited(&old);
        }
        match (edit, target) {
            (Edit::Enter(_), _) => {
                self.asked_sprite(*entered, NEAR_TOLD, &[]);
                *entered += 1;
            }
            (Edit::Leave(_), Some((number, _))) => self.gone(number),
            (Edit::Move(..), Some((number, Some(new)))) => {
                self.asked_sprite(new, NEAR_TOLD, &[]);
                self.gone(number);
            }
            (_, Some((_, Some(new)))) => self.asked_sprite(new, NEAR, &old),
            _ => {}
        }
    }

    fn mark_edited(&mut self, pixels: &[bool]) {
        self.edited.iter_mut().zip(pixels).for_each(|(all, one)| *all |= one);
    }

    /// Judges a sprite that was asked for: all of the square that the largest sprite fills counts as
    /// its own, and so do the pixels of `old`.
    fn asked_sprite(&mut self, number: usize, near: f32, old: &[bool]) {
        let (camera, side) = (self.next.camera, self.look.side);
        let largest =
            Sprite { shape: Shape::Square, size: Size::Large, ..self.next.sprites[number] };
        let mut own = grown(&Outline::of(&largest, camera, side), side);
        own.iter_mut().zip(old).for_each(|(own, old)| *own |= old);
        self.mark_edited(&own);
        self.asked.push(number);
        self.sprite(number, true, near, &own);
    }

    /// Judges a sprite of the new scene; `own` are pixels around it that count as its.
    fn sprite(&mut self, number: usize, is_asked: bool, near: f32, own: &[bool]) {
        let sprite = &self.next.sprites[number];
        let fit = fit::fit(self.look, self.next, number);
        let share = self.wrong_share(sprite, number, &fit, own);
        let mut score = 10.0 * (1.0 - share);
        let mut what = name(sprite);
        if !fit.is_itself {
            what += ", which is another one or missing";
        }
        let distance = fit.offset[0].hypot(fit.offset[1]) / self.look.side as f32;
        // The offsets that are tried are quarters of a pixel.
        if distance > near + 1e-4 {
            what += ", which stands elsewhere";
        }
        if !fit.is_itself || distance > near + 1e-4 {
            score = score.min(CAP);
        }
        self.add(what, is_asked, score);
    }

    /// Wrong pixels of a sprite at its best place, around it, and of `near`, over the pixels that it
    /// covers.
    fn wrong_share(&self, sprite: &Sprite, number: usize, fit: &fit::Fit, near: &[bool]) -> f64 {
        let (look, side) = (self.look, self.look.side);
        let mut outline = Outline::of(sprite, self.next.camera, side);
        outline.centre = [0, 1].map(|axis| outline.centre[axis] + fit.offset[axis]);
        let colour = fit::unit(sprite.colour, self.next.light);
        let region = grown(&outline, side);
        let others = look.others(Some(number));
        let (mut wrong, mut own) = (0, 0);
        for at in 0..side * side {
            let share = outline.coverage((at % side) as i32, (at / side) as i32);
            own += usize::from(share >= 0.5);
            let is_looked_at = region[at] || near.get(at) == Some(&true);
            if is_looked_at && !others[at] {
                let expected: [f32; 3] = [0, 1, 2]
                    .map(|c| look.ground[at][c] + share * (colour[c] - look.ground[at][c]));
                wrong += usize::from(look.is_wrong(at, expected));
            }
        }
        f64::from(wrong as u32) / f64::from(own.max(1) as u32)
    }

    /// Judges the place that a sprite of the old scene has left.
    fn gone(&mut self, old: usize) {
        let (look, side) = (self.look, self.look.side);
        let sprite = &self.before.sprites[old];
        let outline = Outline::of(sprite, self.next.camera, side);
        let colour = fit::unit(sprite.colour, self.next.light);
        let others = look.others(None);
        let (mut count, mut dirty) = (0u32, 0u32);
        let (mut along, mut length) = (0.0, 0.0);
        for at in (0..side * side).filter(|&at| !others[at]) {
            if outline.coverage((at % side) as i32, (at / side) as i32) < 0.5 {
                continue;
            }
            count += 1;
            dirty += u32::from(look.is_wrong(at, look.ground[at]));
            for ((p, g), colour) in look.picture[at].iter().zip(look.ground[at]).zip(colour) {
                along += f64::from((p - g) * (colour - g));
                length += f64::from((colour - g).powi(2));
            }
        }
        let dirty = f64::from(dirty) / f64::from(count.max(1));
        let opacity = if length > 0.0 { (along / length).abs() - NO_GHOST } else { 0.0 };
        let score = (10.0 * (1.0 - dirty / DIRTY)).min(10.0 * (1.0 - opacity / GHOST));
        self.add(format!("where {} was", name(sprite)), true, score);
    }
}

fn name(sprite: &Sprite) -> String {
    format!("the {} {} {}", sprite.size.name(), sprite.colour.name(), sprite.shape.name())
}
