//! A data backend written with Foxglove's SDK, as its users write one.
//!
//! `/manifest?recording=sdk` names a source for each topic and second of a minute; the SDK counts
//! the channel ids of every source from 1, so that all of them collide. Every tenth source
//! declares the least and the greatest time that `chrono` has, as those do who do not know their
//! bounds. Everything needs `Authorization: Bearer <token>`, the program's only argument.
//!
//! `/expected` tells what merging everything must give: see [`expected`].

mod expected;
mod recording;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use foxglove::remote_data_loader_backend::{ChannelSet, DataSource, Manifest, StreamedSource};
use serde::Deserialize;

use recording::{SECONDS, START_SECONDS, TOPICS};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let token = std::env::args().nth(1).unwrap_or_else(|| "secret".to_owned());
    let app = Router::new()
        .route("/manifest", get(manifest))
        .route("/data", get(data))
        .route("/expected", get(expected::answer))
        .layer(middleware::from_fn_with_state(format!("Bearer {token}"), authorize));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}

async fn authorize(State(wanted): State<String>, request: Request, next: Next) -> Response {
    match request.headers().get(header::AUTHORIZATION) {
        Some(given) if *given == wanted => next.run(request).await,
        _ => refused(StatusCode::UNAUTHORIZED, "please log in"),
    }
}

fn refused(status: StatusCode, message: &'static str) -> Response {
    (status, [("x-foxglove-error-message", message)]).into_response()
}

#[derive(Deserialize)]
struct ManifestQuery {
    recording: String,
}

async fn manifest(Query(query): Query<ManifestQuery>) -> Response {
    if query.recording != "sdk" {
        return refused(StatusCode::NOT_FOUND, "there is no such recording");
    }
    let sources = sources().map(|(topic, second)| DataSource::Streamed(source(topic, second)));
    Json(Manifest { name: Some("A minute from the SDK".to_owned()), sources: sources.collect() })
        .into_response()
}

/// In the order of the manifest.
fn sources() -> impl Iterator<Item = (usize, u32)> {
    (0..SECONDS).flat_map(|second| (0..TOPICS.len()).map(move |topic| (topic, second)))
}

fn source(topic: usize, second: u32) -> StreamedSource {
    let mut channels = ChannelSet::new();
    recording::declare(topic, &mut channels);
    let (topics, schemas) = channels.into_topics_and_schemas();
    let bounds_unknown = (second as usize * TOPICS.len() + topic).is_multiple_of(10);
    let at = |second: u32| {
        let seconds = i64::from(START_SECONDS + second);
        DateTime::from_timestamp(seconds, 0).expect("a time of this century")
    };
    StreamedSource {
        url: format!("/data?topic={topic}&second={second}"),
        id: Some(format!("sdk-v1-{topic}-{second}")),
        topics,
        schemas,
        start_time: if bounds_unknown { DateTime::<Utc>::MIN_UTC } else { at(second) },
        end_time: if bounds_unknown { DateTime::<Utc>::MAX_UTC } else { at(second + 1) },
    }
}

#[derive(Deserialize)]
struct DataQuery {
    topic: usize,
    second: u32,
}

async fn data(Query(query): Query<DataQuery>) -> Response {
    if query.topic >= TOPICS.len() || query.second >= SECONDS {
        return refused(StatusCode::NOT_FOUND, "there is no such source");
    }
    let (handle, stream) = foxglove::stream::create_mcap_stream();
    tokio::spawn(recording::log(handle, query.topic, query.second));
    let stream = futures::StreamExt::map(stream, Ok::<_, std::convert::Infallible>);
    Body::from_stream(stream).into_response()
}
