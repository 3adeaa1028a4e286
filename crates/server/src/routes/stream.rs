//! `/v1/stream`: the messages of a query as one MCAP.
//!
//! Status and headers leave when the engine knows the first message or its absence. What fails
//! later is an error item of the body, at which hyper cuts the connection off (HTTP/1.1: without
//! the last chunk; HTTP/2: RST_STREAM): a stream that ends cleanly is complete.

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use rdl_engine::{EngineError, Token};

use super::App;
use super::authority::Authority;
use super::file_name::{disposition, file_name};
use super::request::{StreamQuery, StreamRequest, json_body};
use crate::problem::{Problem, ProblemBody};

/// The messages that are asked for, as one MCAP in ascending log time.
///
/// What fails after the status aborts the connection: a stream that ends cleanly is complete, but
/// for what its closing metadata record `remote-data-loader` names.
#[utoipa::path(get, path = "/v1/stream", operation_id = "getStream", tag = "recordings",
    params(StreamQuery),
    security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "The MCAP", content_type = "application/mcap",
         body = inline([u8])),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    authority: Authority,
) -> Result<Response, Problem> {
    answer(&app, &StreamRequest::from_query(query.as_deref())?, authority.token).await
}

/// The messages that are asked for, as one MCAP in ascending log time.
///
/// The same as the GET, asked in JSON.
#[utoipa::path(post, path = "/v1/stream", operation_id = "postStream", tag = "recordings",
    request_body = StreamRequest,
    security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "The MCAP", content_type = "application/mcap",
         body = inline([u8])),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn post(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    authority: Authority,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let request = json_body(query.as_deref(), &headers, body)?;
    answer(&app, &request, authority.token).await
}

async fn answer(
    app: &App,
    request: &StreamRequest,
    token: Option<Token>,
) -> Result<Response, Problem> {
    // Before the backend is asked: a wrong request costs nobody anything.
    let query = request.query()?;
    let recording = app.engine.recording(&request.manifest_params(), token).await?;
    let pieces = recording.stream(query).await?;
    Ok(mcap(recording.name(), pieces))
}

/// An answer with these bytes; an error among them aborts the connection.
pub(super) fn mcap(
    name: Option<&str>,
    pieces: impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static,
) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/mcap".to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
        (CONTENT_DISPOSITION, disposition(&file_name(name))),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

#[cfg(test)]
mod tests;
