//! Where the files lie: a folder or a bucket, behind one interface.
//!
//! Both are an [`ObjectStore`]. A folder has two rules of its own, since a store of files follows
//! every symbolic link: a link to a file counts where the file lies in the folder, and a link to a
//! folder never does. Both are looked at when files are listed and again when one is read; who can
//! change links between those two looks can read the folder anyway.

mod folder;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use rdl_store::{BucketConfig, BucketError, BucketErrorKind, OpenedBucket};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::error::{StartError, Trouble};
use crate::path::FilePath;
use crate::prefix::words;

/// No place has more files than this.
const MAX_FILES: usize = 100_000;
/// How many files of a folder are looked at side by side.
const LOOKS: usize = 16;
/// Whoever waits longer for one answer of the store gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A folder, or a bucket's objects below a prefix.
#[derive(Clone)]
pub struct Place {
    store: Arc<dyn ObjectStore>,
    signer: Option<Arc<dyn Signer>>,
    prefix: String,
    /// Where the folder really lies; `None`: it is a bucket.
    folder: Option<PathBuf>,
    shown: String,
}

/// A file as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileMeta {
    pub(crate) path: FilePath,
    pub(crate) bytes: u64,
    pub(crate) modified: SystemTime,
    etag: Option<String>,
}

impl FileMeta {
    fn of(path: FilePath, meta: &ObjectMeta) -> FileMeta {
        let modified = meta.last_modified.into();
        FileMeta { path, bytes: meta.size, modified, etag: meta.e_tag.clone() }
    }

    /// Whether the store can be told to read this file and no later one.
    pub(crate) fn has_etag(&self) -> bool {
        self.etag.is_some()
    }

    /// Changes whenever the file does: of the store's ETag, or the time of its last change, and its
    /// size.
    pub(crate) fn validator(&self) -> String {
        let mut hash = Sha256::new();
        match &self.etag {
            Some(etag) => hash.update(etag),
            None => {
                let since = self.modified.duration_since(SystemTime::UNIX_EPOCH);
                hash.update(since.unwrap_or_default().as_nanos().to_le_bytes());
            }
        }
        hash.update(self.bytes.to_le_bytes());
        words(hash.finalize())
    }
}

impl Place {
    /// A folder.
    ///
    /// # Errors
    ///
    /// If there is none at this path.
    pub fn folder(path: &std::path::Path) -> Result<Place, StartError> {
        folder::open(path)
    }

    /// The objects of a bucket whose names begin with its prefix and a slash. Nothing is asked of
    /// it.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be.
    pub fn bucket(config: &BucketConfig) -> Result<Place, StartError> {
        let OpenedBucket { store, signer } =
            rdl_store::open_bucket(config).map_err(StartError::Bucket)?;
        let prefix = config.prefix.trim_matches('/').to_owned();
        if Path::parse(&prefix).is_err() {
            return Err(StartError::Prefix(prefix));
        }
        Ok(Place { store, signer, prefix, folder: None, shown: config.name.clone() })
    }

    /// Whether URLs of its files can be signed.
    pub fn can_sign(&self) -> bool {
        self.signer.is_some()
    }

    /// How much is read at a time, in bytes: what a connection that is slow keeps in memory.
    pub(crate) fn piece_bytes(&self) -> u64 {
        if self.folder.is_some() { 1 << 20 } else { 4 << 20 }
    }

    /// Whether it can be listed at all.
    ///
    /// # Errors
    ///
    /// If not, with what is missing or refused.
    pub(crate) async fn check(&self) -> Result<(), StartError> {
        if self.folder.is_some() {
            return Ok(());
        }
        let prefix = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let mut objects = self.store.list(prefix.as_ref());
        match tokio::time::timeout(ANSWER_WITHIN, objects.next()).await {
            Ok(None | Some(Ok(_))) => Ok(()),
            Ok(Some(Err(error))) => {
                Err(StartError::Bucket(BucketError::of("list", &Path::ROOT, &error)))
            }
            Err(_) => Err(StartError::Bucket(BucketError::timed_out("list", ANSWER_WITHIN))),
        }
    }

    /// All its MCAP files, in no order. What has a name that is no path is left out.
    pub(crate) async fn list(&self) -> Result<Vec<FileMeta>, Trouble> {
        match &self.folder {
            Some(root) => {
                let root = root.clone();
                let walked = tokio::task::spawn_blocking(move || folder::walk(&root, MAX_FILES));
                let paths = walked.await.map_err(|_| Trouble::Stopped)??;
                let looks = futures::stream::iter(paths).map(|path| async move {
                    // A file that vanishes meanwhile was not there.
                    self.look(&path).await
                });
                let found = looks.buffer_unordered(LOOKS).try_collect::<Vec<_>>().await?;
                Ok(found.into_iter().flatten().collect())
            }
            None => self.list_bucket().await,
        }
    }

    async fn list_bucket(&self) -> Result<Vec<FileMeta>, Trouble> {
        let prefix = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let mut objects = self.store.list(prefix.as_ref());
        let mut found = Vec::new();
        while let Some(object) = in_time("list", &Path::ROOT, objects.next()).await? {
            let object = object.map_err(|error| Trouble::of("list", &Path::ROOT, &error))?;
            let name = object.location.as_ref();
            let below = match self.prefix.as_str() {
                "" => Some(name),
                prefix => name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
            };
            let Some(path) = below.and_then(FilePath::parse) else { continue };
            if found.len() == MAX_FILES {
                return Err(Trouble::TooMany(MAX_FILES));
            }
            found.push(FileMeta::of(path, &object));
        }
        Ok(found)
    }

    /// The file as it is now; `None` when there is none.
    pub(crate) async fn look(&self, path: &FilePath) -> Result<Option<FileMeta>, Trouble> {
        if !self.is_within(path).await? {
            return Ok(None);
        }
        let location = self.location(path)?;
        match in_time("look at", &location, self.store.head(&location)).await? {
            Ok(meta) => Ok(Some(FileMeta::of(path.clone(), &meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Trouble::of("look at", &location, &error)),
        }
    }

    /// These bytes of the file, which is the one that was looked at.
    ///
    /// # Errors
    ///
    /// [`Trouble::Changed`] where it is another one now, or gone.
    pub(crate) async fn read(&self, file: &FileMeta, range: Range<u64>) -> Result<Bytes, Trouble> {
        let mut options = GetOptions { if_match: file.etag.clone(), ..GetOptions::default() };
        if file.etag.is_none() {
            options.if_unmodified_since = Some(file.modified.into());
        }
        self.get(&file.path, range, options).await
    }

    /// The same of whatever lies there now, which may be longer than it was. A bucket's objects do
    /// not grow.
    pub(crate) async fn read_growing(
        &self,
        file: &FileMeta,
        range: Range<u64>,
    ) -> Result<Bytes, Trouble> {
        match &self.folder {
            Some(_) => self.get(&file.path, range, GetOptions::default()).await,
            None => self.read(file, range).await,
        }
    }

    async fn get(
        &self,
        path: &FilePath,
        range: Range<u64>,
        mut options: GetOptions,
    ) -> Result<Bytes, Trouble> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if !self.is_within(path).await? {
            return Err(Trouble::Changed);
        }
        let location = self.location(path)?;
        let wanted_bytes = range.end - range.start;
        options.range = Some(GetRange::Bounded(range.clone()));
        let read = async { self.store.get_opts(&location, options).await?.bytes().await };
        match in_time("read", &location, read).await? {
            Ok(bytes) if bytes.len() as u64 == wanted_bytes => Ok(bytes),
            // It is shorter than it was.
            Ok(_) => Err(Trouble::Changed),
            Err(
                object_store::Error::NotFound { .. } | object_store::Error::Precondition { .. },
            ) => Err(Trouble::Changed),
            Err(error) => Err(Trouble::of("read", &location, &error)),
        }
    }

    /// A URL that whoever has it may read the file by, for so long.
    pub(crate) async fn signed(&self, path: &FilePath, lasts: Duration) -> Result<Url, Trouble> {
        let location = self.location(path)?;
        let Some(signer) = &self.signer else { return Err(Trouble::Stopped) };
        let signing = signer.signed_url(http::Method::GET, &location, lasts);
        let signed = in_time("sign a URL of", &location, signing).await?;
        signed.map_err(|error| Trouble::of("sign a URL of", &location, &error))
    }

    fn location(&self, path: &FilePath) -> Result<Path, Trouble> {
        let name = match self.prefix.as_str() {
            "" => path.as_str().to_owned(),
            prefix => format!("{prefix}/{path}"),
        };
        Path::parse(name).map_err(|_| Trouble::Changed)
    }

    /// Whether the file lies in the folder, links followed. Objects have no links.
    async fn is_within(&self, path: &FilePath) -> Result<bool, Trouble> {
        let Some(root) = self.folder.clone() else { return Ok(true) };
        let path = path.clone();
        let looked = tokio::task::spawn_blocking(move || folder::is_within(&root, &path));
        looked.await.map_err(|_| Trouble::Stopped)
    }
}

/// Without the client, which has credentials.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("shown", &self.shown).finish_non_exhaustive()
    }
}

async fn in_time<T>(
    action: &'static str,
    location: &Path,
    answer: impl Future<Output = T>,
) -> Result<T, Trouble> {
    tokio::time::timeout(ANSWER_WITHIN, answer).await.map_err(|_| {
        tracing::warn!(action, %location, "the store gave no answer in time");
        Trouble::Store(BucketErrorKind::Unavailable)
    })
}
