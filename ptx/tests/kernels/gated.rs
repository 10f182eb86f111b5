//! Products that leave as a gated residual or as a gate's other factor.

use crate::coverage;
use crate::device::{Arg, Device, Dtype, ORDERS, Placed, Rows, noise};
use crate::matmul::{OP, TESTS};
use vincie_ptx::Counters;

const TILES: [&str; 4] = ["any", "64x64", "128x128", "128x256"];

/// One call.
#[derive(Clone, Copy, Debug)]
struct Problem {
    tile: &'static str,
    m: usize,
    n: usize,
    k: usize,
    has_bias: bool,
    keeps: bool,
    /// Rows follow each other and tensors begin at whole addresses.
    is_dense: bool,
}

/// What came out: `y`, and the product where it is kept.
type Results = (Vec<f32>, Option<Vec<f32>>);

impl Problem {
    /// Dense problems have one group, as rows of a picture have; in others it changes, for some rows
    /// with every one.
    fn groups(&self) -> Vec<u32> {
        let group = |row| match (self.is_dense, row) {
            (true, _) => 1,
            (false, 0..24) => row % 3,
            (false, _) => row / 24 % 3,
        };
        (0..self.m as u32).map(group).collect()
    }

    fn offset(&self) -> usize {
        match (self.is_dense, self.tile) {
            (true, _) => 0,
            (false, "any") => 1,
            (false, _) => 8,
        }
    }

    /// Operands may have gaps between rows; what belongs to the result's elements has none.
    fn operand(&self, device: &mut Device, rows: usize, values: &[f32]) -> Placed {
        let gap = match (self.is_dense, self.tile) {
            (true, _) => 0,
            (false, "any") => 3,
            (false, _) => self.k.next_multiple_of(8) - self.k + 8,
        };
        let rows = Rows { rows, cols: self.k, stride: self.k + gap, offset: self.offset() };
        device.upload(Dtype::Bf16, rows, values)
    }

    fn dense(&self, rows: usize) -> Rows {
        Rows { offset: self.offset(), ..Rows::dense(rows, self.n) }
    }

    fn launch(&self, device: &mut Device, end: &str, own: [&[Arg]; 2]) -> Counters {
        let &Self { tile, m, n, k, .. } = self;
        let a = self.operand(device, m, &noise(m * k, 1, Dtype::Bf16));
        let b = self.operand(device, n, &noise(n * k, 2, Dtype::Bf16));
        let size = |size: usize| Arg::U32(size as u32);
        let mut args = vec![Arg::U64(a.at()), Arg::U64(b.at())];
        args.extend(own.into_iter().flatten());
        args.extend([size(m), size(n), size(k), size(a.rows.stride), size(b.rows.stride)]);
        let (rows, cols) = match tile.split_once('x') {
            Some((rows, cols)) => (rows.parse().expect("a number"), cols.parse().expect("one")),
            None => (64, 64),
        };
        let tiles = m.div_ceil(rows) * n.div_ceil(cols);
        device.launch(&format!("matmul_{end}_bf16_{tile}"), [tiles as u32, 1, 1], &args)
    }

    /// The product in f64 and the sum of magnitudes, of every element.
    fn products(&self, bias: &[f32]) -> Vec<(f64, f64)> {
        let &Self { m, n, k, .. } = self;
        let (a, b) = (noise(m * k, 1, Dtype::Bf16), noise(n * k, 2, Dtype::Bf16));
        let of = |index: usize| {
            let (row, col) = (index / n, index % n);
            let start = bias.get(col).map_or(0.0, |x| f64::from(*x));
            (0..k).fold((start, start.abs()), |(sum, magnitude), j| {
                let product = f64::from(a[row * k + j]) * f64::from(b[col * k + j]);
                (sum + product, magnitude + product.abs())
            })
        };
        (0..m * n).map(of).collect()
    }

    /// Most that a rounded product may be away: a rounding a term of the running sum, twice as tensor
    /// cores cut off bits, and that to bf16.
    fn limit(&self, (sum, magnitude): (f64, f64)) -> f64 {
        (self.k as f64 + 2.0) * magnitude * 2f64.powi(-23) + sum.abs() * Dtype::Bf16.epsilon()
    }

    fn gate_residual(&self, mut device: Device) -> (Counters, Results) {
        let &Self { m, n, .. } = self;
        let (gate, parameter) = (noise(3 * n, 3, Dtype::F32), noise(n, 4, Dtype::F32));
        let (residual, bias) = (noise(m * n, 5, Dtype::F32), noise(n, 6, Dtype::F32));
        let bias = if self.has_bias { &bias[..] } else { &[] };
        let mut upload = |rows, values: &[f32]| device.upload(Dtype::F32, self.dense(rows), values);
        let on_bias = self.has_bias.then(|| upload(1, bias)).map_or(0, |bias| bias.at());
        let (on_gate, on_parameter) = (upload(3, &gate), upload(1, &parameter));
        let on_residual = upload(m, &residual);
        let groups = self.groups();
        let on_groups = device.table(&groups);
        let product = self.keeps.then(|| device.result(Dtype::Bf16, self.dense(m)));
        let y = device.result(Dtype::F32, self.dense(m));
        let vectors = [on_bias, on_gate.at(), on_parameter.at(), on_residual.at(), on_groups];
        let results = [product.map_or(0, |product| product.at()), y.at()];
        let own = [&vectors.map(Arg::U64)[..], &results.map(Arg::U64)];
        let counters = self.launch(&mut device, "gate_residual", own);
        let (y, product) = (device.download(&y), product.map(|product| device.download(&product)));
        for (index, exact) in self.products(bias).into_iter().enumerate() {
            let (row, col) = (index / n, index % n);
            let factor = gate[groups[row] as usize * n + col] + parameter[col];
            let want = f64::from(residual[index]) + exact.0 * f64::from(factor);
            let limit = self.limit(exact) * f64::from(factor).abs() + want.abs() * 1e-6;
            let error = (f64::from(y[index]) - want).abs();
            assert!(error <= limit, "{self:?} [{row},{col}]: {}, not {want}", y[index]);
            if let Some(product) = &product {
                // What is kept is what was used.
                assert_eq!(y[index], product[index].mul_add(factor, residual[index]), "{self:?}");
            }
        }
        (counters, (y, product))
    }

    fn swiglu(&self, mut device: Device) -> (Counters, Results) {
        let &Self { m, n, .. } = self;
        let gate = noise(m * n, 3, Dtype::Bf16);
        let on_gate = device.upload(Dtype::Bf16, self.dense(m), &gate);
        let product = self.keeps.then(|| device.result(Dtype::Bf16, self.dense(m)));
        let y = device.result(Dtype::Bf16, self.dense(m));
        let results = [product.map_or(0, |product| product.at()), y.at()].map(Arg::U64);
        let own = [&[Arg::U64(on_gate.at())][..], &results];
        let counters = self.launch(&mut device, "swiglu", own);
        let (y, product) = (device.download(&y), product.map(|product| device.download(&product)));
        for (index, exact) in self.products(&[]).into_iter().enumerate() {
            let gate = f64::from(gate[index]);
            let factor = gate / (1.0 + (-gate).exp());
            let want = exact.0 * factor;
            let limit =
                self.limit(exact) * factor.abs() + want.abs() * Dtype::Bf16.epsilon() * 1.01;
            let error = (f64::from(y[index]) - want).abs();
            assert!(error <= limit, "{self:?} {index}: {}, not {want}", y[index]);
            if let Some(product) = &product {
                let error = (f64::from(product[index]) - exact.0).abs();
                assert!(error <= self.limit(exact), "{self:?} {index}: {}", product[index]);
            }
        }
        (counters, (y, product))
    }
}

/// Both ends of every tile at sizes within, at and beyond it, in both orders, which change no bit.
fn check(end: fn(&Problem, Device) -> (Counters, Results)) {
    for tile in TILES {
        let shapes: &[[usize; 3]] = match tile {
            "any" => &[[1, 1, 1], [3, 65, 17], [70, 130, 95]],
            "64x64" => &[[1, 8, 8], [65, 8, 63], [40, 72, 200], [70, 136, 64]],
            "128x128" => &[[1, 8, 5], [135, 136, 160]],
            _ => &[[7, 16, 2], [131, 264, 72]],
        };
        for (i, &[m, n, k]) in shapes.iter().enumerate() {
            let (has_bias, keeps, is_dense) = (i % 2 == 1, i % 2 == 0, false);
            let problem = Problem { tile, m, n, k, has_bias, keeps, is_dense };
            let [one, other] = ORDERS.map(|order| end(&problem, Device::new(order)));
            assert!(one == other, "{problem:?}");
            // Keeping the product changes no bit of the result.
            let turned = Problem { keeps: !keeps, ..problem };
            let (_, (y, _)) = end(&turned, Device::new(ORDERS[0]));
            assert!(one.1.0 == y, "{problem:?}");
        }
    }
    coverage::passed(OP, TESTS);
}

#[test]
fn products_leave_as_gated_residuals() {
    check(Problem::gate_residual);
}

#[test]
fn products_leave_as_the_other_factor_of_a_gate() {
    check(Problem::swiglu);
}

#[test]
fn what_leaves_with_a_product_is_read_and_written_once() {
    let (m, n, k) = (128, 256, 64);
    for tile in &TILES[1..] {
        for keeps in [false, true] {
            let problem = Problem { tile, m, n, k, has_bias: true, keeps, is_dense: true };
            let (tile_m, tile_n) = tile.split_once('x').expect("a tile");
            let [tile_m, tile_n] = [tile_m, tile_n].map(|x| x.parse::<usize>().expect("a number"));
            let operands = 2 * m * n * k / tile_n + 2 * m * n * k / tile_m;
            let kept = if keeps { 2 * m * n } else { 0 };
            // Each warp reads bias, parameter and gate of its columns, and a sector of groups for the rows
            // that it stores at once.
            let (rows, cols) = (tile_m / 2, if tile_n == 256 { 64 } else { tile_n / 2 });
            let vectors = m * n / (rows * cols) * (3 * 4 * cols + 32 * rows * cols / 128);
            // Residual and result in f32; gate and result in bf16.
            let residual = (
                problem.gate_residual(Device::new(ORDERS[0])).0,
                operands + kept + vectors + 8 * m * n,
            );
            let swiglu = (problem.swiglu(Device::new(ORDERS[0])).0, operands + kept + 4 * m * n);
            for (end, (counters, bytes)) in [("gate_residual", residual), ("swiglu", swiglu)] {
                let name = format!("{end} {problem:?}");
                assert_eq!(counters.shared_wavefronts, counters.shared_wavefronts_ideal, "{name}");
                let (touched, ideal) = (counters.global_sectors, bytes as u64 / 32);
                assert!(20 * touched <= 21 * ideal, "{name}: {touched}, {ideal}");
            }
        }
    }
    coverage::passed(OP, TESTS);
}
