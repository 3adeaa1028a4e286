//! `GET|HEAD /v1/files/<token>/<name>.mcap`: a recording as one file that any MCAP tool reads.
//!
//! Every answer that has bytes has a Content-Length and a strong ETag, is never encoded, and is read
//! from its sources only as it is sent. Which part of the file is asked for is worked out in
//! [`wanted`].

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rdl_files_backend::{Wanted, wanted};
use rdl_model::{ByteRange, ErrorKind};

use super::App;
use super::file_link::FileLink;
use super::file_name::{disposition, file_name};
use crate::problem::{Problem, ProblemBody};

/// A recording as one MCAP file.
///
/// The whole recording as stable bytes: any tool that reads an MCAP by ranges opens it. The path is
/// `links.file` of `/v1/recording`, or comes from `POST /v1/links`. One range at a time is served;
/// several are answered with the whole. Waits until every source is loaded, and answers 503 with the
/// progress when that takes longer than `FILE_WAIT_MS`. 410: these bytes are gone, open the
/// recording anew. With auth a link carries the authority of the user who got it, until their access
/// token runs out; a bearer token of the request counts before it, the session's cookie after it.
#[utoipa::path(method(get, head), path = "/v1/files/{token}/{name}", operation_id = "getFile",
    tag = "recordings",
    params(
        ("token" = String, Path, description = "What the file is; opaque"),
        ("name" = String, Path, description = "Any name that ends in `.mcap`"),
        ("Range" = Option<String>, Header, description = "One range of bytes (RFC 9110 section 14)"),
        ("If-Range" = Option<String>, Header, description = "The ETag that the range is of"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the file must have"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what is known"),
    ),
    security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "The file", content_type = "application/mcap",
         body = inline([u8])),
        (status = 206, description = "The range", content_type = "application/mcap",
         body = inline([u8])),
        (status = 304, description = "It is the file that is known"),
        (status = 412, description = "It is another file than the one expected",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "The file has none of that range", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(Path((token, name))) = path else {
        return Err(Problem::new(ErrorKind::NotFound, "the path of a file is plain text"));
    };
    if !name.to_ascii_lowercase().ends_with(".mcap") {
        return Err(Problem::new(ErrorKind::NotFound, "a file's name ends in .mcap"));
    }
    let name = file_name(Some(&name));
    let request = FileLink::parse(&app.auth, &token)?.request(&app.auth, &headers)?;
    let file = app.engine.open_file(&request, app.file_wait).await.map_err(|error| {
        let has_ended = request.kept_only && error.kind() == ErrorKind::Unauthorized;
        if has_ended { Problem::link_expired() } else { error.into() }
    })?;
    let etag = format!("\"{}\"", file.version());
    let is_head = method == Method::HEAD;
    // A range of what is not sent means nothing (RFC 9110 section 14.2).
    let range = if is_head { None } else { headers.get("range") };
    match wanted(&headers, range, &etag, file.bytes()) {
        Wanted::Nothing => Ok(unchanged(&etag)),
        Wanted::PreconditionFailed => Err(Problem::precondition_failed()),
        Wanted::Unsatisfiable => {
            let mut response = Problem::range_not_satisfiable(file.bytes()).into_response();
            put(&mut response, CONTENT_RANGE, format!("bytes */{}", file.bytes()));
            Ok(response)
        }
        Wanted::Whole => {
            let body = match is_head {
                true => Body::empty(),
                false => Body::from_stream(file.read_whole().await?),
            };
            Ok(answer(StatusCode::OK, &etag, &name, file.bytes(), body))
        }
        Wanted::Range(range) => {
            let body = Body::from_stream(file.read(range).await?);
            let status = StatusCode::PARTIAL_CONTENT;
            let mut response = answer(status, &etag, &name, range.len(), body);
            let ByteRange { start, end } = range;
            put(
                &mut response,
                CONTENT_RANGE,
                format!("bytes {start}-{}/{}", end - 1, file.bytes()),
            );
            Ok(response)
        }
    }
}

fn answer(status: StatusCode, etag: &str, name: &str, bytes: u64, body: Body) -> Response {
    let mut response = (status, body).into_response();
    put(&mut response, CONTENT_TYPE, "application/mcap".into());
    put(&mut response, CONTENT_LENGTH, bytes.to_string());
    put(&mut response, CONTENT_DISPOSITION, disposition(name));
    for_every_answer(&mut response, etag);
    response
}

fn unchanged(etag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    for_every_answer(&mut response, etag);
    response
}

fn for_every_answer(response: &mut Response, etag: &str) {
    put(response, ETAG, etag.into());
    put(response, ACCEPT_RANGES, "bytes".into());
    // A browser that keeps a part would ask with If-Range, and take a 200 for the rest of it.
    put(response, CACHE_CONTROL, "no-store".into());
}

fn put(response: &mut Response, name: http::HeaderName, value: String) {
    // A name in a path may have what no header can hold.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
