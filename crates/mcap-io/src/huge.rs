//! A chunk of one huge message, made in the buffer that the message is read into.
//!
//! Anything else would hold the message several times: as it came, among the records of a new
//! chunk, and in that chunk's bytes. It stays uncompressed for the same reason, and so can be sent
//! on in slices.

use mcap::records::op;
use rdl_model::{Nanos, TimeRange};

use crate::describe::{Stored, Tally};
use crate::fields::FieldError;
use crate::walk::{RECORD_HEADER_BYTES, parse_message};
use crate::write::{ChunkHead, put_chunk_body, put_record};
use crate::{Compression, MessageView, StoredChunk};

/// The record and the head of its chunk, and the indexes of one message, need less besides.
const BESIDES_BYTES: usize = 512;
/// Where the fields of a Chunk record lie that are known last.
const TIMES_AT: usize = RECORD_HEADER_BYTES;
const CRC_AT: usize = TIMES_AT + 8 + 8 + 8;

/// A message record in the place that it has in its chunk.
pub(crate) struct HugeMessage {
    bytes: Vec<u8>,
    /// Where its record begins.
    record_at: usize,
}

impl HugeMessage {
    /// The message whose body of `body_bytes` `read` appends to a buffer with room for it.
    pub(crate) fn read<E>(
        body_bytes: usize,
        read: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<HugeMessage, E> {
        let mut bytes = Vec::with_capacity(body_bytes.saturating_add(BESIDES_BYTES));
        let mut record_at = 0;
        let mut done = Ok(());
        let record_bytes = (RECORD_HEADER_BYTES + body_bytes) as u64;
        let times = TimeRange { start: Nanos(0), end: Nanos(0) };
        let head = ChunkHead { times, uncompressed_bytes: record_bytes, crc: 0 };
        put_record(&mut bytes, op::CHUNK, |out| {
            put_chunk_body(out, &head, Compression::None, |out| {
                record_at = out.len();
                put_record(out, op::MESSAGE, |out| done = read(out));
            });
        });
        done.map(|()| HugeMessage { bytes, record_at })
    }

    /// The message as it came.
    pub(crate) fn view(&self) -> Result<MessageView<'_>, FieldError> {
        parse_message(&self.bytes[self.record_at + RECORD_HEADER_BYTES..])
    }

    /// The chunk, with the message as one of `channel`; `None` where it is too short for one.
    pub(crate) fn into_stored(mut self, channel: u16) -> Option<StoredChunk> {
        let log_time = self.view().ok()?.log_time;
        let channel_at = self.record_at + RECORD_HEADER_BYTES;
        self.bytes[channel_at..channel_at + 2].copy_from_slice(&channel.to_le_bytes());
        let records = &self.bytes[self.record_at..];
        let (uncompressed_bytes, crc) = (records.len() as u64, crc32fast::hash(records));
        for at in [TIMES_AT, TIMES_AT + 8] {
            self.bytes[at..at + 8].copy_from_slice(&log_time.0.to_le_bytes());
        }
        self.bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        let record_bytes = self.bytes.len() as u64;
        let mut tally = Tally::default();
        tally.message(channel, log_time, 0);
        tally.put_indexes(&mut self.bytes);
        let descriptor = tally.descriptor(&Stored {
            compression: Compression::None,
            uncompressed_bytes,
            crc,
            record_bytes,
            index_bytes: self.bytes.len() as u64 - record_bytes,
        });
        Some(StoredChunk { descriptor: descriptor?, bytes: self.bytes.into() })
    }
}

/// What holding a message record of this size takes, in bytes.
pub(crate) fn memory_bytes(body_bytes: u64) -> u64 {
    body_bytes.saturating_add(BESIDES_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Message, chunk};

    #[test]
    fn it_is_the_chunk_that_a_builder_makes() {
        let message = Message { channel: 5, sequence: 6, log_time: 7, data: vec![8; 1000] };
        let expected = chunk(Compression::None, std::slice::from_ref(&message));
        let mut body = Vec::new();
        crate::write::put_message(&mut body, 9, &message.view());
        let body = &body[RECORD_HEADER_BYTES..];
        let huge = HugeMessage::read(body.len(), |out| {
            let room = out.capacity();
            out.extend_from_slice(body);
            assert_eq!(out.capacity(), room);
            Ok::<(), ()>(())
        })
        .unwrap();
        assert_eq!(huge.view().unwrap(), MessageView { channel: 9, ..message.view() });
        let room = huge.bytes.capacity();
        let stored = huge.into_stored(5).unwrap();
        assert_eq!(stored.bytes, expected.bytes);
        assert_eq!(stored.descriptor, expected.descriptor);
        assert_eq!(room, body.len() + BESIDES_BYTES);
    }
}
