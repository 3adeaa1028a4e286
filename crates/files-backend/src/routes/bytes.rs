//! Bytes of a file as the body of an answer: read piece by piece, as the connection takes them.

use std::ops::Range;

use bytes::Bytes;
use futures::Stream;

use crate::bodies::Room;
use crate::error::Trouble;
use crate::place::{FileMeta, Place};

/// A piece that the store does not give is asked for again so often.
const TRIES: u32 = 3;

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
#[error("the file cannot be read any further")]
pub(super) struct BrokenOff;

/// These bytes of the file that was looked at. Fails, which aborts the connection, when it becomes
/// another one.
pub(super) fn body(
    place: Place,
    file: FileMeta,
    range: Range<u64>,
    first: Bytes,
    room: Room,
) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
    let at = range.start + first.len() as u64;
    let state = (place, file, at..range.end, Some(first), room);
    futures::stream::try_unfold(state, |(place, file, left, first, room)| async move {
        if let Some(first) = first.filter(|first| !first.is_empty()) {
            return Ok(Some((first, (place, file, left, None, room))));
        }
        if left.is_empty() {
            return Ok(None);
        }
        let end = left.end.min(left.start + room.piece_bytes());
        let piece = read(&place, &file, left.start..end).await.map_err(|_| BrokenOff)?;
        Ok(Some((piece, (place, file, end..left.end, None, room))))
    })
}

/// A piece of the file that was looked at.
pub(super) async fn read(
    place: &Place,
    file: &FileMeta,
    range: Range<u64>,
) -> Result<Bytes, Trouble> {
    let mut tries = 1;
    loop {
        match place.read(file, range.clone()).await {
            Err(Trouble::Store(_)) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}
