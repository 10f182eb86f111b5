//! Synthetic scenes with exact truth for tests: random scenery, discs and squares on it, noise,
//! light and camera motion.

use crate::sample::motion::Similarity;
use crate::sample::texture::{scenery, uniform};
use crate::session::Frame;
use crate::{Image, Mask};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(super) const WIDTH: usize = 320;
pub(super) const HEIGHT: usize = 180;

/// Something in front of the scenery; lengths in pixels.
#[derive(Clone, Copy)]
pub(super) struct Thing {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) radius: f32,
    pub(super) is_square: bool,
    pub(super) colour: [u8; 3],
}

impl Thing {
    pub(super) fn disc(x: f32, y: f32, radius: f32, colour: [u8; 3]) -> Self {
        Self { x, y, radius, is_square: false, colour }
    }

    pub(super) fn square(x: f32, y: f32, radius: f32, colour: [u8; 3]) -> Self {
        Self { x, y, radius, is_square: true, colour }
    }

    fn covers(&self, x: f32, y: f32) -> bool {
        let (dx, dy) = (x - self.x, y - self.y);
        if self.is_square {
            dx.abs().max(dy.abs()) < self.radius
        } else {
            dx.hypot(dy) < self.radius
        }
    }

    /// The pixels that it covers.
    pub(super) fn mask(&self) -> Mask {
        let data = (0..WIDTH * HEIGHT)
            .map(|i| if self.covers((i % WIDTH) as f32, (i / WIDTH) as f32) { 255 } else { 0 })
            .collect();
        Mask::new(WIDTH, HEIGHT, data)
    }
}

/// A frame to be drawn.
#[derive(Clone)]
pub(super) struct Scene {
    /// Which scenery.
    pub(super) seed: u32,
    /// Where the scenery has moved.
    pub(super) camera: Similarity,
    pub(super) things: Vec<Thing>,
    pub(super) gain: f32,
    pub(super) offset: f32,
    /// Largest deviation of the noise, grey levels.
    pub(super) noise: f32,
}

impl Scene {
    pub(super) fn new(things: &[Thing]) -> Self {
        Self {
            seed: 1,
            camera: Similarity::IDENTITY,
            things: things.to_vec(),
            gain: 1.0,
            offset: 0.0,
            noise: 4.0,
        }
    }

    /// The frame at a time; the time also draws the noise.
    pub(super) fn frame(&self, time: f64) -> Frame {
        let scenery = muted_scenery(self.seed, self.camera);
        let mut rgb = Vec::with_capacity(3 * WIDTH * HEIGHT);
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let thing = self.things.iter().rev().find(|t| t.covers(x as f32, y as f32));
                for channel in 0..3 {
                    let value = match thing {
                        Some(thing) => f32::from(thing.colour[channel]),
                        None => scenery[2 * (y * WIDTH + x) + channel / 2],
                    };
                    let seed = (time * 1000.0) as u32 + channel as u32;
                    let grain = uniform(x as i32, y as i32, seed);
                    let noisy = self.gain * value + self.offset + self.noise * (2.0 * grain - 1.0);
                    rgb.push(noisy.clamp(0.0, 255.0) as u8);
                }
            }
        }
        Frame { image: Image::new(WIDTH, HEIGHT, rgb), time }
    }
}

/// Scenery, red-green and blue values a pixel, muted so that things stand out whatever their
/// colour. It is drawn once for all tests that look at it.
fn muted_scenery(seed: u32, camera: Similarity) -> Arc<Vec<f32>> {
    type Drawn = BTreeMap<(u32, [u32; 4]), Arc<Vec<f32>>>;
    static DRAWN: Mutex<Drawn> = Mutex::new(BTreeMap::new());
    let key = (seed, [camera.a, camera.b, camera.x, camera.y].map(f32::to_bits));
    let mut drawn = DRAWN.lock().expect("no test panics while it draws");
    let draw = || {
        let back = camera.inverse();
        let values = (0..WIDTH * HEIGHT).flat_map(|i| {
            let u = ((i % WIDTH) as f32 + 0.5) / WIDTH as f32 - 0.5;
            let v = ((i / WIDTH) as f32 + 0.5 - 0.5 * HEIGHT as f32) / WIDTH as f32;
            let (u, v) = back.apply(u, v);
            [0, 7].map(|plane| 90.0 + 0.35 * scenery(u, v, seed + plane))
        });
        Arc::new(values.collect())
    };
    Arc::clone(drawn.entry(key).or_insert_with(draw))
}

/// Intersection over union; 1 for two empty masks.
pub(super) fn overlap(a: &Mask, b: &Mask) -> f64 {
    let pairs = || a.data.iter().zip(&b.data).map(|(a, b)| (*a >= 128, *b >= 128));
    let both = pairs().filter(|(a, b)| *a && *b).count();
    let either = pairs().filter(|(a, b)| *a || *b).count();
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}

/// Pixels of either mask.
pub(super) fn union(a: &Mask, b: &Mask) -> Mask {
    let data = a.data.iter().zip(&b.data).map(|(a, b)| *a.max(b)).collect();
    Mask::new(a.width, a.height, data)
}
