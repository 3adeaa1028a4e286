//! Compressed video in the viewer: `tests/node/view_video.mjs` watches it in Chromium.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use foxglove::messages::{CompressedVideo, Timestamp};
use foxglove::{Encode, bytes::Bytes};
use rdl_testkit::{Channel, FakeBackend, FileSpec, Message, Schema, manifest_json, streamed_entry};
use serde_json::{Value, json};

use crate::running::Running;
use crate::view::seen_by;

const START: u64 = 1_769_851_800_000_000_000;
const FRAME_NANOS: u64 = 100_000_000;

/// ROS 2's definition of the message.
const DEFINITION: &str =
    "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format";

#[tokio::test]
async fn video_is_watched() {
    let (h264, h265) = (annex_b("grey.h264", &[9]), annex_b("grey.h265", &[0x46]));
    let (vp9, av1) = (ivf("grey.vp9.ivf"), ivf("grey.av1.ivf"));
    let mut damaged = h264.clone();
    // Where frame 12 should be is something that no decoder reads.
    let slice = damaged[12].len() - 12;
    damaged[12][slice..].fill(0xff);
    let mut messages: Vec<Message> = [
        video("/h264", "h264", &h264, protobuf),
        video("/h265", "h265", &h265, ros2),
        video("/vp9", "vp9", &vp9, protobuf),
        video("/av1", "av1", &av1, ros2),
        video("/damaged", "h264", &damaged, ros2),
        // Its first key frame is missing.
        video("/late", "h264", &h264, protobuf).into_iter().skip(5).collect(),
    ]
    .concat();
    messages.sort_by_key(|message| message.log_time);
    let backend = FakeBackend::start().await;
    backend.streamed("/all", FileSpec::default().write(&messages));
    let entries = [streamed_entry(Some("all"), "/all", &messages)];
    backend.recording("all", &manifest_json(Some("Videos"), &entries));
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let link = format!("{}/view?ds.recording=all", loader.process.url());
    let seen = seen_by("view_video.mjs", &[link], &[]).await;
    println!("{seen}");

    assert_eq!(seen["middle"], 15);
    assert_eq!(seen["back"], json!([14, 13, 12, 11, 10, 9, 8]));
    assert_eq!(seen["streamsBack"], 0, "back to the key frame everything is in hand");
    assert_eq!(seen["forth"], json!([9, 10, 11]));
    assert_eq!(seen["jumps"], json!([29, 0, 10, 20, 10]));
    assert_eq!(seen["hurried"], 14);
    let tree = seen["tree"].as_str().unwrap();
    assert!(tree.contains("\"h264\"") && tree.contains("camera"), "{tree}");
    for speed in ["1", "10"] {
        let played: Vec<u64> = serde_json::from_value(seen["playing"][speed].clone()).unwrap();
        assert!(played.is_sorted(), "at the speed of {speed} frames come in order: {played:?}");
        assert_eq!((played[0], played[played.len() - 1]), (0, 29));
    }
    let one_by_one = seen["playing"]["1"].as_array().unwrap().len();
    assert!(one_by_one >= 15, "{one_by_one} frames of 30 were seen");
    assert_eq!(seen["end"], "09:30:02.900");

    for (when, frame) in [("early", 7), ("later", 17), ("last", 27)] {
        assert_eq!((&seen[when]["/vp9"], &seen[when]["/av1"]), (&json!(frame), &json!(frame)));
        // Whether H.265 is decoded is the browser's and the machine's choice.
        let h265 = &seen[when]["/h265"];
        if seen["isH265Decoded"] == true {
            assert_eq!(h265, frame);
        } else {
            assert!(said(h265, "this browser does not decode H.265 (hev1.1.6.L30.90)"), "{h265}");
        }
    }
    assert!(said(&seen["early"]["/late"], "no key frame lies before"), "{}", seen["early"]);
    assert_eq!((&seen["later"]["/late"], &seen["early"]["/damaged"]), (&json!(17), &json!(7)));
    let damaged = &seen["later"]["/damaged"];
    assert!(said(damaged, "damaged"), "{damaged}");
    assert_eq!(seen["last"]["/damaged"], 27, "it goes on with the next key frame");
}

fn said(seen: &Value, words: &str) -> bool {
    seen.as_str().is_some_and(|text| text.contains(words))
}

/// A message of each frame, ten a second.
fn video(
    topic: &str,
    format: &str,
    frames: &[Vec<u8>],
    encode: fn(&CompressedVideo) -> (Schema, Vec<u8>),
) -> Vec<Message> {
    assert_eq!(frames.len(), 30);
    let mut channel = None;
    let message = |(number, frame): (usize, &Vec<u8>)| {
        let number = u32::try_from(number).unwrap();
        let log_time = START + u64::from(number) * FRAME_NANOS;
        let (schema, data) = encode(&CompressedVideo {
            timestamp: Some(Timestamp::new(0, 0)),
            frame_id: "camera".to_owned(),
            data: Bytes::from(frame.clone()),
            format: format.to_owned(),
        });
        let channel = channel.get_or_insert_with(|| {
            Arc::new(Channel {
                topic: topic.to_owned(),
                message_encoding: if schema.encoding == "protobuf" { "protobuf" } else { "cdr" }
                    .to_owned(),
                schema: Some(schema),
                metadata: BTreeMap::new(),
            })
        });
        Message {
            channel: channel.clone(),
            log_time,
            publish_time: log_time,
            sequence: number,
            data,
        }
    };
    frames.iter().enumerate().map(message).collect()
}

fn protobuf(message: &CompressedVideo) -> (Schema, Vec<u8>) {
    let schema = CompressedVideo::get_schema().unwrap();
    let schema =
        Schema { name: schema.name, encoding: schema.encoding, data: schema.data.into_owned() };
    let mut data = Vec::new();
    message.encode(&mut data).unwrap();
    (schema, data)
}

/// Little-endian CDR.
fn ros2(message: &CompressedVideo) -> (Schema, Vec<u8>) {
    let mut data = vec![0, 1, 0, 0];
    data.extend([0; 8]);
    let field = |data: &mut Vec<u8>, bytes: &[u8]| {
        data.resize(data.len().next_multiple_of(4), 0);
        data.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        data.extend(bytes);
    };
    field(&mut data, format!("{}\0", message.frame_id).as_bytes());
    field(&mut data, &message.data);
    field(&mut data, format!("{}\0", message.format).as_bytes());
    let schema = Schema {
        name: "foxglove_msgs/msg/CompressedVideo".to_owned(),
        encoding: "ros2msg".to_owned(),
        data: DEFINITION.into(),
    };
    (schema, data)
}

fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/tests/recorded");
    std::fs::read(folder.join(name)).unwrap()
}

/// Frames that begin with an access unit delimiter each.
fn annex_b(name: &str, delimiter: &[u8]) -> Vec<Vec<u8>> {
    let data = recorded(name);
    let head = [&[0, 0, 0, 1], delimiter].concat();
    let mut starts: Vec<usize> =
        (0..data.len()).filter(|at| data[*at..].starts_with(&head)).collect();
    starts.push(data.len());
    starts.windows(2).map(|ends| data[ends[0]..ends[1]].to_vec()).collect()
}

/// Frames behind a head of twelve bytes each, of which four are the length.
fn ivf(name: &str) -> Vec<Vec<u8>> {
    let data = recorded(name);
    let mut rest = &data[32..];
    let mut frames = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(12) {
        let len = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
        let (frame, next) = after.split_at(len);
        frames.push(frame.to_vec());
        rest = next;
    }
    frames
}
