//! The last write and the reads since, for every word of a memory. A word that is accessed in
//! parts keeps its bytes apart.

use super::clock::View;
use std::collections::HashMap;

/// How an access is ordered beyond program order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An ordinary access.
    Plain = 0,
    /// Atomic or volatile: does not race with its like.
    Strong = 1,
    /// Written by a cp.async that its thread has not waited for.
    CopyInFlight = 2,
    /// Written by the async proxy; the warp number names an mbarrier, the epoch its phase.
    Transaction = 3,
    /// Read by a bulk copy that its thread has not waited for.
    BulkInFlight = 4,
    /// Read by a wgmma that its warp has not waited for.
    WgmmaInFlight = 5,
    /// Written by a cp.async that was waited for.
    CopyDone = 6,
    /// Read by a wgmma that was waited for.
    WgmmaDone = 7,
}

impl Kind {
    fn from_bits(bits: u32) -> Kind {
        match bits & 7 {
            1 => Kind::Strong,
            2 => Kind::CopyInFlight,
            3 => Kind::Transaction,
            4 => Kind::BulkInFlight,
            5 => Kind::WgmmaInFlight,
            6 => Kind::CopyDone,
            7 => Kind::WgmmaDone,
            _ => Kind::Plain,
        }
    }
}

/// Lanes of a warp at an epoch; epoch 0 means never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    pub(crate) epoch: u32,
    /// Warp number and kind.
    who: u32,
    pub(crate) lanes: u32,
}

impl Stamp {
    pub(crate) fn new(warp: u32, lanes: u32, epoch: u32, kind: Kind) -> Stamp {
        Stamp { epoch, who: warp << 3 | kind as u32, lanes }
    }

    pub(crate) fn warp(self) -> u32 {
        self.who >> 3
    }

    pub(crate) fn kind(self) -> Kind {
        Kind::from_bits(self.who)
    }
}

/// Marks a word whose bytes are kept apart.
const SPLIT: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    write: Stamp,
    read: Stamp,
    /// Index + 1 into the list of further readers, or `SPLIT`.
    more: u32,
}

/// Who accesses now.
pub(crate) struct Actor<'a> {
    pub(crate) stamp: Stamp,
    pub(crate) view: &'a View,
    /// A write that leaves the bytes as they are. Compilers let several lanes and warps write one
    /// value to one place; whichever comes last, the result is the same.
    pub(crate) is_same_value: bool,
}

/// The other party, and whether it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) stamp: Stamp,
    pub(crate) wrote: bool,
}

/// Shadow of a contiguous memory.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    cells: Vec<Cell>,
    readers: Vec<Vec<Stamp>>,
    split: HashMap<u32, [Cell; 4]>,
}

impl Shadow {
    pub(crate) fn new(bytes: usize) -> Shadow {
        Shadow { cells: vec![Cell::default(); bytes.div_ceil(4)], ..Shadow::default() }
    }

    /// Checks an access and records it; gives the first party it is not ordered with.
    pub(crate) fn access(
        &mut self,
        offset: usize,
        bytes: usize,
        is_write: bool,
        actor: &Actor<'_>,
    ) -> Option<Conflict> {
        let mut conflict = None;
        let end = offset + bytes;
        let mut at = offset;
        while at < end {
            let word = at / 4;
            let next = (word * 4 + 4).min(end);
            let is_whole = at.is_multiple_of(4) && next - at == 4;
            let Some(cell) = self.cells.get(word).copied() else { return conflict };
            if cell.more != SPLIT && !is_whole {
                let mut parts = [cell; 4];
                if cell.more != 0 {
                    for part in &mut parts {
                        let list = self.readers[cell.more as usize - 1].clone();
                        self.readers.push(list);
                        part.more = self.readers.len() as u32;
                    }
                }
                self.split.insert(word as u32, parts);
                self.cells[word].more = SPLIT;
            }
            if self.cells[word].more == SPLIT {
                if let Some(mut parts) = self.split.remove(&(word as u32)) {
                    for part in &mut parts[at % 4..at % 4 + (next - at)] {
                        let found = touch(part, &mut self.readers, is_write, actor);
                        conflict = conflict.or(found);
                    }
                    self.split.insert(word as u32, parts);
                }
            } else {
                let found = touch(&mut self.cells[word], &mut self.readers, is_write, actor);
                conflict = conflict.or(found);
            }
            at = next;
        }
        conflict
    }

    /// The stamps of the last writes of a range, once each.
    pub(crate) fn writers(&self, offset: usize, bytes: usize) -> Vec<Stamp> {
        let mut list: Vec<Stamp> = Vec::new();
        let mut push = |stamp: Stamp| {
            if stamp.epoch != 0 && list.last() != Some(&stamp) && !list.contains(&stamp) {
                list.push(stamp);
            }
        };
        for word in offset / 4..(offset + bytes).div_ceil(4) {
            let Some(cell) = self.cells.get(word) else { break };
            if cell.more == SPLIT {
                for byte in 0..4 {
                    let at = word * 4 + byte;
                    if at >= offset && at < offset + bytes {
                        push(self.split[&(word as u32)][byte].write);
                    }
                }
            } else {
                push(cell.write);
            }
        }
        list
    }

    /// Replaces write stamps of one kind in a range, as a wait does.
    pub(crate) fn restamp_writes(&mut self, offset: usize, bytes: usize, from: Kind, to: Stamp) {
        self.each(offset, bytes, |cell, _| {
            if cell.write.kind() == from && cell.write.warp() == to.warp() {
                cell.write = to;
            }
        });
    }

    /// Turns in-flight reads of a warp in a range into reads that are over at `to`.
    pub(crate) fn restamp_reads(&mut self, offset: usize, bytes: usize, from: Kind, to: Stamp) {
        self.each(offset, bytes, |cell, readers| {
            let hit = |stamp: &mut Stamp| {
                if stamp.epoch != 0 && stamp.kind() == from && stamp.warp() == to.warp() {
                    *stamp = to;
                }
            };
            hit(&mut cell.read);
            if cell.more != 0 && cell.more != SPLIT {
                readers[cell.more as usize - 1].iter_mut().for_each(hit);
            }
        });
    }

    fn each(
        &mut self,
        offset: usize,
        bytes: usize,
        mut f: impl FnMut(&mut Cell, &mut Vec<Vec<Stamp>>),
    ) {
        for word in offset / 4..(offset + bytes).div_ceil(4) {
            let Some(cell) = self.cells.get_mut(word) else { return };
            if cell.more == SPLIT {
                if let Some(parts) = self.split.get_mut(&(word as u32)) {
                    parts.iter_mut().for_each(|part| f(part, &mut self.readers));
                }
            } else {
                f(cell, &mut self.readers);
            }
        }
    }
}

/// True where the stamp happens before the actor's access, or cannot race with it.
fn is_ordered(stamp: Stamp, actor: &Actor<'_>) -> bool {
    if stamp.epoch == 0 {
        return true;
    }
    let mine = actor.stamp;
    match stamp.kind() {
        Kind::CopyInFlight | Kind::BulkInFlight | Kind::WgmmaInFlight => return false,
        Kind::Strong if mine.kind() == Kind::Strong => return true,
        Kind::Plain | Kind::Strong | Kind::CopyDone | Kind::WgmmaDone
            if stamp.warp() == mine.warp() && stamp.lanes & !mine.lanes == 0 =>
        {
            return true;
        }
        _ => {}
    }
    actor.view.known.covers(stamp.warp(), stamp.lanes, stamp.epoch)
}

fn touch(
    cell: &mut Cell,
    readers: &mut Vec<Vec<Stamp>>,
    is_write: bool,
    actor: &Actor<'_>,
) -> Option<Conflict> {
    let mine = actor.stamp;
    let mut conflict = None;
    let same_value =
        actor.is_same_value && cell.write.kind() == Kind::Plain && mine.kind() == Kind::Plain;
    if !same_value && !is_ordered(cell.write, actor) {
        // Two reads in flight never conflict, a write in flight always does.
        conflict = Some(Conflict { stamp: cell.write, wrote: true });
    }
    if is_write {
        if !is_ordered(cell.read, actor) {
            conflict = conflict.or(Some(Conflict { stamp: cell.read, wrote: false }));
        }
        if cell.more != 0 && cell.more != SPLIT {
            for stamp in &readers[cell.more as usize - 1] {
                if !is_ordered(*stamp, actor) {
                    conflict = conflict.or(Some(Conflict { stamp: *stamp, wrote: false }));
                }
            }
        }
        *cell = Cell { write: mine, read: Stamp::default(), more: 0 };
        return conflict;
    }
    if cell.read.epoch == 0 {
        cell.read = mine;
    } else if cell.read.who == mine.who {
        merge(&mut cell.read, mine);
    } else {
        if cell.more == 0 {
            readers.push(Vec::new());
            cell.more = readers.len() as u32;
        }
        let list = &mut readers[cell.more as usize - 1];
        match list.iter_mut().find(|stamp| stamp.who == mine.who) {
            Some(stamp) => merge(stamp, mine),
            None => list.push(mine),
        }
    }
    conflict
}

fn merge(old: &mut Stamp, new: Stamp) {
    if old.epoch == new.epoch {
        old.lanes |= new.lanes;
    } else {
        *old = new;
    }
}
