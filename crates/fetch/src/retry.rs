//! Asking again, with a deadline.

use std::time::Duration;

use rdl_metrics::table;
use tokio::time::Instant;

use crate::{FetchError, Purpose};

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Runs `attempt` until it succeeds, fails with an error that `again` does not accept, or the next
/// try would start later than `retry_for` after the first. The pause between tries doubles.
pub(crate) async fn retry<T, F: Future<Output = Result<T, FetchError>>>(
    purpose: Purpose,
    retry_for: Duration,
    first_pause: Duration,
    again: impl Fn(&FetchError) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, FetchError> {
    let started = Instant::now();
    let mut pause = first_pause;
    loop {
        match attempt().await.inspect_err(|error| purpose.failed(error)) {
            Err(error) if again(&error) && started.elapsed() + pause <= retry_for => {
                tracing::debug!(%error, ?pause, "asking again");
                table::BACKEND_RETRIES.count([purpose.as_str()]);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn broken() -> FetchError {
        FetchError::Broken { url: "https://h/p".into(), what: "broke".into() }
    }

    /// How often a failing attempt of this length is made, and how long that takes.
    async fn tries(retry_for: u64, attempt: u64) -> (u32, u128) {
        let count = Cell::new(0);
        let started = Instant::now();
        let first_pause = Duration::from_millis(10);
        let result: Result<(), _> = retry(
            Purpose::Range,
            Duration::from_millis(retry_for),
            first_pause,
            FetchError::is_retryable,
            || async {
                count.set(count.get() + 1);
                tokio::time::sleep(Duration::from_millis(attempt)).await;
                Err(broken())
            },
        )
        .await;
        assert!(result.is_err());
        (count.get(), started.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn no_try_starts_after_the_deadline() {
        // Pauses of 10, 20 and 40 ms fit; one of 80 ms more does not.
        assert_eq!(tries(100, 0).await, (4, 70));
        assert_eq!(tries(70, 0).await, (4, 70));
        assert_eq!(tries(69, 0).await, (3, 30));
        assert_eq!(tries(100, 95).await, (1, 95));
        assert_eq!(tries(0, 0).await, (1, 0));
        // The pause stops growing at 2 s.
        let (count, _) = tries(60_000, 0).await;
        assert!((30..45).contains(&count), "{count}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_error_ends_it() {
        let count = Cell::new(0);
        let forever = Duration::from_secs(3600);
        let result: Result<(), _> =
            retry(Purpose::Range, forever, Duration::ZERO, FetchError::is_retryable, || async {
                count.set(count.get() + 1);
                let broke = count.get() < 3;
                Err(if broke { broken() } else { FetchError::UnusableToken })
            })
            .await;
        assert!(matches!(result, Err(FetchError::UnusableToken)));
        assert_eq!(count.get(), 3);
    }
}
