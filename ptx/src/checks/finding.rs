//! What the checks report.

use std::fmt;

macro_rules! kinds {
    ($($variant:ident = $name:literal, $doc:literal;)+) => {
        /// The class of a finding; names are those of the corpus.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind {
            $(#[doc = $doc] $variant,)+
        }

        impl FindingKind {
            /// The name, as launch files write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(FindingKind::$variant => $name,)+
                }
            }
        }
    };
}

kinds! {
    OobRead = "oob-read", "A read outside every allocation.";
    OobWrite = "oob-write", "A write outside every allocation.";
    OobShared = "oob-shared", "An access outside the shared memory of the CTA.";
    OobLocal = "oob-local", "An access outside the thread's local memory or the parameters.";
    UninitShared = "uninit-shared", "A read of shared memory nobody wrote.";
    UninitGlobal = "uninit-global", "A read of device memory nobody wrote.";
    Misaligned = "misaligned", "An address that is no multiple of the access size.";
    SharedRace = "shared-race", "Two accesses to shared memory that nothing orders.";
    GlobalRace = "global-race", "Two accesses to device memory that nothing orders.";
    ClusterRace = "cluster-race", "Two CTAs of a cluster access shared memory unordered.";
    CpAsyncWait = "cp-async-wait", "Data of an asynchronous copy is touched before the wait.";
    MissingProxyFence = "missing-proxy-fence", "The async proxy reads what the generic one wrote, without a fence.";
    MissingMbarrierWait = "missing-mbarrier-wait", "Data that an mbarrier announces is touched before its phase completes.";
    MissingWgmmaWait = "missing-wgmma-wait", "Operands or results of wgmma are touched before wait_group.";
    MissingWgmmaFence = "missing-wgmma-fence", "Registers of wgmma were written after the last wgmma.fence.";
    WgmmaRegisterInFlight = "wgmma-register-in-flight", "A register of an unfinished wgmma is touched.";
    BarrierDivergence = "barrier-divergence", "Not all threads that must reach a barrier reach it together.";
    DivergentCollective = "divergent-collective", "A warp collective without all the lanes it names.";
    ShflInactive = "shfl-inactive", "A shuffle reads from a lane that does not take part.";
    Deadlock = "deadlock", "No thread can go on.";
    UndefinedAddress = "undefined-address", "An address depends on an undefined value.";
    UndefinedBranch = "undefined-branch", "A branch or guard depends on an undefined value.";
    UndefinedStore = "undefined-store", "An undefined value reaches device memory.";
    MbarrierMisuse = "mbarrier-misuse", "An operation that the mbarrier's state does not allow.";
    BarrierMisuse = "barrier-misuse", "A barrier number or thread count that is not allowed.";
    Leak = "leak", "Something is left open when a CTA ends.";
    Trap = "trap", "The kernel executed trap.";
    PeerAccess = "peer-access", "Access to memory of a device without the right to it.";
    TensorMap = "tensor-map", "A tensor copy whose map, box or address is not allowed.";
    Static = "static", "The text is wrong in a way that only an assembler notes.";
    StepLimit = "step-limit", "The launch ran longer than its limit.";
}

/// The other party of a race.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Linear index of the CTA in the grid.
    pub cta: u32,
    /// Warp in the CTA.
    pub warp: u32,
    /// Lane in the warp, where one is known.
    pub lane: Option<u32>,
    /// What it did.
    pub access: &'static str,
}

/// One thing wrong, at the place that saw it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its class.
    pub kind: FindingKind,
    /// Kernel name.
    pub kernel: String,
    /// Line in the PTX text.
    pub line: u32,
    /// File, line and column in the source, where `.loc` gives them.
    pub source: Option<(String, u32, u32)>,
    /// CTA coordinates.
    pub cta: [u32; 3],
    /// Warp in the CTA.
    pub warp: u32,
    /// First lane concerned, where lanes differ.
    pub lane: Option<u32>,
    /// Address concerned, where there is one.
    pub address: Option<u64>,
    /// The other party of a race.
    pub other: Option<Party>,
    /// The sentence for people.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.cta;
        write!(out, "{}: {} line {}", self.kind.name(), self.kernel, self.line)?;
        if let Some((file, line, column)) = &self.source {
            write!(out, " ({file}:{line}:{column})")?;
        }
        write!(out, " cta [{x},{y},{z}] warp {}", self.warp)?;
        if let Some(lane) = self.lane {
            write!(out, " lane {lane}")?;
        }
        if let Some(address) = self.address {
            write!(out, " address {address:#x}")?;
        }
        write!(out, ": {}", self.message)?;
        if let Some(other) = &self.other {
            write!(
                out,
                "; the other is a {} by cta {} warp {}",
                other.access, other.cta, other.warp
            )?;
            if let Some(lane) = other.lane {
                write!(out, " lane {lane}")?;
            }
        }
        Ok(())
    }
}
