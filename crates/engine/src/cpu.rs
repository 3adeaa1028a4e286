//! CPU work off the async threads.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::EngineError;

/// Lets as many pieces of CPU work run at a time as there are cores; the others wait their turn
/// without holding a thread.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(Arc<Semaphore>);

impl Cpu {
    pub(crate) fn new() -> Cpu {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Cpu(Arc::new(Semaphore::new(cores)))
    }

    /// Runs `work` on a blocking thread. A dropped future leaves the work running to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let turn = self.0.clone().acquire_owned().await.map_err(|_| EngineError::ShuttingDown)?;
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        task.await.map_err(|_| EngineError::TaskDied)
    }
}
