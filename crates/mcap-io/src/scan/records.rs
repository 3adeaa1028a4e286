//! What lies in a scanned chunk, for whoever looks at a body without keeping it.

use rdl_model::TimeRange;

use super::ScannedChunk;
use crate::walk::{ChunkItem, ChunkItems, ParsedChannel, parse_channel, parse_schema};
use crate::{ChannelDef, ChunkError, Compression, Limits, MessageView, SchemaDef};

/// A record inside a chunk, in the order of the chunk.
#[derive(Clone, Debug, PartialEq)]
pub enum ChunkRecord<'a> {
    /// A schema.
    Schema {
        /// Its id.
        id: u16,
        /// What it is.
        def: SchemaDef,
    },
    /// A channel.
    Channel {
        /// Its id.
        id: u16,
        /// The id of its schema; 0 when it has none.
        schema_id: u16,
        /// What it is; its schema is not looked up, and `None`.
        def: ChannelDef,
    },
    /// A message.
    Message(MessageView<'a>),
}

impl ScannedChunk {
    /// Its records, parsed. After an error there is nothing more.
    pub fn parsed_records(
        &self,
        limits: &Limits,
    ) -> impl Iterator<Item = Result<ChunkRecord<'_>, ChunkError>> {
        let malformed = |what: &str, error| {
            ChunkError::damaged(format!("a {what} in its records is malformed: {error}"))
        };
        let mut failed = false;
        ChunkItems::new(&self.records, limits)
            .map(move |item| match item?.1 {
                ChunkItem::Message(message) => Ok(ChunkRecord::Message(message)),
                ChunkItem::Schema(body) => parse_schema(body)
                    .map(|(id, def)| ChunkRecord::Schema { id, def })
                    .map_err(|error| malformed("schema", error)),
                ChunkItem::Channel(body) => parse_channel(body)
                    .map(|ParsedChannel { id, schema_id, def }| ChunkRecord::Channel {
                        id,
                        schema_id,
                        def,
                    })
                    .map_err(|error| malformed("channel", error)),
            })
            .take_while(move |record| !std::mem::replace(&mut failed, record.is_err()))
    }

    /// The least and the greatest log time as its header claims them.
    pub fn claimed_times(&self) -> TimeRange {
        TimeRange { start: self.header.start, end: self.header.end }
    }

    /// How its records are compressed.
    pub fn compression(&self) -> Compression {
        self.header.compression
    }

    /// Whether it has a checksum, which then is right.
    pub fn has_checksum(&self) -> bool {
        self.header.crc != 0
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sample::{Message, channel};
    use crate::{ChunkBuilder, ScanEvent, Scanner, start_of_body};

    fn scanned(chunk: Bytes) -> ScannedChunk {
        let mut scanner = Scanner::new(Limits::default());
        scanner.push(start_of_body(""));
        scanner.push(chunk);
        loop {
            match scanner.next_event().unwrap().unwrap() {
                ScanEvent::Chunk(chunk) => return chunk,
                _ => continue,
            }
        }
    }

    #[test]
    fn records_come_as_they_were_written() {
        let a = channel(1, 3, "/a");
        let mut builder = ChunkBuilder::new(Compression::Lz4);
        builder.schema(3, a.def.schema.as_ref().unwrap());
        builder.channel(&a);
        builder.message(1, &Message::new(1, 7, "late").view());
        builder.message(1, &Message::new(1, 5, "m").view());
        let built = builder.build().unwrap().unwrap();
        let chunk = scanned(built.bytes);
        assert_eq!(chunk.compression(), Compression::Lz4);
        assert_eq!(chunk.claimed_times(), built.descriptor.times);
        assert!(chunk.has_checksum());
        let found: Vec<_> = chunk.parsed_records(&Limits::default()).map(Result::unwrap).collect();
        assert!(matches!(&found[0], ChunkRecord::Schema { id: 3, .. }));
        assert!(matches!(&found[1], ChunkRecord::Channel { id: 1, schema_id: 3, .. }));
        let times: Vec<u64> = found[2..]
            .iter()
            .map(|record| match record {
                ChunkRecord::Message(message) => message.log_time.0,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(times, [7, 5]);
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let a = channel(1, 0, "/a");
        let mut builder = ChunkBuilder::new(Compression::None);
        builder.message(a.id, &Message::new(1, 5, "m").view());
        let mut chunk = scanned(builder.build().unwrap().unwrap().bytes);
        chunk.records = [&chunk.records[..], &[0, 1, 2]].concat().into();
        let found: Vec<_> = chunk.parsed_records(&Limits::default()).collect();
        assert!(matches!(found[..], [Ok(_), Err(_)]), "{found:?}");
    }
}
