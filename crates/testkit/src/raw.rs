//! Hostile files: any record with any content, whatever the specification says.

use mcap::MAGIC;
use mcap::records::op;

/// An MCAP that is written record by record. Nothing is checked and nothing is added.
#[derive(Clone, Debug, Default)]
pub struct RawFile {
    bytes: Vec<u8>,
}

/// The fields of a Chunk record, each as one likes; [`RawChunk::of`] fills in true ones.
#[derive(Clone, Debug)]
pub struct RawChunk {
    /// `message_start_time`, in nanoseconds.
    pub start: u64,
    /// `message_end_time`, in nanoseconds.
    pub end: u64,
    /// What the header says of the size of the records, in bytes.
    pub uncompressed_bytes: u64,
    /// What the header says of their CRC; 0 is not checked.
    pub crc: u32,
    /// `""`, `lz4`, `zstd` or nonsense.
    pub compression: String,
    /// What the header says of the length of `records`; none: the truth.
    pub records_length: Option<u64>,
    /// The records, compressed.
    pub records: Vec<u8>,
}

impl RawChunk {
    /// A truthful chunk of these uncompressed records.
    pub fn of(records: Vec<u8>, start: u64, end: u64) -> RawChunk {
        RawChunk {
            start,
            end,
            uncompressed_bytes: records.len() as u64,
            crc: crc32fast::hash(&records),
            compression: String::new(),
            records_length: None,
            records,
        }
    }
}

impl RawFile {
    /// Nothing, not even the magic: for records within a chunk.
    pub fn new() -> RawFile {
        RawFile::default()
    }

    /// Magic and a header.
    pub fn started() -> RawFile {
        RawFile::new().bytes(MAGIC).header("", "rdl-testkit")
    }

    /// These bytes as they are.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> RawFile {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A record whose length is true.
    #[must_use]
    pub fn record(self, opcode: u8, body: &[u8]) -> RawFile {
        self.forged_record(opcode, body.len() as u64, body)
    }

    /// A record that claims a length.
    #[must_use]
    pub fn forged_record(self, opcode: u8, length: u64, body: &[u8]) -> RawFile {
        self.bytes(&[opcode]).bytes(&length.to_le_bytes()).bytes(body)
    }

    /// A Header record.
    #[must_use]
    pub fn header(self, profile: &str, library: &str) -> RawFile {
        self.record(op::HEADER, &[string(profile), string(library)].concat())
    }

    /// A Schema record.
    #[must_use]
    pub fn schema(self, id: u16, name: &str, encoding: &str, data: &[u8]) -> RawFile {
        let length = (data.len() as u32).to_le_bytes();
        let fields =
            [&id.to_le_bytes(), &*string(name), &*string(encoding), &length, data].concat();
        self.record(op::SCHEMA, &fields)
    }

    /// A Channel record without metadata.
    #[must_use]
    pub fn channel(self, id: u16, schema_id: u16, topic: &str, encoding: &str) -> RawFile {
        let ids = [id.to_le_bytes(), schema_id.to_le_bytes()].concat();
        let fields = [ids, string(topic), string(encoding), vec![0; 4]].concat();
        self.record(op::CHANNEL, &fields)
    }

    /// A Message record; the publish time is the log time.
    #[must_use]
    pub fn message(self, channel: u16, sequence: u32, log_time: u64, data: &[u8]) -> RawFile {
        let time = log_time.to_le_bytes();
        let fields =
            [&channel.to_le_bytes(), &*sequence.to_le_bytes().to_vec(), &time, &time, data];
        self.record(op::MESSAGE, &fields.concat())
    }

    /// A Chunk record.
    #[must_use]
    pub fn chunk(self, chunk: &RawChunk) -> RawFile {
        let length = chunk.records_length.unwrap_or(chunk.records.len() as u64);
        let mut fields = Vec::new();
        fields.extend_from_slice(&chunk.start.to_le_bytes());
        fields.extend_from_slice(&chunk.end.to_le_bytes());
        fields.extend_from_slice(&chunk.uncompressed_bytes.to_le_bytes());
        fields.extend_from_slice(&chunk.crc.to_le_bytes());
        fields.extend_from_slice(&string(&chunk.compression));
        fields.extend_from_slice(&length.to_le_bytes());
        fields.extend_from_slice(&chunk.records);
        self.record(op::CHUNK, &fields)
    }

    /// Data end without CRC, footer without summary, magic.
    #[must_use]
    pub fn ended(self) -> RawFile {
        self.record(op::DATA_END, &[0; 4]).record(op::FOOTER, &[0; 20]).bytes(MAGIC)
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    fn file(chunk: &RawChunk) -> Vec<u8> {
        RawFile::started().chunk(chunk).ended().into_bytes()
    }

    fn truthful() -> RawChunk {
        let records = RawFile::new()
            .schema(1, "s", "jsonschema", b"{}")
            .channel(1, 1, "/a", "json")
            .message(1, 0, 5, b"{}")
            .into_bytes();
        RawChunk::of(records, 5, 5)
    }

    #[test]
    fn a_truthful_file_is_read_and_a_forged_one_is_not() {
        let decoded = decode(&file(&truthful())).unwrap();
        assert_eq!(decoded.messages.len(), 1);
        assert_eq!(decoded.messages[0].log_time, 5);
        assert_eq!(decoded.messages[0].channel.topic, "/a");
        let crc = truthful().crc ^ 1;
        assert!(decode(&file(&RawChunk { crc, ..truthful() })).is_err());
        let records_length = Some(u64::MAX);
        assert!(decode(&file(&RawChunk { records_length, ..truthful() })).is_err());
    }
}
