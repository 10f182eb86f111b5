//! Counter-based randomness: a number is a function of (seed, stream, step, index), so there is no
//! state to save, no lock to take, and every device and rank count draws the same values.
//!
//! The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3").
//! Normal values use only correctly rounded operations (`fma`, `sqrt`, division), so that another
//! device can produce the same bits.

use crate::{Result, Shape, Tensor};

/// What a draw is for. Draws under different streams are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Initial weights.
    Weights = 1,
    /// The noise end of the flow.
    Noise = 2,
    /// Training timesteps.
    Timestep = 3,
    /// Context and text dropout.
    Dropout = 4,
    /// Sampling at inference.
    Sample = 5,
    /// Test inputs.
    Test = 6,
}

/// A position in the space of draws; `index` counts on from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The run's seed.
    pub seed: u64,
    /// What the draw is for.
    pub stream: Stream,
    /// Training step, session, parameter: whatever tells draws of one stream apart.
    pub step: u64,
}

impl Key {
    /// A position.
    pub fn new(seed: u64, stream: Stream, step: u64) -> Self {
        Self { seed, stream, step }
    }

    /// Four random words for draw number `index`, of which the low 36 bits count.
    pub fn words(&self, index: u64) -> [u32; 4] {
        let high = (index >> 32) as u32 & 0xf | (self.stream as u32) << 4;
        let counter = [index as u32, high, self.step as u32, (self.step >> 32) as u32];
        philox(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// One uniform value in the open interval (0, 1).
    pub fn uniform(&self, index: u64) -> f32 {
        unit(self.words(index)[0])
    }

    /// One whole number in `0..bound` (`bound` at least 1), without bias beyond 2^-32.
    pub fn below(&self, index: u64, bound: u32) -> u32 {
        ((u64::from(self.words(index)[0]) * u64::from(bound)) >> 32) as u32
    }

    /// One standard normal value.
    pub fn normal(&self, index: u64) -> f32 {
        normal(self.words(index)[0])
    }

    /// A tensor of standard normal values: element `i` comes from word `i % 4` of draw `i / 4`.
    pub fn normal_tensor(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        Tensor::build(shape, |all: &mut [f32]| self.fill_normal(0, all))
    }

    /// Standard normal values from draw `first` on, four a draw: the elements of
    /// [`Self::normal_tensor`] from `4 first` on.
    pub fn fill_normal(&self, first: u64, all: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the features the function is compiled for were just detected.
            return unsafe { self.fill_normal_fma(first, all) };
        }
        self.fill_normal_with(first, all);
    }

    /// The same arithmetic compiled with hardware fused multiply-add; the bits are the same.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn fill_normal_fma(&self, first: u64, all: &mut [f32]) {
        self.fill_normal_with(first, all);
    }

    #[inline(always)]
    fn fill_normal_with(&self, first: u64, all: &mut [f32]) {
        for (draw, chunk) in (first..).zip(all.chunks_mut(4)) {
            for (value, word) in chunk.iter_mut().zip(self.words(draw)) {
                *value = normal(word);
            }
        }
    }
}

/// Philox4x32 with ten rounds.
#[inline(always)]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The midpoint of one of 2^24 cells of (0, 1).
#[inline(always)]
fn unit(word: u32) -> f32 {
    ((word >> 8) as f32 + 0.5) * (1.0 / 16_777_216.0)
}

/// Standard normal by inversion: sqrt(2) erfinv(2u - 1), with the single precision polynomials of
/// Giles, "Approximating the erfinv function"; values reach 5.4 standard deviations.
#[inline(always)]
fn normal(word: u32) -> f32 {
    const CENTRE: [f32; 9] = [
        2.810_226_4e-8,
        3.432_739_4e-7,
        -3.523_387_7e-6,
        -4.391_506_5e-6,
        0.000_218_580_87,
        -0.001_253_725,
        -0.004_177_681_6,
        0.246_640_73,
        1.501_409_4,
    ];
    const TAIL: [f32; 9] = [
        -0.000_200_214_26,
        0.000_100_950_56,
        0.001_349_343_2,
        -0.003_673_428_4,
        0.005_739_507_7,
        -0.007_622_461_3,
        0.009_438_870_5,
        1.001_674,
        2.832_976_8,
    ];
    // 2u - 1 is exact on the grid of odd multiples of 2^-24, and so is 1 - |x| above 2^-24.
    let x = ((word >> 8) as f32 - 8_388_608.0 + 0.5) * (1.0 / 8_388_608.0);
    let w = -natural_log((1.0 - x) * (1.0 + x));
    let centre = CENTRE.iter().fold(0.0f32, |sum, &c| sum.mul_add(w - 2.5, c));
    let tail = TAIL.iter().fold(0.0f32, |sum, &c| sum.mul_add(w.sqrt() - 3.0, c));
    (if w < 5.0 { centre } else { tail }) * x * std::f32::consts::SQRT_2
}

/// ln of a positive normal number, by halving the mantissa range and a polynomial in (m-1)/(m+1).
#[inline(always)]
fn natural_log(x: f32) -> f32 {
    let bits = x.to_bits();
    let offset = bits.wrapping_sub(0x3f35_04f3);
    let exponent = (offset as i32 >> 23) as f32;
    let m = f32::from_bits((offset & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = 0.222_222_22f32.mul_add(s2, 0.285_714_3).mul_add(s2, 0.4).mul_add(s2, 0.666_666_7);
    let mantissa = (series * s2).mul_add(s, 2.0 * s);
    exponent.mul_add(std::f32::consts::LN_2, mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the generator's reference distribution (Random123, kat_vectors).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn log_is_accurate() {
        for i in 1..20_000u32 {
            let x = i as f32 / 19_999.0;
            let error = (f64::from(natural_log(x)) - f64::from(x).ln()).abs();
            assert!(error < 2e-7 * (1.0 + f64::from(x).ln().abs()), "ln {x}: off by {error}");
        }
    }

    #[test]
    fn normal_has_its_moments_and_quantiles() {
        let values =
            Key::new(7, Stream::Test, 0).normal_tensor([200_000]).unwrap().to_vec::<f32>().unwrap();
        let n = values.len() as f64;
        let moment = |power: i32| values.iter().map(|&v| f64::from(v).powi(power)).sum::<f64>() / n;
        assert!(
            moment(1).abs() < 0.01 && (moment(2) - 1.0).abs() < 0.02,
            "{} {}",
            moment(1),
            moment(2)
        );
        assert!(
            moment(3).abs() < 0.05 && (moment(4) - 3.0).abs() < 0.1,
            "{} {}",
            moment(3),
            moment(4)
        );
        let beyond = |limit: f32| values.iter().filter(|v| v.abs() > limit).count() as f64 / n;
        assert!(
            (beyond(1.959_964) - 0.05).abs() < 0.003 && (beyond(3.290_527) - 0.001).abs() < 4e-4
        );
        assert!(normal(u32::MAX) > 5.0 && normal(0) < -5.0 && normal(u32::MAX).is_finite());
    }

    #[test]
    fn draws_depend_on_every_part_of_the_key_and_on_nothing_else() {
        let key = Key::new(1, Stream::Noise, 2);
        let base = key.words(3);
        assert_eq!(base, key.words(3));
        for other in [
            Key { seed: 2, ..key },
            Key { seed: 1 << 32 | 1, ..key },
            Key { stream: Stream::Dropout, ..key },
            Key { step: 3, ..key },
        ] {
            assert_ne!(base, other.words(3));
        }
        assert_ne!(base, key.words(4));
        let tensor = key.normal_tensor([9]).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(tensor[6], normal(key.words(1)[2]));
        assert!((0..1000).all(|i| key.below(i, 7) < 7));
    }

    #[test]
    fn hardware_and_portable_bits_agree() {
        let key = Key::new(3, Stream::Test, 9);
        let mut portable = vec![0.0; 1001];
        key.fill_normal_with(0, &mut portable);
        assert_eq!(key.normal_tensor([1001]).unwrap().to_vec::<f32>().unwrap(), portable);
    }
}
