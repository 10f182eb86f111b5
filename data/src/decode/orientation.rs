//! The eight ways a stored picture can be turned for display, as EXIF numbers them and as the
//! track matrix of MP4 and QuickTime files states them.

use crate::Image;

/// How stored pixels become displayed ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    /// Rows become columns; applied before the flips are undone.
    is_transposed: bool,
    /// Stored columns run from right to left.
    is_flipped_x: bool,
    /// Stored rows run from bottom to top.
    is_flipped_y: bool,
}

impl Orientation {
    /// EXIF tag 0x0112 (TIFF 6.0, "Orientation"), 1 to 8; anything else counts as 1.
    pub(crate) fn from_exif_value(value: u16) -> Self {
        let (is_transposed, is_flipped_x, is_flipped_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => (false, false, false),
        };
        Self { is_transposed, is_flipped_x, is_flipped_y }
    }

    /// The upper left part `[a, b, c, d]` of a track matrix (ISO 14496-12, section 8.3.2), where a
    /// stored point (x, y) is shown at (a x + c y, b x + d y). Scale is ignored; `None` for
    /// matrices that are not a multiple of a quarter turn, flipped or not.
    pub(crate) fn from_matrix([a, b, c, d]: [i32; 4]) -> Option<Self> {
        let value = match (a.signum(), b.signum(), c.signum(), d.signum()) {
            (1, 0, 0, 1) => 1,
            (-1, 0, 0, 1) => 2,
            (-1, 0, 0, -1) => 3,
            (1, 0, 0, -1) => 4,
            (0, 1, 1, 0) => 5,
            (0, 1, -1, 0) => 6,
            (0, -1, -1, 0) => 7,
            (0, -1, 1, 0) => 8,
            _ => return None,
        };
        Some(Self::from_exif_value(value))
    }

    /// Size after turning.
    pub(crate) fn size(self, width: usize, height: usize) -> (usize, usize) {
        if self.is_transposed { (height, width) } else { (width, height) }
    }

    /// Clockwise turn in degrees, flips apart.
    pub(crate) fn degrees(self) -> u16 {
        match (self.is_transposed, self.is_flipped_x, self.is_flipped_y) {
            (false, true, true) => 180,
            (true, false, _) => 90,
            (true, true, _) => 270,
            _ => 0,
        }
    }

    /// The picture as it is to be shown.
    pub(crate) fn apply(self, image: Image) -> Image {
        if self == Self::default() {
            return image;
        }
        let (width, height) = self.size(image.width, image.height);
        let mut rgb = Vec::with_capacity(image.rgb.len());
        for y in 0..height {
            for x in 0..width {
                let (mut column, mut row) = if self.is_transposed { (y, x) } else { (x, y) };
                if self.is_flipped_x {
                    column = image.width - 1 - column;
                }
                if self.is_flipped_y {
                    row = image.height - 1 - row;
                }
                rgb.extend_from_slice(&image.pixel(column, row));
            }
        }
        Image::new(width, height, rgb)
    }
}

/// Orientation stated by an EXIF block (a TIFF file without pixels). A block that is damaged or
/// says nothing means "as stored", as viewers do.
pub(crate) fn exif_orientation(tiff: &[u8]) -> Orientation {
    Orientation::from_exif_value(exif_value(tiff).unwrap_or(1))
}

fn exif_value(tiff: &[u8]) -> Option<u16> {
    const ORIENTATION: u16 = 0x0112;
    const SHORT: u16 = 3;
    let is_little = match tiff.get(..4)? {
        b"II\x2a\0" => true,
        b"MM\0\x2a" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = [*tiff.get(at)?, *tiff.get(at.checked_add(1)?)?];
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let (first, second) = (usize::from(short(4)?), usize::from(short(6)?));
    let directory = if is_little { first | second << 16 } else { first << 16 | second };
    for entry in 0..usize::from(short(directory)?) {
        let at = directory + 2 + 12 * entry;
        if short(at)? == ORIENTATION {
            return (short(at + 2)? == SHORT).then(|| short(at + 8))?;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 x 2 with the values 1 2 3 / 4 5 6.
    fn sample() -> Image {
        Image::new(3, 2, (1..=6).flat_map(|v| [v; 3]).collect())
    }

    fn values(image: &Image) -> Vec<u8> {
        image.rgb.chunks_exact(3).map(|p| p[0]).collect()
    }

    #[test]
    fn all_eight_orientations() {
        let expected: [(u16, usize, [u8; 6]); 8] = [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
        ];
        for (value, width, pixels) in expected {
            let turned = Orientation::from_exif_value(value).apply(sample());
            assert_eq!((turned.width, values(&turned)), (width, pixels.to_vec()), "{value}");
        }
    }

    #[test]
    fn matrices_of_phones() {
        let quarter = Orientation::from_matrix([0, 1 << 16, -(1 << 16), 0]).unwrap();
        assert_eq!(quarter, Orientation::from_exif_value(6));
        assert_eq!((quarter.degrees(), quarter.size(3, 2)), (90, (2, 3)));
        assert_eq!(Orientation::from_matrix([-5, 0, 0, -5]).unwrap().degrees(), 180);
        assert_eq!(Orientation::from_matrix([0, -1, 1, 0]).unwrap().degrees(), 270);
        assert_eq!(Orientation::from_matrix([1, 1, -1, 1]), None);
        assert_eq!(Orientation::from_matrix([0; 4]), None);
    }

    #[test]
    fn exif_in_both_byte_orders_and_cut_anywhere() {
        let little = b"II\x2a\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x01\0\0\0\0\0\0\0\
            \x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!(exif_orientation(little), Orientation::from_exif_value(6));
        assert_eq!(exif_orientation(big), Orientation::from_exif_value(8));
        for end in 0..little.len() {
            let _ = exif_orientation(&little[..end]);
        }
        let mut endless = little.to_vec();
        endless[4..8].fill(255);
        assert_eq!(exif_orientation(&endless), Orientation::default());
    }
}
