use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rdl_fetch::HttpClient;
use rdl_store::DiskStore;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::cpu::Cpu;
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
    /// How many loads run.
    pub(crate) loads: AtomicUsize,
    /// Cancelled when the engine shuts down.
    pub(crate) stopping: tokio_util::sync::CancellationToken,
}

impl Shared {
    /// How many more sources may load ahead of what a response needs now.
    pub(crate) fn loads_ahead_allowed(&self) -> usize {
        self.config.max_concurrent_loads.saturating_sub(self.loads.load(Ordering::Relaxed))
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
