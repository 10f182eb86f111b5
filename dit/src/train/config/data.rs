//! `[data]`: what is trained on, and in which order.

use super::problem::{Problem, require, require_seed};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use vincie_data::loader::{
    DatasetConfig, DatasetSource, HoldOut, HoldOutBy, LoaderConfig, Order, Part,
};
use vincie_data::sprites::{Category, Purpose, SIDES, World};

/// Largest height or width of a picture, pixels.
const MAX_SIDE: usize = 8192;

/// Largest shuffle buffer, sessions.
const MAX_BUFFER: usize = 1 << 28;

/// Most decoding threads.
const MAX_WORKERS: usize = 1024;

/// Most different sessions of the synthetic world.
const MAX_SPRITES: u64 = 1 << 32;

/// What is trained on, and in which order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// Shards and folders of shards, relative to where the program is started; at least one is
    /// needed where `sprites` is 0. Default: [].
    pub shards: Vec<PathBuf>,
    /// Different sessions of the synthetic world that are made on the fly, beside the shards or
    /// alone; 0 for none. Default: 0.
    pub sprites: u64,
    /// Kinds of edits in them, all where the list is empty: add, remove, replace, recolour, reshape,
    /// enlarge, shrink, move, background, light, camera, several. Default: [].
    pub sprites_edits: Vec<String>,
    /// Edits of each of them. Default: 5.
    pub sprites_turns: usize,
    /// Share of the sessions that is kept from training and evaluated on, 0 to 0.5. Default: 0.02.
    pub holdout: f64,
    /// What decides on which side a session is: its key, or its source, so that a video is on one
    /// side only (needs shards with an index). Default: "key".
    pub holdout_by: SplitBy,
    /// Height and width that pictures are brought to, pixels; multiples of the model's patch.
    /// Default: [32, 32].
    pub size: [usize; 2],
    /// Most frames of a session that one sample shows; of a longer session it shows a window at a
    /// random place. 0 shows whole sessions. Default: 0.
    pub frames: usize,
    /// Sessions among which the next one is drawn; 0 reads in the order of the files. Default:
    /// 10000.
    pub shuffle_buffer: usize,
    /// Threads that decode ahead; 0 decodes between the steps. Default: 2.
    pub workers: usize,
    /// Seed of the order. Default: 0.
    pub seed: u64,
}

/// What decides on which side of the hold-out a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitBy {
    /// Its key.
    Key,
    /// The name of its source.
    Source,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            shards: Vec::new(),
            sprites: 0,
            sprites_edits: Vec::new(),
            sprites_turns: 5,
            holdout: 0.02,
            holdout_by: SplitBy::Key,
            size: [32, 32],
            frames: 0,
            shuffle_buffer: 10_000,
            workers: 2,
            seed: 0,
        }
    }
}

impl DataSection {
    /// One side of the hold-out; `None` where nothing is held out. One session of so many is, as
    /// comes nearest to the share.
    pub fn hold_out(&self, part: Part) -> Option<HoldOut> {
        let by = match self.holdout_by {
            SplitBy::Key => HoldOutBy::Key,
            SplitBy::Source => HoldOutBy::Source,
        };
        (self.holdout > 0.0).then(|| HoldOut {
            every: (1.0 / self.holdout).round() as u64,
            by,
            part,
        })
    }

    /// The synthetic world that sessions are made of.
    fn world(&self) -> Result<World, vincie_data::Error> {
        Ok(World {
            turns: self.sprites_turns,
            side: self.size[0].min(self.size[1]),
            weights: Category::weights(self.sprites_edits.iter().map(String::as_str))?,
            ..World::new(self.seed, Purpose::Train)
        })
    }

    /// A loader's configuration for one rank of one: shuffled without end for training, in file
    /// order and once for the held-out sessions. Shards and synthetic sessions take turns where
    /// there are both. The section must be valid.
    pub fn loader(&self, part: Part) -> LoaderConfig {
        let order = match (part, self.shuffle_buffer) {
            (Part::Train, buffer) if buffer > 0 => Order::Shuffled { buffer },
            (Part::Train | Part::HeldOut, _) => Order::FileOrder,
        };
        LoaderConfig {
            datasets: self.datasets(),
            seed: self.seed,
            order,
            hold_out: self.hold_out(part),
            epochs: (part == Part::HeldOut).then_some(1),
            workers: self.workers,
            ..LoaderConfig::default()
        }
    }

    fn datasets(&self) -> Vec<DatasetConfig> {
        let shards = (!self.shards.is_empty()).then(|| DatasetSource::Shards(self.shards.clone()));
        let sprites = (self.sprites > 0).then(|| {
            let world = self.world().expect("a valid section names edits that exist");
            DatasetSource::Sprites { world, sessions: self.sprites }
        });
        let sources = shards.into_iter().chain(sprites);
        sources.map(|source| DatasetConfig { source, weight: 1 }).collect()
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.shards.is_empty() && self.sprites == 0 {
            let what = "is empty; name at least one shard or folder, or set data.sprites";
            return Err(Problem::new("data.shards", what));
        }
        self.check_sprites()?;
        let (share, [height, width]) = (self.holdout, self.size);
        require((0.0..=0.5).contains(&share), "data.holdout", share, "a share from 0 to 0.5")?;
        require(share == 0.0 || share >= 1e-9, "data.holdout", share, "0, or at least 1e-9")?;
        let sides = 1..=MAX_SIDE;
        let is_size = sides.contains(&height) && sides.contains(&width);
        require(is_size, "data.size", self.size, "height and width from 1 to 8192")?;
        require(self.frames != 1, "data.frames", self.frames, "0 for all, or at least 2")?;
        let buffer = self.shuffle_buffer;
        require(buffer <= MAX_BUFFER, "data.shuffle_buffer", buffer, "at most 268435456")?;
        require(self.workers <= MAX_WORKERS, "data.workers", self.workers, "at most 1024")?;
        require_seed("data.seed", self.seed)
    }

    fn check_sprites(&self) -> Result<(), Problem> {
        let refuse = |key: &str, error: vincie_data::Error| Problem::new(key, error.to_string());
        let world = self.world().map_err(|error| refuse("data.sprites_edits", error))?;
        require(self.sprites <= MAX_SPRITES, "data.sprites", self.sprites, "at most 4294967296")?;
        let turns = self.sprites_turns;
        require((1..=19).contains(&turns), "data.sprites_turns", turns, "1 to 19")?;
        if self.sprites == 0 {
            return Ok(());
        }
        let is_square = self.size[0] == self.size[1] && SIDES.contains(&self.size[0]);
        require(
            is_square,
            "data.size",
            self.size,
            "for data.sprites two equal sides of 16 to 1024 pixels",
        )?;
        world.check().map_err(|error| refuse("data.sprites_edits", error))
    }
}
