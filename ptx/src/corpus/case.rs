//! Launch files.

use crate::error::{Error, Result};
use crate::machine::{LaunchConfig, Swizzle};
use crate::parse::Type;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Largest file a case may name, in bytes.
pub(crate) const MAX_FILE: u64 = 1 << 30;

/// A case, ready to run.
#[derive(Debug, Clone)]
pub struct Case {
    /// File name without `.launch.toml`.
    pub name: String,
    /// Folder of the launch file.
    pub folder: PathBuf,
    /// PTX text.
    pub ptx: String,
    /// Name of the PTX file.
    pub ptx_name: String,
    /// Kernel name.
    pub entry: String,
    /// Shape of the launch.
    pub config: LaunchConfig,
    /// Bytes of the safetensors file.
    pub data: Vec<u8>,
    /// Finding names that count as neither right nor wrong.
    pub tolerate: Vec<String>,
    /// Class of the planted bug.
    pub flaw: Option<String>,
    /// Names of findings that count as having found it.
    pub detect: Vec<String>,
    /// Arguments in order.
    pub args: Vec<Arg>,
}

/// One kernel argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// Pointer to a copy of a tensor.
    Buffer {
        /// Tensor name.
        name: String,
        /// True where its contents are undefined before the launch.
        uninit: bool,
        /// What to compare it with afterwards.
        expect: Option<Expect>,
    },
    /// Raw bytes of a scalar or a struct.
    Bytes(Vec<u8>),
    /// A null pointer.
    Null,
    /// A tensor map over a buffer.
    Map {
        /// The map.
        map: TensorMapSpec,
        /// What to compare its buffer with afterwards.
        expect: Option<Expect>,
    },
}

/// An expected tensor and how close it must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// Tensor name.
    pub name: String,
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
}

/// A tensor map as the launch file writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorMapSpec {
    /// Tensor name.
    pub buffer: String,
    /// True where its contents are undefined before the launch.
    pub uninit: bool,
    /// Element type.
    pub element: Type,
    /// Sizes in elements, innermost first.
    pub dims: Vec<u64>,
    /// Strides in bytes of all but the innermost.
    pub strides: Vec<u64>,
    /// Box in elements, innermost first.
    pub tile: Vec<u32>,
    /// Swizzle.
    pub swizzle: Swizzle,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ptx: String,
    entry: String,
    grid: [u32; 3],
    block: [u32; 3],
    cluster: Option<[u32; 3]>,
    #[serde(default)]
    cooperative: bool,
    #[serde(default)]
    dynamic_shared: usize,
    data: Option<String>,
    #[serde(default)]
    tolerate: Vec<String>,
    flaw: Option<String>,
    detect: Option<String>,
    #[allow(dead_code)]
    flaw_line: Option<String>,
    #[allow(dead_code)]
    flaw_note: Option<String>,
    #[serde(default)]
    args: Vec<FileArg>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileArg {
    buffer: Option<String>,
    #[serde(default)]
    uninit: bool,
    expect: Option<String>,
    rtol: Option<f64>,
    atol: Option<f64>,
    u32: Option<u32>,
    i32: Option<i32>,
    u64: Option<u64>,
    i64: Option<i64>,
    f32: Option<f64>,
    f64: Option<f64>,
    #[serde(default)]
    null: bool,
    bytes: Option<String>,
    tensor_map: Option<FileMap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMap {
    buffer: String,
    #[serde(default)]
    uninit: bool,
    dtype: String,
    dims: Vec<u64>,
    #[serde(default)]
    strides: Vec<u64>,
    #[serde(rename = "box")]
    tile: Vec<u32>,
    #[serde(default)]
    swizzle: Option<String>,
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| Error::Case(format!("{}: {e}", path.display()));
    let bytes = std::fs::metadata(path).map_err(fail)?.len();
    if bytes > MAX_FILE {
        return Err(Error::Case(format!("{}: {bytes} bytes; limit {MAX_FILE}", path.display())));
    }
    std::fs::read(path).map_err(fail)
}

impl Case {
    /// Reads `NAME.launch.toml` and the files it names.
    pub fn load(path: &Path) -> Result<Case> {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let fail = |what: String| Error::Case(format!("{}: {what}", path.display()));
        let file: File = toml::from_str(&text).map_err(|e| fail(e.message().to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.strip_suffix(".launch.toml").unwrap_or(&name).to_string();
        let ptx = String::from_utf8_lossy(&read(&folder.join(&file.ptx))?).into_owned();
        let data = match &file.data {
            Some(data) => read(&folder.join(data))?,
            None => Vec::new(),
        };
        let mut args = Vec::new();
        for (index, arg) in file.args.into_iter().enumerate() {
            args.push(
                argument(arg).map_err(|what| fail(format!("argument {}: {what}", index + 1)))?,
            );
        }
        let mut detect: Vec<String> = file.flaw.iter().cloned().collect();
        if let Some(list) = &file.detect {
            detect.extend(list.split('|').map(|word| word.trim().to_string()));
        }
        Ok(Case {
            name,
            folder,
            ptx,
            ptx_name: file.ptx,
            entry: file.entry,
            config: LaunchConfig {
                grid: file.grid,
                block: file.block,
                cluster: file.cluster.unwrap_or([1; 3]),
                dynamic_shared: file.dynamic_shared,
                cooperative: file.cooperative,
            },
            data,
            tolerate: file.tolerate,
            flaw: file.flaw,
            detect,
            args,
        })
    }
}

fn argument(arg: FileArg) -> std::result::Result<Arg, String> {
    let expect = arg.expect.map(|name| Expect {
        name,
        rtol: arg.rtol.unwrap_or(0.0),
        atol: arg.atol.unwrap_or(0.0),
    });
    if let Some(name) = arg.buffer {
        return Ok(Arg::Buffer { name, uninit: arg.uninit, expect });
    }
    if let Some(map) = arg.tensor_map {
        let spec = TensorMapSpec {
            buffer: map.buffer,
            uninit: map.uninit || arg.uninit,
            element: element(&map.dtype).ok_or(format!("dtype `{}`", map.dtype))?,
            dims: map.dims,
            strides: map.strides,
            tile: map.tile,
            swizzle: swizzle(map.swizzle.as_deref().unwrap_or("none"))?,
        };
        return Ok(Arg::Map { map: spec, expect });
    }
    if arg.null {
        return Ok(Arg::Null);
    }
    if let Some(text) = arg.bytes {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|e| e.to_string())?;
            u8::from_str_radix(pair, 16).map_err(|e| format!("bytes: {e}"))
        });
        return Ok(Arg::Bytes(pairs.collect::<std::result::Result<_, String>>()?));
    }
    let bytes = if let Some(v) = arg.u32 {
        v.to_le_bytes().to_vec()
    } else if let Some(v) = arg.i32 {
        v.to_le_bytes().to_vec()
    } else if let Some(v) = arg.u64 {
        v.to_le_bytes().to_vec()
    } else if let Some(v) = arg.i64 {
        v.to_le_bytes().to_vec()
    } else if let Some(v) = arg.f32 {
        (v as f32).to_le_bytes().to_vec()
    } else if let Some(v) = arg.f64 {
        v.to_le_bytes().to_vec()
    } else {
        return Err("names neither a buffer nor a value".into());
    };
    Ok(Arg::Bytes(bytes))
}

fn element(word: &str) -> Option<Type> {
    match word {
        "i32" => Some(Type::S32),
        "i64" => Some(Type::S64),
        "i8" => Some(Type::S8),
        "fp16" => Some(Type::F16),
        "fp32" => Some(Type::F32),
        other => Type::parse(other),
    }
}

fn swizzle(word: &str) -> std::result::Result<Swizzle, String> {
    match word {
        "none" => Ok(Swizzle::None),
        "32B" => Ok(Swizzle::B32),
        "64B" => Ok(Swizzle::B64),
        "128B" => Ok(Swizzle::B128),
        other => Err(format!("swizzle `{other}`, expected none, 32B, 64B or 128B")),
    }
}
