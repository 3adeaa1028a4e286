//! Verifying a chunk of a static source, at its first fetch.
//!
//! Until here all that is known of it is what the file's summary claims. Afterwards everything is
//! known to be true: the checksum, the times, which channels are used, and that what the chunk
//! itself says of its channels and schemas is what the summary says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::ChunkError;
use crate::describe::{Described, describe};
use crate::fields::FieldError;
use crate::open::chunk_body;
use crate::walk::{ChunkHeader, ParsedChannel, RECORD_HEADER_BYTES, parse_channel, parse_schema};
use crate::{ChannelRecord, Limits, SchemaDef, StoredChunk};

/// A chunk of which everything is known to be true.
#[derive(Clone, Debug)]
pub struct VerifiedChunk {
    /// The chunk in the form in which it is kept, message indexes made anew.
    pub chunk: StoredChunk,
    /// The channel records inside, by id, each once.
    pub definitions: Vec<ChannelRecord>,
    /// Whether its header told the true times; if not, it was written anew.
    pub header_matches: bool,
}

/// Verifies `record`, exactly one Chunk record; `known` is what the summary says of a channel.
/// `None`: it holds no messages.
pub fn verify_chunk(
    record: Bytes,
    known: &dyn Fn(u16) -> Option<Arc<ChannelRecord>>,
    limits: &Limits,
) -> Result<Option<VerifiedChunk>, ChunkError> {
    let body = chunk_body(&record)?;
    if record.len() != RECORD_HEADER_BYTES + body.len() {
        return Err(ChunkError::Lies("the chunk record is shorter than the summary says".into()));
    }
    drop(record);
    let header = ChunkHeader::parse(&body)?;
    let records = header.decompress(&body, limits)?;
    let record_bytes = (RECORD_HEADER_BYTES + body.len()) as u64;
    let described = describe(&header, record_bytes, &records, limits)?;
    let definitions = check_definitions(&described, known)?;
    if let Some(descriptor) = &described.descriptor {
        for used in &descriptor.channels {
            if !definitions.contains_key(&used.id) && known(used.id).is_none() {
                return Err(ChunkError::Lies(format!(
                    "it has messages of channel {}, which is defined nowhere",
                    used.id
                )));
            }
        }
    }
    let stored = described.into_stored(&header, &body);
    Ok(stored.map(|(chunk, header_matches)| VerifiedChunk {
        chunk,
        definitions: definitions.into_values().collect(),
        header_matches,
    }))
}

/// Holds the schema and channel records of a chunk against each other and against what is known.
fn check_definitions(
    described: &Described<'_>,
    known: &dyn Fn(u16) -> Option<Arc<ChannelRecord>>,
) -> Result<BTreeMap<u16, ChannelRecord>, ChunkError> {
    let malformed = |what: &'static str| {
        move |error: FieldError| {
            ChunkError::damaged(format!("a {what} in it is malformed: {error}"))
        }
    };
    let mut schemas: BTreeMap<u16, Arc<SchemaDef>> = BTreeMap::new();
    for body in &described.schemas {
        let (id, schema) = parse_schema(body).map_err(malformed("schema"))?;
        if schemas.get(&id).is_some_and(|first| **first != schema) {
            return Err(ChunkError::Lies(format!("it defines schema {id} twice, differently")));
        }
        schemas.entry(id).or_insert_with(|| Arc::new(schema));
    }
    let mut channels: BTreeMap<u16, ChannelRecord> = BTreeMap::new();
    for body in &described.channels {
        let parsed = parse_channel(body).map_err(malformed("channel"))?;
        let summary = known(parsed.id);
        let channel = with_schema(parsed, &schemas, summary.as_deref())?;
        let contradicts = |other: &ChannelRecord| *other != channel;
        if summary.as_deref().is_some_and(contradicts)
            || channels.get(&channel.id).is_some_and(contradicts)
        {
            return Err(ChunkError::Lies(format!(
                "it defines channel {} ({}) otherwise than elsewhere",
                channel.id, channel.def.topic
            )));
        }
        channels.insert(channel.id, channel);
    }
    let used = described.descriptor.iter().flat_map(|descriptor| &descriptor.channels);
    let ids: BTreeSet<u16> = used.map(|used| used.id).collect();
    for channel in ids.into_iter().filter_map(known) {
        let inside = schemas.get(&channel.schema_id);
        if inside.is_some_and(|schema| channel.def.schema.as_ref() != Some(schema)) {
            return Err(ChunkError::Lies(format!(
                "it defines schema {} otherwise than the summary",
                channel.schema_id
            )));
        }
    }
    Ok(channels)
}

fn with_schema(
    mut parsed: ParsedChannel,
    schemas: &BTreeMap<u16, Arc<SchemaDef>>,
    summary: Option<&ChannelRecord>,
) -> Result<ChannelRecord, ChunkError> {
    let id = parsed.schema_id;
    if id != 0 {
        let elsewhere = || {
            let same = summary.filter(|summary| summary.schema_id == id)?;
            same.def.schema.clone()
        };
        let schema = schemas.get(&id).cloned().or_else(elsewhere).ok_or_else(|| {
            ChunkError::Lies(format!(
                "its channel {} names schema {id}, which is defined nowhere",
                parsed.id
            ))
        })?;
        parsed.def.schema = Some(schema);
    }
    Ok(ChannelRecord { id: parsed.id, schema_id: id, def: Arc::new(parsed.def) })
}

#[cfg(test)]
mod tests {
    use mcap::records::op;

    use super::*;
    use crate::sample::{Message, channel};
    use crate::write::{ChunkHead, put_chunk_body, put_record};
    use crate::{ChunkBuilder, Compression};
    use rdl_model::{Nanos, TimeRange};

    /// A chunk with a message of each channel used, and with records of the others.
    fn chunk(used: &[u16], recorded: &[&ChannelRecord]) -> Bytes {
        let mut builder = ChunkBuilder::new(Compression::Lz4);
        for channel in recorded {
            if let Some(schema) = &channel.def.schema {
                builder.schema(channel.schema_id, schema);
            }
            builder.channel(channel);
        }
        for id in used {
            builder.message(*id, &Message::new(*id, 5, "m").view());
        }
        let built = builder.build().unwrap().unwrap();
        built.bytes.slice(..built.descriptor.record_bytes as usize)
    }

    fn verify(
        record: Bytes,
        known: &[&Arc<ChannelRecord>],
    ) -> Result<Option<VerifiedChunk>, ChunkError> {
        let known = |id| known.iter().find(|channel| channel.id == id).map(|&found| found.clone());
        verify_chunk(record, &known, &Limits::default())
    }

    fn assert_lies(record: Bytes, known: &[&Arc<ChannelRecord>]) {
        let found = verify(record, known);
        assert!(matches!(found, Err(ChunkError::Lies(_))), "{found:?}");
    }

    #[test]
    fn definitions_inside_must_be_those_known() {
        let a = channel(1, 3, "/a");
        let found = verify(chunk(&[1], &[&a]), &[&a]).unwrap().unwrap();
        assert_eq!(found.definitions, [(*a).clone()]);
        assert_eq!(found.chunk.descriptor.schema_records, [3]);
        // Unknown to the summary, and defined inside.
        assert_eq!(verify(chunk(&[1], &[&a]), &[]).unwrap().unwrap().definitions.len(), 1);
        assert!(verify(chunk(&[1], &[]), &[&a]).unwrap().unwrap().definitions.is_empty());
        assert_lies(chunk(&[1], &[]), &[]);
        assert_lies(chunk(&[1], &[&a]), &[&channel(1, 3, "/b")]);
        assert_lies(chunk(&[1], &[&a]), &[&channel(1, 4, "/a")]);
        assert_lies(chunk(&[1], &[&a, &channel(1, 3, "/b")]), &[]);
        assert_lies(chunk(&[1], &[&a, &channel(1, 0, "/a")]), &[]);
    }

    #[test]
    fn a_schema_inside_must_be_the_one_known() {
        let a = channel(1, 3, "/a");
        let mut builder = ChunkBuilder::new(Compression::None);
        builder.schema(3, channel(1, 3, "/other").def.schema.as_ref().unwrap());
        builder.message(1, &Message::new(1, 5, "m").view());
        let built = builder.build().unwrap().unwrap();
        let record = built.bytes.slice(..built.descriptor.record_bytes as usize);
        assert_lies(record, &[&a]);
    }

    #[test]
    fn a_schema_that_only_the_summary_has_counts() {
        let a = channel(1, 3, "/a");
        let mut builder = ChunkBuilder::new(Compression::None);
        builder.channel(&a);
        builder.message(1, &Message::new(1, 5, "m").view());
        let built = builder.build().unwrap().unwrap();
        let record = built.bytes.slice(..built.descriptor.record_bytes as usize);
        assert_eq!(verify(record.clone(), &[&a]).unwrap().unwrap().definitions, [(*a).clone()]);
        assert_lies(record, &[]);
    }

    #[test]
    fn a_header_that_lies_is_written_anew() {
        let a = channel(1, 0, "/a");
        let truthful = chunk(&[1], &[]);
        let body = chunk_body(&truthful).unwrap();
        let header = ChunkHeader::parse(&body).unwrap();
        let mut lying = Vec::new();
        put_record(&mut lying, op::CHUNK, |out| {
            let head = ChunkHead {
                times: TimeRange { start: Nanos(1), end: Nanos(2) },
                uncompressed_bytes: header.uncompressed_bytes,
                crc: 0,
            };
            let records = &body[header.records.clone()];
            put_chunk_body(out, &head, header.compression, |out| out.extend_from_slice(records));
        });
        let found = verify(lying.into(), &[&a]).unwrap().unwrap();
        assert!(!found.header_matches);
        let record_bytes = found.chunk.descriptor.record_bytes as usize;
        assert_eq!(found.chunk.bytes[..record_bytes], truthful);
        assert_eq!(found.chunk.descriptor.times.start, Nanos(5));
    }

    #[test]
    fn a_chunk_without_messages_is_none_and_more_than_one_record_a_lie() {
        let mut empty = Vec::new();
        put_record(&mut empty, op::CHUNK, |out| {
            let times = TimeRange { start: Nanos(0), end: Nanos(0) };
            let head = ChunkHead { times, uncompressed_bytes: 0, crc: 0 };
            put_chunk_body(out, &head, Compression::None, |_| {});
        });
        assert!(verify(empty.clone().into(), &[]).unwrap().is_none());
        empty.push(0);
        assert_lies(empty.into(), &[]);
    }
}
