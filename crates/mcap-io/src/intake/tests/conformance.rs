//! Files that others wrote.

use rdl_testkit::{conformance_files, mcap_crate_file};
use serde_json::Value;

use super::*;
use crate::SchemaDef;

/// A record's fields by name; every value is written as text or as a list of texts.
fn fields(record: &Value) -> BTreeMap<&str, &Value> {
    let fields = record["fields"].as_array().unwrap();
    fields.iter().map(|pair| (pair[0].as_str().unwrap(), &pair[1])).collect()
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_array().unwrap().iter().map(|byte| number(byte) as u8).collect()
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap()
}

/// What the records before the end of the data section hold.
fn expected(records: &[Value]) -> (Vec<Truth>, Vec<MetadataRecord>, Vec<AttachmentRecord>) {
    let (mut schemas, mut channels) = (BTreeMap::new(), BTreeMap::new());
    let (mut messages, mut metadata, mut attachments) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        let fields = fields(record);
        let text = |name: &str| fields[name].as_str().unwrap().to_owned();
        let time = |name: &str| Nanos(number(fields[name]));
        match record["type"].as_str().unwrap() {
            "Schema" => {
                let (name, encoding) = (text("name"), text("encoding"));
                let data = bytes(fields["data"]).into();
                schemas.insert(text("id"), Arc::new(SchemaDef { name, encoding, data }));
            }
            "Channel" => {
                let def = ChannelDef {
                    topic: text("topic"),
                    message_encoding: text("message_encoding"),
                    schema: schemas.get(&text("schema_id")).cloned(),
                    metadata: texts(fields["metadata"]),
                };
                channels.insert(text("id"), Arc::new(def));
            }
            "Message" => messages.push(Truth {
                channel: channels[&text("channel_id")].clone(),
                sequence: number(fields["sequence"]) as u32,
                log_time: time("log_time"),
                publish_time: time("publish_time"),
                data: bytes(fields["data"]),
            }),
            "Metadata" => {
                let (name, fields) = (text("name"), texts(fields["metadata"]));
                metadata.push(MetadataRecord { name, metadata: fields });
            }
            "Attachment" => attachments.push(AttachmentRecord {
                name: text("name"),
                media_type: text("media_type"),
                log_time: time("log_time"),
                create_time: time("create_time"),
                data: bytes(fields["data"]).into(),
            }),
            _ => {}
        }
    }
    messages.sort_by_key(|message| message.log_time);
    (messages, metadata, attachments)
}

#[test]
fn the_conformance_files_hold_what_their_lists_say() {
    for path in conformance_files() {
        let body = std::fs::read(&path).unwrap();
        let list = std::fs::read(path.with_extension("json")).unwrap();
        let list: Value = serde_json::from_slice(&list).unwrap();
        let records = list["records"].as_array().unwrap();
        let data = records.split(|record| record["type"] == "DataEnd").next().unwrap();
        let (messages, metadata, attachments) = expected(data);
        for piece in [body.len(), 13] {
            let (taken, finished) = take_in_pieces(IntakeOptions::default(), &body, piece);
            let name = path.display();
            assert_eq!(finished, Ok(()), "{name}");
            assert!(taken.problems.is_empty(), "{name}: {:?}", taken.problems);
            assert_eq!(taken.messages(), messages, "{name}");
            assert_eq!(taken.metadata, metadata, "{name}");
            assert_eq!(taken.attachments, attachments, "{name}");
        }
    }
}

fn by_the_mcap_crate(body: &[u8]) -> Vec<Truth> {
    let mut messages: Vec<Truth> = mcap::MessageStream::new(body)
        .unwrap()
        .map(|message| {
            let message = message.unwrap();
            let schema = message.channel.schema.as_ref().map(|schema| {
                Arc::new(SchemaDef {
                    name: schema.name.clone(),
                    encoding: schema.encoding.clone(),
                    data: schema.data.to_vec().into(),
                })
            });
            Truth {
                channel: Arc::new(ChannelDef {
                    topic: message.channel.topic.clone(),
                    message_encoding: message.channel.message_encoding.clone(),
                    schema,
                    metadata: message.channel.metadata.clone(),
                }),
                sequence: message.sequence,
                log_time: Nanos(message.log_time),
                publish_time: Nanos(message.publish_time),
                data: message.data.to_vec(),
            }
        })
        .collect();
    messages.sort_by_key(|message| message.log_time);
    messages
}

#[test]
fn a_real_recording_is_the_same_in_any_compression() {
    let mut seen = Vec::new();
    for name in ["compressed.mcap", "uncompressed.mcap"] {
        let body = mcap_crate_file(name);
        let expected = by_the_mcap_crate(&body);
        assert!(expected.len() > 500);
        for piece in [body.len(), 10_000] {
            let (taken, finished) = take_in_pieces(IntakeOptions::default(), &body, piece);
            assert_eq!(finished, Ok(()));
            assert!(taken.problems.is_empty(), "{name}: {:?}", taken.problems);
            assert!(taken.messages() == expected, "{name} in pieces of {piece}");
            assert!(taken.chunks.len() < 10, "{}", taken.chunks.len());
        }
        seen.push(expected);
    }
    assert!(seen[0] == seen[1]);
}

#[test]
fn a_chunk_that_was_never_closed_is_the_end_of_a_truncated_file() {
    let body = mcap_crate_file("chunk_not_closed.mcap");
    // Its length is still the placeholder, 2^64 - 1.
    let mut intake = Intake::new(IntakeOptions::default());
    let pushed = intake.push(Bytes::copy_from_slice(&body));
    assert!(matches!(pushed, Err(IntakeError::Truncated { .. })), "{pushed:?}");
    assert!(!intake.is_complete());
    assert_eq!(intake.finish_truncated(), Ok(()));
    let problems: Vec<ProblemCode> = std::iter::from_fn(|| intake.next_event())
        .filter_map(|event| match event {
            IntakeEvent::Problem(problem) => Some(problem.code),
            _ => None,
        })
        .collect();
    assert_eq!(problems, [ProblemCode::TruncatedFile]);
}

#[test]
fn a_chunk_whose_channels_are_missing_is_reported_message_by_message() {
    let body = mcap_crate_file("zstd_chunk_with_padding.mcap");
    let (taken, finished) = take(IntakeOptions::default(), &body);
    assert_eq!(finished, Ok(()));
    assert_eq!(taken.count(ProblemCode::MessageWithoutChannel), 12);
    assert_eq!(taken.problems.len(), 12);
    assert!(taken.chunks.is_empty());
}
