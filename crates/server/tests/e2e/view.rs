//! The viewer, as somebody uses it in Chromium: `tests/node/view.mjs` plays it.

mod spans;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rdl_testkit::{
    Channel, FakeBackend, FileSpec, Message, Process, Schema, manifest_json, streamed_entry,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::running::{BINARY, Running, needed, validate_file};

/// What a script of `tests/node` saw.
async fn seen_by(script: &str, arguments: &[&str], downloads: &Path) -> Value {
    needed("RDL_TEST_NODE_MODULES").unwrap();
    needed("RDL_TEST_CHROMIUM").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node").join(script);
    let mut command = Command::new("node");
    command.arg(script).args(arguments).env("DOWNLOADS", downloads);
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["errors"], json!([]), "the page has no errors and keeps to its policy");
    seen
}

#[tokio::test]
async fn somebody_looks_at_the_demo() {
    let start = || Process::start(Path::new(BINARY), &["demo"], &[("ADDRESS", "127.0.0.1:0")]);
    let (demo, other) = (start().await.unwrap(), start().await.unwrap());
    let downloads = tempfile::tempdir().unwrap();
    let seen = seen_by("view.mjs", &[&demo.url(), &other.url()], downloads.path()).await;
    println!(
        "first picture after {} ms, a seek after {} ms, the longest frame of {} ms, {}",
        seen["firstPictureMs"], seen["seekMs"], seen["longestFrameMs"], seen["memory"]
    );

    assert_eq!(seen["title"], "A drive around the block");
    assert_eq!(seen["topics"].as_array().unwrap().len(), 12);
    assert_eq!(seen["filtered"], json!(["/camera/image"]));
    assert_eq!(seen["picture"], json!([320, 180]));
    assert_eq!(seen["clock"], "09:30:00.000");
    let odometry = seen["odometry"].to_string();
    assert!(odometry.contains("base_link") && odometry.contains(r"x\n-40\n"), "{odometry}");
    let seconds_of = |clock: &Value| -> f64 {
        clock.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
    };
    let seconds = |what: &str| seconds_of(&seen[what]["to"]) - seconds_of(&seen[what]["from"]);
    assert!((seconds("keyed") - 1.0).abs() < 0.01, "{}", seen["keyed"]);
    assert_eq!(seen["plotted"], json!(["/odom.pose.position.x"]));

    // Five seconds, less what the machine had else to do.
    let clocks =
        json!({ "from": seen["played"]["from"]["clock"], "to": seen["played"]["to"]["clock"] });
    let seconds = seconds_of(&clocks["to"]) - seconds_of(&clocks["from"]);
    assert!((2.0..8.0).contains(&seconds), "{seconds} s were played in five");
    let cursor = |at: &str| seen["played"][at]["cursor"].as_f64().unwrap();
    assert!(cursor("to") > cursor("from") + 5.0, "{}", seen["played"]);
    let panels = json!(["/camera/image", "/odom", "/log", "Plot"]);
    assert_eq!(seen["reloaded"]["panels"], panels);
    assert_eq!(seen["reloaded"]["isSameLink"], true);

    assert_eq!(seen["download"]["name"], "A_drive_around_the_block.mcap");
    let file = std::fs::read(seen["download"]["path"].as_str().unwrap()).unwrap();
    let report = validate_file(&file).await.unwrap();
    // Ten seconds of a hundred messages each, and the newest before.
    assert!((1000..=1002).contains(&report["topics"]["/imu"].as_u64().unwrap()), "{report}");
    assert_eq!(report["topics"].as_object().unwrap().len(), 1);

    // Two loops later the tab has what it had.
    let memory = |at: &str, what: &str| seen["memory"][at][what].as_f64().unwrap();
    assert!(memory("late", "bytes") < memory("early", "bytes") + 10e6, "{}", seen["memory"]);
    assert!(memory("late", "nodes") < memory("early", "nodes") + 500.0, "{}", seen["memory"]);

    assert_eq!(seen["overflow"], 0, "nothing reaches beyond a phone's screen");
    let said = |name: &str| seen[name].as_str().unwrap();
    assert!(said("unknown").contains("There is no such recording"), "{}", said("unknown"));
    assert!(said("nameless").contains("names no recording"), "{}", said("nameless"));
    assert!(said("failed").contains("the camera's server is away"), "{}", said("failed"));
    assert_eq!(seen["afterRetry"], "09:30:20.000");
    let asked = seen["asked"].to_string();
    assert!(asked.contains(&other.url()), "{asked}");
}

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
    let messages = [
        message(
            "/ros1",
            "ros1",
            Some(("sensor_msgs/Image", "ros1msg", image.as_bytes())),
            &picture,
        ),
        message("/ros2", "cdr", Some(("a/msg/Pose", "ros2msg", pose_schema)), &pose),
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
    let topics = messages.each_ref().map(|message| message.channel.topic.as_str());
    let arguments = [&[link.as_str()][..], &topics].concat();
    let seen = seen_by("view_encodings.mjs", &arguments, Path::new("")).await;
    assert_eq!(seen["picture"], json!([400, 3]));
    for (topic, expected) in [
        ("/ros1", "\"rgb8\""),
        ("/ros2", "1.25"),
        ("/ros2", "\"map1\""),
        ("/json", "2.5"),
        ("/flat", "\"reflection."),
        ("/bytes", "6e 6f 62 6f 64 79"),
        ("/bytes", "nothing here reads an unnamed encoding"),
    ] {
        let text = seen["messages"][topic].as_str().unwrap();
        assert!(text.contains(expected), "{topic}: {text}");
    }
}

#[tokio::test]
async fn forty_topics_are_plotted() {
    const START: u64 = 1_769_851_800_000_000_000;
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
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seen = seen_by("view_plot.mjs", &arguments, Path::new("")).await;
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
    let time = 1_769_851_800_000_000_000;
    Message {
        channel: Arc::new(channel),
        log_time: time,
        publish_time: time,
        sequence: 0,
        data: data.to_vec(),
    }
}
