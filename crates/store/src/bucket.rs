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
mod files;
mod followed_part;
mod listing;
mod measured;
mod names;
mod parts;
mod provider;
mod pulse;
mod reading;
mod running;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload,
};
use rdl_model::SourceKey;

pub use self::attempts::{Look, RemoteSource};
pub use self::error::{BucketError, BucketErrorKind};
pub use self::files::BucketCut;
pub use self::followed_part::FollowedPart;
pub use self::listing::BucketEntry;
use self::measured::Measured;
use self::names::Numbers;
pub use self::names::{AttemptName, ReplicaId};
pub use self::parts::{ClosedPart, RemoteParts, UploadError};
pub use self::provider::{BucketConfig, BucketProvider, OpenedBucket, open_bucket};
pub use self::pulse::{Pulse, Sign};
pub use self::reading::PartRead;
pub use self::running::{Checksums, Running, RunningEnd, RunningPart, RunningState};

/// A document larger than this is not read, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 256 << 20;

/// Whoever waits longer than this for the next bytes of an answer asks again.
const BYTES_WITHIN: Duration = Duration::from_secs(10);

/// How long to wait before an object is created once more that is refused as existing and is not
/// there.
const CREATE_AGAIN: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];

/// Reads something, unless nothing comes for too long.
async fn soon<T>(
    path: &Path,
    read: impl Future<Output = object_store::Result<T>>,
) -> Result<T, BucketError> {
    match tokio::time::timeout(BYTES_WITHIN, read).await {
        Ok(read) => read.map_err(|error| BucketError::of("read", path, &error)),
        Err(_) => Err(BucketError::timed_out("read", BYTES_WITHIN)),
    }
}

/// The bucket that several replicas share. Cheap to clone.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    /// What people call it.
    name: String,
    prefix: String,
    replica: ReplicaId,
    numbers: Numbers,
    /// Whether the store was caught creating an object that existed.
    ignores_conditions: AtomicBool,
    /// How often it was checked.
    checks: AtomicU64,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl Bucket {
    /// The bucket that the configuration names. Nothing is asked of it yet.
    pub fn open(config: &BucketConfig) -> Result<Bucket, BucketError> {
        Ok(Bucket::over(open_bucket(config)?.store, &config.name, &config.prefix))
    }

    /// The same over any store.
    pub fn over(store: Arc<dyn ObjectStore>, name: &str, prefix: &str) -> Bucket {
        Bucket::named(store, name, prefix, Numbers::Unlikely)
    }

    /// The same, with a replica's and attempts' names that follow from a seed: for simulations.
    pub fn simulated(store: Arc<dyn ObjectStore>, name: &str, prefix: &str, seed: u64) -> Bucket {
        Bucket::named(store, name, prefix, Numbers::Seeded(seed, AtomicU64::new(0)))
    }

    fn named(store: Arc<dyn ObjectStore>, name: &str, prefix: &str, numbers: Numbers) -> Bucket {
        Bucket(Arc::new(Inner {
            store: Arc::new(Measured(store)),
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            replica: numbers.replica(),
            numbers,
            ignores_conditions: AtomicBool::new(false),
            checks: AtomicU64::new(0),
        }))
    }

    /// A new attempt at this epoch of a source; nothing is asked of the bucket.
    pub fn new_attempt(&self, key: &SourceKey, epoch: u32) -> AttemptName {
        AttemptName::numbered_by(&self.0.numbers, *key, epoch)
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
    ///
    /// A store that is busy with the same object, or with the folder that it would be in, refuses
    /// with the words of one that has it (409): only one that is found exists.
    async fn create(&self, path: &Path, body: Bytes) -> Result<bool, BucketError> {
        for again in CREATE_AGAIN.into_iter().map(Some).chain([None]) {
            let options = PutOptions::from(PutMode::Create);
            let body = PutPayload::from_bytes(body.clone());
            let refused = match self.store().put_opts(path, body, options).await {
                Ok(_) => return Ok(true),
                Err(error) => BucketError::of("create", path, &error),
            };
            if refused.kind() != BucketErrorKind::AlreadyExists {
                return Err(refused);
            }
            if self.exists(path).await? {
                return Ok(false);
            }
            if let Some(pause) = again {
                tokio::time::sleep(pause).await;
            }
        }
        Err(BucketError::inconsistent(
            "create",
            path,
            "it is refused as existing, and is not there",
        ))
    }

    /// Whether there is such an object.
    async fn exists(&self, path: &Path) -> Result<bool, BucketError> {
        match soon(path, self.store().head(path)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == BucketErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes an object, whether there is one or not.
    async fn put(&self, path: &Path, body: Bytes) -> Result<(), BucketError> {
        let put = self.store().put(path, PutPayload::from_bytes(body)).await;
        put.map(drop).map_err(|error| BucketError::of("write", path, &error))
    }

    /// The whole of an object of at most so many bytes, and when the store says that it was written; `None` when there
    /// is none.
    async fn get(
        &self,
        path: &Path,
        most_bytes: u64,
    ) -> Result<Option<(Bytes, object_store::ObjectMeta)>, BucketError> {
        let failed = |error: object_store::Error| BucketError::of("read", path, &error);
        let found = match soon(path, self.store().get(path)).await {
            Ok(found) => found,
            Err(error) if error.kind() == BucketErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let meta = found.meta.clone();
        if meta.size > most_bytes {
            return Err(BucketError::unusable(path, &format!("it is {} bytes long", meta.size)));
        }
        Ok(Some((found.bytes().await.map_err(failed)?, meta)))
    }

    /// Asks for a range of an object, whose bytes come as they are taken.
    async fn stream(&self, path: &Path, range: Range<u64>) -> Result<GetResult, BucketError> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        soon(path, self.store().get_opts(path, options)).await
    }

    /// Removes an object; that it is gone already is no error.
    async fn delete(&self, path: &Path) -> Result<(), BucketError> {
        match self.store().delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(BucketError::of("remove", path, &error)),
        }
    }
}
