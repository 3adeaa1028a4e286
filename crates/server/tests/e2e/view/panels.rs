//! What panels show of messages.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rdl_testkit::{Channel, FakeBackend, FileSpec, Message, Schema, manifest_json, streamed_entry};
use serde_json::json;

use super::{START, seen_by};
use crate::running::Running;

/// A schema of two files, as rosbag2 writes it.
const PLACE_IDL: &str = r#"================================================================================
IDL: a/msg/Place
#include "a/msg/Since.idl"
module a {
  module msg {
    @verbatim (language="comment", text="Where it is.")
    struct Place {
      a::msg::Since since;
      string name;
    };
  };
};

================================================================================
IDL: a/msg/Since
module a {
  module msg {
    struct Since {
      uint32 nanosec;
    };
  };
};
"#;

#[tokio::test]
async fn each_encoding_is_shown() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/node_modules");
    // A schema that describes schemas is a message of its own kind, too.
    let schemas = modules.join("flatbuffers_reflection/src/reflection.bfbs");
    let schemas = std::fs::read(schemas).expect("run `make viewer`");
    let image = "uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n\
                 uint8[] data";
    let (width, height) = (400_u32, 3_u32);
    let mut picture = [height, width, 4].map(u32::to_le_bytes).concat();
    picture.extend(b"rgb8\0");
    picture.extend([width * 3, width * 3 * height].map(u32::to_le_bytes).concat());
    picture.resize(picture.len() + (width * 3 * height) as usize, 200);
    // Little-endian CDR: its head, a double, a text with its length.
    let mut pose = b"\0\x01\0\0".to_vec();
    pose.extend(1.25_f64.to_le_bytes());
    pose.extend(b"\x05\0\0\0map1\0");
    let pose_schema: &[u8] = b"float64 x\nstring frame";
    let place = [&[0, 1, 0, 0], &7_u32.to_le_bytes()[..], b"\x05\0\0\0yard\0"].concat();
    let messages = [
        message(
            "/ros1",
            "ros1",
            Some(("sensor_msgs/Image", "ros1msg", image.as_bytes())),
            &picture,
        ),
        message("/ros2", "cdr", Some(("a/msg/Pose", "ros2msg", pose_schema)), &pose),
        message("/ros2-idl", "cdr", Some(("a/msg/Place", "ros2idl", PLACE_IDL.as_bytes())), &place),
        message("/json", "json", None, br#"{"speed": 2.5}"#),
        message(
            "/flat",
            "flatbuffer",
            Some(("reflection.Schema", "flatbuffer", &schemas)),
            &schemas,
        ),
        message("/bytes", "", None, b"nobody knows"),
    ];
    let backend = FakeBackend::start().await;
    backend.streamed("/all", FileSpec::default().write(&messages));
    let entries = [streamed_entry(Some("all"), "/all", &messages)];
    backend.recording("all", &manifest_json(Some("Of every kind"), &entries));
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let link = format!("{}/view?ds.recording=all", loader.process.url());
    let topics = messages.iter().map(|message| message.channel.topic.clone());
    let arguments: Vec<String> = [link].into_iter().chain(topics).collect();
    let seen = seen_by("view_encodings.mjs", &arguments, &[]).await;
    assert_eq!(seen["picture"], json!([400, 3]));
    for (topic, expected) in [
        ("/ros1", "\"rgb8\""),
        ("/ros2", "1.25"),
        ("/ros2", "\"map1\""),
        ("/ros2-idl", "nanosec\n7"),
        ("/ros2-idl", "\"yard\""),
        ("/json", "2.5"),
        // It is large, and folded.
        ("/flat", "\"BFBS\""),
        ("/bytes", "6e 6f 62 6f 64 79"),
        ("/bytes", "nothing here reads an unnamed encoding"),
    ] {
        let text = seen["messages"][topic].as_str().unwrap();
        assert!(text.contains(expected), "{topic}: {text}");
    }
}

#[tokio::test]
async fn forty_topics_are_plotted() {
    let channels: Vec<_> =
        (0..40).map(|i| Arc::new(Channel::json(&format!("/topic{i}")))).collect();
    // A minute, ten messages a second of each topic.
    let messages: Vec<Message> = (0..600)
        .flat_map(|step| channels.iter().enumerate().map(move |(i, channel)| (step, i, channel)))
        .map(|(step, i, channel)| {
            let value = (step as f64 / 30.0 + i as f64 / 6.0).sin() + i as f64;
            let time = START + step * 100_000_000;
            Message {
                channel: channel.clone(),
                log_time: time,
                publish_time: time,
                sequence: step as u32,
                data: json!({ "value": value }).to_string().into_bytes(),
            }
        })
        .collect();
    let backend = FakeBackend::start().await;
    backend.streamed("/all", FileSpec::default().write(&messages));
    let entries = [streamed_entry(Some("all"), "/all", &messages)];
    backend.recording("all", &manifest_json(Some("Forty topics"), &entries));
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let link = format!("{}/view?ds.recording=all", loader.process.url());
    let fields = (0..40).map(|i| format!("/topic{i}.value"));
    let arguments: Vec<String> = [link].into_iter().chain(fields).collect();
    let seen = seen_by("view_plot.mjs", &arguments, &[]).await;
    println!("{seen}");
    assert_eq!((&seen["lines"], &seen["clock"]), (&json!(40), &json!("09:30:59.900")));
}

fn message(
    topic: &str,
    message_encoding: &str,
    schema: Option<(&str, &str, &[u8])>,
    data: &[u8],
) -> Message {
    let schema = schema.map(|(name, encoding, data)| Schema {
        name: name.to_owned(),
        encoding: encoding.to_owned(),
        data: data.to_vec(),
    });
    let channel = Channel {
        topic: topic.to_owned(),
        schema,
        message_encoding: message_encoding.to_owned(),
        metadata: BTreeMap::new(),
    };
    Message {
        channel: Arc::new(channel),
        log_time: START,
        publish_time: START,
        sequence: 0,
        data: data.to_vec(),
    }
}
