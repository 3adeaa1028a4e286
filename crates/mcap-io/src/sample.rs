//! Channels, messages and files for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rdl_model::Nanos;

use crate::{
    ChannelDef, ChannelRecord, ChunkBuilder, Compression, MessageView, SchemaDef, StoredChunk,
};

/// Every compression that there is.
pub(crate) const COMPRESSIONS: [Compression; 3] =
    [Compression::None, Compression::Lz4, Compression::Zstd];

/// The same seed at every run, and no files written by a failure.
pub(crate) fn same_cases_every_time() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A message that owns its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) channel: u16,
    pub(crate) sequence: u32,
    pub(crate) log_time: u64,
    pub(crate) data: Vec<u8>,
}

impl Message {
    pub(crate) fn new(channel: u16, log_time: u64, data: &str) -> Message {
        let sequence = data.len() as u32;
        Message { channel, sequence, log_time, data: data.as_bytes().to_vec() }
    }

    pub(crate) fn view(&self) -> MessageView<'_> {
        MessageView {
            channel: self.channel,
            sequence: self.sequence,
            log_time: Nanos(self.log_time),
            publish_time: Nanos(self.log_time ^ 1),
            data: &self.data,
        }
    }
}

impl From<MessageView<'_>> for Message {
    fn from(view: MessageView<'_>) -> Message {
        assert_eq!(view.publish_time.0, view.log_time.0 ^ 1);
        let data = view.data.to_vec();
        Message { channel: view.channel, sequence: view.sequence, log_time: view.log_time.0, data }
    }
}

/// A channel; `schema_id` 0 makes it schemaless.
pub(crate) fn channel(id: u16, schema_id: u16, topic: &str) -> Arc<ChannelRecord> {
    let schema = (schema_id != 0).then(|| {
        Arc::new(SchemaDef {
            name: format!("schema of {topic}"),
            encoding: "jsonschema".into(),
            data: Bytes::from(format!("{{\"title\":\"{topic}\"}}")),
        })
    });
    let def = ChannelDef {
        topic: topic.into(),
        message_encoding: "json".into(),
        schema,
        metadata: [("unit".to_owned(), "m".to_owned())].into(),
    };
    Arc::new(ChannelRecord { id, schema_id, def: Arc::new(def) })
}

/// A chunk of these messages in this order.
pub(crate) fn chunk(compression: Compression, messages: &[Message]) -> StoredChunk {
    let mut builder = ChunkBuilder::new(compression);
    for message in messages {
        builder.message(message.channel, &message.view());
    }
    builder.build().unwrap().expect("there are messages")
}

/// At least one message, times at both ends of what there is among them, often equal.
pub(crate) fn messages() -> impl Strategy<Value = Vec<Message>> {
    let time = prop_oneof![Just(0), Just(u64::MAX), 0..8_u64, any::<u64>()];
    let data = proptest::collection::vec(prop_oneof![Just(7_u8), any::<u8>()], 0..200);
    let message =
        (0..4_u16, any::<u32>(), time, data).prop_map(|(channel, sequence, log_time, data)| {
            Message { channel, sequence, log_time, data }
        });
    proptest::collection::vec(message, 1..40)
}

/// A message as the `mcap` crate reads it: topic, schema's name, metadata, the message itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) topic: String,
    pub(crate) schema: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) message: Message,
}

impl Read {
    /// What a message of `channel` must be read as, its channel's number aside.
    pub(crate) fn expected(channel: &ChannelRecord, message: &Message) -> Read {
        Read {
            topic: channel.def.topic.clone(),
            schema: channel.def.schema.as_ref().map(|schema| schema.name.clone()),
            metadata: channel.def.metadata.clone(),
            message: Message { channel: 0, ..message.clone() },
        }
    }
}

/// All messages of a whole file, in their order in it; their channels' numbers are left 0.
pub(crate) fn read_all(file: &[u8]) -> Vec<Read> {
    let options = mcap::read::Options::ValidateChunkCrcs.into();
    mcap::MessageStream::new_with_options(file, options)
        .unwrap()
        .map(|message| {
            let message = message.unwrap();
            assert_eq!(message.publish_time, message.log_time ^ 1);
            Read {
                topic: message.channel.topic.clone(),
                schema: message.channel.schema.as_ref().map(|schema| schema.name.clone()),
                metadata: message.channel.metadata.clone(),
                message: Message {
                    channel: 0,
                    sequence: message.sequence,
                    log_time: message.log_time,
                    data: message.data.into_owned(),
                },
            }
        })
        .collect()
}

/// Writes a file with the `mcap` crate: two channels, one of them schemaless, some chunks, an
/// attachment and a metadata record.
pub(crate) fn written_by_mcap_crate(
    compression: Option<mcap::Compression>,
    chunk_bytes: u64,
    messages: usize,
    data_bytes: usize,
) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    let options = mcap::WriteOptions::new()
        .compression(compression)
        .chunk_size(Some(chunk_bytes))
        .profile("robot");
    let mut writer = options.create(&mut file).unwrap();
    let schema = writer.add_schema("imu", "jsonschema", b"{}").unwrap();
    let imu = writer.add_channel(schema, "/imu", "json", &BTreeMap::new()).unwrap();
    let log = writer.add_channel(0, "/log", "text", &BTreeMap::new()).unwrap();
    for i in 0..messages {
        let header = mcap::records::MessageHeader {
            channel_id: if i % 3 == 0 { log } else { imu },
            sequence: i as u32,
            log_time: 100 + i as u64,
            publish_time: (100 + i as u64) ^ 1,
        };
        let data: Vec<u8> = (0..data_bytes).map(|at| (at * i / 5) as u8).collect();
        writer.write_to_known_channel(&header, &data).unwrap();
    }
    let attachment = mcap::Attachment {
        log_time: 5,
        create_time: 6,
        name: "notes".into(),
        media_type: "text/plain".into(),
        data: b"hello"[..].into(),
    };
    writer.attach(&attachment).unwrap();
    let metadata = mcap::records::Metadata { name: "site".into(), metadata: BTreeMap::new() };
    writer.write_metadata(&metadata).unwrap();
    writer.finish().unwrap();
    drop(writer);
    file.into_inner()
}
