//! The decoded form of a kernel: instructions over register rows. A row is 32 lanes of 4 bytes;
//! a 64-bit register takes two rows, a predicate one word of a row (bit = lane).

use super::class::Class;
use super::row::{PredFn, RowFn};
use crate::parse::Type;

/// Index of a row in a warp's register file, relative to the frame. 0 means "none".
pub(crate) type Row = u32;

/// Where results without a register go; two rows.
pub(crate) const SINK: Row = 2;
/// Mask of the carry flag of extended-precision arithmetic.
pub(crate) const CARRY: Row = 1;
/// First row a function may use.
pub(crate) const FIRST_ROW: Row = 4;

/// A register of 4 or 8 bytes a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reg {
    pub(crate) row: Row,
    pub(crate) wide: bool,
}

/// A base register and a constant offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addr {
    pub(crate) base: Reg,
    pub(crate) offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Generic,
    Global,
    /// The CTA's own shared memory.
    Shared,
    /// Shared memory of any CTA of the cluster.
    Cluster,
    Local,
    Param,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Scope {
    #[default]
    Cta,
    Cluster,
    Gpu,
    System,
}

/// Ordering of a memory operation or a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Order {
    /// Relaxed, volatile or stronger: may meet other strong operations without being a race.
    pub(crate) strong: bool,
    pub(crate) acquire: bool,
    pub(crate) release: bool,
    pub(crate) scope: Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtomOp {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Inc,
    Dec,
    Exchange,
    CompareSwap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShflMode {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VoteMode {
    All,
    Any,
    Uniform,
    Ballot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BarKind {
    Sync,
    Arrive,
    Popc,
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FenceKind {
    Memory(Order),
    ProxyAsync,
    MbarrierInit,
    Other,
}

/// Element of a matrix fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    Bf16,
    Tf32,
    F32,
    F64,
    S8,
    U8,
    S4,
    U4,
    /// A bit; a sum counts the ones of `and` or `xor`.
    B1,
    S32,
    E4m3,
    E5m2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Mma {
    pub(crate) shape: Shape,
    pub(crate) a_type: Element,
    pub(crate) b_type: Element,
    pub(crate) c_type: Element,
    pub(crate) d_type: Element,
    pub(crate) saturate: bool,
    /// Products of bits are `xor` instead of `and`.
    pub(crate) is_xor: bool,
    pub(crate) a: Vec<Reg>,
    pub(crate) b: Vec<Reg>,
    pub(crate) c: Vec<Reg>,
    pub(crate) d: Vec<Reg>,
    /// True where the WMMA fragment order, opaque to kernels, applies.
    pub(crate) is_wmma: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WmmaPart {
    A,
    B,
    C,
}

#[derive(Debug, Clone)]
pub(crate) struct WmmaMemory {
    pub(crate) part: WmmaPart,
    pub(crate) is_store: bool,
    pub(crate) is_column: bool,
    pub(crate) element: Element,
    pub(crate) shape: Shape,
    pub(crate) space: Space,
    pub(crate) addr: Addr,
    /// Row stride in elements; none means packed.
    pub(crate) stride: Row,
    pub(crate) registers: Vec<Reg>,
}

#[derive(Debug, Clone)]
pub(crate) enum WgmmaA {
    Descriptor(Row),
    Registers(Vec<Reg>),
}

#[derive(Debug, Clone)]
pub(crate) struct Wgmma {
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) a_type: Element,
    pub(crate) b_type: Element,
    pub(crate) d_type: Element,
    pub(crate) d: Vec<Reg>,
    pub(crate) a: WgmmaA,
    pub(crate) b: Row,
    /// Predicate; none means true.
    pub(crate) scale_d: Row,
    pub(crate) scale_d_negated: bool,
    pub(crate) negate_a: bool,
    pub(crate) negate_b: bool,
    pub(crate) transpose_a: bool,
    pub(crate) transpose_b: bool,
    pub(crate) saturate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BulkKind {
    Load,
    Store,
    SharedToCluster,
}

#[derive(Debug, Clone)]
pub(crate) struct Bulk {
    pub(crate) kind: BulkKind,
    pub(crate) dst: Addr,
    pub(crate) src: Addr,
    pub(crate) bytes: Row,
    /// Absent for stores, which complete by group.
    pub(crate) mbarrier: Option<Addr>,
    pub(crate) multicast: Row,
    pub(crate) reduce: Option<(AtomOp, Type)>,
}

#[derive(Debug, Clone)]
pub(crate) struct BulkTensor {
    pub(crate) is_load: bool,
    pub(crate) map: Addr,
    pub(crate) coordinates: Vec<Row>,
    pub(crate) shared: Addr,
    pub(crate) mbarrier: Option<Addr>,
    pub(crate) multicast: Row,
    pub(crate) reduce: Option<AtomOp>,
}

#[derive(Debug, Clone)]
pub(crate) struct MbarrierArrive {
    pub(crate) addr: Addr,
    pub(crate) space: Space,
    pub(crate) count: Row,
    pub(crate) expect: Row,
    pub(crate) drops: bool,
    /// Only `expect_tx` without an arrival.
    pub(crate) expect_only: bool,
    /// `complete_tx`: the simulated completion of a copy.
    pub(crate) completes: bool,
    /// `noComplete`: the phase must have more arrivals to await.
    pub(crate) may_not_complete: bool,
    pub(crate) state: Row,
    pub(crate) is_release: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct MbarrierWait {
    pub(crate) addr: Addr,
    pub(crate) phase: Row,
    pub(crate) is_parity: bool,
    pub(crate) is_try: bool,
    pub(crate) is_acquire: bool,
    pub(crate) result: Row,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarryKind {
    Add,
    Sub,
    MadLow,
    MadHigh,
}

#[derive(Debug, Clone)]
pub(crate) struct Carry {
    pub(crate) kind: CarryKind,
    pub(crate) wide: bool,
    pub(crate) signed: bool,
    pub(crate) takes: bool,
    pub(crate) gives: bool,
    pub(crate) d: Row,
    pub(crate) a: Row,
    pub(crate) b: Row,
    pub(crate) c: Row,
}

#[derive(Debug, Clone)]
pub(crate) struct Atom {
    pub(crate) space: Space,
    pub(crate) op: AtomOp,
    pub(crate) ty: Type,
    /// Empty for `red`.
    pub(crate) dst: Vec<Reg>,
    pub(crate) addr: Addr,
    pub(crate) src: Vec<Reg>,
    pub(crate) compare: Option<Reg>,
    pub(crate) order: Order,
}

/// What an instruction does. Operands are rows; predicates are rows whose first word is a mask.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Map {
        f: RowFn,
        d: Row,
        wide: bool,
        src: [Row; 4],
    },
    Compare {
        f: PredFn,
        d: Row,
        d_not: Row,
        src: [Row; 4],
        combine: u8,
        c: Row,
        c_negated: bool,
    },
    /// `set`: all ones, 1.0 or 0 by the mask.
    CompareSet {
        f: PredFn,
        d: Row,
        src: [Row; 4],
        value: u32,
    },
    Move {
        d: Row,
        a: Row,
        wide: bool,
    },
    PredMove {
        d: Row,
        a: Row,
        negated: bool,
    },
    PredLogic {
        f: fn(u32, u32) -> u32,
        d: Row,
        a: Row,
        b: Row,
        a_negated: bool,
        b_negated: bool,
    },
    Select {
        d: Row,
        a: Row,
        b: Row,
        p: Row,
        negated: bool,
        wide: bool,
    },
    Pack {
        d: Row,
        wide: bool,
        parts: Box<[Reg]>,
        bits: u32,
    },
    Unpack {
        parts: Box<[Reg]>,
        bits: u32,
        a: Row,
        wide: bool,
    },
    Carry(Box<Carry>),
    Clock {
        d: Row,
        wide: bool,
    },
    Load {
        space: Space,
        bytes: u8,
        signed: bool,
        dst: Box<[Reg]>,
        addr: Addr,
        order: Order,
    },
    Store {
        space: Space,
        bytes: u8,
        src: Box<[Reg]>,
        addr: Addr,
        order: Order,
    },
    Atom(Box<Atom>),
    ToGeneric {
        space: Space,
        d: Reg,
        a: Reg,
    },
    FromGeneric {
        space: Space,
        d: Reg,
        a: Reg,
    },
    IsSpace {
        space: Space,
        d: Row,
        a: Reg,
    },
    Mapa {
        d: Reg,
        a: Reg,
        rank: Row,
        generic: bool,
    },
    CtaRank {
        d: Row,
        a: Reg,
    },
    Branch {
        target: u32,
    },
    BranchIndex {
        targets: Box<[u32]>,
        index: Row,
    },
    Call {
        function: u32,
        args: Box<[(u32, u32)]>,
        results: Box<[(u32, u32)]>,
    },
    /// A call through a register that holds a function's address.
    CallRegister {
        target: Row,
        args: Box<[(u32, u32)]>,
        results: Box<[(u32, u32)]>,
    },
    Return,
    Exit,
    Trap,
    Nop,
    Sleep,
    Shfl {
        mode: ShflMode,
        d: Row,
        p: Row,
        a: Row,
        b: Row,
        c: Row,
        mask: Row,
    },
    Vote {
        mode: VoteMode,
        d: Row,
        a: Row,
        negated: bool,
        mask: Row,
    },
    Match {
        all: bool,
        d: Row,
        p: Row,
        a: Reg,
        mask: Row,
    },
    Redux {
        op: AtomOp,
        signed: bool,
        d: Row,
        a: Row,
        mask: Row,
    },
    ActiveMask {
        d: Row,
    },
    Elect {
        d: Row,
        p: Row,
        mask: Row,
    },
    WarpSync {
        mask: Row,
    },
    Bar {
        kind: BarKind,
        id: Row,
        count: Row,
        d: Row,
        p: Row,
        p_negated: bool,
        aligned: bool,
    },
    ClusterArrive {
        aligned: bool,
        release: bool,
    },
    ClusterWait {
        aligned: bool,
    },
    Fence(FenceKind),
    CpAsync {
        dst: Addr,
        src: Addr,
        bytes: u32,
        src_bytes: Row,
        ignore: Row,
        ignore_negated: bool,
    },
    CpAsyncCommit,
    CpAsyncWait {
        pending: u32,
        all: bool,
    },
    CpAsyncArrive {
        addr: Addr,
        noinc: bool,
    },
    Bulk(Box<Bulk>),
    BulkTensor(Box<BulkTensor>),
    BulkCommit,
    BulkWait {
        pending: u32,
        /// Only the sources must have been read.
        is_read: bool,
    },
    MbarrierInit {
        addr: Addr,
        count: Row,
    },
    MbarrierInval {
        addr: Addr,
    },
    MbarrierArrive(Box<MbarrierArrive>),
    MbarrierWait(Box<MbarrierWait>),
    MbarrierPending {
        d: Row,
        state: Row,
    },
    StoreAsync {
        addr: Addr,
        src: Box<[Reg]>,
        bytes: u8,
        mbarrier: Addr,
        reduce: Option<(AtomOp, Type)>,
    },
    LdMatrix {
        d: Box<[Row]>,
        addr: Addr,
        transposed: bool,
    },
    StMatrix {
        s: Box<[Row]>,
        addr: Addr,
        transposed: bool,
    },
    MovMatrix {
        d: Row,
        a: Row,
    },
    Mma(Box<Mma>),
    Wmma(Box<WmmaMemory>),
    WgmmaFence,
    WgmmaCommit,
    WgmmaWait {
        pending: u32,
    },
    Wgmma(Box<Wgmma>),
    SetMaxRegisters {
        count: u32,
        increase: bool,
    },
}

/// How definedness flows through an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Every result is defined where every source is.
    All,
    /// As `All`, but half by half (bitwise operations).
    Halves,
    /// The instruction's own code sets it.
    Own,
}

/// One decoded instruction.
#[derive(Debug, Clone)]
pub(crate) struct Inst {
    pub(crate) op: Op,
    /// Predicate row; 0 means always.
    pub(crate) guard: Row,
    pub(crate) guard_negated: bool,
    pub(crate) class: Class,
    pub(crate) flow: Flow,
    pub(crate) line: u32,
    pub(crate) loc: Option<(u32, u32, u32)>,
    pub(crate) reads: Box<[Row]>,
    pub(crate) writes: Box<[Row]>,
}
