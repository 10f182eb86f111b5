//! Kernels over rows of features: gates, tables, sums, the loss.

use crate::device::{Arg, Dtype, noise};
use crate::expect::{Call, dense, dtype, in_all_orders, is_wide, near, sum, value, width};
use vincie_ptx::catalogue::Entry;

/// Groups of rows that share a vector, in no order.
pub(crate) fn groups(rows: usize, number: usize) -> Vec<usize> {
    (0..rows).map(|row| (7 * row + row / 5) % number).collect()
}

/// Rows and columns, the last of which are measured.
pub(crate) fn shapes(entry: &Entry) -> [(usize, usize); 3] {
    let width = width(entry);
    if is_wide(entry) {
        [(1, width), (9, 33 * width), (16, 256 * width)]
    } else {
        [(1, 1), (9, 33), (5, 2048)]
    }
}

pub(crate) fn at(x: &[f32], index: usize) -> f64 {
    f64::from(x[index])
}

pub(crate) fn gate_residual(entry: &Entry) {
    match entry.name.trim_start_matches("gate_residual_") {
        "finish" => finish(entry),
        name if name.starts_with("sums_") => gate_sums(entry),
        name if name.starts_with("forward_") => gate(entry, true),
        name if name.starts_with("backward_") => gate(entry, false),
        other => panic!("no check of {other}"),
    }
}

fn gate(entry: &Entry, is_forward: bool) {
    let (dtype, offset, number) = (dtype(entry), usize::from(!is_wide(entry)), 3);
    for (rows, cols) in shapes(entry) {
        let [x, residual] = [1, 2].map(|seed| noise(rows * cols, seed, dtype));
        let (gates, parameter) = (noise(number * cols, 3, dtype), noise(cols, 4, dtype));
        let groups = groups(rows, number);
        let (counters, y) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = call.input(dtype, offset, &gates).input(dtype, offset, &parameter);
            let call = if is_forward { call.input(dtype, offset, &residual) } else { call };
            let call = call.indices(&groups).output(dtype, offset, rows * cols);
            call.size(rows).size(cols).run(gate_grid(rows, cols / width(entry)))
        });
        let want = (0..rows * cols).map(|i| {
            let (row, col) = (i / cols, i % cols);
            let gate = at(&gates, groups[row] * cols + col) + at(&parameter, col);
            let y = at(&x, i) * gate + if is_forward { at(&residual, i) } else { 0.0 };
            (y, 4e-7)
        });
        near((&entry.name, rows, cols), dtype, &y[0], &want.collect::<Vec<_>>());
        if (rows, cols) == shapes(entry)[2] {
            // The gates and their parameter are read again for every row; they stay in the cache.
            let tensors = if is_forward { 5 } else { 4 };
            let bytes = rows * cols * tensors * dtype.bytes();
            dense(&entry.name, &counters, bytes, if is_wide(entry) { 5 } else { 70 });
        }
    }
}

fn gate_grid(rows: usize, units: usize) -> [usize; 3] {
    [(rows * units).div_ceil(256), 1, 1]
}

fn gate_sums(entry: &Entry) {
    let dtype = dtype(entry);
    for (rows, cols, split, offset) in SUMS {
        let number = 3;
        let [x, dy] = [1, 2].map(|seed| noise(rows * cols, seed, dtype));
        let (groups, splits) = (groups(rows, number), rows.div_ceil(split));
        let (counters, sums) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = call.input(dtype, offset, &dy).indices(&groups);
            let call = call.output(Dtype::F32, 0, splits * number * cols);
            call.size(rows).size(cols).size(split).run([cols.div_ceil(256), number, splits])
        });
        let want = by_split(split, rows, cols, &groups, number, |i| at(&x, i) * at(&dy, i));
        near((&entry.name, rows, cols), Dtype::F32, &sums[0], &want);
        measure_sums(entry, &counters, (rows, cols, offset), 2 * dtype.bytes());
    }
}

/// Rows, columns, rows of a split, and elements in front of the inputs, for sums over rows by groups;
/// the last shape is measured.
pub(crate) const SUMS: [(usize, usize, usize, usize); 4] =
    [(1, 1, 1, 0), (70, 35, 33, 1), (150, 264, 64, 0), (256, 256, 128, 0)];

/// The counters of the last of [`SUMS`]: each row of the inputs is read once.
pub(crate) fn measure_sums(
    entry: &Entry,
    counters: &vincie_ptx::Counters,
    (rows, cols, offset): (usize, usize, usize),
    bytes: usize,
) {
    if (rows, cols, offset) == (SUMS[3].0, SUMS[3].1, SUMS[3].3) {
        // Groups, and the sums themselves.
        dense(&entry.name, counters, rows * cols * bytes, 10);
    }
}

/// Sums of `term` over the rows of each split and group.
pub(crate) fn by_split(
    split: usize,
    rows: usize,
    cols: usize,
    groups: &[usize],
    number: usize,
    term: impl Fn(usize) -> f64,
) -> Vec<(f64, f64)> {
    let mut sums = Vec::new();
    for first in (0..rows).step_by(split) {
        for group in 0..number {
            for col in 0..cols {
                let mine = (first..rows.min(first + split)).filter(|row| groups[*row] == group);
                sums.push(sum(mine.map(|row| term(row * cols + col))));
            }
        }
    }
    sums
}

fn finish(entry: &Entry) {
    for (splits, number, cols) in [(0, 1, 5), (1, 1, 1), (5, 3, 300), (9, 17, 64)] {
        let products = noise(splits * number * cols, 1, Dtype::F32);
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(Dtype::F32, 0, &products);
            let call = call.output(Dtype::F32, 0, number * cols).output(Dtype::F32, 0, cols);
            call.size(splits).size(number).size(cols).run([cols.div_ceil(FINISH), 1, 1])
        });
        let product = |s: usize, g: usize, c: usize| at(&products, (s * number + g) * cols + c);
        let gates =
            (0..number * cols).map(|i| sum((0..splits).map(|s| product(s, i / cols, i % cols))));
        near(&entry.name, Dtype::F32, &results[0], &gates.collect::<Vec<_>>());
        let all =
            |c: usize| sum((0..splits * number).map(move |i| product(i / number, i % number, c)));
        near(&entry.name, Dtype::F32, &results[1], &(0..cols).map(all).collect::<Vec<_>>());
        if number == 17 {
            let bytes = 4 * cols * ((splits + 1) * number + 1);
            dense(&entry.name, &counters, bytes, 5);
        }
    }
}

/// Columns of a CTA that finishes sums.
pub(crate) const FINISH: usize = 32;

pub(crate) fn gather(entry: &Entry) {
    let dtype = dtype(entry);
    if !entry.name.contains("_forward_") {
        return gather_backward(entry);
    }
    let (offset, table_rows) = (usize::from(!is_wide(entry)), 5);
    for (n, cols) in shapes(entry) {
        let table = noise(table_rows * cols, 1, dtype);
        let rows = groups(n, table_rows);
        let (counters, y) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &table).indices(&rows);
            let call = call.output(dtype, offset, n * cols).size(n).size(cols);
            call.run([(cols / width(entry)).div_ceil(256), n, 1])
        });
        let want: Vec<f32> =
            (0..n * cols).map(|i| table[rows[i / cols] * cols + i % cols]).collect();
        assert_eq!(y[0], want, "{}", entry.name);
        if (n, cols) == shapes(entry)[2] {
            let bytes = 2 * n * cols * dtype.bytes();
            dense(&entry.name, &counters, bytes, if is_wide(entry) { 10 } else { 80 });
        }
    }
}

fn gather_backward(entry: &Entry) {
    let dtype = dtype(entry);
    for (n, cols, table_rows) in [(0, 3, 2), (1, 1, 1), (70, 300, 4), (64, 256, 3)] {
        let (dy, rows) = (noise(n * cols, 1, dtype), groups(n, table_rows));
        let (counters, sums) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).indices(&rows).input(dtype, 0, &dy);
            let call = call.output(Dtype::F32, 0, table_rows * cols).size(n).size(cols);
            call.run([cols.div_ceil(256), table_rows, 1])
        });
        let want = match n {
            0 => vec![(0.0, 0.0); table_rows * cols],
            _ => by_split(n, n, cols, &rows, table_rows, |i| at(&dy, i)),
        };

        near((&entry.name, n, cols), Dtype::F32, &sums[0], &want);
        if n == 64 {
            // Each of 8 warps reads the indices, for every row of the table.
            let bytes = n * cols * dtype.bytes() + table_rows * (cols * 4 + 8 * n * 4);
            dense(&entry.name, &counters, bytes, 5);
        }
    }
}

pub(crate) fn reduce(entry: &Entry) {
    match entry.name.starts_with("reduce_rows_") {
        true => reduce_rows(entry),
        false => reduce_columns(entry),
    }
}

fn reduce_rows(entry: &Entry) {
    let (dtype, function) = (dtype(entry), value(entry, "function"));
    for (rows, size, total, offset) in [
        (1, 1, 1, 0),
        (9, 33, 9 * 33, 1),
        (3, 1000, 2 * 1000 + 17, 0),
        (1, 0, 0, 0),
        (8, 2048, 8 * 2048, 0),
    ] {
        let x = noise(total, 1, dtype);
        let (counters, y) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = call.output(Dtype::F32, 0, rows).size(rows).size(size);
            call.arg(Arg::U64(total as u64)).float(0.5).run([rows.div_ceil(8), 1, 1])
        });
        let want = (0..rows).map(|row| {
            let x = &x[row * size..total.min((row + 1) * size)];
            sum(x.iter().map(|x| match function {
                "sum" => 0.5 * f64::from(*x),
                "square" => 0.5 * f64::from(*x) * f64::from(*x),
                other => panic!("no reference of {other}"),
            }))
        });
        near((&entry.name, rows, size), Dtype::F32, &y[0], &want.collect::<Vec<_>>());
        if size == 2048 {
            dense(&entry.name, &counters, total * dtype.bytes() + rows * 4, 5);
        }
    }
}

fn reduce_columns(entry: &Entry) {
    let dtype = dtype(entry);
    for (outer, size, inner, rows, offset) in [
        (1, 1, 1, 4, 0),
        (2, 0, 3, 4, 0),
        (3, 70, 35, 33, 1),
        (2, 150, 264, 64, 0),
        (2, 128, 256, 128, 0),
    ] {
        let x = noise(outer * size * inner, 1, dtype);
        let splits = size.div_ceil(rows).max(1);
        let (counters, y) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = call.output(Dtype::F32, 0, splits * outer * inner).size(outer).size(size);
            let call = call.size(inner).size(rows).float(0.25);
            call.run([inner.div_ceil(256), outer, splits])
        });
        let want = (0..splits * outer * inner).map(|i| {
            let (split, o, col) = (i / inner / outer, i / inner % outer, i % inner);
            let mine = split * rows..size.min((split + 1) * rows);
            sum(mine.map(|row| 0.25 * at(&x, (o * size + row) * inner + col)))
        });
        near((&entry.name, outer, size, inner), Dtype::F32, &y[0], &want.collect::<Vec<_>>());
        if rows == 128 {
            let bytes = outer * inner * (size * dtype.bytes() + 4);
            dense(&entry.name, &counters, bytes, 5);
        }
    }
}

pub(crate) fn mse(entry: &Entry) {
    match entry.name.trim_start_matches("mse_") {
        "loss" => return mse_loss(entry),
        name if name.starts_with("forward_") || name.starts_with("backward_") => {}
        other => panic!("no check of {other}"),
    }
    let (dtype, is_forward) = (dtype(entry), entry.name.contains("_forward_"));
    for (rows, cols, offset) in [(1, 1, 0), (9, 33, 1), (3, 300, 0), (16, 512, 0)] {
        let [p, t] = [1, 2].map(|seed| noise(rows * cols, seed, dtype));
        let weights = noise(rows, 3, Dtype::F32);
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name);
            let call = call.input(dtype, offset, &p).input(dtype, offset, &t);
            if is_forward {
                let call = call.output(Dtype::F32, 0, rows).size(rows).size(cols);
                return call.float(1.0 / cols as f64).run([rows.div_ceil(8), 1, 1]);
            }
            let call = call.input(Dtype::F32, 0, &weights).input(Dtype::F32, 0, &[0.5]);
            let call = call.output(dtype, offset, rows * cols).size(rows).size(cols);
            let elements = 256 * 16 / dtype.bytes();
            call.float(2.0 / cols as f64).run([(rows * cols).div_ceil(elements), 1, 1])
        });
        let difference = |i: usize| at(&p, i) - at(&t, i);
        let (to, want): (Dtype, Vec<(f64, f64)>) = if is_forward {
            let error = |row: usize| {
                sum((row * cols..(row + 1) * cols).map(|i| difference(i).powi(2) / cols as f64))
            };
            (Dtype::F32, (0..rows).map(error).collect())
        } else {
            let factor = |row: usize| at(&weights, row) / cols as f64;
            let slope = |i: usize| (factor(i / cols) * difference(i), 1e-6 / cols as f64);
            (dtype, (0..rows * cols).map(slope).collect())
        };
        near((&entry.name, rows, cols), to, &results[0], &want);
        if rows == 16 {
            let tensors = if is_forward { 2 } else { 3 };
            dense(&entry.name, &counters, rows * cols * tensors * dtype.bytes(), 15);
        }
    }
}

fn mse_loss(entry: &Entry) {
    for rows in [0, 1, 33, 3000] {
        let [errors, weights] = [1, 2].map(|seed| noise(rows, seed, Dtype::F32));
        let (_, loss) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(Dtype::F32, 0, &errors);
            let call = call.input(Dtype::F32, 0, &weights).output(Dtype::F32, 0, 1);
            call.size(rows).run([1, 1, 1])
        });
        let want = sum((0..rows).map(|row| at(&errors, row) * at(&weights, row)));
        near((&entry.name, rows), Dtype::F32, &loss[0], &[want]);
    }
}
