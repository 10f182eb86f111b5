//! What accesses cost: passes through the shared memory banks, sectors of device memory.

use super::exec::Exec;
use super::warp::Lanes;
use crate::decode::Space;

/// Banks of shared memory, 4 bytes wide each.
const BANKS: usize = 32;
/// Bytes of a sector of device memory.
const SECTOR: u64 = 32;

impl Exec<'_> {
    /// Counts one instruction that accesses `bytes` in each active lane.
    #[inline]
    pub(crate) fn count_access(
        &mut self,
        space: Space,
        addresses: &[u64; 32],
        active: u32,
        bytes: usize,
        is_write: bool,
    ) {
        let sum = u64::from(active.count_ones()) * bytes as u64;
        match space {
            Space::Shared | Space::Cluster => {
                if is_write {
                    self.counters.shared_written += sum;
                } else {
                    self.counters.shared_read += sum;
                }
                if self.options.memory_counters {
                    self.count_banks(addresses, active, bytes);
                }
            }
            Space::Global | Space::Generic => {
                if is_write {
                    self.counters.global_written += sum;
                } else {
                    self.counters.global_read += sum;
                }
                if self.options.memory_counters {
                    self.count_sectors(addresses, active, bytes);
                }
            }
            Space::Local | Space::Param => {}
        }
    }

    /// Lanes go through the banks in phases: all 32 for up to 4 bytes, halves for 8, quarters for
    /// 16. In a phase a bank serves one word; lanes that want the same word share it.
    fn count_banks(&mut self, addresses: &[u64; 32], active: u32, bytes: usize) {
        let lanes_a_phase = match bytes {
            0..=4 => 32,
            5..=8 => 16,
            _ => 8,
        };
        let mut ideal_words = 0;
        for phase in 0..32 / lanes_a_phase {
            let phase_lanes = if lanes_a_phase == 32 {
                active
            } else {
                active & (((1u32 << lanes_a_phase) - 1) << (phase * lanes_a_phase))
            };
            if phase_lanes == 0 {
                continue;
            }
            let mut words = [0u64; 32 * 4];
            let mut count = 0;
            for lane in Lanes(phase_lanes) {
                for part in 0..bytes.div_ceil(4).min(4) {
                    words[count] = addresses[lane] / 4 + part as u64;
                    count += 1;
                }
            }
            let words = &mut words[..count];
            words.sort_unstable();
            let mut depth = [0u32; BANKS];
            let mut last = u64::MAX;
            for word in words.iter() {
                if *word != last {
                    depth[(*word % BANKS as u64) as usize] += 1;
                    ideal_words += 1;
                    last = *word;
                }
            }
            self.counters.shared_wavefronts += u64::from(depth.into_iter().max().unwrap_or(0));
        }
        self.counters.shared_wavefronts_ideal += u64::div_ceil(ideal_words, BANKS as u64);
    }

    fn count_sectors(&mut self, addresses: &[u64; 32], active: u32, bytes: usize) {
        let mut sectors = [0u64; 64];
        let mut count = 0;
        for lane in Lanes(active) {
            sectors[count] = addresses[lane] / SECTOR;
            sectors[count + 1] = (addresses[lane] + bytes as u64 - 1) / SECTOR;
            count += 2;
        }
        let sectors = &mut sectors[..count];
        sectors.sort_unstable();
        let mut distinct = 0;
        let mut last = u64::MAX;
        for sector in sectors.iter() {
            if *sector != last {
                distinct += 1;
                last = *sector;
            }
        }
        self.counters.global_sectors += distinct;
        let dense = u64::from(active.count_ones()) * bytes as u64;
        // Lanes that share bytes can need fewer sectors than dense lanes would.
        self.counters.global_sectors_ideal += dense.div_ceil(SECTOR).min(distinct);
    }
}
