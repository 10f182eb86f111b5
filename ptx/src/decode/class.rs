//! Classes of instructions, by which they are counted.

/// What an instruction counts as.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Integer,
    Float32,
    Float64,
    Half,
    Convert,
    Special,
    Move,
    Predicate,
    LoadGlobal,
    StoreGlobal,
    LoadShared,
    StoreShared,
    Local,
    Atomic,
    Matrix,
    Tensor,
    AsyncCopy,
    Barrier,
    Collective,
    Control,
    Other,
}

/// Number of classes.
pub(crate) const CLASSES: usize = 21;

/// Names of the classes, by their number.
pub(crate) const CLASS_NAMES: [&str; CLASSES] = [
    "integer",
    "float32",
    "float64",
    "half",
    "convert",
    "special",
    "move",
    "predicate",
    "load.global",
    "store.global",
    "load.shared",
    "store.shared",
    "local",
    "atomic",
    "matrix",
    "tensor",
    "async-copy",
    "barrier",
    "collective",
    "control",
    "other",
];
