//! What belongs to virtual files in the bucket: what each version consists of,
//! `v1/files/<version>.json`, and the bytes of cuts, `v1/cuts/<version>.mcap`.

use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};
use rdl_model::ByteRange;

use super::reading::PartRead;
use super::{Bucket, BucketError, UploadError};
use crate::KeptFile;
use crate::whole::PART;

/// A larger document is not read, in bytes: it names each source of a recording.
const MAX_BYTES: u64 = 16 << 20;

/// A cut in the bucket.
#[derive(Clone, Debug)]
pub struct BucketCut {
    /// Which bytes it has: the version of its file.
    pub version: String,
    /// How long it is.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub written_at: SystemTime,
}

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

    /// The same, unless somebody has written something down there before; whether it did.
    pub async fn create_file_contents(
        &self,
        version: &str,
        text: Bytes,
    ) -> Result<bool, BucketError> {
        self.create(&self.file_path(version), text).await
    }

    /// Whether the bytes of a cut are there, as long as they should be.
    pub async fn has_cut(&self, version: &str, bytes: u64) -> Result<bool, BucketError> {
        let path = self.cut_path(version);
        match self.store().head(&path).await {
            Ok(found) => Ok(found.size == bytes),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(BucketError::of("look for", &path, &error)),
        }
    }

    /// Writes the bytes of a cut; whoever wrote them before wrote the same. Memory holds one piece of
    /// at most 8 MiB; `count` is told how long each is that is about to be sent.
    pub async fn put_cut(
        &self,
        version: &str,
        file: &KeptFile,
        mut count: impl FnMut(u64),
    ) -> Result<(), UploadError> {
        let path = self.cut_path(version);
        let count = |piece: &Bytes| count(piece.len() as u64);
        self.upload(&path, file.files(), PART, file.bytes(), count).await
    }

    /// Every cut in the bucket.
    pub async fn list_cuts(&self) -> Result<Vec<BucketCut>, BucketError> {
        let mut cuts = Vec::new();
        for object in self.list_below(&self.path("cuts")).await? {
            let name = object.location.filename().unwrap_or_default();
            if let Some(version) = name.strip_suffix(".mcap") {
                let written_at = object.last_modified.into();
                cuts.push(BucketCut {
                    version: version.to_owned(),
                    bytes: object.size,
                    written_at,
                });
            }
        }
        Ok(cuts)
    }

    /// Removes a cut; whoever asks for it next has it made anew.
    pub async fn remove_cut(&self, version: &str) -> Result<(), BucketError> {
        self.delete(&self.cut_path(version)).await?;
        self.delete(&self.file_path(version)).await
    }

    /// Removes what is known of versions: links that name one work only where a process knows it.
    pub async fn remove_file_contents(&self) -> Result<(), BucketError> {
        for object in self.list_below(&self.path("files")).await? {
            self.delete(&object.location).await?;
        }
        Ok(())
    }

    async fn list_below(&self, path: &Path) -> Result<Vec<ObjectMeta>, BucketError> {
        let found = self.store().list(Some(path)).try_collect().await;
        found.map_err(|error| BucketError::of("list", path, &error))
    }

    /// Reads bytes of a cut as they come. Nothing is asked for yet.
    pub fn read_cut(&self, version: &str, range: ByteRange) -> PartRead {
        PartRead::new(self.clone(), self.cut_path(version), 0, range)
    }

    fn cut_path(&self, version: &str) -> Path {
        self.path(&format!("cuts/{version}.mcap"))
    }

    fn file_path(&self, version: &str) -> Path {
        self.path(&format!("files/{version}.json"))
    }
}
