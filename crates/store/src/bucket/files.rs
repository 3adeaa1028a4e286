//! What the versions of virtual files consist of, in the bucket: `v1/files/<version>.json`.

use bytes::Bytes;
use object_store::path::Path;

use super::{Bucket, BucketError};

/// A larger document is not read, in bytes: it names each source of a recording.
const MAX_BYTES: u64 = 16 << 20;

impl Bucket {
    /// What a version consists of; `None` when nobody wrote it down.
    pub async fn file_contents(&self, version: &str) -> Result<Option<Bytes>, BucketError> {
        let found = self.get(&self.file_path(version), MAX_BYTES).await?;
        Ok(found.map(|(text, _)| text))
    }

    /// Writes down what a version consists of; whoever wrote it before wrote the same.
    pub async fn put_file_contents(&self, version: &str, text: Bytes) -> Result<(), BucketError> {
        self.put(&self.file_path(version), text).await
    }

    fn file_path(&self, version: &str) -> Path {
        self.path(&format!("files/{version}.json"))
    }
}
