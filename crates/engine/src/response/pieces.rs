//! From the work of a response to its viewer, within the window.

use std::sync::Arc;

use bytes::Bytes;
use rdl_model::{ByteRange, ChunkRef};
use tokio::sync::mpsc;

use crate::EngineError;
use crate::readers::Progress;
use crate::shared::Shared;
use crate::source::ChunkData;

/// How many slices may wait for the viewer.
pub(super) const WINDOW_SLICES: usize = 2;
/// How large a slice is, in bytes, at most.
const SLICE_BYTES: u64 = 256 << 10;

/// A piece of the answer.
pub(super) enum Piece {
    Bytes(Bytes),
    /// A chunk that passes through: read slice by slice when the viewer takes them.
    Chunk(ChunkRef, ChunkData),
}

/// A chunk that passes through could not be read.
pub(super) struct Unread {
    pub(super) chunk: ChunkRef,
    pub(super) error: EngineError,
}

/// Where the pieces of an answer go.
pub(super) struct Outlet {
    slices: mpsc::Sender<Result<Bytes, EngineError>>,
    progress: Arc<Progress>,
}

impl Outlet {
    pub(super) fn new(
        slices: mpsc::Sender<Result<Bytes, EngineError>>,
        progress: Arc<Progress>,
    ) -> Outlet {
        Outlet { slices, progress }
    }

    /// Sends a piece on as the viewer takes it. Never resolves once the viewer is gone: the task
    /// is stopped from outside.
    pub(super) async fn send(&self, shared: &Shared, piece: Piece) -> Result<(), Unread> {
        match piece {
            Piece::Bytes(mut bytes) => {
                let most = usize::try_from(SLICE_BYTES).unwrap_or(usize::MAX);
                while !bytes.is_empty() {
                    let slice = bytes.split_to(most.min(bytes.len()));
                    self.room().await.send(Ok(slice));
                }
            }
            Piece::Chunk(chunk, data) => {
                let mut at = 0;
                while at < data.len() {
                    let room = self.room().await;
                    let part = ByteRange::at(at, SLICE_BYTES.min(data.len() - at));
                    let data = data.clone();
                    let read = shared.cpu.run(move || data.read(part)).await;
                    let read = read.and_then(|read| Ok(read?));
                    room.send(Ok(read.map_err(|error| Unread { chunk, error })?));
                    at = part.end;
                }
            }
        }
        Ok(())
    }

    /// Sends the error that ends the answer, for which there is always room in the end.
    pub(super) async fn fail(&self, error: EngineError) {
        self.room().await.send(Err(error));
    }

    async fn room(&self) -> mpsc::Permit<'_, Result<Bytes, EngineError>> {
        if let Ok(room) = self.slices.try_reserve() {
            return room;
        }
        self.progress.waits_for_viewer();
        let room = self.slices.reserve().await;
        self.progress.goes_on();
        match room {
            Ok(room) => room,
            Err(_) => std::future::pending().await,
        }
    }
}
