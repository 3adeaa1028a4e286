//! MCAP without I/O: bytes in, events out. Scan, verify, number, re-chunk, write.
//!
//! No async, no files, no network. The flow of a streamed source: bytes -> [`Scanner`] (frames
//! records, opens and verifies chunks) -> [`Rechunker`] (canonical ids, order, good sizes) ->
//! [`StoredChunk`]s, each with the [`ChunkDescriptor`] that everything later is planned from.
//! A response goes the other way: stored chunks and messages -> [`OutputWriter`] -> bytes.

mod channel;
mod chunk;

pub use channel::{ChannelDef, ChannelRecord, SchemaDef};
pub use chunk::{ChannelUse, ChunkDescriptor, Compression, MessageView, StoredChunk};
