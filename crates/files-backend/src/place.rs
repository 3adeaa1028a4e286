//! Where the files lie: a folder or a bucket, behind one interface.
//!
//! Listing and looking open nothing, so that one file that may not be read spoils nothing but
//! itself. In a folder a link to a file counts where the file lies in the folder, and a link to a
//! folder never does; a file is opened where it really lies, with no link on the way
//! ([`folder`]). A file is read as it was when it was looked at, or not at all.

mod folder;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use rdl_store::{BucketConfig, BucketError, BucketErrorKind, OpenedBucket};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use self::folder::Folder;
use crate::error::{StartError, Trouble};
use crate::path::FilePath;
use crate::prefix::words;

/// No place has more files than this.
const MAX_FILES: usize = 100_000;
/// Nor more objects, folders and other files that have to be passed to find them.
const MAX_SEEN: usize = 1_000_000;
/// How many files of a folder are looked at side by side.
const LOOKS: usize = 16;
/// Whoever waits longer for one answer of the store gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A whole listing takes no longer.
const LISTED_WITHIN: Duration = Duration::from_secs(60);

/// A folder, or a bucket's objects below a prefix.
#[derive(Clone)]
pub struct Place {
    files: Files,
    shown: String,
}

#[derive(Clone)]
enum Files {
    Folder(Arc<Folder>),
    Bucket { store: Arc<dyn ObjectStore>, signer: Option<Arc<dyn Signer>>, prefix: Path },
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
        let folder = Folder::open(path);
        let folder = folder.map_err(|error| StartError::Folder(path.to_owned(), error))?;
        Ok(Place { files: Files::Folder(Arc::new(folder)), shown: path.display().to_string() })
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
        let Ok(parsed) = Path::parse(&prefix) else { return Err(StartError::Prefix(prefix)) };
        let files = Files::Bucket { store, signer, prefix: parsed };
        Ok(Place { files, shown: config.name.clone() })
    }

    /// How much is read at a time, in bytes: what a connection that is slow keeps in memory.
    pub(crate) fn piece_bytes(&self) -> u64 {
        match self.files {
            Files::Folder(_) => 1 << 20,
            Files::Bucket { .. } => 4 << 20,
        }
    }

    /// Whether it can be listed at all.
    ///
    /// # Errors
    ///
    /// If not, with what is missing or refused.
    pub(crate) async fn check(&self) -> Result<(), StartError> {
        let Files::Bucket { store, prefix, .. } = &self.files else { return Ok(()) };
        let mut objects = store.list(Some(prefix));
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
        let until = Instant::now() + LISTED_WITHIN;
        let listed = async {
            match &self.files {
                Files::Folder(folder) => list_folder(folder, until).await,
                Files::Bucket { store, prefix, .. } => list_bucket(&**store, prefix).await,
            }
        };
        tokio::time::timeout_at(until, listed).await.map_err(|_| {
            tracing::warn!("listing the files took more than {} s", LISTED_WITHIN.as_secs());
            Trouble::Store(BucketErrorKind::Unavailable)
        })?
    }

    /// The file as it is now; `None` when there is none.
    pub(crate) async fn look(&self, path: &FilePath) -> Result<Option<FileMeta>, Trouble> {
        match &self.files {
            Files::Folder(folder) => {
                let (folder, path) = (folder.clone(), path.clone());
                in_thread("look at", move || folder.look(&path)).await
            }
            Files::Bucket { store, prefix, .. } => {
                let Some(location) = location(prefix, path) else { return Ok(None) };
                match in_time("look at", &location, store.head(&location)).await? {
                    Ok(meta) => Ok(Some(FileMeta::of(path.clone(), &meta))),
                    Err(object_store::Error::NotFound { .. }) => Ok(None),
                    Err(error) => Err(Trouble::of("look at", &location, &error)),
                }
            }
        }
    }

    /// These bytes of the file, which is the one that was looked at.
    ///
    /// # Errors
    ///
    /// [`Trouble::Changed`] where it is another one now, or gone; [`Trouble::Forbidden`] where it
    /// may not be read.
    pub(crate) async fn read(&self, file: &FileMeta, range: Range<u64>) -> Result<Bytes, Trouble> {
        self.get(file, range, true).await
    }

    /// The same of whatever lies there now, which may be longer than it was. A bucket's objects do
    /// not grow.
    pub(crate) async fn read_growing(
        &self,
        file: &FileMeta,
        range: Range<u64>,
    ) -> Result<Bytes, Trouble> {
        let is_same = matches!(self.files, Files::Bucket { .. });
        self.get(file, range, is_same).await
    }

    async fn get(
        &self,
        file: &FileMeta,
        range: Range<u64>,
        is_same: bool,
    ) -> Result<Bytes, Trouble> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        match &self.files {
            Files::Folder(folder) => {
                let (folder, file) = (folder.clone(), file.clone());
                in_thread("read", move || folder.read(&file, range, is_same)).await
            }
            Files::Bucket { store, prefix, .. } => {
                let location = location(prefix, &file.path).ok_or(Trouble::Changed)?;
                read_object(&**store, &location, file, range).await
            }
        }
    }

    /// A URL that whoever has it may read the file by, for so long.
    pub(crate) async fn signed(&self, path: &FilePath, lasts: Duration) -> Result<Url, Trouble> {
        let Files::Bucket { signer: Some(signer), prefix, .. } = &self.files else {
            return Err(Trouble::Stopped);
        };
        let location = location(prefix, path).ok_or(Trouble::Changed)?;
        let signing = signer.signed_url(http::Method::GET, &location, lasts);
        let signed = in_time("sign a URL of", &location, signing).await?;
        signed.map_err(|error| Trouble::of("sign a URL of", &location, &error))
    }
}

async fn list_folder(folder: &Arc<Folder>, until: Instant) -> Result<Vec<FileMeta>, Trouble> {
    let paths = folder.walk(until).await?;
    let share = paths.len().div_ceil(LOOKS).max(1);
    let shares: Vec<Vec<FilePath>> = paths.chunks(share).map(<[FilePath]>::to_vec).collect();
    let looks = shares.into_iter().map(|paths| {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for path in paths {
                if Instant::now() >= until {
                    return Err(Trouble::Store(BucketErrorKind::Unavailable));
                }
                match folder.look(&path) {
                    // A file that vanishes meanwhile was not there; one whose folder may only be
                    // listed is not ours.
                    Ok(None) | Err(Trouble::Forbidden) => {}
                    Ok(Some(file)) => found.push(file),
                    Err(trouble) => return Err(trouble),
                }
            }
            Ok(found)
        })
    });
    let found = futures::future::try_join_all(looks).await.map_err(|_| Trouble::Stopped)?;
    Ok(found.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

async fn list_bucket(store: &dyn ObjectStore, prefix: &Path) -> Result<Vec<FileMeta>, Trouble> {
    let mut objects = store.list(Some(prefix)).enumerate();
    let mut found = Vec::new();
    while let Some((seen, object)) = in_time("list", &Path::ROOT, objects.next()).await? {
        let object = object.map_err(|error| Trouble::of("list", &Path::ROOT, &error))?;
        if seen == MAX_SEEN {
            return Err(Trouble::TooMany(MAX_SEEN, "objects"));
        }
        let name = object.location.as_ref();
        let below = match prefix.as_ref() {
            "" => Some(name),
            prefix => name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(path) = below.and_then(FilePath::parse) else { continue };
        if found.len() == MAX_FILES {
            return Err(Trouble::TooMany(MAX_FILES, "files"));
        }
        found.push(FileMeta::of(path, &object));
    }
    Ok(found)
}

async fn read_object(
    store: &dyn ObjectStore,
    location: &Path,
    file: &FileMeta,
    range: Range<u64>,
) -> Result<Bytes, Trouble> {
    let wanted_bytes = range.end - range.start;
    let mut options = GetOptions { if_match: file.etag.clone(), ..GetOptions::default() };
    if file.etag.is_none() {
        options.if_unmodified_since = Some(file.modified.into());
    }
    options.range = Some(GetRange::Bounded(range));
    let read = async { store.get_opts(location, options).await?.bytes().await };
    match in_time("read", location, read).await? {
        Ok(bytes) if bytes.len() as u64 == wanted_bytes => Ok(bytes),
        // It is shorter than it was.
        Ok(_) => Err(Trouble::Changed),
        Err(object_store::Error::NotFound { .. } | object_store::Error::Precondition { .. }) => {
            Err(Trouble::Changed)
        }
        Err(error) => match BucketError::of("read", location, &error).kind() {
            // Who may list and not read this one learns it from the list of recordings.
            BucketErrorKind::Refused => Err(Trouble::Forbidden),
            _ => Err(Trouble::of("read", location, &error)),
        },
    }
}

fn location(prefix: &Path, path: &FilePath) -> Option<Path> {
    let name = match prefix.as_ref() {
        "" => path.as_str().to_owned(),
        prefix => format!("{prefix}/{path}"),
    };
    Path::parse(name).ok()
}

/// Without the client, which has credentials.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// Waits for a thread that looks into a folder. One that hangs is left alone.
async fn in_thread<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work);
    in_time(action, &Path::ROOT, done).await?.map_err(|_| Trouble::Stopped)?
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
