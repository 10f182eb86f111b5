//! A warp: its register file, its groups of lanes that stand at different places, and what it
//! has in flight.

use super::bulk::{BulkRead, BulkWrite};
use super::copies::CopyInFlight;
use super::wgmma::Flight;
use crate::checks::WarpTime;
use crate::decode::{Reg, Row};

/// One row of the register file.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct RowData(pub(crate) [u32; 32]);

/// Why a group does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    /// At a collective that waits for lanes of the same warp.
    Converge,
    /// Arrived at barrier `id` of the CTA.
    Barrier(u32),
    /// Waits for the cluster barrier's phase after this one.
    Cluster(u32),
    /// Waits for an mbarrier of CTA `cta` at an address to leave a phase parity.
    Mbarrier {
        cta: usize,
        address: u64,
        parity: bool,
    },
}

/// The caller's side of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallFrame {
    pub(crate) return_to: u32,
    pub(crate) base: u32,
    pub(crate) local: u32,
    pub(crate) function: u32,
}

/// Lanes that stand at one place.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) pc: u32,
    pub(crate) lanes: u32,
    /// First row and first local byte of the current frame.
    pub(crate) base: u32,
    pub(crate) local: u32,
    pub(crate) function: u32,
    pub(crate) frames: Vec<CallFrame>,
    pub(crate) state: State,
    /// Phase of the cluster barrier at which these lanes arrived last.
    pub(crate) cluster_phase: Option<u32>,
}

impl Group {
    pub(crate) fn is_at(&self, other: &Group) -> bool {
        self.pc == other.pc
            && self.base == other.base
            && self.cluster_phase == other.cluster_phase
            && self.frames == other.frames
    }
}

pub(crate) struct Warp {
    pub(crate) rows: Vec<RowData>,
    /// Lanes whose low and high half are defined, a row; empty without the check.
    pub(crate) defined: Vec<[u32; 2]>,
    /// Time of the last write of a row, as `write_time` gives it; empty where no wgmma is in the
    /// kernel.
    pub(crate) written_at: Vec<u64>,
    pub(crate) groups: Vec<Group>,
    /// Index in the CTA.
    pub(crate) index: u32,
    /// CTA in the cluster.
    pub(crate) cta: usize,
    /// Lanes that exist, and those of them that have not exited.
    pub(crate) exists: u32,
    pub(crate) live: u32,
    pub(crate) base: u32,
    pub(crate) local_base: u32,
    pub(crate) function: u32,
    /// Local memory, `local_stride` bytes a lane.
    pub(crate) local: Vec<u8>,
    pub(crate) local_stride: usize,
    pub(crate) executed: u64,
    pub(crate) time: WarpTime,
    /// cp.async copies not waited for, and groups committed by each lane.
    pub(crate) copies: Vec<CopyInFlight>,
    pub(crate) copy_groups: [u32; 32],
    pub(crate) bulk_reads: Vec<BulkRead>,
    pub(crate) bulk_writes: Vec<BulkWrite>,
    pub(crate) bulk_groups: [u32; 32],
    pub(crate) flights: Vec<Flight>,
    pub(crate) wgmma_groups: u32,
    /// Instruction count of the last wgmma.fence; 0 means none yet.
    pub(crate) wgmma_fence: u64,
    /// Instruction count at the last product.
    pub(crate) wgmma_issued: u64,
    pub(crate) polls: [Poll; 8],
    /// Polls in a row that found nothing new.
    pub(crate) poll_count: u64,
    /// A wait that blocks returns false once, as a time limit would make it.
    pub(crate) times_out: bool,
    /// Line of the wait that last returned false without blocking.
    pub(crate) gave_up: u32,
    pub(crate) rotate: usize,
    /// The next collective runs without the lanes it misses.
    pub(crate) forced: bool,
}

/// Detects a warp that polls: the same load at the same place gives the same values again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Poll {
    pub(crate) signature: u64,
    pub(crate) line: u32,
    pub(crate) count: u64,
}

impl Warp {
    /// The instruction count, shifted by two bits: whether no product followed the last
    /// wgmma.fence yet, and whether the instruction only moves a value.
    pub(crate) fn write_time(&self, is_move: bool) -> u64 {
        let before_product = self.wgmma_issued <= self.wgmma_fence;
        self.executed << 2 | u64::from(before_product) << 1 | u64::from(is_move)
    }

    #[inline(always)]
    pub(crate) fn r32(&self, row: Row) -> &[u32; 32] {
        &self.rows[(self.base + row) as usize].0
    }

    #[inline(always)]
    pub(crate) fn w32(&mut self, row: Row) -> &mut [u32; 32] {
        &mut self.rows[(self.base + row) as usize].0
    }

    #[inline(always)]
    pub(crate) fn r64(&self, row: Row) -> &[u64; 32] {
        let at = (self.base + row) as usize;
        let pair = &self.rows[at..at + 2];
        // SAFETY: two rows are 64 words without padding, aligned to 64 bytes.
        unsafe { &*pair.as_ptr().cast::<[u64; 32]>() }
    }

    #[inline(always)]
    pub(crate) fn w64(&mut self, row: Row) -> &mut [u64; 32] {
        let at = (self.base + row) as usize;
        let pair = &mut self.rows[at..at + 2];
        // SAFETY: as in `r64`, and the borrow is unique.
        unsafe { &mut *pair.as_mut_ptr().cast::<[u64; 32]>() }
    }

    /// Value of a register, zero-extended.
    #[inline(always)]
    pub(crate) fn value(&self, reg: Reg, lane: usize) -> u64 {
        if reg.wide { self.r64(reg.row)[lane] } else { u64::from(self.r32(reg.row)[lane]) }
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, reg: Reg, lane: usize, value: u64) {
        if reg.wide {
            self.w64(reg.row)[lane] = value;
        } else {
            self.w32(reg.row)[lane] = value as u32;
        }
    }

    #[inline(always)]
    pub(crate) fn mask(&self, row: Row) -> u32 {
        self.r32(row)[0]
    }

    #[inline(always)]
    pub(crate) fn set_mask(&mut self, row: Row, lanes: u32, value: u32) {
        if row != 0 {
            let word = &mut self.w32(row)[0];
            *word = (*word & !lanes) | (value & lanes);
        }
    }

    /// Lanes in which both halves are defined; all of them without the check.
    #[inline(always)]
    pub(crate) fn defined(&self, row: Row) -> u32 {
        match self.defined.get((self.base + row) as usize) {
            Some([low, high]) => low & high,
            None => u32::MAX,
        }
    }

    #[inline(always)]
    pub(crate) fn set_defined(&mut self, row: Row, lanes: u32, low: u32, high: u32) {
        // Row 0 stands for results that do not exist.
        if row == 0 {
            return;
        }
        if let Some(pair) = self.defined.get_mut((self.base + row) as usize) {
            pair[0] = (pair[0] & !lanes) | (low & lanes);
            pair[1] = (pair[1] & !lanes) | (high & lanes);
        }
    }

    pub(crate) fn halves(&self, row: Row) -> [u32; 2] {
        self.defined.get((self.base + row) as usize).copied().unwrap_or([u32::MAX; 2])
    }

    /// Merges ready groups that stand at the same place.
    pub(crate) fn merge_groups(&mut self) {
        let mut index = 0;
        while index < self.groups.len() {
            let mut other = index + 1;
            while other < self.groups.len() {
                if self.groups[index].state == self.groups[other].state
                    && self.groups[index].is_at(&self.groups[other])
                {
                    let lanes = self.groups.swap_remove(other).lanes;
                    self.groups[index].lanes |= lanes;
                } else {
                    other += 1;
                }
            }
            index += 1;
        }
    }

    /// The ready group to run: the deepest call first, then the lowest place.
    pub(crate) fn choose(&self) -> Option<usize> {
        let ready = |g: &&Group| g.state == State::Ready;
        let count = self.groups.iter().filter(ready).count();
        if count > 1 && self.rotate > 0 {
            let mut list: Vec<usize> =
                (0..self.groups.len()).filter(|i| ready(&&self.groups[*i])).collect();
            list.sort_by_key(|i| (self.groups[*i].pc, self.groups[*i].lanes));
            return Some(list[self.rotate % count]);
        }
        (0..self.groups.len())
            .filter(|i| ready(&&self.groups[*i]))
            .min_by_key(|i| (usize::MAX - self.groups[*i].frames.len(), self.groups[*i].pc))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.groups.is_empty()
    }
}

/// Iterates over the lanes of a mask.
pub(crate) struct Lanes(pub(crate) u32);

impl Iterator for Lanes {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let lane = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(lane as usize)
    }
}
