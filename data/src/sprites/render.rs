//! Scenes to pixels, and the share of every pixel that a sprite covers.
//!
//! Edges are smooth: a pixel's coverage is its signed distance from the outline, clipped to half a
//! pixel on either side; patterns of the ground are averaged over the pixel exactly.

use super::scene::{Background, CELLS, Camera, Pattern, Scene, Shape, Sprite};
use crate::Image;

/// Half of a bar of the cross as a share of the radius.
const BAR: f32 = 0.36;

/// Brightness of a pattern's second colour.
const SHADE: f32 = 0.6;

/// Brightness of the gradient at its dark end, one and a third picture above the start.
const DARK_END: f32 = 0.2;

/// A sprite as it is seen, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outline {
    /// Outline.
    pub shape: Shape,
    /// Centre, x and y; pixel centres stand at halves.
    pub centre: [f32; 2],
    /// Half of the side of its square.
    pub radius: f32,
}

impl Outline {
    /// The sprite in a picture of `side` pixels.
    pub fn of(sprite: &Sprite, camera: Camera, side: usize) -> Self {
        let scale = side as f32;
        Self {
            shape: sprite.shape,
            centre: camera.project(sprite.at).map(|x| x * scale),
            radius: sprite.size.radius() * camera.zoom() * scale,
        }
    }

    /// Share of the pixel in column `x`, row `y` that is covered, 0 to 1.
    pub fn coverage(&self, x: i32, y: i32) -> f32 {
        let point = [x as f32 + 0.5 - self.centre[0], y as f32 + 0.5 - self.centre[1]];
        (0.5 - self.distance(point)).clamp(0.0, 1.0)
    }

    /// Signed distance of a point from the outline, negative inside; outside near corners a bound
    /// from below, which rounds them by less than a pixel.
    fn distance(&self, [x, y]: [f32; 2]) -> f32 {
        let r = self.radius;
        match self.shape {
            Shape::Circle => x.hypot(y) - r,
            Shape::Square => x.abs().max(y.abs()) - r,
            // The apex is above: two sides meet there, the base is below.
            Shape::Triangle => {
                let norm = 5f32.sqrt();
                let side = (2.0 * x.abs() - (y + r)) / norm;
                side.max(y - r)
            }
            Shape::Cross => {
                let upright = (x.abs() - BAR * r).max(y.abs() - r);
                let level = (y.abs() - BAR * r).max(x.abs() - r);
                upright.min(level)
            }
        }
    }

    /// Columns and rows of a picture of `side` pixels that the outline, grown by `margin` pixels,
    /// may touch: first and last plus one, for x and y.
    pub fn bounds(&self, margin: f32, side: usize) -> [[i32; 2]; 2] {
        let reach = self.radius + 0.5 + margin;
        self.centre.map(|c| {
            let first = (c - reach).floor().max(0.0) as i32;
            let last = (c + reach).ceil().min(side as f32) as i32;
            [first.min(side as i32), last.max(0)]
        })
    }
}

/// Values of a picture before they are rounded to bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Canvas {
    /// Columns and rows.
    pub side: usize,
    /// `[side, side]` of R G B, 0 to 255.
    pub pixels: Vec<[f32; 3]>,
}

impl Canvas {
    /// The ground of a scene without its sprites.
    pub fn ground(scene: &Scene, side: usize) -> Self {
        let Background { pattern, ground } = scene.background;
        let full = ground.rgb().map(|c| c * scene.light.factor());
        let axis = |axis: usize| -> Vec<(f32, f32)> {
            let (zoom, centre) = (scene.camera.zoom(), scene.camera.centre()[axis]);
            let world = |pixel: usize| (pixel as f32 / side as f32 - 0.5) / zoom + centre;
            (0..side).map(|i| (world(i), world(i + 1))).collect()
        };
        let (columns, rows) = (axis(0), axis(1));
        let waves = |spans: &[(f32, f32)]| -> Vec<f32> {
            spans.iter().map(|&(from, to)| wave(from, to)).collect()
        };
        let (across, down) = (waves(&columns), waves(&rows));
        let mut pixels = Vec::with_capacity(side * side);
        for y in 0..side {
            for &wave in &across {
                let factor = match pattern {
                    Pattern::Plain => 1.0,
                    Pattern::Gradient => gradient(0.5 * (rows[y].0 + rows[y].1)),
                    Pattern::Striped => between(wave),
                    Pattern::Checkered => between(wave * down[y]),
                };
                pixels.push(full.map(|c| c * factor));
            }
        }
        Self { side, pixels }
    }

    /// A whole scene.
    pub fn scene(scene: &Scene, side: usize) -> Self {
        let mut canvas = Self::ground(scene, side);
        for sprite in &scene.sprites {
            let colour = sprite.colour.rgb().map(|c| c * scene.light.factor());
            canvas.paint(&Outline::of(sprite, scene.camera, side), colour);
        }
        canvas
    }

    /// Lays a filled outline over the picture.
    pub fn paint(&mut self, outline: &Outline, colour: [f32; 3]) {
        let [columns, rows] = outline.bounds(0.0, self.side);
        for y in rows[0]..rows[1] {
            for x in columns[0]..columns[1] {
                let share = outline.coverage(x, y);
                let pixel = &mut self.pixels[y as usize * self.side + x as usize];
                for (value, colour) in pixel.iter_mut().zip(colour) {
                    *value += share * (colour - *value);
                }
            }
        }
    }

    /// The picture, rounded to bytes.
    pub fn to_image(&self) -> Image {
        let byte = |value: &f32| value.round().clamp(0.0, 255.0) as u8;
        Image::new(self.side, self.side, self.pixels.iter().flatten().map(byte).collect())
    }
}

/// A scene as a picture of `side` x `side` pixels.
pub fn render(scene: &Scene, side: usize) -> Image {
    Canvas::scene(scene, side).to_image()
}

/// Mean over a span of the wave that is 1 in even and -1 in odd halves of cells.
fn wave(from: f32, to: f32) -> f32 {
    // Two halves of a cell are one period; the integral over a whole one is 0.
    let integral = |x: f32| {
        let phase = (x * CELLS as f32).rem_euclid(1.0);
        0.5 - (phase - 0.5).abs()
    };
    let mean = (integral(to) - integral(from)) / ((to - from) * CELLS as f32);
    mean.clamp(-1.0, 1.0)
}

/// Brightness of a pattern between its two colours.
fn between(wave: f32) -> f32 {
    0.5 * (1.0 + SHADE) + 0.5 * (1.0 - SHADE) * wave
}

/// Brightness of the gradient at a height of the world.
fn gradient(y: f32) -> f32 {
    let third = 1.0 / CELLS as f32;
    let share = ((y + third) / (1.0 + 2.0 * third)).clamp(0.0, 1.0);
    DARK_END + (1.0 - DARK_END) * share
}
