use super::*;

/// Byte `i` is `(7 i^2 + 31 i) mod 256`.
fn sample(width: usize, height: usize) -> Image {
    let rgb = (0..3 * width * height).map(|i| ((7 * i * i + 31 * i) % 256) as u8).collect();
    Image::new(width, height, rgb)
}

#[test]
#[rustfmt::skip]
fn bicubic_is_pillows_bit_for_bit() {
    // Pillow 11.3.0, Image.resize((w, h)) with its default filter.
    let golden: [(usize, usize, usize, usize, &[u8]); 4] = [
        (6, 5, 4, 3, &[54, 117, 77, 169, 132, 140, 74, 137, 136, 180, 145, 180, 128, 154, 100, 119, 130, 125, 139, 143, 93, 122, 109, 119, 142, 84, 138, 200, 38, 138, 43, 206, 134, 92, 151, 125]),
        (6, 5, 9, 2, &[49, 78, 71, 90, 154, 87, 143, 203, 116, 154, 87, 144, 125, 137, 133, 96, 186, 115, 104, 67, 118, 152, 111, 152, 191, 183, 179, 116, 151, 123, 147, 98, 126, 180, 47, 134, 172, 70, 144, 125, 127, 109, 78, 185, 91, 67, 205, 154, 94, 148, 128, 121, 91, 86]),
        (3, 2, 5, 4, &[0, 3, 84, 52, 112, 77, 161, 252, 79, 178, 119, 144, 178, 15, 186, 16, 71, 108, 59, 126, 84, 144, 197, 62, 184, 132, 148, 199, 80, 205, 60, 207, 158, 74, 156, 96, 112, 89, 26, 193, 156, 155, 240, 208, 242, 83, 255, 182, 81, 170, 103, 95, 34, 9, 199, 169, 159, 255, 255, 255]),
        (40, 30, 2, 3, &[127, 125, 126, 127, 129, 127, 127, 129, 127, 126, 125, 127, 127, 127, 127, 126, 127, 128]),
    ];
    for (from_width, from_height, width, height, expected) in golden {
        let image = resize(&sample(from_width, from_height), width, height, Filter::Bicubic);
        assert_eq!(image.rgb, expected, "{from_width} x {from_height} to {width} x {height}");
    }
}

#[test]
fn the_same_size_changes_nothing() {
    let image = sample(13, 7);
    for filter in [Filter::Area, Filter::Bicubic] {
        assert_eq!(resize(&image, 13, 7, filter), image, "{filter:?}");
    }
    assert_eq!(fit(&image, 13, 7), image);
    assert_eq!(centre_crop(&image, 13, 7), image);
}

#[test]
fn areas_are_averaged() {
    let image = Image::new(4, 2, [[0, 10, 20], [40, 10, 20]].repeat(4).concat());
    assert_eq!(resize(&image, 2, 1, Filter::Area), Image::filled(2, 1, [20, 10, 20]));
    // Of three columns from two, the middle one is half of each.
    let pair = Image::new(2, 1, vec![0, 0, 0, 100, 100, 100]);
    assert_eq!(resize(&pair, 3, 1, Filter::Area).rgb, [0, 0, 0, 50, 50, 50, 100, 100, 100]);
}

#[test]
fn fit_keeps_shapes_and_the_centre() {
    // A red square in the middle of a wide picture stays square and in the middle.
    let mut wide = Image::filled(160, 90, [0, 0, 255]);
    for y in 30..60 {
        for x in 65..95 {
            wide.rgb[3 * (160 * y + x)..][..3].copy_from_slice(&[255, 0, 0]);
        }
    }
    let small = fit(&wide, 30, 30);
    let is_red = |x: usize, y: usize| small.pixel(x, y)[0] > 128;
    for y in 0..30 {
        for x in 0..30 {
            let inside = (10..20).contains(&x) && (10..20).contains(&y);
            assert_eq!(is_red(x, y), inside, "{x}, {y}");
        }
    }
    let large = fit(&wide, 320, 320);
    assert_eq!((large.width, large.pixel(160, 160)), (320, [255, 0, 0]));
    assert_eq!(large.pixel(160, 10), [0, 0, 255]);
    for (width, height) in [(1, 1), (1, 200), (333, 2)] {
        let image = fit(&wide, width, height);
        assert_eq!((image.width, image.height), (width, height));
    }
}

#[test]
fn masks_follow_their_pictures() {
    let mut mask = Mask::filled(8, 4, 0);
    for y in 0..4 {
        mask.data[8 * y + 4..8 * y + 8].fill(255);
    }
    assert_eq!(resize_mask(&mask, 4, 2).data, [0, 0, 255, 255, 0, 0, 255, 255]);
    assert_eq!(fit_mask(&mask, 2, 2).data, [0, 255, 0, 255]);
    let as_image = fit(&mask.to_image(), 3, 3);
    let fitted = fit_mask(&mask, 3, 3);
    for (pixel, &value) in as_image.rgb.chunks_exact(3).zip(&fitted.data) {
        assert_eq!(value == 255, pixel[0] >= 128);
    }
}

#[test]
fn odd_margins_round_half_to_even() {
    let image = sample(7, 4);
    assert_eq!(centre_crop(&image, 2, 1).pixel(0, 0), image.pixel(2, 2));
    assert_eq!(centre_crop(&image, 4, 3).pixel(0, 0), image.pixel(2, 0));
}
