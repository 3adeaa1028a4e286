//! From the work of a response to its viewer, within the window.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::ChunkRef;
use tokio::sync::mpsc;

use crate::EngineError;
use crate::cpu::Urgency;
use crate::readers::Progress;
use crate::shared::Shared;
use crate::source::ChunkData;

/// How many slices may wait for the viewer.
pub(super) const WINDOW_SLICES: usize = 2;
/// How large a slice is at least and at most, in bytes.
const LEAST_SLICE_BYTES: usize = 128 << 10;
const MOST_SLICE_BYTES: usize = 512 << 10;
/// Beside those that wait one is read, and one is sent.
const SLICES: usize = WINDOW_SLICES + 2;

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
    slice_bytes: usize,
    buffers: Arc<Buffers>,
}

impl Outlet {
    /// What is on its way may take `share_bytes`.
    pub(super) fn new(
        slices: mpsc::Sender<Result<Bytes, EngineError>>,
        progress: Arc<Progress>,
        share_bytes: usize,
    ) -> Outlet {
        let slice_bytes = (share_bytes / SLICES).clamp(LEAST_SLICE_BYTES, MOST_SLICE_BYTES);
        Outlet { slices, progress, slice_bytes, buffers: Arc::default() }
    }

    /// Sends a piece on as the viewer takes it. Never resolves once the viewer is gone: the task
    /// is stopped from outside.
    pub(super) async fn send(&self, shared: &Shared, piece: Piece) -> Result<(), Unread> {
        match piece {
            Piece::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    let slice = bytes.split_to(self.slice_bytes.min(bytes.len()));
                    self.room().await.send(Ok(slice));
                }
            }
            Piece::Chunk(chunk, data) => {
                let mut at = 0;
                while at < data.len() {
                    let room = self.room().await;
                    let left = usize::try_from(data.len() - at).unwrap_or(usize::MAX);
                    let mut slice = Slice::new(&self.buffers, self.slice_bytes.min(left));
                    let data = data.clone();
                    let read = move || data.read_into(at, slice.room()).map(|()| slice);
                    let read = shared.cpu.run(Urgency::Now, read).await;
                    let read = read.and_then(|read| Ok(read?));
                    let slice = read.map_err(|error| Unread { chunk, error })?;
                    at += slice.len as u64;
                    room.send(Ok(Bytes::from_owner(slice)));
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

/// The buffers of slices that were sent: a new one costs more than what is read into it.
#[derive(Debug, Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A slice of a chunk; its buffer is used again when the viewer has taken it.
struct Slice {
    buffer: Vec<u8>,
    /// How much of the buffer it fills.
    len: usize,
    buffers: Arc<Buffers>,
}

impl Slice {
    fn new(buffers: &Arc<Buffers>, bytes: usize) -> Slice {
        let mut buffer = buffers.0.lock().pop().unwrap_or_default();
        // Never shorter than before: what grows again would be filled with zeros again.
        if buffer.len() < bytes {
            buffer.resize(bytes, 0);
        }
        Slice { buffer, len: bytes, buffers: buffers.clone() }
    }

    fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        let mut buffers = self.buffers.0.lock();
        if buffers.len() < SLICES {
            buffers.push(std::mem::take(&mut self.buffer));
        }
    }
}
