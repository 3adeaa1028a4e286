//! CPU work off the async threads.
//!
//! As many threads as there are cores, and no more: what they allocate stays with few threads,
//! which keeps the memory of the process from being scattered over one arena for each of them.

use std::sync::Arc;

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{Semaphore, oneshot};

use crate::EngineError;

/// Lets as many pieces of CPU work run at a time as there are cores; the others wait their turn,
/// first come, first served.
#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    turns: Arc<Semaphore>,
    threads: Arc<ThreadPool>,
}

impl Cpu {
    /// Starts the threads.
    pub(crate) fn new() -> Result<Cpu, EngineError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let threads = ThreadPoolBuilder::new()
            .num_threads(cores)
            .thread_name(|number| format!("cpu-{number}"))
            // Whoever waits for the work learns of it; the thread goes on.
            .panic_handler(|_| tracing::error!("a piece of work panicked"))
            .build()
            .map_err(|error| EngineError::Threads(error.to_string().into()))?;
        Ok(Cpu { turns: Arc::new(Semaphore::new(cores)), threads: Arc::new(threads) })
    }

    /// Resolves when no work runs any more, that of dropped futures included.
    pub(crate) async fn is_idle(&self) {
        let all = u32::try_from(self.threads.current_num_threads()).unwrap_or(u32::MAX);
        let _all = self.turns.acquire_many(all).await;
    }

    /// Runs `work` on a thread for such work. A dropped future leaves the work running to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let turn =
            self.turns.clone().acquire_owned().await.map_err(|_| EngineError::ShuttingDown)?;
        let (done_in, done) = oneshot::channel();
        self.threads.spawn_fifo(move || {
            let _turn = turn;
            // Nobody may be there to take it.
            let _ = done_in.send(work());
        });
        done.await.map_err(|_| EngineError::TaskDied)
    }
}
