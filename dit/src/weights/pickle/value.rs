//! What a pickle can mean here: plain data in an arena, so that nesting and sharing cost nothing.

use safetensors::Dtype;

/// Place of a value in its [`Arena`].
pub(super) type Id = u32;

/// Most values of a pickle. A checkpoint of a thousand tensors has some ten thousand.
const MAX_VALUES: usize = 1 << 22;

/// A value. Containers hold places, never values.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Something that tensors do not need but that often stands beside them: bytes, sets, devices.
    Opaque,
    Global(Global),
    Storage(Storage),
    Tensor(View),
}

/// The functions and classes that may be named. None is ever run: a call becomes a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`.
    RebuildTensor,
    /// `_rebuild_tensor_v3`, which names its element type.
    RebuildTyped,
    /// `_rebuild_parameter` and its variant with state.
    RebuildParameter,
    /// `_rebuild_from_type_v2`: a call of another of these in a class of tensors.
    RebuildFromType,
    Size,
    /// Calls of it give something without meaning here.
    Opaque,
    /// A class of storages, or an element type; `None` for storages without a type.
    Type(Option<Dtype>),
}

/// A storage: a file of the archive.
#[derive(Clone, Debug)]
pub(in crate::weights) struct Storage {
    pub(in crate::weights) key: String,
    /// Absent for storages that are counted in bytes.
    pub(in crate::weights) dtype: Option<Dtype>,
    /// In elements of the type, or bytes.
    pub(in crate::weights) count: usize,
}

/// A tensor: a view of a storage.
#[derive(Clone, Debug)]
pub(in crate::weights) struct View {
    pub(in crate::weights) storage: Storage,
    pub(in crate::weights) dtype: Dtype,
    pub(in crate::weights) offset: usize,
    pub(in crate::weights) shape: Vec<usize>,
    pub(in crate::weights) strides: Vec<usize>,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(super) struct Arena(Vec<Value>);

impl Arena {
    pub(super) fn add(&mut self, value: Value) -> Result<Id, String> {
        if self.0.len() >= MAX_VALUES {
            return Err(format!("holds more than {MAX_VALUES} values"));
        }
        self.0.push(value);
        Ok((self.0.len() - 1) as Id)
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.0[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.0[id as usize]
    }
}

impl Global {
    /// The meaning of a name; `None` for all that is not allowed.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        let all = match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTyped,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("torch", "Size") => Self::Size,
            ("torch", "device" | "Tensor")
            | ("torch.nn.parameter", "Parameter")
            | ("_codecs", "encode")
            | ("builtins" | "__builtin__", "set" | "frozenset" | "bytearray" | "complex") => {
                Self::Opaque
            }
            ("torch.storage", "UntypedStorage" | "_UntypedStorage") => Self::Type(None),
            ("torch", "UntypedStorage") => Self::Type(None),
            ("torch", _) => Self::Type(Some(element_type(name)?)),
            _ => return None,
        };
        Some(all)
    }
}

/// An element type by the name of its class of storages or its own.
fn element_type(name: &str) -> Option<Dtype> {
    Some(match name {
        "DoubleStorage" | "float64" => Dtype::F64,
        "FloatStorage" | "float32" => Dtype::F32,
        "HalfStorage" | "float16" => Dtype::F16,
        "BFloat16Storage" | "bfloat16" => Dtype::BF16,
        "LongStorage" | "int64" => Dtype::I64,
        "IntStorage" | "int32" => Dtype::I32,
        "ShortStorage" | "int16" => Dtype::I16,
        "CharStorage" | "int8" => Dtype::I8,
        "ByteStorage" | "uint8" => Dtype::U8,
        "BoolStorage" | "bool" => Dtype::BOOL,
        "ComplexFloatStorage" | "complex64" => Dtype::C64,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        _ => return None,
    })
}
