//! The start of a cluster: CTAs with their memory, warps with their registers; and its end where
//! nothing can go on.

use super::barrier::{BARRIERS, Barrier};
use super::exec::{Cta, Exec, LaunchInfo};
use super::findings::Findings;
use super::global::GlobalChecks;
use super::launch::seed;
use super::memory::Machine;
use super::options::Options;
use super::warp::{Group, Poll, RowData, State, Warp};
use crate::checks::{FindingKind, Handover, Shadow, WarpTime};
use crate::counters::Counters;
use crate::decode::{Inst, Kernel, Op, Special};
use std::cell::Cell;
use std::collections::BTreeMap;

impl<'a> Exec<'a> {
    pub(crate) fn new(
        machine: &'a Machine,
        kernel: &'a Kernel,
        info: &'a LaunchInfo,
        options: &'a Options,
        changes: &'a Cell<u64>,
        cluster: usize,
    ) -> Exec<'a> {
        let (grid, shape) = (info.config.grid, info.config.cluster);
        let per_axis = [0, 1, 2].map(|i| grid[i] / shape[i]);
        let cluster = cluster as u32;
        let cluster_id = [
            cluster % per_axis[0],
            cluster / per_axis[0] % per_axis[1],
            cluster / per_axis[0] / per_axis[1],
        ];
        let ranks = shape.iter().product::<u32>();
        let mut exec = Exec {
            kernel,
            machine,
            info,
            options,
            ctas: Vec::new(),
            cluster_id,
            cluster_phase: 0,
            cluster_arrived: 0,
            cluster_handover: Handover::default(),
            cluster_done: Handover::default(),
            pending: Vec::new(),
            counters: Counters::default(),
            findings: Findings::default(),
            global: GlobalChecks::default(),
            fault: None,
            executed: 0,
            changes,
            random: seed(options) ^ u64::from(cluster).wrapping_mul(0x9e37_79b9),
            next_mbarrier: cluster.wrapping_mul(4096),
            changes_matter: false,
        };
        exec.counters.registers = kernel.virtual_registers as u64;
        exec.counters.shared_bytes = (kernel.static_shared + info.config.dynamic_shared) as u64;
        exec.counters.ctas = u64::from(ranks);
        for rank in 0..ranks {
            let inside = [rank % shape[0], rank / shape[0] % shape[1], rank / shape[0] / shape[1]];
            let coordinates = [0, 1, 2].map(|i| cluster_id[i] * shape[i] + inside[i]);
            let linear = coordinates[0] + grid[0] * (coordinates[1] + grid[1] * coordinates[2]);
            let states = if options.checks.init { info.shared_bytes } else { 0 };
            let shadow = if options.checks.race { info.shared_bytes } else { 0 };
            exec.ctas.push(Cta {
                coordinates,
                linear,
                shared: vec![0; info.shared_bytes + 64],
                shared_state: vec![0; states],
                shadow: Shadow::new(shadow),
                warps: Vec::new(),
                barriers: vec![Barrier::default(); BARRIERS],
                mbarriers: BTreeMap::new(),
                is_gone: false,
            });
        }
        let threads = info.config.block.iter().product::<u32>();
        for cta in 0..ranks as usize {
            for index in 0..threads.div_ceil(32) {
                let lanes = (threads - index * 32).min(32);
                let exists = if lanes == 32 { u32::MAX } else { (1 << lanes) - 1 };
                let warp = exec.new_warp(cta, index, exists);
                exec.ctas[cta].warps.push(Some(Box::new(warp)));
            }
        }
        exec
    }

    fn new_warp(&mut self, cta: usize, index: u32, exists: u32) -> Warp {
        let frame = &self.kernel.frames[0];
        let rows = frame.rows as usize + 2;
        let checks = self.options.checks;
        let mut warp = Warp {
            rows: vec![RowData([0; 32]); rows],
            defined: vec![[0; 2]; if checks.init { rows } else { 0 }],
            written_at: vec![0; if checks.race && self.kernel.uses_wgmma { rows } else { 0 }],
            groups: vec![Group {
                pc: frame.entry,
                lanes: exists,
                base: 0,
                local: 0,
                function: 0,
                frames: Vec::new(),
                state: State::Ready,
                cluster_phase: None,
            }],
            index,
            cta,
            exists,
            live: exists,
            base: 0,
            local_base: 0,
            function: 0,
            local: vec![0; frame.local_bytes * 32],
            local_stride: frame.local_bytes,
            executed: 0,
            time: WarpTime::new(self.ctas[cta].linear * 32 + index),
            copies: Vec::new(),
            copy_groups: [0; 32],
            bulk_reads: Vec::new(),
            bulk_writes: Vec::new(),
            bulk_groups: [0; 32],
            flights: Vec::new(),
            wgmma_groups: 0,
            wgmma_fence: 0,
            wgmma_issued: 0,
            polls: [Poll::default(); 8],
            poll_count: 0,
            times_out: false,
            gave_up: 0,
            rotate: 0,
            forced: false,
        };
        self.fill_frame(&mut warp, 0, 0, 0, u32::MAX);
        warp
    }

    /// Gives the warps of a launch numbers of their own.
    pub(crate) fn renumber(&mut self, launch: u32) {
        for cta in &mut self.ctas {
            for warp in cta.warps.iter_mut().flatten() {
                warp.time.warp += launch << 22;
            }
        }
    }

    pub(crate) fn special(&self, warp: &Warp, special: Special, lane: u32) -> u64 {
        let config = &self.info.config;
        let cta = &self.ctas[warp.cta];
        let thread = warp.index * 32 + lane;
        let [bx, by, _] = config.block;
        let rank = warp.cta as u32;
        let shape = config.cluster;
        let below = |n: u32| ((1u64 << n) - 1) as u32;
        u64::from(match special {
            Special::Tid(axis) => [thread % bx, thread / bx % by, thread / bx / by][axis as usize],
            Special::Ntid(axis) => config.block[axis as usize],
            Special::Ctaid(axis) => cta.coordinates[axis as usize],
            Special::Nctaid(axis) => config.grid[axis as usize],
            Special::ClusterId(axis) => self.cluster_id[axis as usize],
            Special::NclusterId(axis) => config.grid[axis as usize] / shape[axis as usize],
            Special::ClusterCtaid(axis) => {
                [rank % shape[0], rank / shape[0] % shape[1], rank / shape[0] / shape[1]]
                    [axis as usize]
            }
            Special::ClusterNctaid(axis) => shape[axis as usize],
            Special::ClusterCtarank => rank,
            Special::ClusterNctarank => self.ctas.len() as u32,
            Special::LaneId => lane,
            Special::WarpId => warp.index,
            Special::NwarpId => 64,
            Special::SmId => cta.linear % self.machine.multiprocessors,
            Special::NsmId => self.machine.multiprocessors,
            Special::GridId => 1,
            Special::MaskEq => 1 << lane,
            Special::MaskLt => below(lane),
            Special::MaskLe => below(lane + 1),
            Special::MaskGe => !below(lane),
            Special::MaskGt => !below(lane + 1),
            Special::DynamicShared => config.dynamic_shared as u32,
            Special::TotalShared => self.info.shared_bytes as u32,
            Special::Zero => 0,
        })
    }

    /// Lets waits with a time limit return once; false where there are none.
    pub(crate) fn time_out(&mut self) -> bool {
        let mut any = false;
        for warp in self.ctas.iter_mut().flat_map(|c| &mut c.warps).flatten() {
            for group in &mut warp.groups {
                if matches!(group.state, State::Mbarrier { .. }) {
                    group.state = State::Ready;
                    warp.times_out = true;
                    any = true;
                }
            }
        }
        any
    }

    pub(crate) fn is_over_limit(&mut self) -> bool {
        if self.executed <= self.options.max_instructions {
            return false;
        }
        let limit = self.options.max_instructions;
        self.report_stuck(|_, _| {
            let message = format!("still running after {limit} warp instructions");
            vec![(FindingKind::StepLimit, message.clone()), (FindingKind::Deadlock, message)]
        });
        true
    }

    /// Reports where every warp of the cluster stands.
    pub(crate) fn report_deadlock(&mut self) {
        self.report_stuck(|group, inst| {
            let what = match group.state {
                State::Barrier(id) => format!("waits at barrier {id}"),
                State::Cluster(_) => "waits at the cluster barrier".to_string(),
                State::Mbarrier { address, .. } => {
                    format!("waits for the mbarrier at {address:#x}")
                }
                State::Converge => "waits for other lanes of its warp".to_string(),
                State::Ready => "polls memory that does not change".to_string(),
            };
            let message = format!("no thread can go on; this one {what}");
            let mut list = vec![(FindingKind::Deadlock, message.clone())];
            if matches!(inst.op, Op::Bar { .. }) {
                list.push((FindingKind::BarrierDivergence, message));
            }
            list
        });
    }

    fn report_stuck(&mut self, describe: impl Fn(&Group, &Inst) -> Vec<(FindingKind, String)>) {
        for cta in 0..self.ctas.len() {
            for index in 0..self.ctas[cta].warps.len() {
                let Some(warp) = self.ctas[cta].warps[index].take() else { continue };
                for group in &warp.groups {
                    let Some(inst) = self.kernel.code.get(group.pc as usize) else { continue };
                    let inst = inst.clone();
                    let lane = Some(group.lanes.trailing_zeros());
                    for (kind, message) in describe(group, &inst) {
                        self.report(kind, &warp, &inst, lane, None, None, message);
                    }
                }
                self.ctas[cta].warps[index] = Some(warp);
            }
        }
    }
}
