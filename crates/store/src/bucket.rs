//! The cache bucket: what was loaded, for every replica, in an object store.
//!
//! ```text
//! <prefix>/v1/sources/<key>/<epoch, 8 digits>.claim             who loads this epoch
//!                          /<epoch>-<attempt>/running.json      its owner alone rewrites it
//!                                            /part-<n>.mcap
//!                                            /follower-<replica>.json
//!                                            /complete.json     last of all
//! ```
//!
//! The one primitive is to create an object that must not exist. Every attempt writes under a name
//! of its own, so that a store that overwrites in silence costs double work and nothing else. No
//! machine's clock is compared with another's: an attempt is alive as long as its counter changes
//! between two reads of one observer ([`Pulse`]).
//!
//! Everything here is async, and its futures may be dropped at any time: what was being written is
//! then there or not.

mod attempts;
mod check;
mod error;
mod listing;
mod names;
mod parts;
mod provider;
mod pulse;
mod reading;
mod running;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};

pub use self::attempts::{Look, RemoteSource};
pub use self::error::{BucketError, BucketErrorKind};
pub use self::listing::BucketEntry;
pub use self::names::{AttemptName, ReplicaId};
pub use self::parts::{ClosedPart, RemoteParts, UploadError};
pub use self::provider::{BucketConfig, BucketProvider};
pub use self::pulse::{Pulse, Sign};
pub use self::reading::PartRead;
pub use self::running::{Running, RunningEnd, RunningPart, RunningState};

/// A document larger than this is not read, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 256 << 20;

/// The bucket that several replicas share. Cheap to clone.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    /// What people call it.
    name: String,
    prefix: String,
    replica: ReplicaId,
    /// Whether the store was caught creating an object that existed.
    ignores_conditions: AtomicBool,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl Bucket {
    /// The bucket that the configuration names. Nothing is asked of it yet.
    pub fn open(config: &BucketConfig) -> Result<Bucket, BucketError> {
        Ok(Bucket::over(provider::store(config)?, &config.name, &config.prefix))
    }

    /// The same over any store.
    pub fn over(store: Arc<dyn ObjectStore>, name: &str, prefix: &str) -> Bucket {
        Bucket(Arc::new(Inner {
            store,
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            replica: ReplicaId::new(),
            ignores_conditions: AtomicBool::new(false),
        }))
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// This process, as others see it.
    pub fn replica(&self) -> ReplicaId {
        self.0.replica
    }

    fn path(&self, below: &str) -> Path {
        Path::from(format!("{}/v1/{below}", self.0.prefix))
    }

    fn store(&self) -> &dyn ObjectStore {
        &*self.0.store
    }

    /// Creates an object; `false` when there is one.
    async fn create(&self, path: &Path, body: Bytes) -> Result<bool, BucketError> {
        let options = PutOptions::from(PutMode::Create);
        match self.store().put_opts(path, PutPayload::from_bytes(body), options).await {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = BucketError::of("create", path, &error);
                match error.kind() {
                    BucketErrorKind::AlreadyExists => Ok(false),
                    _ => Err(error),
                }
            }
        }
    }

    /// Writes an object, whether there is one or not.
    async fn put(&self, path: &Path, body: Bytes) -> Result<(), BucketError> {
        let put = self.store().put(path, PutPayload::from_bytes(body)).await;
        put.map(drop).map_err(|error| BucketError::of("write", path, &error))
    }

    /// The whole of a small object, and when the store says that it was written; `None` when there
    /// is none.
    async fn get(
        &self,
        path: &Path,
    ) -> Result<Option<(Bytes, object_store::ObjectMeta)>, BucketError> {
        let Some(found) = self.find(path).await? else { return Ok(None) };
        let meta = found.meta.clone();
        Ok(Some((self.document(path, found).await?, meta)))
    }

    /// An object, not yet read; `None` when there is none.
    async fn find(&self, path: &Path) -> Result<Option<GetResult>, BucketError> {
        match self.store().get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(BucketError::of("read", path, &error)),
        }
    }

    /// The whole of a small object.
    async fn document(&self, path: &Path, found: GetResult) -> Result<Bytes, BucketError> {
        if found.meta.size > MAX_DOCUMENT_BYTES {
            let what = format!("it is {} bytes long", found.meta.size);
            return Err(BucketError::unusable(path, &what));
        }
        found.bytes().await.map_err(|error| BucketError::of("read", path, &error))
    }

    /// Removes an object; that it is gone already is no error.
    async fn delete(&self, path: &Path) -> Result<(), BucketError> {
        match self.store().delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(BucketError::of("remove", path, &error)),
        }
    }
}
