use bytes::Bytes;
use rdl_model::ProblemCode;

use super::*;

fn info() -> RecordingInfo {
    RecordingInfo {
        name: Some("A drive".into()),
        start: Some(Nanos(1)),
        end: None,
        topics: vec![
            TopicInfo {
                name: "/imu".into(),
                message_encoding: "json".into(),
                schema_name: Some("Imu".into()),
                schema_encoding: Some("jsonschema".into()),
                schema_data: Some(Bytes::from_static(b"{}\xff")),
                message_count: Some(3),
                ranges: vec![TimeRange { start: Nanos(1), end: Nanos(1_500_000_000) }],
            },
            TopicInfo {
                name: "/raw".into(),
                message_encoding: "".into(),
                schema_name: None,
                schema_encoding: None,
                schema_data: None,
                message_count: None,
                ranges: Vec::new(),
            },
        ],
        sources: vec![SourceInfo {
            id: "front".into(),
            kind: SourceKind::Streamed,
            start: Some(Nanos(1)),
            end: Some(Nanos::MAX),
            status: SourceStatus::Loading,
            loaded_until: Some(Nanos(1_500_000_000)),
            bytes: Some(u64::MAX),
            message_count: None,
            error: None,
        }],
        problems: vec![
            Problem::new(ProblemCode::DamagedChunk, "chunk 1 at byte 2 is damaged")
                .of_source("front")
                .of_topic("/imu"),
        ],
    }
}

#[test]
fn a_recording_in_json() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let params = ManifestParams(vec![pair("recording", "a b&c"), pair("x", "1"), pair("x", "2")]);
    let answer = RecordingAnswer::new(info(), None, &params, "/v1/files/x/A_drive.mcap".into());
    insta::assert_json_snapshot!(answer);
}

#[test]
fn an_event_in_json() {
    let RecordingInfo { sources, problems, .. } = info();
    insta::assert_json_snapshot!(EventAnswer::from(SourcesInfo { sources, problems }));
}

#[test]
fn links_without_parameters_have_no_query() {
    let links = LinksAnswer::new(&ManifestParams::default(), String::new());
    assert_eq!(links.stream, "/v1/stream");
}
