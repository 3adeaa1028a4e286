use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::path::Path;

use super::{Bucket, BucketError, BucketErrorKind, MAX_DOCUMENT_BYTES};

impl Bucket {
    /// Whether the bucket can be used: listed, created in, read, and removed from. What it lacks
    /// is named. Whether it refuses to create an object that exists is found out on the way;
    /// one that does not is used all the same.
    pub async fn check(&self) -> Result<(), BucketError> {
        let sources = self.path("sources");
        if let Some(Err(error)) = self.store().list(Some(&sources)).next().await {
            let error = BucketError::of("list", &sources, &error);
            // Nothing has to be there; that the bucket itself is missing is told as this.
            return Err(error);
        }
        // Each check has a name of its own: one that went wrong says nothing about the next.
        let number = self.0.checks.fetch_add(1, Ordering::Relaxed);
        let path = self.path(&format!("checks/{}-{number}", self.replica()));
        let tried = self.try_out(&path).await;
        // Whoever may not remove cannot clean up; the bucket's own lifecycle does that then.
        if let Err(error) = self.delete(&path).await
            && tried.is_ok()
        {
            tracing::warn!(bucket = self.name(), %error, "superseded objects stay until the bucket's lifecycle removes them");
        }
        tried
    }

    /// Creates an object, reads it, and creates it once more.
    async fn try_out(&self, path: &Path) -> Result<(), BucketError> {
        let body = Bytes::from_static(b"is this bucket fit for use?");
        self.create(path, body.clone()).await?;
        let found = self.get(path, MAX_DOCUMENT_BYTES).await?;
        if found.is_none_or(|(found, _)| found != body) {
            return Err(BucketError::unusable(path, "what was written there is not read back"));
        }
        let refuses = !self.create(path, body).await?;
        if self.0.ignores_conditions.swap(!refuses, Ordering::Relaxed) == refuses && !refuses {
            tracing::warn!(
                bucket = self.name(),
                "the store creates objects that exist already; a source may be loaded by more than one replica"
            );
        }
        Ok(())
    }

    /// Whether the store was caught creating an object that existed.
    pub fn overwrites_in_silence(&self) -> bool {
        self.0.ignores_conditions.load(Ordering::Relaxed)
    }
}

impl BucketError {
    /// Whether it says that the configuration is wrong, rather than that the bucket cannot be
    /// reached now.
    pub fn is_misconfiguration(&self) -> bool {
        matches!(
            self.kind(),
            BucketErrorKind::NotFound | BucketErrorKind::Refused | BucketErrorKind::Misconfigured
        )
    }
}
