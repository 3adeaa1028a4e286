//! Sources of a single chunk of any size, whose messages are made as they are written: what is
//! large is never held as messages, and what compresses well is never large.

use std::io::Cursor;
use std::sync::Arc;

use mcap::records::{MessageHeader, op};
use mcap::{Compression, WriteOptions};

use crate::decode::Message;
use crate::recording::Channel;

/// Of a Chunk record, from its opcode to the size that it declares: opcode, length and two times.
const BEFORE_DECLARED_SIZE: usize = 1 + 8 + 8 + 8;

/// A file with one chunk of this many like messages, a millisecond apart.
#[derive(Clone, Debug)]
pub struct OneChunk {
    /// The topic of all messages.
    pub topic: String,
    /// Log time of the first message, in nanoseconds.
    pub start_nanos: u64,
    /// How many.
    pub messages: u32,
    /// The data of each, in bytes; they repeat every few bytes.
    pub payload_bytes: usize,
    /// Of the chunk.
    pub compression: Option<Compression>,
}

impl OneChunk {
    /// The message of this number, counted from 0.
    pub fn message(&self, number: u32) -> Message {
        self.of_channel(&Arc::new(Channel::json(&self.topic)), number)
    }

    /// All of them, made one by one.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        let channel = Arc::new(Channel::json(&self.topic));
        (0..self.messages).map(move |number| self.of_channel(&channel, number))
    }

    /// The file.
    ///
    /// # Panics
    ///
    /// If the `mcap` crate refuses it.
    pub fn write(&self) -> Vec<u8> {
        self.try_write().expect("the mcap crate writes any messages into memory")
    }

    /// [`write`](Self::write), with a chunk whose header declares this uncompressed size.
    ///
    /// # Panics
    ///
    /// As there.
    pub fn write_declaring(&self, uncompressed_bytes: u64) -> Vec<u8> {
        let mut file = self.write();
        let chunk = chunk_at(&file).expect("a file that was just written has its chunk");
        let declared = chunk + BEFORE_DECLARED_SIZE;
        file[declared..declared + 8].copy_from_slice(&uncompressed_bytes.to_le_bytes());
        file
    }

    fn of_channel(&self, channel: &Arc<Channel>, number: u32) -> Message {
        let log_time = self.start_nanos + u64::from(number) * 1_000_000;
        let mut data = vec![number as u8; self.payload_bytes];
        // So that no two messages of one length are the same.
        let own = number.to_le_bytes();
        let length = own.len().min(data.len());
        data[..length].copy_from_slice(&own[..length]);
        Message {
            channel: Arc::clone(channel),
            log_time,
            publish_time: log_time,
            sequence: number,
            data,
        }
    }

    fn try_write(&self) -> mcap::McapResult<Vec<u8>> {
        let mut writer = WriteOptions::new()
            .library("rdl-testkit")
            .compression(self.compression)
            // The chunk is closed with the file.
            .chunk_size(None)
            .emit_summary_records(false)
            .emit_summary_offsets(false)
            .create(Cursor::new(Vec::new()))?;
        let channel = Channel::json(&self.topic);
        let schema_id = match &channel.schema {
            Some(schema) => writer.add_schema(&schema.name, &schema.encoding, &schema.data)?,
            None => 0,
        };
        let id = writer.add_channel(
            schema_id,
            &channel.topic,
            &channel.message_encoding,
            &channel.metadata,
        )?;
        for message in self.messages() {
            let header = MessageHeader {
                channel_id: id,
                sequence: message.sequence,
                log_time: message.log_time,
                publish_time: message.publish_time,
            };
            writer.write_to_known_channel(&header, &message.data)?;
        }
        writer.finish()?;
        Ok(writer.into_inner().into_inner())
    }
}

/// Where the first Chunk record begins.
fn chunk_at(file: &[u8]) -> Option<usize> {
    let mut at = mcap::MAGIC.len();
    loop {
        let opcode = *file.get(at)?;
        if opcode == op::CHUNK {
            return Some(at);
        }
        let length = file.get(at + 1..at + 9)?;
        at += 9 + usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    fn small() -> OneChunk {
        OneChunk {
            topic: "/a".to_owned(),
            start_nanos: 5,
            messages: 300,
            payload_bytes: 10_000,
            compression: Some(Compression::Zstd),
        }
    }

    #[test]
    fn one_chunk_holds_every_message() {
        for compression in [None, Some(Compression::Lz4), Some(Compression::Zstd)] {
            let source = OneChunk { compression, ..small() };
            let decoded = decode(&source.write()).unwrap();
            assert_eq!(decoded.compressions.len(), 1);
            assert!(decoded.messages.iter().cloned().eq(source.messages()));
            assert_ne!(source.message(1).data, source.message(257).data);
        }
    }

    #[test]
    fn what_is_declared_is_all_that_changes() {
        let (truth, forged) = (small().write(), small().write_declaring(7));
        assert_eq!(truth.len(), forged.len());
        let differing = truth.iter().zip(&forged).filter(|(a, b)| a != b).count();
        assert!((1..=8).contains(&differing), "{differing} bytes differ");
        assert!(decode(&forged).is_err());
    }
}
