//! The one order that everything is merged, passed and looked back in.

use rdl_model::{ChunkRef, Nanos};

/// The order of everything: by time, then by source, then by the original order in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) time: Nanos,
    pub(crate) source: u32,
    pub(crate) chunk: u32,
    /// The position among the chunk's messages, which are in stable time order.
    pub(crate) entry: usize,
}

impl Key {
    /// The least key that a message of this chunk at this time can have.
    pub(crate) fn first(time: Nanos, at: ChunkRef) -> Key {
        Key { time, source: at.source, chunk: at.chunk, entry: 0 }
    }

    /// The greatest key that a message of this chunk at this time can have.
    pub(crate) fn last(time: Nanos, at: ChunkRef) -> Key {
        Key { time, source: at.source, chunk: at.chunk, entry: usize::MAX }
    }

    /// The chunk that the key lies in.
    pub(crate) fn at(self) -> ChunkRef {
        ChunkRef { source: self.source, chunk: self.chunk }
    }
}
