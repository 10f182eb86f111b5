//! A launch by the names of a kernel's contract, for kernels that no op reaches.

use super::Wrong;
use half::bf16;
use std::collections::BTreeMap;
use vincie_gpu::{Buffer, Device, Kernel, Launch, Stream};
use vincie_ptx::catalogue::Entry;
use vincie_tensor::random::{Key, Stream as Draws};

/// A tensor on the device.
#[derive(Clone)]
pub(super) enum Held {
    F32(Buffer<f32>),
    Bf16(Buffer<bf16>),
    U8(Buffer<u8>),
    U32(Buffer<u32>),
    I32(Buffer<i32>),
}

enum Value {
    Tensor(Held),
    Whole(u64),
}

/// A launch in the making: what is not given is null or zero.
pub(super) struct Call {
    stream: Stream,
    kernel: Kernel,
    name: String,
    values: BTreeMap<String, Value>,
}

/// Numbers of the normal distribution as they are after rounding to an element type.
pub(super) fn noise(count: usize, number: u64, is_bf16: bool) -> Result<Vec<f32>, Wrong> {
    let values = Key::new(5, Draws::Test, number).normal_tensor([count])?.to_vec::<f32>()?;
    let round = |x: f32| if is_bf16 { bf16::from_f32(x).to_f32() } else { x };
    Ok(values.into_iter().map(round).collect())
}

/// What a name of the kernel's variant stands for; nothing where it has no such name.
pub(super) fn word<'e>(entry: &'e Entry, name: &str) -> &'e str {
    entry.variant.get(name).map_or("", String::as_str)
}

/// Whether the kernel's tensors are bf16.
pub(super) fn is_bf16(entry: &Entry) -> bool {
    word(entry, "dtype") == "bf16"
}

/// Whether its threads take 16 bytes at a time.
pub(super) fn is_wide(entry: &Entry) -> bool {
    word(entry, "access") == "wide"
}

/// Elements of one access of its threads.
pub(super) fn width(entry: &Entry) -> usize {
    match (is_wide(entry), is_bf16(entry)) {
        (false, _) => 1,
        (true, true) => 8,
        (true, false) => 4,
    }
}

impl Call {
    pub(super) fn new(device: &Device, entry: &Entry) -> Result<Self, Wrong> {
        let kernel = device.load(entry.text(), &entry.file)?.kernel(&entry.name)?;
        let stream = device.stream()?;
        Ok(Self { stream, kernel, name: entry.name.clone(), values: BTreeMap::new() })
    }

    /// Uploads a tensor; `offset` elements stand before it, so that 1 leaves it unaligned.
    pub(super) fn upload(
        &self,
        is_bf16: bool,
        offset: usize,
        values: &[f32],
    ) -> Result<Held, Wrong> {
        let all: Vec<f32> =
            std::iter::repeat_n(0.0, offset).chain(values.iter().copied()).collect();
        let range = offset..all.len();
        Ok(match is_bf16 {
            false => Held::F32(self.stream.upload(&all, "input")?.view(range)?),
            true => {
                let all: Vec<bf16> = all.into_iter().map(bf16::from_f32).collect();
                Held::Bf16(self.stream.upload(&all, "input")?.view(range)?)
            }
        })
    }

    /// Uploads whole numbers as elements of this type: `u8`, `b8`, `b32`, `s32`, `bf16`, else f32.
    pub(super) fn upload_whole(&self, element: &str, values: &[usize]) -> Result<Held, Wrong> {
        let tag = "input";
        let f32s = || values.iter().map(|&x| x as f32);
        let u32s = || values.iter().map(|&x| x as u32);
        Ok(match element {
            "u8" | "b8" => {
                Held::U8(self.stream.upload(&u32s().map(|x| x as u8).collect::<Vec<_>>(), tag)?)
            }
            "b32" => Held::U32(self.stream.upload(&u32s().collect::<Vec<_>>(), tag)?),
            "s32" => {
                Held::I32(self.stream.upload(&u32s().map(|x| x as i32).collect::<Vec<_>>(), tag)?)
            }
            "bf16" | "b16" => {
                let values: Vec<bf16> = f32s().map(bf16::from_f32).collect();
                Held::Bf16(self.stream.upload(&values, tag)?)
            }
            _ => Held::F32(self.stream.upload(&f32s().collect::<Vec<_>>(), tag)?),
        })
    }

    /// A result; it holds NaN until the kernel writes it.
    pub(super) fn blank(&self, is_bf16: bool, offset: usize, count: usize) -> Result<Held, Wrong> {
        self.upload(is_bf16, offset, &vec![f32::NAN; count])
    }

    pub(super) fn tensor(mut self, name: &str, tensor: &Held) -> Self {
        self.values.insert(name.to_owned(), Value::Tensor(tensor.clone()));
        self
    }

    pub(super) fn size(mut self, name: &str, value: usize) -> Self {
        self.values.insert(name.to_owned(), Value::Whole(value as u64));
        self
    }

    /// Whether the kernel takes elements of bf16 under that name.
    pub(super) fn takes_bf16(&self, name: &str) -> bool {
        let params = self.kernel.contract().map(|contract| contract.params.iter());
        params.is_some_and(|mut params| params.any(|p| p.name == name && p.element == "bf16"))
    }

    /// Launches the kernel and waits for it.
    pub(super) fn run(self) -> Result<(), Wrong> {
        let contract = self.kernel.contract();
        let contract =
            contract.ok_or_else(|| Wrong::Other(format!("{}: no contract", self.name)))?;
        let mut launch = self.kernel.launch();
        for parameter in &contract.params {
            let value = self.values.get(parameter.name.as_str());
            launch = match (value, parameter.is_pointer, &parameter.element[..]) {
                (Some(Value::Tensor(held)), true, _) => match held {
                    Held::F32(buffer) => launch.buffer(buffer),
                    Held::Bf16(buffer) => launch.buffer(buffer),
                    Held::U8(buffer) => launch.buffer(buffer),
                    Held::U32(buffer) => launch.buffer(buffer),
                    Held::I32(buffer) => launch.buffer(buffer),
                },
                (_, true, _) => launch.null(),
                (value, false, element) => scalar(launch, value, element),
            };
        }
        for (name, value) in &self.values {
            if let (Value::Whole(value), false) =
                (value, contract.params.iter().any(|parameter| parameter.name == *name))
            {
                launch = launch.dim(name, *value as usize);
            }
        }
        launch.submit(&self.stream)?;
        Ok(self.stream.synchronize()?)
    }
}

fn scalar<'k>(launch: Launch<'k>, value: Option<&Value>, element: &str) -> Launch<'k> {
    let whole = match value {
        Some(Value::Whole(value)) => *value,
        _ => 0,
    };
    match element {
        "f32" => launch.scalar(whole as f32),
        "u64" => launch.scalar(whole),
        _ => launch.scalar(whole as u32),
    }
}

impl Held {
    /// The elements, widened.
    pub(super) fn read(&self, device: &Device) -> Result<Vec<f64>, Wrong> {
        let stream = device.stream()?;
        Ok(match self {
            Self::F32(buffer) => stream.download(buffer)?.into_iter().map(f64::from).collect(),
            Self::Bf16(buffer) => stream.download(buffer)?.into_iter().map(f64::from).collect(),
            Self::U8(buffer) => stream.download(buffer)?.into_iter().map(f64::from).collect(),
            Self::U32(buffer) => stream.download(buffer)?.into_iter().map(f64::from).collect(),
            Self::I32(buffer) => stream.download(buffer)?.into_iter().map(f64::from).collect(),
        })
    }
}
