//! Whether the bucket can be used.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdl_store::{Bucket, BucketError};
use tokio_util::sync::CancellationToken;

/// How long to wait for the bucket's answer.
const WITHIN: Duration = Duration::from_secs(10);
/// How often a bucket that could not be used is looked at, and one that could.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What was last found out about the bucket.
#[derive(Clone, Debug)]
pub(crate) struct BucketWatch {
    bucket: Bucket,
    trouble: Arc<Mutex<Option<String>>>,
}

impl BucketWatch {
    /// Checks the bucket. One that is not there, or that refuses us, fails the start; one that
    /// cannot be reached is looked at again.
    pub(crate) async fn begin(bucket: Bucket) -> Result<BucketWatch, BucketError> {
        let trouble = match check(&bucket).await {
            Ok(()) => None,
            Err(error) if error.is_misconfiguration() => return Err(error),
            Err(error) => {
                tracing::warn!(bucket = bucket.name(), %error, "the bucket cannot be used now; not ready until it can");
                Some(error.to_string())
            }
        };
        Ok(BucketWatch { bucket, trouble: Arc::new(Mutex::new(trouble)) })
    }

    /// Why the bucket cannot be used, if it never could since the start.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Looks again until it can be used.
    pub(crate) async fn run(self, stopping: CancellationToken) {
        while self.trouble().is_some() {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = stopping.cancelled() => return,
            }
            let checked = tokio::select! {
                checked = check(&self.bucket) => checked,
                () = stopping.cancelled() => return,
            };
            let trouble = checked.err().map(|error| error.to_string());
            match &trouble {
                None => tracing::info!(bucket = self.bucket.name(), "the bucket can be used now"),
                Some(error) if self.trouble().as_ref() != Some(error) => {
                    tracing::warn!(bucket = self.bucket.name(), %error, "the bucket still cannot be used");
                }
                Some(_) => {}
            }
            *self.trouble.lock() = trouble;
        }
    }
}

async fn check(bucket: &Bucket) -> Result<(), BucketError> {
    let checked = tokio::time::timeout(WITHIN, bucket.check()).await;
    checked.unwrap_or_else(|_| Err(BucketError::timed_out("check the bucket", WITHIN)))
}
