//! Matrix products.

use crate::coverage;
use crate::device::{Arg, Device, Dtype, ORDERS, Rows, noise};
use vincie_ptx::Counters;

/// The folder of the kernels, and how many tests launch them, and of sums of parts.
pub(crate) const OP: &str = "matmul";
pub(crate) const TESTS: usize = 11;

const LAYOUTS: [&str; 4] = ["nn", "nt", "tn", "tt"];
const BIAS: u32 = 1;
const ADD: u32 = 2;

/// How operands lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Multiples of 16 bytes, with gaps between rows.
    Aligned,
    /// As far from it as elements allow.
    Odd,
    /// Rows follow each other.
    Dense,
}

/// One call.
#[derive(Clone, Copy, Debug)]
struct Problem {
    layout: &'static str,
    dtype: Dtype,
    out: Dtype,
    tile: &'static str,
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    epilogue: u32,
    placement: Placement,
}

impl Problem {
    fn name(&self) -> String {
        let Self { layout, dtype, out, tile, .. } = self;
        match dtype {
            Dtype::Bf16 => format!("matmul_{layout}_bf16_{}_{tile}", out.name()),
            Dtype::F32 => format!("matmul_{layout}_f32_{tile}"),
        }
    }

    fn tile(&self) -> (usize, usize) {
        match self.tile.split_once('x') {
            Some((m, n)) => (m.parse().expect("a number"), n.parse().expect("a number")),
            None => (64, 64),
        }
    }

    fn rows(&self, rows: usize, cols: usize) -> Rows {
        match self.placement {
            Placement::Aligned => {
                Rows { rows, cols, stride: cols.next_multiple_of(8) + 8, offset: 8 }
            }
            Placement::Odd => Rows { rows, cols, stride: cols + 3, offset: 1 },
            Placement::Dense => Rows::dense(rows, cols),
        }
    }

    /// Runs the call in both orders, which change neither a bit of the result nor what is counted.
    fn check(&self) {
        let [one, other] = ORDERS.map(|order| self.check_in(Device::new(order)));
        assert!(one == other, "{self:?}");
    }

    /// Runs the call and compares it with plain loops.
    fn check_in(&self, mut device: Device) -> (Counters, Vec<f32>) {
        let Self { layout, dtype, out, batch, m, n, k, epilogue, .. } = *self;
        let (is_a_turned, is_b_turned) = (layout.starts_with('t'), layout.ends_with('t'));
        let a_rows = if is_a_turned { (k, m) } else { (m, k) };
        let b_rows = if is_b_turned { (n, k) } else { (k, n) };
        let a = noise(batch * m * k, 1, dtype);
        let b = noise(batch * k * n, 2, dtype);
        let bias = noise(n, 3, Dtype::F32);
        let old = noise(batch * m * n, 4, out);
        let on_a = device.upload(dtype, self.rows(batch * a_rows.0, a_rows.1), &a);
        let on_b = device.upload(dtype, self.rows(batch * b_rows.0, b_rows.1), &b);
        let on_bias = device.upload(Dtype::F32, self.rows(1, n), &bias);
        let c_rows = self.rows(batch * m, n);
        let on_c = match epilogue & ADD {
            0 => device.result(out, c_rows),
            _ => device.upload(out, c_rows, &old),
        };
        let strides = [&on_a, &on_b, &on_c].map(|placed| placed.rows.stride as u32);
        let entry = |rows: usize, placed: u32| Arg::U64(rows as u64 * u64::from(placed));
        let (tile_m, tile_n) = self.tile();
        let args = [
            Arg::U64(on_a.at()),
            Arg::U64(on_b.at()),
            Arg::U64(on_bias.at()),
            Arg::U64(on_c.at()),
            Arg::U32(m as u32),
            Arg::U32(n as u32),
            Arg::U32(k as u32),
            Arg::U32(k as u32),
            Arg::U32(strides[0]),
            Arg::U32(strides[1]),
            Arg::U32(strides[2]),
            Arg::U32(epilogue),
            entry(a_rows.0, strides[0]),
            entry(b_rows.0, strides[1]),
            entry(m, strides[2]),
        ];
        let tiles = m.div_ceil(tile_m) * n.div_ceil(tile_n);
        let counters = device.launch(&self.name(), [tiles as u32, 1, batch as u32], &args);
        let got = device.download(&on_c);
        for (index, &got) in got.iter().enumerate() {
            let (i, row, col) = (index / (m * n), index / n % m, index % n);
            let (mut sum, mut magnitude) = (0.0, 0.0);
            for j in 0..k {
                let at_a = if is_a_turned { j * m + row } else { row * k + j };
                let at_b = if is_b_turned { col * k + j } else { j * n + col };
                let product = f64::from(a[i * m * k + at_a]) * f64::from(b[i * k * n + at_b]);
                sum += product;
                magnitude += product.abs();
            }
            for (bit, value) in [(BIAS, bias[col]), (ADD, old[index])] {
                if epilogue & bit != 0 {
                    sum += f64::from(value);
                    magnitude += f64::from(value.abs());
                }
            }
            // One rounding of the running sum for each of k terms, each at most of the sum of
            // magnitudes; tensor cores cut off bits instead, which doubles it.
            let limit = (k as f64 + 2.0) * magnitude * 2f64.powi(-23) + sum.abs() * out.epsilon();
            let error = (f64::from(got) - sum).abs();
            assert!(error <= limit, "{self:?} [{i},{row},{col}]: {got}, not {sum}");
        }
        (counters, got)
    }
}

/// Every layout and output of a tile, at a shape and an epilogue that differ between them.
fn check_all(dtype: Dtype, tile: &'static str, placement: Placement, shapes: &[[usize; 3]]) {
    for (i, layout) in LAYOUTS.into_iter().enumerate() {
        for (j, out) in [dtype, Dtype::F32].into_iter().enumerate() {
            for (s, &[m, n, k]) in shapes.iter().enumerate() {
                if (dtype == Dtype::F32 && j == 1) || (i + j + s) % 2 == 1 && dtype == Dtype::Bf16 {
                    continue;
                }
                let epilogue = ((i + (i + j + s) / 2) % 4) as u32;
                let batch = 1 + (i + s) % 2;
                let problem =
                    Problem { layout, dtype, out, tile, batch, m, n, k, epilogue, placement };
                problem.check();
            }
        }
    }
}

#[test]
fn bf16_products_of_any_shape_and_place() {
    let shapes = [[1, 1, 1], [3, 65, 17], [66, 5, 33], [64, 64, 32], [70, 130, 95]];
    check_all(Dtype::Bf16, "any", Placement::Odd, &shapes);
    coverage::passed(OP, TESTS);
}

#[test]
fn bf16_products_of_small_tiles() {
    let shapes = [[1, 1, 1], [65, 3, 63], [64, 64, 64], [40, 72, 200], [70, 130, 136]];
    check_all(Dtype::Bf16, "64x64", Placement::Aligned, &shapes);
    coverage::passed(OP, TESTS);
}

#[test]
fn f32_products_of_any_shape_and_place() {
    let shapes = [[1, 1, 1], [3, 65, 17], [66, 5, 33], [64, 64, 16], [70, 130, 45]];
    check_all(Dtype::F32, "any", Placement::Odd, &shapes);
    coverage::passed(OP, TESTS);
}

#[test]
fn f32_products_of_both_tiles() {
    let shapes = [[1, 1, 1], [65, 3, 63], [64, 64, 64], [40, 72, 100], [70, 130, 36]];
    check_all(Dtype::F32, "64x64", Placement::Aligned, &shapes);
    check_all(Dtype::F32, "128x128", Placement::Aligned, &[[3, 5, 2], [130, 133, 35]]);
    coverage::passed(OP, TESTS);
}

#[test]
fn bf16_products_of_large_tiles() {
    check_all(Dtype::Bf16, "128x128", Placement::Aligned, &[[1, 2, 5], [135, 130, 160]]);
    check_all(Dtype::Bf16, "128x256", Placement::Aligned, &[[7, 9, 2], [131, 262, 200]]);
    coverage::passed(OP, TESTS);
}

#[test]
fn memory_is_touched_as_little_as_can_be() {
    for (dtype, tile) in [
        (Dtype::Bf16, "64x64"),
        (Dtype::Bf16, "128x128"),
        (Dtype::Bf16, "128x256"),
        (Dtype::F32, "128x128"),
    ] {
        // Between them both operands lie both ways.
        for (layout, out) in [("nn", dtype), ("tt", Dtype::F32)] {
            let (m, n, k) = (128, 256, 64);
            let placement = Placement::Dense;
            let problem =
                Problem { layout, dtype, out, tile, batch: 1, m, n, k, epilogue: BIAS, placement };
            let (counters, _) = problem.check_in(Device::new(ORDERS[0]));
            let name = problem.name();
            let (passes, ideal) = (counters.shared_wavefronts, counters.shared_wavefronts_ideal);
            if dtype == Dtype::Bf16 {
                assert_eq!(passes, ideal, "{name}");
            } else {
                // A row's 4 elements for 16 lanes are a pass for each 8 lanes, and dense would be less.
                assert!(5 * passes <= 8 * ideal, "{name}: {passes}, {ideal}");
            }
            // Tiles of both operands once for each tile of the result, and the result; what remains is
            // the bias, which every warp reads.
            let (tile_m, tile_n) = problem.tile();
            let operands = dtype.bytes() * m * n * k / tile_n + dtype.bytes() * m * n * k / tile_m;
            let sectors = (operands + m * n * out.bytes()) as u64 / 32;
            let touched = counters.global_sectors;
            assert!(20 * touched <= 21 * sectors, "{name}: {touched}, {sectors}");
        }
    }
    coverage::passed(OP, TESTS);
}

/// A product whose k is cut into parts that are summed afterwards.
#[test]
fn parts_of_k_add_up() {
    let (m, n, k, part) = (40usize, 72usize, 200usize, 64usize);
    for (dtype, layout, tile) in
        [(Dtype::Bf16, "tn", "64x64"), (Dtype::Bf16, "nt", "any"), (Dtype::F32, "nn", "64x64")]
    {
        for order in ORDERS {
            let mut device = Device::new(order);
            let (is_a_turned, is_b_turned) = (layout.starts_with('t'), layout.ends_with('t'));
            let a_rows = if is_a_turned { (k, m) } else { (m, k) };
            let b_rows = if is_b_turned { (n, k) } else { (k, n) };
            let a = noise(m * k, 1, dtype);
            let b = noise(k * n, 2, dtype);
            let bias = noise(n, 3, Dtype::F32);
            let old = noise(m * n, 4, Dtype::F32);
            let on_a = device.upload(dtype, Rows::dense(a_rows.0, a_rows.1), &a);
            let on_b = device.upload(dtype, Rows::dense(b_rows.0, b_rows.1), &b);
            let on_bias = device.upload(Dtype::F32, Rows::dense(1, n), &bias);
            let count = k.div_ceil(part);
            let parts = device.result(Dtype::F32, Rows::dense(count * m, n));
            let c_rows = Rows { rows: m, cols: n, stride: n + 5, offset: 3 };
            let on_c = device.upload(Dtype::F32, c_rows, &old);
            let name = match dtype {
                Dtype::Bf16 => format!("matmul_{layout}_bf16_f32_{tile}"),
                Dtype::F32 => format!("matmul_{layout}_f32_{tile}"),
            };
            let along_k = |is_turned: bool, cols: usize| {
                Arg::U64((if is_turned { part * cols } else { part }) as u64)
            };
            let args = [
                Arg::U64(on_a.at()),
                Arg::U64(on_b.at()),
                Arg::U64(on_bias.at()),
                Arg::U64(parts.at()),
                Arg::U32(m as u32),
                Arg::U32(n as u32),
                Arg::U32(part as u32),
                Arg::U32((k - (count - 1) * part) as u32),
                Arg::U32(a_rows.1 as u32),
                Arg::U32(b_rows.1 as u32),
                Arg::U32(n as u32),
                Arg::U32(0),
                along_k(is_a_turned, a_rows.1),
                along_k(!is_b_turned, b_rows.1),
                Arg::U64((m * n) as u64),
            ];
            let tiles = m.div_ceil(64) * n.div_ceil(64);
            device.launch(&name, [tiles as u32, 1, count as u32], &args);
            let args = [
                Arg::U64(parts.at()),
                Arg::U64(on_bias.at()),
                Arg::U64(on_c.at()),
                Arg::U32(count as u32),
                Arg::U32(m as u32),
                Arg::U32(n as u32),
                Arg::U32(c_rows.stride as u32),
                Arg::U32(BIAS | ADD),
            ];
            let name = "matmul_reduce_f32";
            device.launch(name, [n.div_ceil(256) as u32, m as u32, 1], &args);
            for (index, got) in device.download(&on_c).into_iter().enumerate() {
                let (row, col) = (index / n, index % n);
                let sum: f64 = (0..k)
                    .map(|j| {
                        let at_a = if is_a_turned { j * m + row } else { row * k + j };
                        let at_b = if is_b_turned { col * k + j } else { j * n + col };
                        f64::from(a[at_a]) * f64::from(b[at_b])
                    })
                    .sum::<f64>()
                    + f64::from(bias[col])
                    + f64::from(old[index]);
                let error = (f64::from(got) - sum).abs();
                assert!(
                    error <= k as f64 * 2f64.powi(-22),
                    "{name} [{row},{col}]: {got}, not {sum}"
                );
            }
        }
    }
    coverage::passed(OP, TESTS);
}
