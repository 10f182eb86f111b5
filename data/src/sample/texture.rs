//! Random scenery for tests: value noise in four octaves, defined everywhere, so that a picture
//! may be moved, zoomed and turned without running out of scenery.

/// Grey value at a point, roughly 30 to 225; detail from 1/4 down to 1/64 of a unit.
pub(crate) fn scenery(x: f32, y: f32, seed: u32) -> f32 {
    let octaves = [(5.0, 0.4), (13.0, 0.3), (31.0, 0.2), (67.0, 0.1)];
    let sum: f32 = octaves
        .iter()
        .zip(0u32..)
        .map(|(&(rate, share), octave)| share * lattice(x * rate, y * rate, seed ^ (octave << 20)))
        .sum();
    30.0 + 195.0 * (0.5 + 1.3 * (sum - 0.5)).clamp(0.0, 1.0)
}

/// A uniform number in 0..1 from three integers.
pub(crate) fn uniform(x: i32, y: i32, seed: u32) -> f32 {
    let mut state = (x as u32).wrapping_mul(0x9e37_79b1)
        ^ (y as u32).wrapping_mul(0x85eb_ca77)
        ^ seed.wrapping_mul(0xc2b2_ae3d);
    for _ in 0..2 {
        state = (state ^ (state >> 15)).wrapping_mul(0x2c1b_3c6d);
        state = (state ^ (state >> 12)).wrapping_mul(0x297a_2d39);
    }
    ((state ^ (state >> 15)) >> 8) as f32 / (1 << 24) as f32
}

/// Smoothly interpolated lattice noise, 0 to 1.
fn lattice(x: f32, y: f32, seed: u32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (ease(x - x0), ease(y - y0));
    let corner = |dx: i32, dy: i32| uniform(x0 as i32 + dx, y0 as i32 + dy, seed);
    let top = corner(0, 0) * (1.0 - fx) + corner(1, 0) * fx;
    let bottom = corner(0, 1) * (1.0 - fx) + corner(1, 1) * fx;
    top * (1.0 - fy) + bottom * fy
}
