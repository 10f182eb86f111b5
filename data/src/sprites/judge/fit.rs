//! Which sprite is it, and where: all shapes, colours and sizes are laid over the picture near a
//! place, and the one with the least squared error is it.

use super::Look;
use crate::sprites::render::Outline;
use crate::sprites::scene::{Camera, Colour, Light, Scene, Shape, Size};

/// Farthest that a sprite is looked for, in sides of the picture.
const REACH: f32 = 3.0 / 32.0;

/// How far on the way from any other sprite to the true one the picture must be: 1 is the true one, -1
/// the other, 0 the middle between both.
const MARGIN: f32 = 0.25;

/// Candidates that are looked at closely.
const CLOSE: usize = 4;

/// What was found.
pub(super) struct Fit {
    /// Whether shape, colour and size are the true ones, by a margin.
    pub(super) is_itself: bool,
    /// From the true centre to where the true sprite fits best, pixels.
    pub(super) offset: [f32; 2],
}

/// One guess.
#[derive(Clone, Copy)]
struct Guess {
    is_true: bool,
    shape: Shape,
    radius: f32,
    colour: [f32; 3],
    offset: [f32; 2],
    error: f32,
}

/// A colour in a light, channels 0 to 1.
pub(super) fn unit(colour: Colour, light: Light) -> [f32; 3] {
    colour.rgb().map(|c| c * light.factor() / 255.0)
}

/// Fits sprite `number` of the true scene; its sizes are tried at every zoom of the camera.
pub(super) fn fit(look: &Look, scene: &Scene, number: usize) -> Fit {
    let sprite = &scene.sprites[number];
    let truth = Outline::of(sprite, scene.camera, look.side);
    let window = Window::new(look, &truth, number);
    let pixel = (look.side as f32 / 32.0).max(1.0);
    let reach = REACH * look.side as f32;
    let coarse = offsets(reach, pixel);
    let mut best: Vec<Guess> = Vec::new();
    for radius in radii(scene.camera, look.side) {
        for shape in Shape::ALL {
            for colour in Colour::ALL {
                let is_true = shape == sprite.shape
                    && colour == sprite.colour
                    && (radius - truth.radius).abs() < 1e-3 * truth.radius;
                let colour = unit(colour, scene.light);
                let start =
                    Guess { is_true, shape, radius, colour, offset: [0.0; 2], error: f32::MAX };
                best.push(start);
            }
        }
    }
    for guesses in best.chunks_exact_mut(Colour::ALL.len()) {
        for &offset in &coarse {
            let (shape, radius) = (guesses[0].shape, guesses[0].radius);
            let sums = window.sums(Outline { shape, radius, centre: moved(&truth, offset) });
            for guess in guesses.iter_mut() {
                window.improve(guess, offset, &sums);
            }
        }
    }
    // The true one and the best others are looked at closely.
    best.sort_by(|a, b| {
        (!a.is_true, a.error)
            .partial_cmp(&(!b.is_true, b.error))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    best.truncate(1 + CLOSE);
    for step in [0.5 * pixel, 0.25 * pixel] {
        for guess in &mut best {
            let start = guess.offset;
            for dy in -1..=1 {
                for dx in -1..=1 {
                    let offset = [start[0] + step * dx as f32, start[1] + step * dy as f32];
                    let (shape, radius) = (guess.shape, guess.radius);
                    let outline = Outline { shape, radius, centre: moved(&truth, offset) };
                    window.improve(guess, offset, &window.sums(outline));
                }
            }
        }
    }
    let (found, others) = (best[0], &best[1..]);
    let nothing = Guess { radius: 0.0, error: window.empty(), ..found };
    let is_nearer = |other: &Guess| {
        let apart = window.distance([&found, other], &truth);
        other.error - found.error >= MARGIN * apart
    };
    let is_itself = others.iter().chain([&nothing]).all(is_nearer);
    Fit { is_itself, offset: found.offset }
}

/// All radii that a sprite may have.
fn radii(camera: Camera, side: usize) -> Vec<f32> {
    let zooms = [false, true].map(|is_wide| Camera { is_wide, ..camera }.zoom());
    let sizes = |zoom| Size::ALL.map(|size| size.radius() * zoom * side as f32);
    zooms.into_iter().flat_map(sizes).collect()
}

fn moved(outline: &Outline, offset: [f32; 2]) -> [f32; 2] {
    [0, 1].map(|axis| outline.centre[axis] + offset[axis])
}

/// Offsets up to `reach` on either axis in steps.
fn offsets(reach: f32, step: f32) -> Vec<[f32; 2]> {
    let count = (reach / step).floor() as i32;
    let all = move |y| (-count..=count).map(move |x| [x as f32 * step, y as f32 * step]);
    (-count..=count).flat_map(all).collect()
}

/// The pixels around a place that no other sprite touches.
struct Window<'l> {
    look: &'l Look,
    /// Whether a pixel of the picture counts.
    is_in: Vec<bool>,
    /// Sum of the squared differences of picture and ground, and the number of values.
    all: f32,
    values: f32,
}

/// What the error of every colour at one place follows from: sums over the pixels of products of the
/// coverage `s`, the picture's difference from the ground `d`, and the ground `g`.
#[derive(Default)]
struct Sums {
    /// `s d` per channel.
    sd: [f32; 3],
    /// `s d g`, all channels.
    sdg: f32,
    /// `s s`.
    ss: f32,
    /// `s s g` per channel.
    ssg: [f32; 3],
    /// `s s g g`, all channels.
    ssgg: f32,
}

impl<'l> Window<'l> {
    fn new(look: &'l Look, truth: &Outline, number: usize) -> Self {
        let side = look.side;
        let others = look.others(Some(number));
        let largest = Size::Large.radius() * side as f32;
        let wide = Outline { radius: largest.max(truth.radius), ..*truth };
        let [columns, rows] = wide.bounds(REACH * side as f32, side);
        let mut window = Self { look, is_in: vec![false; side * side], all: 0.0, values: 0.0 };
        for y in rows[0]..rows[1] {
            for x in columns[0]..columns[1] {
                let at = y as usize * side + x as usize;
                if others[at] {
                    continue;
                }
                window.is_in[at] = true;
                window.values += 3.0;
                for c in 0..3 {
                    window.all += (look.picture[at][c] - look.ground[at][c]).powi(2);
                }
            }
        }
        window
    }

    /// Mean squared error of a channel where nothing is.
    fn empty(&self) -> f32 {
        self.all / self.values.max(1.0)
    }

    fn sums(&self, outline: Outline) -> Sums {
        let side = self.look.side;
        let mut sums = Sums::default();
        let [columns, rows] = outline.bounds(0.0, side);
        for y in rows[0]..rows[1] {
            for x in columns[0]..columns[1] {
                let at = y as usize * side + x as usize;
                let s = outline.coverage(x, y);
                if s == 0.0 || !self.is_in[at] {
                    continue;
                }
                sums.ss += s * s;
                for c in 0..3 {
                    let g = self.look.ground[at][c];
                    let d = self.look.picture[at][c] - g;
                    sums.sd[c] += s * d;
                    sums.sdg += s * d * g;
                    sums.ssg[c] += s * s * g;
                    sums.ssgg += s * s * g * g;
                }
            }
        }
        sums
    }

    /// Mean squared difference of a channel between two guesses.
    fn distance(&self, guesses: [&Guess; 2], truth: &Outline) -> f32 {
        let side = self.look.side;
        let outlines = guesses.map(|guess| Outline {
            shape: guess.shape,
            radius: guess.radius,
            centre: moved(truth, guess.offset),
        });
        let mut sum = 0.0;
        for at in (0..side * side).filter(|&at| self.is_in[at]) {
            let (x, y) = ((at % side) as i32, (at / side) as i32);
            // Nothing has no radius, yet its outline would touch a pixel.
            let share = |i: usize| match outlines[i].radius > 0.0 {
                true => outlines[i].coverage(x, y),
                false => 0.0,
            };
            let (a, b) = (share(0), share(1));
            for c in 0..3 {
                let ground = self.look.ground[at][c];
                let value = |share: f32, guess: &Guess| share * (guess.colour[c] - ground);
                sum += (value(a, guesses[0]) - value(b, guesses[1])).powi(2);
            }
        }
        sum / self.values.max(1.0)
    }

    /// Moves a guess to an offset where it fits better. The error is the sum of `(d - s (c - g))^2`
    /// for the colour `c`, multiplied out.
    fn improve(&self, guess: &mut Guess, offset: [f32; 2], sums: &Sums) {
        let colour = guess.colour;
        let dot = |a: &[f32; 3]| a.iter().zip(&colour).map(|(a, b)| a * b).sum::<f32>();
        let along = dot(&sums.sd) - sums.sdg;
        let length = sums.ss * dot(&colour) - 2.0 * dot(&sums.ssg) + sums.ssgg;
        let error = ((self.all - 2.0 * along + length) / self.values.max(1.0)).max(0.0);
        if error < guess.error {
            (guess.error, guess.offset) = (error, offset);
        }
    }
}
