//! `GET|HEAD /intact/<bytes>-<hash>/<path>.mcap`: the intact beginning of a file that has no usable
//! end, and an end behind it.
//!
//! The file may have grown since, or be another one. What leaves is hashed on its way, and the end
//! follows only if the hash is the one in the URL; else the connection is aborted.

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode, Uri};
use rdl_mcap_io::end_of_body;
use remote_data_loader_backend::ErrorReply;
use sha2::{Digest as _, Sha256};

use super::bytes::BrokenOff;
use super::{no_such_file, path_behind, put};
use crate::backend::FilesBackend;
use crate::bodies::Room;
use crate::error::Trouble;
use crate::place::FileMeta;
use crate::prefix::words;

pub(super) async fn get(
    State(backend): State<FilesBackend>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ErrorReply> {
    let scope = backend.access().scope(&headers).await?;
    let version = uri.path().strip_prefix("/intact/").and_then(|rest| rest.split_once('/'));
    let version = version.and_then(|(version, _)| Version::parse(version));
    let version = version.ok_or_else(no_such_file)?;
    let path = path_behind(&uri, &format!("/intact/{}/", version.text()));
    let path = path.filter(|path| scope.covers(path.as_str())).ok_or_else(no_such_file)?;
    let place = backend.place();
    let file = place.look(&path).await?.ok_or_else(no_such_file)?;
    let end = end_of_body(&[]);
    let length = version.bytes.saturating_add(end.len() as u64);
    if file.bytes < version.bytes {
        return Err(gone());
    }
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let room = backend.room().await?;
        let first_end = version.bytes.min(room.piece_bytes());
        let first = place.read_growing(&file, 0..first_end).await;
        let first = first.map_err(|trouble| match trouble {
            Trouble::Changed => gone(),
            trouble => trouble.into(),
        })?;
        // What is short is known to be right before anything leaves.
        if first.len() as u64 == version.bytes && words(Sha256::digest(&first)) != version.hash {
            backend.forget(&path, version.bytes, &version.hash);
            return Err(gone());
        }
        Body::from_stream(pieces(backend.clone(), file, version, first, end, room))
    };
    let mut response = (StatusCode::OK, body).into_response();
    put(&mut response, CONTENT_TYPE, "application/mcap");
    put(&mut response, CONTENT_LENGTH, &length.to_string());
    Ok(response)
}

fn gone() -> ErrorReply {
    let message = "the file is another one than when the manifest was made: ask for it again";
    ErrorReply::new(StatusCode::GONE, message)
}

/// Which beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    bytes: u64,
    hash: String,
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let (bytes, hash) = text.split_once('-')?;
        let is_hash = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let version = Version { bytes: bytes.parse().ok()?, hash: hash.to_owned() };
        (is_hash && version.text() == text).then_some(version)
    }

    fn text(&self) -> String {
        format!("{}-{}", self.bytes, self.hash)
    }
}

struct Sending {
    backend: FilesBackend,
    file: FileMeta,
    version: Version,
    left: Range<u64>,
    hash: Sha256,
    first: Option<Bytes>,
    /// What follows the beginning.
    end: Option<Bytes>,
    room: Room,
}

fn pieces(
    backend: FilesBackend,
    file: FileMeta,
    version: Version,
    first: Bytes,
    end: Bytes,
    room: Room,
) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
    let left = first.len() as u64..version.bytes;
    let (first, end, hash) = (Some(first), Some(end), Sha256::new());
    let sending = Sending { backend, file, version, left, hash, first, end, room };
    futures::stream::try_unfold(sending, |mut sending| async move {
        let piece = sending.next().await?;
        Ok(piece.map(|piece| (piece, sending)))
    })
}

impl Sending {
    async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        if let Some(first) = self.first.take() {
            self.hash.update(&first);
            return Ok(Some(first));
        }
        if !self.left.is_empty() {
            let place = self.backend.place();
            let end = self.left.end.min(self.left.start + self.room.piece_bytes());
            let piece = place.read_growing(&self.file, self.left.start..end).await;
            let piece = piece.map_err(|_| BrokenOff)?;
            self.left.start = end;
            self.hash.update(&piece);
            return Ok(Some(piece));
        }
        let Some(end) = self.end.take() else { return Ok(None) };
        if words(std::mem::take(&mut self.hash).finalize()) != self.version.hash {
            self.backend.forget(&self.file.path, self.version.bytes, &self.version.hash);
            tracing::warn!("a file became another one while its beginning was sent");
            return Err(BrokenOff);
        }
        Ok(Some(end))
    }
}
