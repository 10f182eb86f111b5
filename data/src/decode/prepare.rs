//! Pictures on their way to a released model: brought to one size, cut to what its autoencoder
//! divides, as numbers in -1 to 1 (VINCIE 3B specification, section 7).
//!
//! [`Preparation::run`] is the whole way; its stages stand alone as well. Arithmetic on floating
//! numbers sums in `f32` in a fixed order, so results are the same on every machine.

use super::resize::{Filter, resize, resize_planes};
use crate::{Image, Limits};
use std::str::FromStr;

/// An RGB picture of floating numbers. Their range depends on the stage.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatImage {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, 3]`, R G B.
    pub values: Vec<f32>,
}

impl FloatImage {
    /// Bytes as numbers in 0 to 1.
    pub fn from_image(image: &Image) -> Self {
        let values = image.rgb.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        Self { width: image.width, height: image.height, values }
    }

    /// The part of `width` x `height` pixels whose upper left corner is at column `x`, row `y`. It
    /// must lie inside.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        assert!(
            x + width <= self.width && y + height <= self.height,
            "crop of {width} x {height} at {x}, {y} from {} x {}",
            self.width,
            self.height
        );
        let rows = self.values.chunks_exact(3 * self.width.max(1)).skip(y).take(height);
        let values = rows.flat_map(|row| &row[3 * x..3 * (x + width)]).copied().collect();
        Self { width, height, values }
    }
}

/// Which shape a picture is cut to before it is brought to its size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Aspect {
    /// Its own (`keep_ratio`).
    #[default]
    Keep,
    /// Width to height (`"16:9"`).
    Ratio(f64, f64),
    /// Of 9:16, 1:1 and 16:9 the one that keeps most (`adaptive`).
    Adaptive,
}

impl FromStr for Aspect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep_ratio" => return Ok(Self::Keep),
            "adaptive" => return Ok(Self::Adaptive),
            _ => {}
        }
        let side = |text: &str| text.parse::<f64>().ok().filter(|side| (1e-3..=1e6).contains(side));
        let sides = text.split_once(':').and_then(|(w, h)| side(w).zip(side(h)));
        sides.map(|(width, height)| Self::Ratio(width, height)).ok_or_else(|| {
            format!("aspect ratio '{text}'; expected keep_ratio, adaptive or W:H such as 16:9")
        })
    }
}

/// A part of a picture: first column, first row, width, height.
type Part = (usize, usize, usize, usize);

impl Aspect {
    /// The centred part of a picture of `width` x `height` with this shape; bounds are cut off, not
    /// rounded.
    fn part(self, width: usize, height: usize) -> Part {
        match self {
            Self::Keep => (0, 0, width, height),
            Self::Ratio(a, b) => centred(width, height, a, b),
            Self::Adaptive => {
                let mut best = (0, 0, 0, 0);
                for (a, b) in [(9.0, 16.0), (1.0, 1.0), (16.0, 9.0)] {
                    let part = centred(width, height, a, b);
                    if part.2 * part.3 > best.2 * best.3 {
                        best = part;
                    }
                }
                best
            }
        }
    }

    /// The part of the picture with this shape.
    pub fn crop(self, image: &FloatImage) -> FloatImage {
        let (x, y, width, height) = self.part(image.width, image.height);
        image.crop(x, y, width, height)
    }
}

/// The centred part with the shape `a` to `b` of a picture of `width` x `height`.
fn centred(width: usize, height: usize, a: f64, b: f64) -> Part {
    let (w, h) = (width as f64, height as f64);
    if h / w >= b / a {
        let margin = (h - w * b / a) / 2.0;
        let (top, bottom) = (margin.max(0.0) as usize, (h - margin) as usize);
        (0, top, width, bottom.min(height) - top)
    } else {
        let margin = (w - h / b * a) / 2.0;
        let (left, right) = (margin.max(0.0) as usize, (w - margin) as usize);
        (left, 0, right.min(width) - left, height)
    }
}

/// How pictures reach the size that a model works at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preparation {
    /// Side of the square whose area pictures are brought to, pixels.
    pub resolution: f64,
    /// Which shape they are cut to before.
    pub aspect: Aspect,
    /// Both sides are cut to multiples of this.
    pub multiple: usize,
}

/// Sizes of a picture on its way, width and height each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// After the cut to a shape.
    pub shaped: (usize, usize),
    /// After the change of its area.
    pub resized: (usize, usize),
    /// After the cut to multiples.
    pub cropped: (usize, usize),
}

impl Preparation {
    /// Sizes that a picture of `width` x `height` passes through; nothing is computed. `Err` is one
    /// line on a picture that is too thin or too large for the resolution.
    pub fn sizes(&self, width: usize, height: usize) -> Result<Sizes, String> {
        let limits = Limits::default();
        limits.check_size(width, height)?;
        let (_, _, w, h) = self.aspect.part(width, height);
        let shaped = (w, h);
        limits.check_size(w, h).map_err(|_| {
            format!("picture of {width} x {height}: nothing is left of it in the aspect ratio")
        })?;
        let resized = area_size(w, h, self.resolution);
        let cut = |side: usize| side - side % self.multiple.max(1);
        let cropped = (cut(resized.0), cut(resized.1));
        if cropped.0 == 0 || cropped.1 == 0 {
            return Err(format!(
                "picture of {width} x {height} has {} x {} pixels at resolution {}; both sides must \
                 be at least {} there",
                resized.0, resized.1, self.resolution, self.multiple
            ));
        }
        limits.check_size(resized.0, resized.1)?;
        Ok(Sizes { shaped, resized, cropped })
    }

    /// The picture as numbers in about -1 to 1 (bicubic weights overshoot), cut to shape, brought
    /// to its area and cut to multiples. `Err` as [`sizes`](Self::sizes).
    pub fn run(&self, image: &Image) -> Result<FloatImage, String> {
        self.sizes(image.width, image.height)?;
        let shaped = self.aspect.crop(&FloatImage::from_image(image));
        let resized = area_resize(&shaped, self.resolution);
        Ok(normalise(divisible_crop(&resized, self.multiple)))
    }
}

/// Pictures of one session: all those behind the first at its size, by the 8-bit bicubic filter.
pub fn same_size(images: Vec<Image>) -> Vec<Image> {
    let Some((width, height)) = images.first().map(|first| (first.width, first.height)) else {
        return images;
    };
    let fit = |image: Image| match (image.width, image.height) == (width, height) {
        true => image,
        false => resize(&image, width, height, Filter::Bicubic),
    };
    images.into_iter().map(fit).collect()
}

/// Width and height with the shape of `width` x `height` and the area of a square of side
/// `resolution`, halves rounded to even.
fn area_size(width: usize, height: usize, resolution: f64) -> (usize, usize) {
    let scale = (resolution * resolution / (width as f64 * height as f64)).sqrt();
    let side = |side: usize| (side as f64 * scale).round_ties_even() as usize;
    (side(width), side(height))
}

/// The picture with the area of a square of side `resolution`, its shape kept, by the bicubic filter
/// without clamping. Both sides of the result must be at least 1.
pub fn area_resize(image: &FloatImage, resolution: f64) -> FloatImage {
    let (width, height) = area_size(image.width, image.height, resolution);
    let values = resize_planes(&image.values, image.width, image.height, width, height);
    FloatImage { width, height, values }
}

/// The middle of the picture with sides cut to multiples of `multiple`; of unequal margins the
/// smaller one is rounded half to even.
pub fn divisible_crop(image: &FloatImage, multiple: usize) -> FloatImage {
    let cut = |side: usize| side - side % multiple.max(1);
    let (width, height) = (cut(image.width), cut(image.height));
    let margin =
        |whole: usize, part: usize| ((whole - part) as f64 / 2.0).round_ties_even() as usize;
    image.crop(margin(image.width, width), margin(image.height, height), width, height)
}

/// From 0 to 1 to -1 to 1.
pub fn normalise(mut image: FloatImage) -> FloatImage {
    image.values.iter_mut().for_each(|value| *value = (*value - 0.5) / 0.5);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_named() {
        assert_eq!("keep_ratio".parse(), Ok(Aspect::Keep));
        assert_eq!("adaptive".parse(), Ok(Aspect::Adaptive));
        assert_eq!("16:9".parse(), Ok(Aspect::Ratio(16.0, 9.0)));
        for wrong in ["", "16", "16:", "0:1", "a:b", "1:nan", "-1:2", "inf:1"] {
            let line = wrong.parse::<Aspect>().unwrap_err();
            assert!(line.contains("keep_ratio"), "{line}");
        }
    }

    #[test]
    fn thin_and_large_pictures_are_refused_before_any_work() {
        let at = |resolution| Preparation { resolution, aspect: Aspect::Keep, multiple: 16 };
        let line = at(256.0).sizes(1, 10_000).unwrap_err();
        assert!(line.contains("1 x 10000") && line.contains("at least 16"), "{line}");
        assert!(at(1e9).sizes(64, 64).is_err());
        assert!(at(f64::NAN).sizes(64, 64).is_err());
        assert!(at(256.0).sizes(0, 5).is_err());
        let sizes = at(256.0).sizes(640, 480).unwrap();
        assert_eq!((sizes.resized, sizes.cropped), ((296, 222), (288, 208)));
        let thin = Preparation { aspect: Aspect::Ratio(1e6, 1e-3), ..at(256.0) };
        assert!(thin.sizes(64, 65).unwrap_err().contains("aspect ratio"));
    }

    #[test]
    fn adaptive_keeps_the_largest_part_and_the_first_of_equals() {
        assert_eq!(Aspect::Adaptive.part(50, 90), (0, 0, 50, 89));
        assert_eq!(Aspect::Adaptive.part(64, 64), (0, 0, 64, 64));
        assert_eq!(Aspect::Adaptive.part(160, 90), (0, 0, 160, 90));
    }

    #[test]
    fn a_picture_of_its_own_area_is_only_cut_and_scaled() {
        let image = Image::filled(32, 32, [255, 0, 51]);
        let preparation = Preparation { resolution: 32.0, aspect: Aspect::Keep, multiple: 16 };
        let prepared = preparation.run(&image).unwrap();
        assert_eq!((prepared.width, prepared.height), (32, 32));
        for pixel in prepared.values.chunks_exact(3) {
            assert!((pixel[0] - 1.0).abs() < 1e-6 && (pixel[1] + 1.0).abs() < 1e-6);
            assert!((pixel[2] + 0.6).abs() < 1e-6, "{pixel:?}");
        }
    }

    #[test]
    fn later_pictures_take_the_first_ones_size() {
        let images = vec![Image::filled(6, 4, [1, 2, 3]), Image::filled(9, 9, [7, 8, 9])];
        let same = same_size(images.clone());
        assert_eq!(same[0], images[0]);
        assert_eq!(same[1], Image::filled(6, 4, [7, 8, 9]));
        assert!(same_size(Vec::new()).is_empty());
    }
}
