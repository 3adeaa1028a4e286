//! Making new chunks: for the rechunker, and for what a response merges.

use std::io;

use bytes::Bytes;
use mcap::records::op;
use rdl_model::TimeRange;

use crate::codec::Compressor;
use crate::describe::{Stored, Tally};
use crate::write::{ChunkHead, put_channel, put_chunk_body, put_message, put_record, put_schema};
use crate::{ChannelRecord, Compression, MessageView, SchemaDef, StoredChunk};

/// Collects messages into a chunk, and chunk after chunk into the same buffers.
///
/// The chunk has the compression asked for even where that does not make it smaller: what a
/// client accepts counts for more than a few bytes.
pub struct ChunkBuilder {
    compression: Compression,
    compressor: Compressor,
    records: Vec<u8>,
    tally: Tally,
    stored: Vec<u8>,
}

impl ChunkBuilder {
    /// An empty chunk.
    pub fn new(compression: Compression) -> ChunkBuilder {
        ChunkBuilder {
            compression,
            compressor: Compressor::default(),
            records: Vec::new(),
            tally: Tally::default(),
            stored: Vec::new(),
        }
    }

    /// Appends a Schema record.
    pub fn schema(&mut self, id: u16, schema: &SchemaDef) {
        put_schema(&mut self.records, id, schema);
        self.tally.schema_record(id);
    }

    /// Appends a Channel record.
    pub fn channel(&mut self, channel: &ChannelRecord) {
        put_channel(&mut self.records, channel);
        self.tally.channel_record(channel.id);
    }

    /// Appends `message` as one of `channel`, whatever its own channel is. Messages may come in
    /// any order; the descriptor tells.
    pub fn message(&mut self, channel: u16, message: &MessageView<'_>) {
        let offset = self.records.len();
        put_message(&mut self.records, channel, message);
        self.tally.message(channel, message.log_time, offset);
    }

    /// The size of the records so far, in bytes.
    pub fn uncompressed_bytes(&self) -> usize {
        self.records.len()
    }

    /// What its buffers take in memory, in bytes, about.
    pub fn memory_bytes(&self) -> usize {
        self.records.capacity() + self.stored.capacity()
    }

    /// How many messages there are so far.
    pub fn message_count(&self) -> u64 {
        self.tally.count()
    }

    /// The least and the greatest log time so far; `None` without messages.
    pub fn times(&self) -> Option<TimeRange> {
        self.tally.times()
    }

    /// Closes the chunk and starts an empty one; `None` without messages. Fails only where a
    /// codec finds no memory.
    pub fn build(&mut self) -> io::Result<Option<StoredChunk>> {
        let built = self.encode();
        self.records.clear();
        self.tally.clear();
        built
    }

    /// The same, with the chunk's uncompressed records.
    pub(crate) fn build_with_records(&mut self) -> io::Result<Option<(StoredChunk, Bytes)>> {
        let built = self.encode();
        let room = self.records.capacity();
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(room));
        self.tally.clear();
        Ok(built?.map(|chunk| (chunk, records.into())))
    }

    fn encode(&mut self) -> io::Result<Option<StoredChunk>> {
        let Some(times) = self.tally.times() else { return Ok(None) };
        // A codec that failed may have left the beginning of a chunk.
        self.stored.clear();
        // What compresses badly fits too. Pages that are never written to are never committed.
        self.stored
            .reserve(self.records.len() + self.records.len() / 64 + self.tally.index_bytes());
        let crc = crc32fast::hash(&self.records);
        let mut compressed = Ok(());
        put_record(&mut self.stored, op::CHUNK, |out| {
            let head = ChunkHead { times, uncompressed_bytes: self.records.len() as u64, crc };
            put_chunk_body(out, &head, self.compression, |out| {
                compressed = self.compressor.compress(self.compression, &self.records, out);
            });
        });
        compressed?;
        let record_bytes = self.stored.len();
        self.tally.put_indexes(&mut self.stored);
        let descriptor = self.tally.descriptor(&Stored {
            compression: self.compression,
            uncompressed_bytes: self.records.len() as u64,
            crc,
            record_bytes: record_bytes as u64,
            index_bytes: (self.stored.len() - record_bytes) as u64,
        });
        let mut stored = std::mem::take(&mut self.stored);
        // It is handed over, and may be kept for long.
        if stored.capacity() - stored.len() > stored.len() / 8 {
            stored.shrink_to_fit();
        }
        Ok(descriptor.map(|descriptor| StoredChunk { descriptor, bytes: stored.into() }))
    }
}

#[cfg(test)]
mod tests;
