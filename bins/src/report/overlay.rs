//! A picture with its region of editing drawn over it.

use super::picture::shrunk_size;
use vincie_data::annotate::tinted;
use vincie_data::decode::{Filter, resize, resize_mask};
use vincie_data::{Image, Mask};

/// Colour of what will change.
pub(crate) const CURRENT_COLOUR: [u8; 3] = [255, 122, 26];

/// Colour of what has changed.
pub(crate) const NEXT_COLOUR: [u8; 3] = [0, 190, 230];

/// The picture at the size it has in a page, with the region tinted and outlined. The mask has the
/// picture's size.
pub(crate) fn overlaid(image: &Image, mask: &Mask, colour: [u8; 3]) -> Image {
    assert_eq!(
        (image.width, image.height),
        (mask.width, mask.height),
        "a mask has the size of its picture"
    );
    let (width, height) = shrunk_size(image.width, image.height);
    let small = resize(image, width, height, Filter::Area);
    tinted(&small, &resize_mask(mask, width, height), colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_shrink_with_their_masks() {
        let image = Image::filled(640, 4, [100; 3]);
        let mut mask = Mask::filled(640, 4, 0);
        for y in 0..4 {
            mask.data[y * 640..y * 640 + 320].fill(255);
        }
        let drawn = overlaid(&image, &mask, NEXT_COLOUR);
        assert_eq!((drawn.width, drawn.height), (320, 2));
        assert_ne!(drawn.pixel(0, 0), [100; 3], "the region is tinted");
        assert_eq!(drawn.pixel(319, 0), [100; 3], "the rest is not");
    }
}
