//! What is asked for over HTTP, by URL.

mod bytes;
mod file;
mod intact;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{ALLOW, CACHE_CONTROL};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use remote_data_loader_backend::ErrorReply;

use crate::backend::FilesBackend;
use crate::path::FilePath;

/// Requests name no more recordings than this.
const MAX_NAMES: usize = 100;

pub(crate) fn router(backend: FilesBackend) -> Router {
    Router::new()
        .route("/manifest", get(manifest))
        .route("/recordings", get(recordings))
        .route("/files/{*path}", get(file::get))
        .route("/intact/{version}/{*path}", get(intact::get))
        // Says nothing of the files: whoever runs this process may ask without a token.
        .route("/liveness", get(async || "alive\n"))
        .fallback(nothing)
        .method_not_allowed_fallback(not_that)
        .with_state(backend)
        .layer(axum::middleware::map_response(fresh))
}

async fn nothing() -> ErrorReply {
    ErrorReply::not_found("there is nothing here: try /recordings, or /manifest?recording=<name>")
}

async fn not_that() -> Response {
    let refusal = ErrorReply::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
    let mut response = refusal.into_response();
    put(&mut response, ALLOW, "GET, HEAD");
    response
}

async fn manifest(
    State(backend): State<FilesBackend>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ErrorReply> {
    let scope = backend.access().scope(&headers).await?;
    let query = query.unwrap_or_default();
    let asked = url::form_urlencoded::parse(query.as_bytes());
    let names: Vec<String> = asked
        .filter(|(name, _)| name == "recording")
        .map(|(_, value)| value.into_owned())
        .take(MAX_NAMES + 1)
        .collect();
    if names.len() > MAX_NAMES {
        let message = format!("a manifest is of at most {MAX_NAMES} recordings");
        return Err(ErrorReply::bad_request(message));
    }
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(ErrorReply::bad_request(
            "which recording? Ask for recording=<name>, as /recordings lists them; several make \
             one recording of all of them",
        ));
    }
    Ok(Json(backend.manifest(&names, &scope).await?).into_response())
}

async fn recordings(
    State(backend): State<FilesBackend>,
    headers: HeaderMap,
) -> Result<Response, ErrorReply> {
    let scope = backend.access().scope(&headers).await?;
    Ok(Json(backend.recordings(&scope).await?).into_response())
}

/// What is told now, or to this user, may not be so later, or for another.
async fn fresh(mut response: Response) -> Response {
    put(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// The path of a file as the URL has it behind `front`, which is decoded once.
fn path_behind(uri: &Uri, front: &str) -> Option<FilePath> {
    let escaped = uri.path().strip_prefix(front)?;
    FilePath::parse(&percent_decode_str(escaped).decode_utf8().ok()?)
}

/// A file that is not there, is no file, or is not for this user: nobody is told which.
fn no_such_file() -> ErrorReply {
    ErrorReply::not_found("there is no such file")
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
