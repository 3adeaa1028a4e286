//! `GET|HEAD /intact/<start>-<end>-<hash>/<path>.mcap`: a segment of a file that has no usable end:
//! what has to come before its bytes, these bytes, and an end behind them.
//!
//! The file may have grown since, or be another one. What leaves is hashed on its way, and the end
//! follows only if the hash is the one in the URL; else the connection is aborted.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
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
use crate::prefix::{Front, Version};

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
    if file.bytes < version.end {
        return Err(gone());
    }
    let front = backend.front(&path, &version).ok_or_else(gone)?;
    let end = end_of_body(&[]);
    let around: usize = front.pieces().map(|piece| piece.len()).sum::<usize>() + end.len();
    let length = (version.end - version.start).saturating_add(around as u64);
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let room = backend.room().await?;
        let first_end = version.end.min(version.start.saturating_add(room.piece_bytes()));
        let first = place.read_growing(&file, version.start..first_end).await;
        let first = first.map_err(|trouble| match trouble {
            Trouble::Changed => gone(),
            trouble => trouble.into(),
        })?;
        let hash = Sha256::new_with_prefix(&first);
        // What is short is known to be right before anything leaves.
        if first_end == version.end && !version.is_of(hash.clone(), &front) {
            backend.forget(&path, &version);
            return Err(gone());
        }
        let left = first_end..version.end;
        let (backend, first, end) = (backend.clone(), Some(first), Some(end));
        let sending =
            Sending { backend, file, version, front, at: 0, left, hash, first, end, room };
        Body::from_stream(sending.pieces())
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

struct Sending {
    backend: FilesBackend,
    file: FileMeta,
    version: Version,
    front: Arc<Front>,
    /// How many pieces of the front have left.
    at: usize,
    /// What is to be read yet.
    left: Range<u64>,
    /// Of what was read.
    hash: Sha256,
    /// What was read first.
    first: Option<Bytes>,
    /// What follows the file's bytes.
    end: Option<Bytes>,
    room: Room,
}

impl Sending {
    fn pieces(self) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
        futures::stream::try_unfold(self, |mut sending| async move {
            let piece = sending.next().await?;
            Ok(piece.map(|piece| (piece, sending)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        if let Some(front) = self.front_piece() {
            return Ok(Some(front));
        }
        if let Some(first) = self.first.take() {
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
        if !self.version.is_of(std::mem::take(&mut self.hash), &self.front) {
            self.backend.forget(&self.file.path, &self.version);
            tracing::warn!("a file became another one while a part of it was sent");
            return Err(BrokenOff);
        }
        Ok(Some(end))
    }

    /// As much as fits of what is left of the front.
    fn front_piece(&mut self) -> Option<Bytes> {
        let mut bytes = BytesMut::new();
        while (bytes.len() as u64) < self.room.piece_bytes()
            && let Some(piece) = self.front.piece(self.at)
        {
            self.at += 1;
            bytes.extend_from_slice(&piece);
        }
        (!bytes.is_empty()).then(|| bytes.freeze())
    }
}
