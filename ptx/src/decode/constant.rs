//! Values that a frame's rows hold from the start: literals, special registers that do not
//! change while a warp runs, and addresses.

/// A special register that is constant for a warp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Special {
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    ClusterId(u8),
    NclusterId(u8),
    ClusterCtaid(u8),
    ClusterNctaid(u8),
    ClusterCtarank,
    ClusterNctarank,
    LaneId,
    WarpId,
    NwarpId,
    SmId,
    NsmId,
    GridId,
    MaskEq,
    MaskLe,
    MaskLt,
    MaskGe,
    MaskGt,
    DynamicShared,
    TotalShared,
    Zero,
}

impl Special {
    /// Reads a name with its percent sign; clocks are no constants and give nothing.
    pub(crate) fn parse(name: &str) -> Option<Special> {
        let (base, axis) = name.split_once('.').unwrap_or((name, ""));
        let axis = match axis {
            "" | "x" => 0,
            "y" => 1,
            "z" => 2,
            _ => return None,
        };
        Some(match base {
            "%tid" => Special::Tid(axis),
            "%ntid" => Special::Ntid(axis),
            "%ctaid" => Special::Ctaid(axis),
            "%nctaid" => Special::Nctaid(axis),
            "%clusterid" => Special::ClusterId(axis),
            "%nclusterid" => Special::NclusterId(axis),
            "%cluster_ctaid" => Special::ClusterCtaid(axis),
            "%cluster_nctaid" => Special::ClusterNctaid(axis),
            "%cluster_ctarank" => Special::ClusterCtarank,
            "%cluster_nctarank" => Special::ClusterNctarank,
            "%laneid" => Special::LaneId,
            "%warpid" => Special::WarpId,
            "%nwarpid" => Special::NwarpId,
            "%smid" => Special::SmId,
            "%nsmid" => Special::NsmId,
            "%gridid" => Special::GridId,
            "%lanemask_eq" => Special::MaskEq,
            "%lanemask_le" => Special::MaskLe,
            "%lanemask_lt" => Special::MaskLt,
            "%lanemask_ge" => Special::MaskGe,
            "%lanemask_gt" => Special::MaskGt,
            "%dynamic_smem_size" => Special::DynamicShared,
            "%total_smem_size" | "%aggr_smem_size" => Special::TotalShared,
            "%reserved_smem_offset_begin" | "%reserved_smem_offset_end" => Special::Zero,
            _ => return None,
        })
    }
}

/// One constant; a wide one fills 8 bytes a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Bits(u64),
    /// A predicate constant.
    Mask(u32),
    /// The predicate `%is_explicit_cluster`.
    ExplicitCluster,
    Special(Special),
    /// Address of a module variable in global or const space.
    Variable(usize, i64),
    /// Offset in the frame's local memory.
    Local(i64),
}
