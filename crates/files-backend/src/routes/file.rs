//! `GET|HEAD /files/<path>.mcap`: a file as it is, by ranges (RFC 9110 sections 13 and 14).

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use http::{HeaderMap, Method, StatusCode, Uri};
use remote_data_loader_backend::ErrorReply;

use super::bytes::{body, read};
use super::{no_such_file, path_behind, put};
use crate::backend::FilesBackend;
use crate::conditions::{Wanted, wanted};
use crate::error::Trouble;
use crate::place::FileMeta;

/// A file that changes between the look at it and the first read is looked at again so often.
const TRIES: usize = 3;

pub(super) async fn get(
    State(backend): State<FilesBackend>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ErrorReply> {
    let scope = backend.access().scope(&headers).await?;
    let path = path_behind(&uri, "/files/").filter(|path| scope.covers(path.as_str()));
    let path = path.ok_or_else(no_such_file)?;
    let place = backend.place();
    // What a listing saw a moment ago saves a look; whatever is not the file any more has a second.
    let mut file = match method == Method::HEAD {
        true => None,
        false => backend.listed(&path),
    };
    for _ in 0..TRIES {
        let was_listed = file.is_some();
        let current = match file.take() {
            Some(file) => file,
            None => place.look(&path).await?.ok_or_else(no_such_file)?,
        };
        match answer(&backend, &current, &method, &headers, was_listed).await {
            Err(Trouble::Changed) => {}
            answered => return Ok(answered?),
        }
    }
    Err(Trouble::Changed.into())
}

/// [`Trouble::Changed`] where the file is not the one that was looked at, or may not be.
async fn answer(
    backend: &FilesBackend,
    file: &FileMeta,
    method: &Method,
    headers: &HeaderMap,
    was_listed: bool,
) -> Result<Response, Trouble> {
    let etag = format!("\"{}\"", file.validator());
    let is_head = method == Method::HEAD;
    // A range of what is not sent means nothing (RFC 9110 section 14.2).
    let range = if is_head { None } else { headers.get("range") };
    let wanted = wanted(headers, range, &etag, file.bytes);
    let refuses = !matches!(wanted, Wanted::Whole | Wanted::Range(_));
    if was_listed && refuses {
        // Nothing would be read that shows whether the file is still the one.
        return Err(Trouble::Changed);
    }
    let mut response = match wanted {
        Wanted::Nothing => StatusCode::NOT_MODIFIED.into_response(),
        Wanted::PreconditionFailed => {
            let message = "the file is another one than the one expected";
            ErrorReply::new(StatusCode::PRECONDITION_FAILED, message).into_response()
        }
        Wanted::Unsatisfiable => {
            let message = format!("the file has {} bytes, and none of that range", file.bytes);
            let refusal = ErrorReply::new(StatusCode::RANGE_NOT_SATISFIABLE, message);
            let mut response = refusal.into_response();
            put(&mut response, CONTENT_RANGE, &format!("bytes */{}", file.bytes));
            response
        }
        Wanted::Whole if is_head => whole(file, Body::empty()),
        Wanted::Whole => {
            let body = part(backend, file, 0..file.bytes).await?;
            whole(file, body)
        }
        Wanted::Range(range) => {
            let (start, end) = (range.start, range.end);
            let body = part(backend, file, start..end).await?;
            let mut response = found(StatusCode::PARTIAL_CONTENT, body, end - start);
            let content = format!("bytes {start}-{}/{}", end - 1, file.bytes);
            put(&mut response, CONTENT_RANGE, &content);
            response
        }
    };
    put(&mut response, ETAG, &etag);
    put(&mut response, ACCEPT_RANGES, "bytes");
    Ok(response)
}

fn whole(file: &FileMeta, body: Body) -> Response {
    found(StatusCode::OK, body, file.bytes)
}

fn found(status: StatusCode, body: Body, length: u64) -> Response {
    let mut response = (status, body).into_response();
    put(&mut response, CONTENT_TYPE, "application/mcap");
    put(&mut response, CONTENT_LENGTH, &length.to_string());
    response
}

/// The first piece is read before the headers leave, so that a change meanwhile is no abort.
async fn part(backend: &FilesBackend, file: &FileMeta, range: Range<u64>) -> Result<Body, Trouble> {
    let room = backend.room().await?;
    let place = backend.place();
    let end = range.end.min(range.start + room.piece_bytes());
    let first = read(place, file, range.start..end).await?;
    Ok(Body::from_stream(body(place.clone(), file.clone(), range, first, room)))
}
