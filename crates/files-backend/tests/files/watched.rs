//! A store in memory that refuses single objects, and tells what was asked of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use parking_lot::Mutex;
use rdl_files_backend::{AccessRule, FilesConfig, Place};
use rdl_store::{BucketConfig, BucketProvider};
use rdl_testkit::FlakyStore;

#[derive(Clone, Default)]
pub(crate) struct Watched {
    pub(crate) inner: FlakyStore,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    refused: Mutex<Option<Path>>,
    lists: AtomicUsize,
    largest_read: AtomicU64,
}

impl Watched {
    pub(crate) fn config(&self, prefix: &str) -> FilesConfig {
        let provider = BucketProvider::Other(Arc::new(self.clone()));
        let bucket = BucketConfig { provider, name: "b".to_owned(), prefix: prefix.to_owned() };
        FilesConfig::new(Place::bucket(&bucket).unwrap(), AccessRule::Anyone)
    }

    pub(crate) async fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        let bytes: Bytes = bytes.into();
        self.inner.another().put(&Path::parse(name).unwrap(), bytes.into()).await.unwrap();
    }

    /// Whoever reads this one is refused.
    pub(crate) fn refuse(&self, name: Option<&str>) {
        *self.watch.refused.lock() = name.map(|name| Path::parse(name).unwrap());
    }

    pub(crate) fn lists(&self) -> usize {
        self.watch.lists.load(Ordering::SeqCst)
    }

    /// The largest range that was asked for, in bytes.
    pub(crate) fn largest_read(&self) -> u64 {
        self.watch.largest_read.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        if !how.head && self.watch.refused.lock().as_ref() == Some(at) {
            let (path, source) = (at.to_string(), "403 Forbidden".into());
            return Err(Error::PermissionDenied { path, source });
        }
        if let Some(GetRange::Bounded(range)) = &how.range {
            self.watch.largest_read.fetch_max(range.end - range.start, Ordering::SeqCst);
        }
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.watch.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
