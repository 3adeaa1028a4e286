//! The backend of docs/guides/write-a-data-backend/rust.md, which shows parts of this file.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use remote_data_loader_backend::{
    Bearer, BodyOptions, BodySender, Channel, ChannelError, ChannelSet, ErrorReply, Manifest,
    MessageType, Nanos, SendError, StreamedSource, TimeRange, body, source_id, time_slices,
};
use serde::Deserialize;
use serde_json::json;

struct Channels {
    set: ChannelSet,
    speed: Channel,
    heading: Channel,
}

fn channels() -> Result<Channels, ChannelError> {
    let number = r#"{"type": "object", "properties": {"value": {"type": "number"}}}"#;
    let mut set = ChannelSet::new();
    let speed = set.add("/speed", MessageType::json_schema("Signal", number))?;
    let heading = set.add("/heading", MessageType::json_schema("Signal", number))?;
    Ok(Channels { set, speed, heading })
}

#[derive(Deserialize)]
struct Wanted {
    recording: String,
}

async fn manifest(bearer: Bearer, wanted: Query<Wanted>) -> Result<Json<Manifest>, ErrorReply> {
    let recording = &wanted.recording;
    if !may_see(&bearer, recording) {
        return Err(ErrorReply::forbidden(format!("you may not see {recording}")));
    }
    let Some(times) = times(recording) else {
        return Err(ErrorReply::not_found(format!("there is no recording {recording}")));
    };
    let channels = channels().map_err(failed)?;
    let sources = time_slices(times.start, times.end, Duration::from_secs(10)).map(|slice| {
        let (start, end) = (slice.start.0.to_string(), slice.end.0.to_string());
        let id = source_id(["v1", recording, &start, &end]);
        let url = format!("/data?recording={}&start={start}&end={end}", source_id([recording]));
        StreamedSource { id: Some(id), ..channels.set.source(url, slice) }.into()
    });
    Ok(Json(Manifest { name: Some(recording.clone()), sources: sources.collect() }))
}

/// Your identity provider tells.
fn may_see(bearer: &Bearer, recording: &str) -> bool {
    bearer.is("the token of the night shift") && recording.starts_with("night-")
}

/// Your store tells.
fn times(recording: &str) -> Option<TimeRange> {
    let start = Nanos(1_700_000_000_000_000_000);
    let end = start.saturating_add(Duration::from_secs(59));
    (recording == "night-7").then_some(TimeRange { start, end })
}

/// What is the backend's own trouble is logged, and not told to users.
fn failed(error: impl std::fmt::Display) -> ErrorReply {
    eprintln!("{error}");
    ErrorReply::new(http::StatusCode::INTERNAL_SERVER_ERROR, "the store cannot be read")
}

#[derive(Deserialize)]
struct Slice {
    recording: String,
    start: u64,
    end: u64,
}

async fn data(bearer: Bearer, Query(slice): Query<Slice>) -> Result<Response, ErrorReply> {
    if !may_see(&bearer, &slice.recording) {
        return Err(ErrorReply::forbidden("you may not see this recording"));
    }
    let channels = channels().map_err(failed)?;
    let times = TimeRange { start: Nanos(slice.start), end: Nanos(slice.end) };
    let (sender, body) = body(&channels.set, BodyOptions { times, ..BodyOptions::default() });
    tokio::spawn(async move {
        if let Err(error) = send(sender, &channels, times).await {
            eprintln!("a body was not finished: {error}");
        }
    });
    Ok(Body::from_stream(body).into_response())
}

/// In ascending time. Dropped before `finish`, the sender aborts the connection.
async fn send(
    mut sender: BodySender,
    channels: &Channels,
    times: TimeRange,
) -> Result<(), SendError> {
    // Your query here.
    for time in (times.start.0..=times.end.0).step_by(100_000_000) {
        let (speed, heading) = (time as f64 / 1e9).sin_cos();
        for (channel, value) in [(channels.speed, speed), (channels.heading, heading)] {
            let message = json!({ "value": value });
            sender
                .write_with(channel, Nanos(time), |out| serde_json::to_writer(out, &message))
                .await?;
        }
    }
    sender.finish().await
}

fn app() -> Router {
    Router::new().route("/manifest", get(manifest)).route("/data", get(data))
}

#[expect(dead_code, reason = "the guide shows it")]
async fn serve() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    axum::serve(listener, app()).await
}

#[tokio::test]
async fn its_backend_works() {
    let mut headers = http::HeaderMap::new();
    let token = "Bearer the token of the night shift";
    headers.insert("authorization", http::HeaderValue::from_static(token));
    let bearer = || Bearer::from_headers(&headers).expect("a token");
    let wanted = |name: &str| Query(Wanted { recording: name.to_owned() });
    let Json(answer) = manifest(bearer(), wanted("night-7")).await.expect("a manifest");
    assert_eq!(answer.sources.len(), 6);
    let forbidden = manifest(bearer(), wanted("day-7")).await.expect_err("forbidden");
    assert_eq!(forbidden.status(), 403);
    let unknown = manifest(bearer(), wanted("night-8")).await.expect_err("unknown");
    assert_eq!(unknown.status(), 404);

    let slice = |recording: &str| {
        let (start, end) = (1_700_000_000_000_000_000, 1_700_000_009_999_999_999);
        Query(Slice { recording: recording.to_owned(), start, end })
    };
    let forbidden = data(bearer(), slice("day-7")).await.expect_err("forbidden");
    assert_eq!(forbidden.status(), 403);
    let answer = data(bearer(), slice("night-7")).await.expect("a body");
    let mcap = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("the whole body");
    assert_eq!(mcap::MessageStream::new(&mcap).expect("an MCAP").count(), 200);
}

#[test]
fn the_guide_shows_this_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = root.join("../../docs/guides/write-a-data-backend/rust.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let here = include_str!("guide.rs");
    let blocks: Vec<&str> = guide
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a block ends"))
        .collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        assert!(here.contains(block), "not in sdk/rust/tests/guide.rs:\n{block}");
    }
}
