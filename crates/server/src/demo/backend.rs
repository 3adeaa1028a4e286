//! The demo's data backend: the manifest, the streamed sources, and a file with range requests.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rdl_files_backend::{Wanted, wanted};
use rdl_model::ByteRange;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sources::{self, Source};
use super::topics::Topic;

/// The one recording that there is.
pub(super) const RECORDING: &str = "demo-drive";

/// `/manifest?recording=demo-drive`, and what the manifest names.
pub(crate) fn backend_router() -> Router {
    let camera: Arc<OnceLock<Bytes>> = Arc::default();
    Router::new()
        .route("/manifest", get(manifest))
        .route("/data/{id}", get(data))
        .route("/files/camera.mcap", get(move |headers| camera_file(Arc::clone(&camera), headers)))
}

#[derive(Deserialize)]
struct ManifestQuery {
    recording: Option<String>,
}

async fn manifest(Query(query): Query<ManifestQuery>) -> Response {
    match query.recording.as_deref() {
        Some(RECORDING) => Json(manifest_json()).into_response(),
        Some(_) => refused(StatusCode::NOT_FOUND, "no such recording: the demo has demo-drive"),
        None => refused(StatusCode::BAD_REQUEST, "which recording? Try recording=demo-drive"),
    }
}

fn manifest_json() -> Value {
    let mut sources: Vec<Value> = sources::streamed().iter().map(streamed_json).collect();
    sources.push(json!({"url": "/files/camera.mcap", "supportsRangeRequests": true}));
    json!({"name": "A drive around the block", "sources": sources})
}

fn streamed_json(source: &Source) -> Value {
    let (mut topics, mut schemas) = (Vec::new(), Vec::new());
    for topic in source.topics() {
        let id = schemas.len() + 1;
        match schema_json(topic, id) {
            Some(schema) => {
                schemas.push(schema);
                topics.push(json!({
                    "name": topic.name, "messageEncoding": topic.encoding, "schemaId": id,
                }));
            }
            None => topics.push(json!({"name": topic.name, "messageEncoding": topic.encoding})),
        }
    }
    json!({
        "url": format!("/data/{}", source.id),
        "id": source.id,
        "topics": topics,
        "schemas": schemas,
        "startTime": rfc3339(source.window.start),
        // The contract's end is the time of the last message.
        "endTime": rfc3339(source.window.end - 1),
    })
}

fn schema_json(topic: &Topic, id: usize) -> Option<Value> {
    (topic.schema)().map(|schema| {
        json!({
            "id": id,
            "name": schema.name,
            "encoding": schema.encoding,
            "data": BASE64_STANDARD.encode(&schema.data),
        })
    })
}

fn rfc3339(nanos: u64) -> String {
    rdl_model::Nanos(nanos).to_string()
}

async fn data(Path(id): Path<String>) -> Response {
    let Some(source) = sources::streamed().into_iter().find(|source| source.id == id) else {
        return refused(StatusCode::NOT_FOUND, "no such source");
    };
    match source.mcap() {
        Ok(pieces) => {
            let body = Body::from_stream(futures::stream::iter(pieces));
            ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
        }
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The file is made at the first request and kept: ranges need bytes that stay.
async fn camera_file(file: Arc<OnceLock<Bytes>>, headers: HeaderMap) -> Response {
    let made = tokio::task::spawn_blocking(move || {
        if let Some(bytes) = file.get() {
            return Ok(bytes.clone());
        }
        let pieces = sources::camera().mcap().map_err(std::io::Error::other)?;
        let bytes = pieces.collect::<Result<Vec<Bytes>, _>>()?.concat().into();
        Ok::<_, std::io::Error>(file.get_or_init(|| bytes).clone())
    });
    match made.await {
        Ok(Ok(bytes)) => ranged(&bytes, &headers),
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be made"),
    }
}

/// Answers with the part that the request asks for.
fn ranged(file: &Bytes, headers: &HeaderMap) -> Response {
    // The bytes follow from the program, so that its version and their number identify them.
    let etag = format!("\"{}-{}\"", env!("CARGO_PKG_VERSION"), file.len());
    let wanted = wanted(headers, headers.get(header::RANGE), &etag, file.len() as u64);
    let described = [
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, etag),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
    ];
    match wanted {
        Wanted::Whole => (described, file.clone()).into_response(),
        Wanted::Range(ByteRange { start, end }) => {
            let content_range = format!("bytes {start}-{}/{}", end - 1, file.len());
            let headers = [(header::CONTENT_RANGE, content_range)];
            let part = file.slice(start as usize..end as usize);
            (StatusCode::PARTIAL_CONTENT, described, headers, part).into_response()
        }
        Wanted::Nothing => (StatusCode::NOT_MODIFIED, described).into_response(),
        Wanted::PreconditionFailed => {
            refused(StatusCode::PRECONDITION_FAILED, "the file has changed")
        }
        Wanted::Unsatisfiable => {
            let headers = [(header::CONTENT_RANGE, format!("bytes */{}", file.len()))];
            (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response()
        }
    }
}

fn refused(status: StatusCode, message: &str) -> Response {
    let mut response = (status, message.to_owned()).into_response();
    if let Ok(value) = HeaderValue::from_str(message) {
        response.headers_mut().insert("x-foxglove-error-message", value);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(path: &str, range: Option<&str>) -> (StatusCode, HeaderMap, Bytes) {
        ask(&backend_router(), path, range).await
    }

    async fn ask(
        router: &Router,
        path: &str,
        range: Option<&str>,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::get(path);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status, head.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap())
    }

    #[tokio::test]
    async fn the_manifest_names_sources_that_can_be_read() {
        let (status, _, body) = get("/manifest?recording=demo-drive", None).await;
        assert_eq!(status, StatusCode::OK);
        let manifest: Value = serde_json::from_slice(&body).unwrap();
        let sources = manifest["sources"].as_array().unwrap();
        assert_eq!(sources.len(), 14);
        assert_eq!(sources[1]["startTime"], "2026-01-31T09:30:00.000000000Z");
        assert_eq!(sources[1]["endTime"], "2026-01-31T09:30:09.999999999Z");
        let (status, _, body) = get(sources[1]["url"].as_str().unwrap(), None).await;
        assert_eq!(status, StatusCode::OK);
        let declared: Vec<&str> = sources[1]["topics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|topic| topic["name"].as_str().unwrap())
            .collect();
        for message in mcap::MessageStream::new(&body).unwrap() {
            assert!(declared.contains(&message.unwrap().channel.topic.as_str()));
        }
    }

    #[tokio::test]
    async fn an_unknown_recording_is_refused_in_words() {
        for (path, status) in
            [("/manifest?recording=nope", 404), ("/manifest", 400), ("/data/nope", 404)]
        {
            let (answered, headers, _) = get(path, None).await;
            assert_eq!(answered, status, "{path}");
            assert!(headers.contains_key("x-foxglove-error-message"), "{path}");
        }
    }

    #[tokio::test]
    async fn the_camera_file_is_served_in_ranges() {
        let router = backend_router();
        let path = "/files/camera.mcap";
        let (status, headers, whole) = ask(&router, path, None).await;
        assert_eq!(status, StatusCode::OK);
        let (status, tail_headers, tail) = ask(&router, path, Some("bytes=-1000")).await;
        assert_eq!(status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(tail, whole[whole.len() - 1000..]);
        assert_eq!(tail_headers[header::ETAG], headers[header::ETAG]);
        let (status, headers, _) = ask(&router, path, Some("bytes=999999999-")).await;
        assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(headers[header::CONTENT_RANGE], format!("bytes */{}", whole.len()));
    }
}
