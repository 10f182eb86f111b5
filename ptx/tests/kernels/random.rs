//! Random numbers by counter, bit for bit, against the algorithm written out again.

use crate::device::{Arg, Device, Dtype};
use crate::expect::{Call, dense, in_all_orders, named};
use vincie_ptx::Counters;
use vincie_ptx::catalogue::Entry;

const SEED: u64 = 0x1234_5678_9abc_def1;
const STREAM: u32 = 2;
const STEP: u64 = 0x1_0000_0007;

/// A draw whose number does not fit in 32 bits after a few.
const FIRST: u64 = 0xffff_fffe;

/// Philox4x32 with ten rounds.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let multiply = |a: u32, b: u32| u64::from(a) * u64::from(b);
    for _ in 0..10 {
        let (a, b) = (multiply(counter[0], 0xD251_1F53), multiply(counter[2], 0xCD9E_8D57));
        let high = |product: u64| (product >> 32) as u32;
        let [_, second, _, last] = counter;
        counter = [high(b) ^ second ^ key[0], b as u32, high(a) ^ last ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

fn words(draw: u64) -> [u32; 4] {
    let high = (draw >> 32) as u32 & 15 | STREAM << 4;
    let counter = [draw as u32, high, STEP as u32, (STEP >> 32) as u32];
    philox(counter, [SEED as u32, (SEED >> 32) as u32])
}

fn uniform(word: u32) -> f32 {
    ((word >> 8) as f32 + 0.5) / 16_777_216.0
}

/// sqrt(2) erfinv(2u - 1), by polynomials in -ln(1 - x^2) with correctly rounded operations.
fn normal(word: u32) -> f32 {
    let x = ((word >> 8) as f32 - 8_388_608.0 + 0.5) / 8_388_608.0;
    let square = (1.0 - x) * (1.0 + x);
    let offset = square.to_bits().wrapping_sub(0x3f35_04f3);
    let exponent = (offset as i32 >> 23) as f32;
    let mantissa = f32::from_bits((offset & 0x007f_ffff) + 0x3f35_04f3);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let chain = |start: f32, x: f32, rest: &[f32]| rest.iter().fold(start, |y, c| y.mul_add(x, *c));
    let series = chain(0.222_222_22, s * s, &[0.285_714_3, 0.4, 0.666_666_7]);
    let ln = exponent.mul_add(std::f32::consts::LN_2, (series * (s * s)).mul_add(s, 2.0 * s));
    let w = -ln;
    let centre = [
        3.432_739_4e-7,
        -3.523_387_7e-6,
        -4.391_506_5e-6,
        0.000_218_580_87,
        -0.001_253_725,
        -0.004_177_681_6,
        0.246_640_73,
        1.501_409_4,
    ];
    let tail = [
        0.000_100_950_56,
        0.001_349_343_2,
        -0.003_673_428_4,
        0.005_739_507_7,
        -0.007_622_461_3,
        0.009_438_870_5,
        1.001_674,
        2.832_976_8,
    ];
    let y = match w < 5.0 {
        true => chain(2.810_226_4e-8, w - 2.5, &centre),
        false => chain(-0.000_200_214_26, w.sqrt() - 3.0, &tail),
    };
    y * x * std::f32::consts::SQRT_2
}

pub(crate) fn random(entry: &Entry) {
    assert_eq!(
        philox([u32::MAX; 4], [u32::MAX; 2]),
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
    );
    match &entry.name[..] {
        "random_uniform_f32" => {
            check(entry, Dtype::F32, 256, |i| uniform(words(FIRST + i)[0]));
        }
        _ => {
            let dtype = named(entry, "dtype");
            check(entry, dtype, 1024, |i| {
                dtype.round(normal(words(FIRST + i / 4)[i as usize % 4]))
            });
        }
    }
}

fn check(entry: &Entry, dtype: Dtype, elements: usize, value: impl Fn(u64) -> f32) {
    let run = |device: &mut Device, count: usize, offset: usize| -> (Counters, Vec<f32>) {
        let call = Call::new(device, &entry.name).output(dtype, offset, count);
        let call = call.arg(Arg::U64(SEED)).arg(Arg::U32(STREAM)).arg(Arg::U64(STEP));
        let call = call.arg(Arg::U64(FIRST)).size(count);
        let (counters, mut results) = call.run([count.div_ceil(elements), 1, 1]);
        (counters, results.remove(0))
    };
    for (count, offset) in [(1, 0), (1027, 0), (133, 1), (4096, 0)] {
        let what = (&entry.name, count, offset);
        let (counters, got) = in_all_orders(what, |device| run(device, count, offset));
        for (i, got) in got.iter().enumerate() {
            assert_eq!(got.to_bits(), value(i as u64).to_bits(), "{what:?} [{i}]");
        }
        if count == 4096 {
            dense(what, &counters, count * dtype.bytes(), 0);
        }
    }
}
