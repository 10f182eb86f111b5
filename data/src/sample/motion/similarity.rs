//! The four-parameter motion of a picture: translation, zoom and rotation about the centre.

use serde::{Deserialize, Serialize};

/// `p' = [[a, -b], [b, a]] p + (x, y)`: content at `p` in the first picture lies at `p'` in the
/// second. The origin is the picture's centre and the unit is the picture's width, so a motion
/// measured on a thumbnail holds for the full frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Similarity {
    /// Zoom times the cosine of the rotation.
    pub a: f32,
    /// Zoom times the sine of the rotation.
    pub b: f32,
    /// Shift to the right, picture widths.
    pub x: f32,
    /// Shift down, picture widths.
    pub y: f32,
}

impl Similarity {
    /// No motion.
    pub const IDENTITY: Self = Self { a: 1.0, b: 0.0, x: 0.0, y: 0.0 };

    /// A pure shift, picture widths.
    pub fn translation(x: f32, y: f32) -> Self {
        Self { x, y, ..Self::IDENTITY }
    }

    /// A pure zoom; above 1 the content grows.
    pub fn scaling(zoom: f32) -> Self {
        Self { a: zoom, ..Self::IDENTITY }
    }

    /// Where the content at (`x`, `y`) goes.
    pub fn apply(&self, x: f32, y: f32) -> (f32, f32) {
        (self.a * x - self.b * y + self.x, self.b * x + self.a * y + self.y)
    }

    /// The motion that first does `first` and then `self`.
    pub fn after(&self, first: &Self) -> Self {
        let (x, y) = self.apply(first.x, first.y);
        Self {
            a: self.a * first.a - self.b * first.b,
            b: self.b * first.a + self.a * first.b,
            x,
            y,
        }
    }

    /// The motion back; the identity where this one has collapsed to a point.
    pub fn inverse(&self) -> Self {
        let squared = self.a * self.a + self.b * self.b;
        if squared < 1e-12 {
            return Self::IDENTITY;
        }
        let (a, b) = (self.a / squared, -self.b / squared);
        Self { a, b, x: -(a * self.x - b * self.y), y: -(b * self.x + a * self.y) }
    }

    /// Growth of lengths: above 1 the camera moves in.
    pub fn zoom(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// Rotation of the content, degrees, clockwise on the screen.
    pub fn rotation_degrees(&self) -> f32 {
        self.b.atan2(self.a).to_degrees()
    }

    /// Mean distance that the four corners move, picture widths; `aspect` is height / width.
    pub fn displacement(&self, aspect: f32) -> f32 {
        let corners = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)];
        let moved = |&(x, y): &(f32, f32)| {
            let (u, v) = self.apply(x, y * aspect);
            (u - x).hypot(v - y * aspect)
        };
        corners.iter().map(moved).sum::<f32>() / 4.0
    }

    /// Whether every parameter is finite and the zoom lies within a factor of `most`.
    pub fn is_plausible(&self, most: f32) -> bool {
        let zoom = self.zoom();
        [self.a, self.b, self.x, self.y].iter().all(|v| v.is_finite())
            && zoom < most
            && zoom > 1.0 / most
            && self.x.abs() < 2.0
            && self.y.abs() < 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes() {
        let motion = Similarity { a: 1.1, b: 0.2, x: 0.3, y: -0.1 };
        for both in [motion.after(&motion.inverse()), motion.inverse().after(&motion)] {
            let (x, y) = both.apply(0.25, -0.4);
            assert!((x - 0.25).abs() < 1e-6 && (y + 0.4).abs() < 1e-6);
        }
    }

    #[test]
    fn order_of_composition() {
        let shift = Similarity::translation(0.5, 0.0);
        let zoom = Similarity::scaling(2.0);
        assert_eq!(zoom.after(&shift).apply(0.0, 0.0), (1.0, 0.0));
        assert_eq!(shift.after(&zoom).apply(0.0, 0.0), (0.5, 0.0));
        assert!((shift.displacement(0.5) - 0.5).abs() < 1e-6);
    }
}
