use std::sync::Arc;

use rdl_fetch::HttpClient;
use rdl_store::{DiskStore, StoreError};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::cpu::Cpu;
use crate::files::Files;
use crate::memory::Memory;
use crate::open_chunks::OpenChunks;
use crate::pressure::Pressure;
use crate::queue::LoadQueue;
use crate::ranged::FetchedGroups;
use crate::registry::Registry;
use crate::sharing::Sharing;
use crate::{EngineConfig, EngineError};

/// What every task of the engine needs.
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) http: HttpClient,
    pub(crate) store: Arc<DiskStore>,
    pub(crate) cpu: Cpu,
    /// Every load, indexing and prefetch that runs.
    pub(crate) tasks: TaskTracker,
    /// Turns to index a static source.
    pub(crate) indexing: Semaphore,
    pub(crate) registry: Registry,
    /// What was fetched of static sources.
    pub(crate) fetched: FetchedGroups,
    pub(crate) open_chunks: OpenChunks,
    /// The virtual files.
    pub(crate) files: Files,
    pub(crate) pressure: Pressure,
    /// Which loads may run.
    pub(crate) queue: Arc<LoadQueue>,
    /// Shared out before it is used.
    pub(crate) memory: Memory,
    /// The bucket that several replicas share, if there is one.
    pub(crate) sharing: Option<Sharing>,
    /// Cancelled when what nobody reads here is to be let go of.
    pub(crate) draining: tokio_util::sync::CancellationToken,
    /// Cancelled when the engine shuts down.
    pub(crate) stopping: tokio_util::sync::CancellationToken,
}

impl Shared {
    /// Writes to the disk store; where it is full, once more after letting go of what nobody
    /// reads. Blocks.
    pub(crate) fn with_room<T>(
        &self,
        bytes: u64,
        mut write: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, EngineError> {
        match write() {
            Err(error) if error.is_full() => {
                self.make_room(bytes);
                Ok(write()?)
            }
            result => Ok(result?),
        }
    }

    /// Makes sure that there may be room for this much. Blocks.
    pub(crate) fn find_room(&self, bytes: u64) -> Result<(), StoreError> {
        let has_room = || {
            let usage = self.store.usage();
            usage.running_bytes.saturating_add(bytes) <= usage.room_bytes
        };
        if has_room() {
            return Ok(());
        }
        self.make_room(bytes);
        match has_room() {
            true => Ok(()),
            false => {
                Err(StoreError::Full { needed_bytes: bytes, max_bytes: self.store.max_bytes() })
            }
        }
    }

    /// Lets go of what nobody reads, so that the disk store finds room for this much. Blocks.
    pub(crate) fn make_room(&self, bytes: u64) {
        self.pressure.press();
        self.files.let_go(true);
        self.registry.forget_unread();
        self.fetched.let_go(bytes);
    }

    /// Runs store work off the async threads.
    pub(crate) async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DiskStore) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| EngineError::TaskDied)
    }
}
