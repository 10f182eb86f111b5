//! What tests ask of a launch: the same bits in every order, values near a reference, few sectors.

use crate::device::{Arg, Device, Dtype, ORDERS, Placed, Rows};
use std::fmt::Debug;
use vincie_ptx::Counters;
use vincie_ptx::catalogue::Entry;

/// Bytes of a sector of device memory.
const SECTOR: u64 = 32;

/// Runs in all orders; the answers must be equal, counters included.
pub(crate) fn in_all_orders<T: PartialEq + Debug>(
    what: impl Debug,
    run: impl Fn(&mut Device) -> T,
) -> T {
    let [first, second] = ORDERS.map(|order| run(&mut Device::new(order)));
    assert!(first == second, "{what:?} depends on the order of turns");
    first
}

/// The element type that a variant's `dtype` names.
pub(crate) fn dtype(entry: &Entry) -> Dtype {
    named(entry, "dtype")
}

/// The element type that a name of the variant stands for.
pub(crate) fn named(entry: &Entry, name: &str) -> Dtype {
    match value(entry, name) {
        "f32" => Dtype::F32,
        "bf16" => Dtype::Bf16,
        other => panic!("{}: {name} is {other}", entry.name),
    }
}

/// The word that a name of the variant stands for.
pub(crate) fn value<'e>(entry: &'e Entry, name: &str) -> &'e str {
    let found = entry.variant.get(name);
    found.unwrap_or_else(|| panic!("{} has no {name}", entry.name))
}

/// Whether threads take 16 bytes an access.
pub(crate) fn is_wide(entry: &Entry) -> bool {
    value(entry, "access") == "wide"
}

/// Elements of 16 bytes where accesses are wide, else 1.
pub(crate) fn width(entry: &Entry) -> usize {
    if is_wide(entry) { 16 / dtype(entry).bytes() } else { 1 }
}

/// A launch in the making: arguments in order, and the results to read back.
pub(crate) struct Call<'d> {
    device: &'d mut Device,
    name: &'d str,
    args: Vec<Arg>,
    results: Vec<Placed>,
}

impl<'d> Call<'d> {
    pub(crate) fn new(device: &'d mut Device, name: &'d str) -> Self {
        Self { device, name, args: Vec::new(), results: Vec::new() }
    }

    pub(crate) fn arg(mut self, arg: Arg) -> Self {
        self.args.push(arg);
        self
    }

    pub(crate) fn size(self, size: usize) -> Self {
        self.arg(Arg::U32(size as u32))
    }

    pub(crate) fn float(self, value: f64) -> Self {
        self.arg(Arg::F32(value as f32))
    }

    pub(crate) fn null(self) -> Self {
        self.arg(Arg::U64(0))
    }

    /// The next argument is a tensor that begins `offset` elements into its memory.
    pub(crate) fn input(self, dtype: Dtype, offset: usize, x: &[f32]) -> Self {
        let rows = Rows { offset, ..Rows::dense(1, x.len()) };
        let at = self.device.upload(dtype, rows, x).at();
        self.arg(Arg::U64(at))
    }

    /// A tensor, or a null pointer.
    pub(crate) fn optional(self, dtype: Dtype, offset: usize, x: Option<&[f32]>) -> Self {
        match x {
            Some(x) => self.input(dtype, offset, x),
            None => self.null(),
        }
    }

    /// The next argument is a tensor that the kernel writes in full.
    pub(crate) fn output(mut self, dtype: Dtype, offset: usize, count: usize) -> Self {
        let rows = Rows { offset, ..Rows::dense(1, count) };
        let placed = self.device.result(dtype, rows);
        self.results.push(placed);
        self.arg(Arg::U64(placed.at()))
    }

    /// A result, or a null pointer.
    pub(crate) fn output_if(self, is_there: bool, count: usize) -> Self {
        if is_there { self.output(Dtype::F32, 0, count) } else { self.null() }
    }

    pub(crate) fn indices(self, indices: &[usize]) -> Self {
        let table: Vec<u32> = indices.iter().map(|index| *index as u32).collect();
        let at = self.device.table(&table);
        self.arg(Arg::U64(at))
    }

    /// Runs it; the counters, and the results in order.
    pub(crate) fn run(self, grid: [usize; 3]) -> (Counters, Vec<Vec<f32>>) {
        let counters = self.device.launch(self.name, grid.map(|n| n as u32), &self.args);
        let results = self.results.iter().map(|placed| self.device.download(placed)).collect();
        (counters, results)
    }
}

/// A sum of terms in f64, and the error that it has in f32 in any order.
pub(crate) fn sum(terms: impl Iterator<Item = f64>) -> (f64, f64) {
    let (sum, size, count) =
        terms.fold((0.0, 0.0, 0u32), |(s, a, n), x: f64| (s + x, a + x.abs(), n + 1));
    (sum, size * f64::from(count.min(64) + 4) * 2f64.powi(-24))
}

/// Compares a result, rounded to a dtype, with values and the errors that they may have before that.
#[track_caller]
pub(crate) fn near(what: impl Debug, dtype: Dtype, got: &[f32], want: &[(f64, f64)]) {
    assert_eq!(got.len(), want.len(), "{what:?}");
    for (at, (got, (want, error))) in got.iter().zip(want).enumerate() {
        let limit = error + dtype.epsilon() * (want.abs() + error) + f64::from(f32::MIN_POSITIVE);
        let is_near = (f64::from(*got) - want).abs() <= limit;
        assert!(is_near, "{what:?} [{at}] is {got}, not {want} up to {limit:e}");
    }
}

/// Sectors may be at most `percent` more than dense accesses of as many bytes would touch, and than
/// `bytes` fill, which is what the op reads and writes at least; shared memory has no conflicts.
#[track_caller]
pub(crate) fn dense(what: impl Debug, counters: &Counters, bytes: usize, percent: u64) {
    let (got, ideal) = (counters.global_sectors, counters.global_sectors_ideal);
    assert!(100 * got <= (100 + percent) * ideal, "{what:?}: {got} sectors; dense {ideal}");
    let floor = (bytes as u64).div_ceil(SECTOR);
    assert!(100 * got <= (100 + percent) * floor, "{what:?}: {got} sectors; the floor is {floor}");
    assert_eq!(counters.shared_wavefronts, counters.shared_wavefronts_ideal, "{what:?}: conflicts");
}
