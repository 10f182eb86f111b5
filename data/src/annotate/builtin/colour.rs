//! Names of colours: every pixel votes for one of thirteen names, and the names with most votes
//! describe a region.

use crate::sample::plane::Plane;

/// A named colour, with how light it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    name: Name,
    tone: Tone,
}

/// Lightness that is worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Dark,
    Plain,
    Light,
}

/// The names that colours have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Black,
    Gray,
    White,
    Red,
    Orange,
    Brown,
    Beige,
    Yellow,
    Green,
    Cyan,
    Blue,
    Purple,
    Pink,
}

impl Name {
    /// All names, in the order of their numbers.
    pub(crate) const ALL: [Self; 13] = [
        Self::Black,
        Self::Gray,
        Self::White,
        Self::Red,
        Self::Orange,
        Self::Brown,
        Self::Beige,
        Self::Yellow,
        Self::Green,
        Self::Cyan,
        Self::Blue,
        Self::Purple,
        Self::Pink,
    ];

    /// The English word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::Gray => "gray",
            Self::White => "white",
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Brown => "brown",
            Self::Beige => "beige",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Cyan => "cyan",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
        }
    }

    /// Whether dark and light ones of it go by words; the others are names of a lightness.
    fn has_tones(self) -> bool {
        match self {
            Self::Black | Self::White | Self::Brown | Self::Beige | Self::Yellow | Self::Pink => {
                false
            }
            Self::Gray
            | Self::Red
            | Self::Orange
            | Self::Green
            | Self::Cyan
            | Self::Blue
            | Self::Purple => true,
        }
    }
}

/// Words for lightness.
pub(crate) const TONES: [&str; 2] = ["dark", "light"];
/// A second colour is named when it has this share of the votes.
const SECOND: f32 = 0.3;

impl Colour {
    /// The colour's words, as `dark blue`.
    pub(crate) fn words(self) -> String {
        let name = self.name.word();
        match self.tone {
            Tone::Dark => format!("{} {name}", TONES[0]),
            Tone::Light => format!("{} {name}", TONES[1]),
            Tone::Plain => name.to_owned(),
        }
    }

    /// Whether both have one name, however light.
    pub(crate) fn has_name_of(self, other: Self) -> bool {
        self.name == other.name
    }
}

/// The colours of a region.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Colours {
    /// The one with most votes.
    pub(crate) first: Colour,
    /// A second one with many votes.
    pub(crate) second: Option<Colour>,
    /// Mean colour, R G B.
    pub(crate) mean: [f32; 3],
    /// Histogram over 4 x 4 x 4 cells of RGB, summing to 1, softened so that near colours agree.
    pub(crate) histogram: Vec<f32>,
}

impl Colours {
    /// Colours of the given pixels; black for none.
    pub(crate) fn of(picture: &[Plane; 3], pixels: &[usize]) -> Self {
        let mut votes = [0usize; Name::ALL.len()];
        let mut extremes = [(0.0f32, 0.0f32); Name::ALL.len()];
        let mut sums = [0.0f64; 3];
        let mut histogram = vec![0.0f32; 64];
        for &at in pixels {
            let rgb = [0, 1, 2].map(|c| picture[c].data[at].clamp(0.0, 255.0));
            let name = name_of(rgb) as usize;
            votes[name] += 1;
            let (high, low) = extremes_of(rgb);
            extremes[name].0 += high;
            extremes[name].1 += low;
            for (sum, value) in sums.iter_mut().zip(rgb) {
                *sum += f64::from(value);
            }
            vote_softly(&mut histogram, rgb);
        }
        let count = pixels.len().max(1);
        histogram.iter_mut().for_each(|v| *v /= count as f32);
        let colour = |name: usize| {
            let (high, low) = extremes[name];
            let votes = votes[name].max(1) as f32;
            let name = Name::ALL[name];
            Colour { name, tone: tone(name, high / votes, low / votes) }
        };
        let mut order: Vec<usize> = (0..Name::ALL.len()).collect();
        order.sort_by_key(|&i| (usize::MAX - votes[i], i));
        let second = (votes[order[1]] as f32 >= SECOND * count as f32 && !pixels.is_empty())
            .then(|| colour(order[1]));
        Self {
            first: colour(order[0]),
            second,
            mean: sums.map(|s| (s / count as f64) as f32),
            histogram,
        }
    }

    /// The words, as `white and brown`.
    pub(crate) fn words(&self) -> String {
        match self.second {
            Some(second) => format!("{} and {}", self.first.words(), second.words()),
            None => self.first.words(),
        }
    }

    /// Overlap of the histograms, 0 to 1.
    pub(crate) fn overlap(&self, other: &Self) -> f32 {
        self.histogram.iter().zip(&other.histogram).map(|(a, b)| a.min(*b)).sum()
    }
}

fn luma(rgb: [f32; 3]) -> f32 {
    0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
}

/// The strongest and the weakest channel.
fn extremes_of(rgb: [f32; 3]) -> (f32, f32) {
    (rgb[0].max(rgb[1]).max(rgb[2]), rgb[0].min(rgb[1]).min(rgb[2]))
}

/// Lightness of a color by the means of its strongest and weakest channel. Luma would call a pure
/// blue dark.
fn tone(name: Name, high: f32, low: f32) -> Tone {
    if !name.has_tones() {
        return Tone::Plain;
    }
    let (dark, light) = if name == Name::Gray { (90.0, 155.0) } else { (115.0, 105.0) };
    if high < dark {
        Tone::Dark
    } else if low > light {
        Tone::Light
    } else {
        Tone::Plain
    }
}

/// A colour's name. Hue decides where there is enough chroma for the lightness.
pub(crate) fn name_of(rgb: [f32; 3]) -> Name {
    let (high, low) = extremes_of(rgb);
    let (chroma, light) = (high - low, luma(rgb));
    if high < 40.0 || (high < 60.0 && chroma < 18.0) {
        return Name::Black;
    }
    let saturation = chroma / high;
    if saturation < 0.16 || chroma < 18.0 {
        return match light {
            l if l > 195.0 => Name::White,
            l if l < 50.0 => Name::Black,
            _ => Name::Gray,
        };
    }
    match hue(rgb, high, chroma) {
        h if !(14.0..345.0).contains(&h) && saturation < 0.5 && high > 170.0 => Name::Pink,
        h if !(14.0..345.0).contains(&h) => Name::Red,
        h if h < 50.0 && saturation < 0.5 && high > 170.0 => Name::Beige,
        h if h < 44.0 && saturation > 0.55 && high > 200.0 => Name::Orange,
        h if h < 44.0 => Name::Brown,
        h if h < 68.0 && high > 110.0 => Name::Yellow,
        h if h < 165.0 => Name::Green,
        h if h < 195.0 => Name::Cyan,
        h if h < 258.0 => Name::Blue,
        h if h >= 300.0 && high > 150.0 => Name::Pink,
        _ => Name::Purple,
    }
}

fn hue(rgb: [f32; 3], high: f32, chroma: f32) -> f32 {
    let [r, g, b] = rgb;
    let sector = if high == r {
        (g - b) / chroma
    } else if high == g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    (60.0 * sector).rem_euclid(360.0)
}

/// One vote, shared between the neighbouring cells of each channel.
fn vote_softly(histogram: &mut [f32], rgb: [f32; 3]) {
    let split = rgb.map(|v| {
        let at = (v / 256.0 * 4.0 - 0.5).clamp(0.0, 3.0);
        let low = at as usize;
        (low, (low + 1).min(3), at - low as f32)
    });
    for corner in 0..8usize {
        let mut cell = 0;
        let mut weight = 1.0;
        for (channel, &(low, high, share)) in split.iter().enumerate() {
            let is_high = corner >> channel & 1 == 1;
            cell = 4 * cell + if is_high { high } else { low };
            weight *= if is_high { share } else { 1.0 - share };
        }
        histogram[cell] += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(rgb: [u8; 3]) -> String {
        let picture = rgb.map(|v| Plane::filled(2, 2, f32::from(v)));
        Colours::of(&picture, &[0, 1, 2, 3]).words()
    }

    #[test]
    fn plain_colours_have_their_names() {
        for (rgb, words) in [
            ([0, 0, 0], "black"),
            ([255, 255, 255], "white"),
            ([128, 128, 128], "gray"),
            ([60, 62, 60], "dark gray"),
            ([190, 190, 192], "light gray"),
            ([220, 20, 30], "red"),
            ([100, 10, 12], "dark red"),
            ([255, 140, 0], "orange"),
            ([120, 72, 30], "brown"),
            ([245, 215, 160], "beige"),
            ([240, 225, 40], "yellow"),
            ([30, 170, 50], "green"),
            ([20, 70, 25], "dark green"),
            ([20, 200, 210], "cyan"),
            ([30, 60, 220], "blue"),
            ([20, 25, 90], "dark blue"),
            ([130, 40, 180], "purple"),
            ([250, 150, 190], "pink"),
        ] {
            assert_eq!(named(rgb), words, "{rgb:?}");
        }
    }

    #[test]
    fn names_are_numbered_in_their_order() {
        assert!(Name::ALL.iter().enumerate().all(|(number, &name)| name as usize == number));
    }

    #[test]
    fn two_colours_are_both_named_and_histograms_compare() {
        let red: Vec<f32> = (0..10).map(|i| if i < 6 { 220.0 } else { 20.0 }).collect();
        let blue: Vec<f32> = (0..10).map(|i| if i < 6 { 20.0 } else { 220.0 }).collect();
        let picture = [red, vec![20.0; 10], blue].map(|data| Plane::new(10, 1, data));
        let all: Vec<usize> = (0..10).collect();
        let both = Colours::of(&picture, &all);
        assert_eq!(both.words(), "red and blue");
        let left = Colours::of(&picture, &all[..6]);
        assert_eq!(left.words(), "red");
        assert!((both.overlap(&left) - 0.6).abs() < 1e-5);
        assert!((left.overlap(&left) - 1.0).abs() < 1e-5);
        assert_eq!(Colours::of(&picture, &[]).words(), "black");
    }
}
