//! The order of sessions: an endless sequence that seed and data define, the same for any number
//! of ranks and workers. It deals in places only, so it can run ahead without reading a byte.

use super::Order;
use super::plan::{Place, Plan};
use super::random::{Random, Stream};

/// The sequence of all ranks together.
#[derive(Debug)]
pub(super) struct Sequence {
    next: u64,
    /// Data set of each place in the current block of the mixture.
    block: Vec<u32>,
    passes: Vec<Pass>,
}

/// One data set read over and over; this is its current pass.
#[derive(Debug)]
struct Pass {
    dataset: u32,
    number: u64,
    shards: Vec<u32>,
    /// Next session to enter the buffer.
    shard: usize,
    entry: usize,
    buffer: Vec<Place>,
    random: Random,
    emitted: u64,
}

impl Sequence {
    /// The sequence from session `start` on. Costs a few nanoseconds for each session of the
    /// passes that are under way there.
    pub(super) fn new(plan: &Plan, start: u64) -> Self {
        let size = plan.block();
        let mut sequence = Self { next: start, block: Vec::new(), passes: Vec::new() };
        let within = (start % size) as usize;
        sequence.block = block(plan, start / size);
        for (index, dataset) in plan.datasets.iter().enumerate() {
            let begun =
                sequence.block[..within].iter().filter(|&&other| other == index as u32).count();
            let drawn = start / size * dataset.weight + begun as u64;
            let mut pass = Pass::new(plan, index as u32, drawn / dataset.sessions());
            for _ in 0..drawn % dataset.sessions() {
                pass.next(plan);
            }
            sequence.passes.push(pass);
        }
        sequence
    }

    /// The next session of the sequence and its number.
    pub(super) fn next(&mut self, plan: &Plan) -> (u64, Place) {
        let number = self.next;
        let within = number % plan.block();
        if within == 0 {
            self.block = block(plan, number / plan.block());
        }
        let dataset = self.block[within as usize] as usize;
        let pass = &mut self.passes[dataset];
        if pass.emitted == plan.datasets[dataset].sessions() {
            *pass = Pass::new(plan, pass.dataset, pass.number + 1);
        }
        self.next += 1;
        (number, pass.next(plan))
    }
}

/// Which data set each place of block `number` goes to: as often as its weight says, in an order
/// of its own for each block.
fn block(plan: &Plan, number: u64) -> Vec<u32> {
    let mut block = Vec::with_capacity(plan.block() as usize);
    for (index, dataset) in plan.datasets.iter().enumerate() {
        block.extend((0..dataset.weight).map(|_| index as u32));
    }
    Random::new(plan.seed, Stream::Mixture, 0, number).shuffle(&mut block);
    block
}

impl Pass {
    fn new(plan: &Plan, dataset: u32, number: u64) -> Self {
        let count = plan.datasets[dataset as usize].shards() as u32;
        let mut shards: Vec<u32> = (0..count).collect();
        let random = |stream| Random::new(plan.seed, stream, dataset as usize, number);
        if let Order::Shuffled { .. } = plan.order {
            random(Stream::Shards).shuffle(&mut shards);
        }
        let random = random(Stream::Buffer);
        let mut pass = Self {
            dataset,
            number,
            shards,
            shard: 0,
            entry: 0,
            buffer: Vec::new(),
            random,
            emitted: 0,
        };
        let slots = match plan.order {
            Order::FileOrder => 1,
            Order::Shuffled { buffer } => buffer.max(1),
        };
        while pass.buffer.len() < slots {
            let Some(place) = pass.enter(plan) else { break };
            pass.buffer.push(place);
        }
        pass
    }

    /// A random session of the buffer; the next one of the files takes its slot.
    fn next(&mut self, plan: &Plan) -> Place {
        assert!(!self.buffer.is_empty(), "pass {} has ended", self.number);
        let slot = self.random.below(self.emitted, self.buffer.len() as u64) as usize;
        self.emitted += 1;
        match self.enter(plan) {
            Some(place) => std::mem::replace(&mut self.buffer[slot], place),
            None => self.buffer.swap_remove(slot),
        }
    }

    fn enter(&mut self, plan: &Plan) -> Option<Place> {
        let dataset = &plan.datasets[self.dataset as usize];
        loop {
            let shard = *self.shards.get(self.shard)?;
            if self.entry < dataset.sessions_in(shard as usize) {
                self.entry += 1;
                return Some(Place { dataset: self.dataset, shard, entry: self.entry as u32 - 1 });
            }
            self.shard += 1;
            self.entry = 0;
        }
    }
}
