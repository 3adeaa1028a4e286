//! CPU work and file access off the async threads.
//!
//! As many threads as there are cores, and no more: what they allocate stays with few threads,
//! which keeps the memory of the process from being scattered over one arena for each of them.
//! They are the blocking threads of a runtime of their own, which sleep when there is nothing to
//! do; a pool whose idle threads look for work cost a fifth of a response that passes through.
//!
//! What a viewer waits for goes first ([`turns`]).

mod turns;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use self::turns::Turns;
pub(crate) use self::turns::Urgency;
use crate::EngineError;

/// How long an idle thread stays.
const STAYS: Duration = Duration::from_secs(3600);

/// Lets as many pieces of CPU work run at a time as there are cores; the others wait their turn.
#[derive(Debug)]
pub(crate) struct Cpu {
    turns: Arc<Turns>,
    /// There until it is dropped.
    threads: Option<Runtime>,
}

impl Cpu {
    pub(crate) fn new() -> Result<Cpu, EngineError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let threads = Builder::new_current_thread()
            .max_blocking_threads(cores)
            .thread_keep_alive(STAYS)
            .thread_name("cpu")
            .build()
            .map_err(|error| EngineError::Threads(error.to_string().into()))?;
        Ok(Cpu { turns: Turns::new(cores), threads: Some(threads) })
    }

    /// Resolves when no work runs any more, that of dropped futures included.
    pub(crate) async fn is_idle(&self) {
        self.turns.are_all_free().await;
    }

    /// Runs `work` on a thread for such work. A dropped future leaves the work running to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let turn = self.turns.take(urgency).await;
        let threads = self.threads.as_ref().ok_or(EngineError::ShuttingDown)?;
        let done = threads.spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| EngineError::TaskDied)
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        // It may be dropped on an async thread, which must not wait.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}
