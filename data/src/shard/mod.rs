//! Sessions on disk: tar shards in the manner of WebDataset, with a sidecar index.
//!
//! ```text
//! folder/
//!   dataset.json            counts, statistics, versions; written last
//!   train-000000.tar        {key}.json · {key}.000.jpg · {key}.000.cur.png · {key}.000.next.png ...
//!   train-000000.index.json key, offset, size and SHA-256 of each session
//! ```
//!
//! All files of a key stand together and owner, mode and time are fixed, so equal sessions give
//! equal shards. A mask `{key}.{i}.cur.png` or `.next.png` belongs to transition `i` and is 8-bit
//! grey, 0 = keep, 255 = edit. A reader takes shards of other tools too: files that are no part of
//! a session are counted and passed over, and without an index the headers are read.

mod dataset;
mod index;
mod member;
mod pack;
mod part;
pub(crate) mod publish;
mod reader;
mod scan;
mod statistics;
#[cfg(test)]
mod tests;
mod unpack;
mod writer;

pub use dataset::{DATASET_FILE, Dataset, DatasetShard, IndexedShard, index_shard, list_shards};
pub use index::{ShardEntry, ShardIndex};
pub use pack::{FrameFormat, PackedSession};
pub use reader::ShardReader;
pub(crate) use reader::read_span;
pub use statistics::Statistics;
pub use unpack::Reason;
pub(crate) use unpack::{Refusal, key_of, unpack};
pub use writer::{ExistingShards, ShardWriter, WriterConfig};

/// Largest session in a shard, bytes.
pub const MAX_SESSION_BYTES: u64 = 256 << 20;

/// Most sessions in one shard.
pub const MAX_SHARD_SESSIONS: usize = 4 << 20;
