//! The layout of an MCAP file that is written from front to back: header, records, chunks, data
//! end, summary, footer (MCAP specification, "File structure").
//!
//! [`crate::OutputWriter`] and [`crate::PartWriter`] decide what goes in; this knows where it
//! lies, and so writes the summary. Chunks are not copied. The CRC of the data section is left
//! zero, which the specification allows: each chunk has its own, and a passed chunk's bytes are
//! then never touched on their way out.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use mcap::MAGIC;
use mcap::records::op;
use rdl_model::{ByteRange, Nanos, TimeRange};

use crate::walk::RECORD_HEADER_BYTES;
use crate::write::{
    put_channel, put_data_end, put_header, put_record, put_schema, put_sized, put_text, put_u16,
    put_u32, put_u64,
};
use crate::{
    AttachmentHead, AttachmentRecord, ChannelRecord, ChunkDescriptor, MetadataRecord, OutputError,
    SchemaDef, StoredChunk,
};

/// A piece of what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputPiece {
    /// These bytes.
    Bytes(Bytes),
    /// The stored bytes of what was given this ticket: a chunk, or an attachment.
    Elsewhere(u64),
}

/// A file as far as it is written.
pub(crate) struct FileWriter {
    /// Written and not taken yet.
    output: Vec<OutputPiece>,
    /// Small records that come after `output`.
    buffer: Vec<u8>,
    pending_bytes: usize,
    position: u64,
    pub(crate) schemas: BTreeMap<u16, Arc<SchemaDef>>,
    pub(crate) channels: BTreeMap<u16, Arc<ChannelRecord>>,
    message_counts: BTreeMap<u16, u64>,
    times: Option<TimeRange>,
    message_count: u64,
    chunk_indexes: Records,
    attachment_indexes: Records,
    metadata_indexes: Records,
    /// Whether the file will get a summary, for which something is kept of each chunk.
    has_summary: bool,
    finished: bool,
}

/// Records of one kind, for the summary.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    count: u32,
}

impl Records {
    fn add(&mut self, opcode: u8, body: impl FnOnce(&mut Vec<u8>)) {
        put_record(&mut self.bytes, opcode, body);
        self.count = self.count.saturating_add(1);
    }
}

impl FileWriter {
    pub(crate) fn new(profile: &str, library: &str) -> FileWriter {
        let mut file = FileWriter {
            output: Vec::new(),
            buffer: Vec::new(),
            pending_bytes: 0,
            position: 0,
            schemas: BTreeMap::new(),
            channels: BTreeMap::new(),
            message_counts: BTreeMap::new(),
            times: None,
            message_count: 0,
            chunk_indexes: Records::default(),
            attachment_indexes: Records::default(),
            metadata_indexes: Records::default(),
            has_summary: true,
            finished: false,
        };
        file.append(|out| {
            out.extend_from_slice(MAGIC);
            put_header(out, profile, library);
        });
        file
    }

    /// It will never be finished: nothing is kept for its summary.
    pub(crate) fn without_summary(mut self) -> FileWriter {
        self.has_summary = false;
        self
    }

    /// Whether `channel` is written as it is, or can be.
    pub(crate) fn fits(&self, channel: &ChannelRecord) -> bool {
        let channel_fits =
            self.channels.get(&channel.id).is_none_or(|written| **written == *channel);
        let schema_fits = match &channel.def.schema {
            None => channel.schema_id == 0,
            Some(schema) => {
                channel.schema_id != 0
                    && self.schemas.get(&channel.schema_id).is_none_or(|written| written == schema)
            }
        };
        channel_fits && schema_fits
    }

    /// Writes `channel` and its schema, whichever are not written yet.
    pub(crate) fn define(&mut self, channel: &Arc<ChannelRecord>) -> Result<(), OutputError> {
        let known = self.channels.get(&channel.id);
        if known.is_some_and(|known| Arc::ptr_eq(known, channel)) {
            return Ok(());
        }
        if !self.fits(channel) {
            return Err(OutputError::IdTaken { id: channel.id, topic: channel.def.topic.clone() });
        }
        if let Some(schema) = &channel.def.schema {
            self.define_schema(channel.schema_id, schema);
        }
        if let Entry::Vacant(free) = self.channels.entry(channel.id) {
            free.insert(channel.clone());
            self.append(|out| put_channel(out, channel));
        }
        Ok(())
    }

    /// Writes a schema unless there is one of this id.
    pub(crate) fn define_schema(&mut self, id: u16, schema: &Arc<SchemaDef>) {
        if let Entry::Vacant(free) = self.schemas.entry(id) {
            free.insert(schema.clone());
            self.append(|out| put_schema(out, id, schema));
        }
    }

    /// How long the indexes are that [`FileWriter::finish`] would write now, in bytes.
    pub(crate) fn index_bytes(&self) -> u64 {
        let records = [&self.chunk_indexes, &self.attachment_indexes, &self.metadata_indexes];
        records.into_iter().map(|records| records.bytes.len() as u64).sum()
    }

    /// Writes a chunk whose channels are defined, and says where it lies.
    pub(crate) fn chunk(&mut self, chunk: &StoredChunk) -> Result<ByteRange, OutputError> {
        let range = self.account(&chunk.descriptor, chunk.bytes.len() as u64)?;
        self.push(chunk.bytes.clone());
        Ok(range)
    }

    /// Leaves the place for a chunk whose channels are defined, and says where that is; its bytes
    /// are somewhere else.
    pub(crate) fn chunk_elsewhere(
        &mut self,
        descriptor: &ChunkDescriptor,
        ticket: u64,
    ) -> Result<ByteRange, OutputError> {
        let range = self.account(descriptor, descriptor.stored_bytes())?;
        self.leave_place(range, ticket);
        Ok(range)
    }

    fn leave_place(&mut self, range: ByteRange, ticket: u64) {
        self.seal_buffer();
        self.position = range.end;
        self.output.push(OutputPiece::Elsewhere(ticket));
    }

    /// Puts a chunk that comes next into the summary, and says where it will lie.
    fn account(
        &mut self,
        descriptor: &ChunkDescriptor,
        stored_bytes: u64,
    ) -> Result<ByteRange, OutputError> {
        let range = ByteRange::at(self.position, stored_bytes);
        let compressed_bytes = compressed_bytes(descriptor);
        let (index_offsets, index_bytes) =
            index_offsets(descriptor, self.position.saturating_add(descriptor.record_bytes));
        let (Some(compressed_bytes), true) = (
            compressed_bytes,
            index_bytes == descriptor.index_bytes && range.len() == descriptor.stored_bytes(),
        ) else {
            return Err(OutputError::WrongDescriptor);
        };
        if !self.has_summary {
            return Ok(range);
        }
        self.chunk_indexes.add(op::CHUNK_INDEX, |out| {
            put_u64(out, descriptor.times.start.0);
            put_u64(out, descriptor.times.end.0);
            put_u64(out, range.start);
            put_u64(out, descriptor.record_bytes);
            put_sized(out, |out| {
                for (id, offset) in index_offsets {
                    put_u16(out, id);
                    put_u64(out, offset);
                }
            });
            put_u64(out, descriptor.index_bytes);
            put_text(out, descriptor.compression.mcap_name());
            put_u64(out, compressed_bytes);
            put_u64(out, descriptor.uncompressed_bytes);
        });
        self.times =
            Some(self.times.map_or(descriptor.times, |times| times.union(descriptor.times)));
        self.message_count += descriptor.message_count;
        for used in &descriptor.channels {
            *self.message_counts.entry(used.id).or_default() += u64::from(used.count);
        }
        Ok(range)
    }

    pub(crate) fn attachment(&mut self, attachment: &AttachmentRecord) -> ByteRange {
        let record = attachment.to_record_bytes();
        let range = self.account_attachment(&attachment.head(), record.len() as u64);
        self.push(record);
        range
    }

    /// Leaves the place for an attachment whose record is somewhere else, and says where that is.
    pub(crate) fn attachment_elsewhere(
        &mut self,
        head: &AttachmentHead,
        record_bytes: u64,
        ticket: u64,
    ) -> ByteRange {
        let range = self.account_attachment(head, record_bytes);
        self.leave_place(range, ticket);
        range
    }

    fn account_attachment(&mut self, head: &AttachmentHead, record_bytes: u64) -> ByteRange {
        let range = ByteRange::at(self.position, record_bytes);
        self.attachment_indexes.add(op::ATTACHMENT_INDEX, |out| {
            put_u64(out, range.start);
            put_u64(out, range.len());
            put_u64(out, head.log_time.0);
            put_u64(out, head.create_time.0);
            put_u64(out, head.data_bytes);
            put_text(out, &head.name);
            put_text(out, &head.media_type);
        });
        range
    }

    pub(crate) fn metadata(&mut self, metadata: &MetadataRecord) {
        let record = metadata.to_record_bytes();
        let range = ByteRange::at(self.position, record.len() as u64);
        self.metadata_indexes.add(op::METADATA_INDEX, |out| {
            put_u64(out, range.start);
            put_u64(out, range.len());
            put_text(out, &metadata.name);
        });
        self.append(|out| out.extend_from_slice(&record));
    }

    /// Writes the data end, the summary, the footer and the magic. A second call does nothing.
    pub(crate) fn finish(&mut self) {
        if mem::replace(&mut self.finished, true) {
            return;
        }
        self.append(|out| put_data_end(out, 0));
        let start = self.position;
        let mut summary = Vec::new();
        let mut groups = Vec::new();
        let mut group = |opcode: u8, records: &[u8]| {
            if !records.is_empty() {
                groups.push((opcode, start + summary.len() as u64, records.len() as u64));
                summary.extend_from_slice(records);
            }
        };
        let mut records = Vec::new();
        for (id, schema) in &self.schemas {
            put_schema(&mut records, *id, schema);
        }
        group(op::SCHEMA, &records);
        records.clear();
        for channel in self.channels.values() {
            put_channel(&mut records, channel);
        }
        group(op::CHANNEL, &records);
        records.clear();
        self.put_statistics(&mut records);
        group(op::STATISTICS, &records);
        group(op::CHUNK_INDEX, &mem::take(&mut self.chunk_indexes.bytes));
        group(op::ATTACHMENT_INDEX, &mem::take(&mut self.attachment_indexes.bytes));
        group(op::METADATA_INDEX, &mem::take(&mut self.metadata_indexes.bytes));
        let offsets_start = start + summary.len() as u64;
        for (opcode, start, len) in groups {
            put_record(&mut summary, op::SUMMARY_OFFSET, |out| {
                out.push(opcode);
                put_u64(out, start);
                put_u64(out, len);
            });
        }
        put_record(&mut summary, op::FOOTER, |out| {
            put_u64(out, start);
            put_u64(out, offsets_start);
            put_u32(out, 0);
        });
        // Over the summary and the footer up to the checksum itself (specification, "Footer").
        let crc_at = summary.len() - size_of::<u32>();
        let crc = crc32fast::hash(&summary[..crc_at]);
        summary[crc_at..].copy_from_slice(&crc.to_le_bytes());
        summary.extend_from_slice(MAGIC);
        self.push(summary.into());
    }

    fn put_statistics(&self, out: &mut Vec<u8>) {
        let times = self.times.unwrap_or(TimeRange { start: Nanos::MIN, end: Nanos::MIN });
        put_record(out, op::STATISTICS, |out| {
            put_u64(out, self.message_count);
            put_u16(out, u16::try_from(self.schemas.len()).unwrap_or(u16::MAX));
            put_u32(out, u32::try_from(self.channels.len()).unwrap_or(u32::MAX));
            put_u32(out, self.attachment_indexes.count);
            put_u32(out, self.metadata_indexes.count);
            put_u32(out, self.chunk_indexes.count);
            put_u64(out, times.start.0);
            put_u64(out, times.end.0);
            put_sized(out, |out| {
                for (id, count) in &self.message_counts {
                    put_u16(out, *id);
                    put_u64(out, *count);
                }
            });
        });
    }

    /// Takes what was written since the last call, in order.
    pub(crate) fn take_output(&mut self) -> Vec<OutputPiece> {
        self.seal_buffer();
        self.pending_bytes = 0;
        mem::take(&mut self.output)
    }

    /// What was written and not taken yet, in bytes, less chunks that are elsewhere.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// What was written at all, in bytes.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.position
    }

    /// How many messages lie in the chunks written.
    pub(crate) fn message_count(&self) -> u64 {
        self.message_count
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        write(&mut self.buffer);
        self.advance(self.buffer.len() - before);
    }

    fn push(&mut self, bytes: Bytes) {
        self.seal_buffer();
        self.advance(bytes.len());
        self.output.push(OutputPiece::Bytes(bytes));
    }

    fn advance(&mut self, bytes: usize) {
        self.position += bytes as u64;
        self.pending_bytes += bytes;
    }

    fn seal_buffer(&mut self) {
        if !self.buffer.is_empty() {
            self.output.push(OutputPiece::Bytes(mem::take(&mut self.buffer).into()));
        }
    }
}

/// The size of a chunk's compressed records: its record less all the other fields.
fn compressed_bytes(descriptor: &ChunkDescriptor) -> Option<u64> {
    let name = descriptor.compression.mcap_name().len();
    descriptor.record_bytes.checked_sub((RECORD_HEADER_BYTES + 8 + 8 + 8 + 4 + 4 + name + 8) as u64)
}

/// Where the message index of each channel lies when the first is at `at`, and how long they are
/// together.
fn index_offsets(descriptor: &ChunkDescriptor, at: u64) -> (BTreeMap<u16, u64>, u64) {
    let mut offsets = BTreeMap::new();
    let mut len = 0;
    for used in &descriptor.channels {
        offsets.insert(used.id, at.saturating_add(len));
        len += (RECORD_HEADER_BYTES + 2 + 4) as u64 + 16 * u64::from(used.count);
    }
    (offsets, len)
}
