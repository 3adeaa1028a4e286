use std::sync::Arc;

use rdl_fetch::HttpClient;
use rdl_store::DiskStore;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::cpu::Cpu;
use crate::memory::Memory;
use crate::queue::LoadQueue;
use crate::registry::Registry;
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
    /// Which loads may run.
    pub(crate) queue: Arc<LoadQueue>,
    /// Shared out before it is used.
    pub(crate) memory: Memory,
    /// Cancelled when the engine shuts down.
    pub(crate) stopping: tokio_util::sync::CancellationToken,
}

impl Shared {
    /// Runs store work off the async threads.
    pub(crate) async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DiskStore) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| EngineError::TaskDied)
    }
}
