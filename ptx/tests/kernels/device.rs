//! A device for tests: tensors with gaps and offsets, launches by name, every finding a failure.

use crate::coverage;
use half::bf16;
use vincie_ptx::catalogue;
use vincie_ptx::contract::Contract;
use vincie_ptx::{
    Counters, DevicePtr, Landing, Launch, LaunchConfig, Machine, Module, Options, Schedule,
};

/// What lies where a kernel has no business, in both dtypes.
const GAP: f32 = f32::NAN;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    Bf16,
}

impl Dtype {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// Largest relative error of rounding to it.
    pub(crate) fn epsilon(self) -> f64 {
        match self {
            Self::F32 => 2f64.powi(-24),
            Self::Bf16 => 2f64.powi(-8),
        }
    }

    pub(crate) fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }

    fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Bf16 => values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        }
    }

    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => {
                let (words, _) = bytes.as_chunks();
                words.iter().map(|word| f32::from_le_bytes(*word)).collect()
            }
            Self::Bf16 => {
                let (words, _) = bytes.as_chunks();
                words.iter().map(|word| bf16::from_le_bytes(*word).to_f32()).collect()
            }
        }
    }
}

/// Rows in device memory, `stride` elements apart; the first begins `offset` elements into the
/// allocation, and the last ends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
    pub(crate) offset: usize,
}

impl Rows {
    pub(crate) fn dense(rows: usize, cols: usize) -> Self {
        Self { rows, cols, stride: cols, offset: 0 }
    }

    fn extent(&self) -> usize {
        if self.rows == 0 {
            self.offset
        } else {
            self.offset + (self.rows - 1) * self.stride + self.cols
        }
    }
}

/// A matrix on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    allocation: DevicePtr,
    dtype: Dtype,
    pub(crate) rows: Rows,
}

impl Placed {
    pub(crate) fn at(&self) -> u64 {
        self.allocation.0 + (self.rows.offset * self.dtype.bytes()) as u64
    }
}

/// One argument of a launch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    U32(u32),
    U64(u64),
    F32(f32),
}

/// The orders of turns and landings that every test is run in.
pub(crate) const ORDERS: [(Schedule, Landing); 2] =
    [(Schedule::InOrder, Landing::Early), (Schedule::Shuffled(5), Landing::Late)];

/// A machine and the order in which it runs.
pub(crate) struct Device {
    machine: Machine,
    options: Options,
}

impl Device {
    pub(crate) fn new((schedule, landing): (Schedule, Landing)) -> Self {
        let options =
            Options { schedule, landing, max_instructions: 20_000_000, ..Options::default() };
        Self { machine: Machine::new(1), options }
    }

    /// Puts a dense matrix into rows with gaps of NaN.
    pub(crate) fn upload(&mut self, dtype: Dtype, rows: Rows, dense: &[f32]) -> Placed {
        assert_eq!(dense.len(), rows.rows * rows.cols);
        let mut values = vec![GAP; rows.extent()];
        for row in 0..rows.rows {
            let start = rows.offset + row * rows.stride;
            values[start..start + rows.cols]
                .copy_from_slice(&dense[row * rows.cols..][..rows.cols]);
        }
        let bytes = dtype.encode(&values);
        let allocation = self.machine.allocate(0, bytes.len(), "input").expect("memory");
        self.machine.write(allocation, &bytes).expect("in bounds");
        Placed { allocation, dtype, rows }
    }

    /// Memory for a result, which holds nothing yet but a pattern in its gaps.
    pub(crate) fn result(&mut self, dtype: Dtype, rows: Rows) -> Placed {
        let bytes = dtype.encode(&vec![GAP; rows.extent()]);
        let allocation = self.machine.allocate(0, bytes.len(), "result").expect("memory");
        self.machine.write_undefined(allocation, &bytes).expect("in bounds");
        Placed { allocation, dtype, rows }
    }

    /// A table of whole numbers.
    pub(crate) fn table(&mut self, values: &[u32]) -> u64 {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.bytes(&bytes).0
    }

    /// Memory with these bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> DevicePtr {
        let allocation = self.machine.allocate(0, bytes.len(), "table").expect("memory");
        self.machine.write(allocation, bytes).expect("in bounds");
        allocation
    }

    /// Memory for so many bytes, which holds nothing yet.
    pub(crate) fn blank(&mut self, bytes: usize) -> DevicePtr {
        self.machine.allocate(0, bytes, "result").expect("memory")
    }

    /// Bytes as the device has them.
    pub(crate) fn read(&self, at: DevicePtr, bytes: usize) -> Vec<u8> {
        self.machine.read(at, bytes).expect("in bounds")
    }

    /// The matrix as the device has it. Every element must have been written, and no gap.
    pub(crate) fn download(&self, placed: &Placed) -> Vec<f32> {
        let Placed { allocation, dtype, rows } = *placed;
        let size = dtype.bytes();
        let bytes = self.machine.read(allocation, rows.extent() * size).expect("in bounds");
        let mut values = dtype.decode(&bytes);
        let mut dense = Vec::with_capacity(rows.rows * rows.cols);
        for row in 0..rows.rows {
            let start = rows.offset + row * rows.stride;
            let at = DevicePtr(allocation.0 + (start * size) as u64);
            let is_defined = self.machine.is_defined(at, rows.cols * size).expect("in bounds");
            assert!(is_defined, "row {row} of {placed:?} is not written");
            dense.extend_from_slice(&values[start..start + rows.cols]);
            values[start..start + rows.cols].fill(GAP);
        }
        assert!(values.iter().all(|x| x.is_nan()), "a gap of {placed:?} is written");
        dense
    }

    /// Runs a kernel of the catalogue, whose contract gives block and shared memory.
    pub(crate) fn launch(&mut self, name: &str, grid: [u32; 3], args: &[Arg]) -> Counters {
        let entry = catalogue::find(name).unwrap_or_else(|| panic!("no kernel {name}"));
        coverage::launched(entry);
        let module = Module::parse(entry.text(), name).expect("parses");
        let contract = Contract::parse(entry.text(), name).expect("has a contract");
        let kernel = contract.verify(&module).expect("keeps its contract");
        let loaded = self.machine.load(0, &module).expect("loads");
        assert_eq!(args.len(), kernel.params.len(), "{name}");
        let mut bytes = vec![0u8; kernel.argument_bytes()];
        for (arg, param) in args.iter().zip(&kernel.params) {
            let value = match arg {
                Arg::U32(value) => value.to_le_bytes().to_vec(),
                Arg::U64(value) => value.to_le_bytes().to_vec(),
                Arg::F32(value) => value.to_le_bytes().to_vec(),
            };
            assert_eq!(value.len(), param.bytes, "{name}: {arg:?} for {}", param.name);
            bytes[param.offset..param.offset + param.bytes].copy_from_slice(&value);
        }
        let config = LaunchConfig {
            grid,
            block: [contract.block, 1, 1],
            dynamic_shared: contract.shared_bytes - kernel.static_shared,
            ..LaunchConfig::default()
        };
        let launch = Launch { kernel: &kernel, loaded: &loaded, config, args: &bytes };
        let report = self.machine.launch(&launch, &self.options).expect("launches");
        if let Some(finding) = report.findings.first() {
            let line = entry.text().lines().nth(finding.line as usize - 1).unwrap_or_default();
            panic!("{name} {grid:?} {args:?}: {finding}\n{line}");
        }
        report.counters
    }
}

/// Numbers between -1 and 1.
pub(crate) fn noise(count: usize, seed: u64, dtype: Dtype) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| dtype.round(next())).collect()
}
