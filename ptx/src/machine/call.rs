//! Calls and returns: frames of registers and local memory for the lanes that enter a function.

use super::exec::{After, Exec};
use super::warp::{CallFrame, Group, Lanes, Warp};
use crate::decode::{Op, Reg, Value};
use crate::error::Error;

/// Deepest chain of calls.
const MAX_DEPTH: usize = 256;

impl Exec<'_> {
    pub(crate) fn call(
        &mut self,
        warp: &mut Warp,
        current: usize,
        calls: &[(u32, u32)],
        args: &[(u32, u32)],
    ) -> After {
        let group = warp.groups[current].clone();
        if group.frames.len() >= MAX_DEPTH {
            let message = format!("{}: more than {MAX_DEPTH} calls deep", self.kernel.name);
            self.fault = Some(Error::Fault(message));
            return After::Regroup;
        }
        for (active, function) in calls {
            self.enter(warp, &group, *active, *function, args);
            warp.groups[current].lanes &= !active;
        }
        warp.groups[current].pc += 1;
        if warp.groups[current].lanes == 0 {
            warp.groups.swap_remove(current);
        }
        After::Regroup
    }

    /// Makes a group of the lanes that enter a function.
    fn enter(
        &mut self,
        warp: &mut Warp,
        group: &Group,
        active: u32,
        function: u32,
        args: &[(u32, u32)],
    ) {
        let caller = &self.kernel.frames[group.function as usize];
        let callee = &self.kernel.frames[function as usize];
        let base = self.free_rows(warp, group.base + caller.rows, function);
        let local = group.local + caller.local_bytes as u32;
        self.grow_local(warp, local as usize + callee.local_bytes);
        let stride = warp.local_stride;
        for lane in Lanes(active) {
            for ((from, bytes), to) in args.iter().zip(&callee.params) {
                let start = lane * stride + (group.local + from) as usize;
                let target = lane * stride + (local + to) as usize;
                warp.local.copy_within(start..start + *bytes as usize, target);
            }
        }
        let mut frames = group.frames.clone();
        frames.push(CallFrame {
            return_to: group.pc,
            base: group.base,
            local: group.local,
            function: group.function,
        });
        let mut inner = group.clone();
        inner.pc = callee.entry;
        inner.lanes = active;
        (inner.base, inner.local, inner.function, inner.frames) = (base, local, function, frames);
        warp.groups.push(inner);
        self.fill_frame(warp, function as usize, base, local, active);
    }

    /// First row for a frame of `function`: `wanted`, unless lanes that stand elsewhere hold
    /// another function's frame there. Rows pack lanes by width, so such frames must not overlap.
    fn free_rows(&self, warp: &Warp, wanted: u32, function: u32) -> u32 {
        let frames = &self.kernel.frames;
        let end = wanted + frames[function as usize].rows;
        let (mut collides, mut last) = (false, wanted);
        for group in &warp.groups {
            let callers = group.frames.iter().map(|frame| (frame.base, frame.function));
            for (base, owner) in callers.chain([(group.base, group.function)]) {
                let until = base + frames[owner as usize].rows;
                let is_same = (base, owner) == (wanted, function);
                collides |= !is_same && base < end && wanted < until;
                last = last.max(until);
            }
        }
        if collides { last } else { wanted }
    }

    pub(crate) fn leave(&mut self, warp: &mut Warp, current: usize, active: u32) -> After {
        let group = warp.groups[current].clone();
        let Some(frame) = group.frames.last().cloned() else {
            return self.exit_lanes(warp, current, active);
        };
        let callee = &self.kernel.frames[group.function as usize];
        if let Op::Call { results, .. } | Op::CallRegister { results, .. } =
            &self.kernel.code[frame.return_to as usize].op
        {
            let stride = warp.local_stride;
            for lane in Lanes(active) {
                for ((to, bytes), from) in results.iter().zip(&callee.results) {
                    let start = lane * stride + (group.local + from) as usize;
                    let target = lane * stride + (frame.local + to) as usize;
                    warp.local.copy_within(start..start + *bytes as usize, target);
                }
            }
        }
        let mut outer = group.clone();
        outer.frames.pop();
        outer.pc = frame.return_to + 1;
        outer.lanes = active;
        (outer.base, outer.local, outer.function) = (frame.base, frame.local, frame.function);
        warp.groups[current].lanes &= !active;
        warp.groups[current].pc += 1;
        if warp.groups[current].lanes == 0 {
            warp.groups.swap_remove(current);
        }
        warp.groups.push(outer);
        After::Regroup
    }

    fn grow_local(&mut self, warp: &mut Warp, bytes: usize) {
        if bytes <= warp.local_stride {
            return;
        }
        let stride = bytes.next_power_of_two();
        let mut local = vec![0; stride * 32];
        for lane in 0..32 {
            let old = &warp.local[lane * warp.local_stride..(lane + 1) * warp.local_stride];
            local[lane * stride..lane * stride + old.len()].copy_from_slice(old);
        }
        warp.local = local;
        warp.local_stride = stride;
    }

    /// Makes room for a frame and writes its constants for the lanes that enter it.
    pub(crate) fn fill_frame(
        &mut self,
        warp: &mut Warp,
        function: usize,
        base: u32,
        local: u32,
        lanes: u32,
    ) {
        let frame = &self.kernel.frames[function];
        let rows = (base + frame.rows) as usize + 2;
        if warp.rows.len() < rows {
            warp.rows.resize(rows, super::warp::RowData([0; 32]));
            if !warp.defined.is_empty() {
                warp.defined.resize(rows, [0; 2]);
            }
            if !warp.written_at.is_empty() {
                warp.written_at.resize(rows, 0);
            }
        }
        let saved = warp.base;
        warp.base = base;
        for row in crate::decode::FIRST_ROW..frame.rows {
            warp.set_defined(row, lanes, 0, 0);
        }
        for (row, wide, value) in &frame.constants {
            for lane in Lanes(lanes) {
                let bits = match value {
                    Value::Bits(bits) => *bits,
                    Value::Mask(mask) => {
                        warp.set_mask(*row, lanes, *mask);
                        break;
                    }
                    Value::ExplicitCluster => {
                        let is_explicit = self.ctas.len() > 1
                            || self.kernel.directive("explicitcluster").is_some()
                            || self.kernel.directive("reqnctapercluster").is_some();
                        warp.set_mask(*row, lanes, if is_explicit { u32::MAX } else { 0 });
                        break;
                    }
                    Value::Special(special) => self.special(warp, *special, lane as u32),
                    Value::Variable(index, offset) => {
                        self.info.variables[*index].wrapping_add(*offset as u64)
                    }
                    Value::Local(offset) => (i64::from(local) + offset) as u64,
                };
                warp.set(Reg { row: *row, wide: *wide }, lane, bits);
            }
            warp.set_defined(*row, lanes, u32::MAX, u32::MAX);
        }
        warp.base = saved;
    }
}
