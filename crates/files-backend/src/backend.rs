//! The backend behind its routes: recordings and their manifests.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::{StreamExt as _, TryStreamExt as _};
use rdl_model::{Nanos, TimeRange};
use rdl_wire::json::{Manifest, Source};
use remote_data_loader_backend::ErrorReply;
use serde::Serialize;
use tokio::time::Instant;

use crate::access::{Access, AccessRule, Scope};
use crate::bodies::{Bodies, Room};
use crate::contents::{Contents, Serving};
use crate::error::{MAY_NOT, StartError, Trouble};
use crate::known::{Keeping, Known, Seen};
use crate::listing::{Listing, Listings, RecordingFiles};
use crate::manifest::{static_source, streamed_source};
use crate::path::FilePath;
use crate::place::{FileMeta, Place};
use crate::prefix::{Front, Version};
use crate::reply::{shown, unavailable};
use crate::routes;

/// The loader takes no manifest with more sources.
const MAX_SOURCES: usize = 10_000;
/// Nor a larger one, in bytes.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;
/// How many files one request has examined side by side.
const FILES_AT_ONCE: usize = 64;
/// A file that changes while it is examined is looked at again so often.
const TRIES: usize = 100;

/// What a backend is told at start.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    /// Where the files lie.
    pub place: Place,
    /// Who may see them.
    pub access: AccessRule,
    /// Manifests name signed URLs of the bucket, which last so long; `None`: this backend's own.
    pub signed_urls: Option<Duration>,
    /// How much is kept in memory of what is known of files, in bytes.
    pub known_bytes: usize,
    /// A manifest has what was added to a file without a summary at least so long after what was
    /// added before.
    pub segments_apart: Duration,
    /// A file that has got its summary is named as before until no manifest named it for so long.
    pub segments_kept: Duration,
    /// How long a manifest waits for files that have to be read to know what they are.
    pub manifest_wait: Duration,
    /// How long the list of recordings does.
    pub recordings_wait: Duration,
}

impl FilesConfig {
    /// The defaults over this place.
    pub fn new(place: Place, access: AccessRule) -> FilesConfig {
        FilesConfig {
            place,
            access,
            signed_urls: None,
            known_bytes: 64 << 20,
            segments_apart: Duration::from_secs(10),
            segments_kept: Duration::from_secs(600),
            manifest_wait: Duration::from_secs(20),
            recordings_wait: Duration::from_secs(10),
        }
    }
}

/// A data backend over MCAP files. Cheap to clone.
#[derive(Clone)]
pub struct FilesBackend(Arc<Inner>);

struct Inner {
    place: Place,
    access: Access,
    listings: Listings,
    known: Known,
    bodies: Bodies,
    signed_urls: Option<Duration>,
    manifest_wait: Duration,
    recordings_wait: Duration,
}

/// What it is asked for what a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Manifest,
    List,
}

/// A recording as `/recordings` lists it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RecordingEntry {
    name: String,
    /// The times of the first and the last message, RFC 3339.
    start: Option<String>,
    end: Option<String>,
    topics: BTreeSet<String>,
    /// What its files take together.
    bytes: u64,
    /// What is wrong with its files.
    problems: Vec<String>,
}

impl FilesBackend {
    /// Starts over a place that can be listed.
    ///
    /// # Errors
    ///
    /// If it cannot, with what is missing or refused.
    pub async fn start(config: FilesConfig) -> Result<FilesBackend, StartError> {
        let FilesConfig { place, access, signed_urls, .. } = config;
        place.check().await?;
        let access = Access::new(access)?;
        access.prepare().await;
        let listings = Listings::new(place.clone());
        let keeping = Keeping {
            max_bytes: config.known_bytes,
            segments_apart: config.segments_apart,
            segments_kept: config.segments_kept,
        };
        tokio::spawn(say_what_there_is(listings.clone()));
        Ok(FilesBackend(Arc::new(Inner {
            listings,
            bodies: Bodies::new(place.piece_bytes()),
            known: Known::new(place.clone(), keeping),
            place,
            access,
            signed_urls,
            manifest_wait: config.manifest_wait,
            recordings_wait: config.recordings_wait,
        })))
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(crate) async fn listing(&self) -> Result<Arc<Listing>, Trouble> {
        self.0.listings.current().await
    }

    /// The file as the newest listing has it, where reading it shows whether it is still that one.
    pub(crate) fn listed(&self, path: &FilePath) -> Option<FileMeta> {
        let listing = self.0.listings.newest()?;
        listing.file(path).filter(|file| file.has_etag() && file.bytes > 0).cloned()
    }

    /// Room for a body, which keeps it until it ends.
    pub(crate) async fn room(&self) -> Result<Room, Trouble> {
        self.0.bodies.room().await
    }

    /// What has to come before the bytes of this segment of the file, where that is known.
    pub(crate) fn front(&self, path: &FilePath, version: &Version) -> Option<Arc<Front>> {
        self.0.known.front(path, version)
    }

    /// What was told of a segment of the file is not so: the file is read anew.
    pub(crate) fn forget(&self, path: &FilePath, version: &Version) {
        self.0.known.forget(path, version);
    }

    /// The manifest of these recordings together, each file once.
    pub(crate) async fn manifest(
        &self,
        names: &[String],
        scope: &Scope,
    ) -> Result<Manifest, ErrorReply> {
        let listing = self.listing().await?;
        let mut files: Vec<FileMeta> = Vec::new();
        let mut named = HashSet::new();
        let mut largest = (0, "");
        for name in names {
            let found = listing.recording(name, scope).ok_or_else(|| {
                let message = format!(
                    "there is no recording {:?}; GET /recordings lists those that there are",
                    shown(name)
                );
                ErrorReply::not_found(message)
            })?;
            largest = largest.max((found.files.len(), name));
            for file in found.files {
                if named.insert(file.path.clone()) {
                    files.push(file);
                }
                if files.len() > MAX_SOURCES {
                    return Err(too_large(&many(), largest, names.len()));
                }
            }
        }
        let deadline = Instant::now() + self.0.manifest_wait;
        let asked = futures::stream::iter(files).map(|file| {
            let backend = self.clone();
            async move { backend.sources(&file, deadline).await }
        });
        let mut asked = asked.buffered(FILES_AT_ONCE);
        let mut sources: Vec<Source> = Vec::new();
        let mut why = Vec::new();
        let mut bytes = Counted(0);
        while let Some(found) = asked.try_next().await? {
            match found {
                Ok(found) => {
                    let counted = serde_json::to_writer(&mut bytes, &found);
                    debug_assert!(counted.is_ok());
                    if bytes.0 > MAX_MANIFEST_BYTES {
                        let most = format!("{} MiB", MAX_MANIFEST_BYTES >> 20);
                        return Err(too_large(&most, largest, names.len()));
                    }
                    sources.extend(found);
                    if sources.len() > MAX_SOURCES {
                        return Err(too_large(&many(), largest, names.len()));
                    }
                }
                Err(left_out) => why.push(left_out),
            }
        }
        if sources.is_empty() {
            let [first, ..] = why.as_slice() else { return Err(Trouble::Changed.into()) };
            return Err(ErrorReply::not_found(format!(
                "nothing of the recording {:?} can be read: {first}",
                shown(&names.join(", "))
            )));
        }
        Ok(Manifest { name: Some(names.join(", ")), sources })
    }

    /// The sources of a file, or why it is left out.
    async fn sources(
        &self,
        file: &FileMeta,
        deadline: Instant,
    ) -> Result<Result<Vec<Source>, String>, ErrorReply> {
        let path = &file.path;
        let contents = match self.contents(file, For::Manifest, deadline).await {
            Ok(Some(known)) => known,
            Err(Trouble::Forbidden) => return Ok(Err(format!("{path}: {MAY_NOT}"))),
            Err(trouble) => return Err(trouble.into()),
            Ok(None) => {
                return Err(unavailable(format!(
                    "{path} has no index and is still being read to find out what it holds: ask \
                     again in a while"
                )));
            }
        };
        match &contents.serving {
            Serving::Not => Ok(Err(format!("{path}: {}", contents.problems.join("; ")))),
            Serving::Prefix(prefix) => {
                let segments = prefix.segments.iter();
                Ok(Ok(segments.map(|segment| streamed_source(path, segment)).collect()))
            }
            Serving::Whole => {
                let url = match self.0.signed_urls {
                    Some(lasts) => self.0.place.signed(path, lasts).await?.into(),
                    None => format!("files/{}", path.escaped()),
                };
                Ok(Ok(vec![static_source(url)]))
            }
        }
    }

    /// What the file is; `None` when the time is over first.
    async fn contents(
        &self,
        file: &FileMeta,
        purpose: For,
        deadline: Instant,
    ) -> Result<Option<Arc<Contents>>, Trouble> {
        let (mut file, mut seen) = (file.clone(), Seen::Listed);
        for _ in 0..TRIES {
            let Some(mut found) = self.0.known.contents(&file, seen, deadline).await else {
                return Ok(None);
            };
            if let (For::Manifest, Ok(contents)) = (purpose, &found) {
                found = self.0.known.publish(&file.path, contents.clone()).await;
            }
            if !matches!(found, Err(Trouble::Changed)) {
                return found.map(Some);
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            file = self.0.place.look(&file.path).await?.ok_or(Trouble::Changed)?;
            seen = Seen::Now;
        }
        Err(Trouble::Changed)
    }

    /// Every recording in the scope, by name.
    pub(crate) async fn recordings(
        &self,
        scope: &Scope,
    ) -> Result<Vec<RecordingEntry>, ErrorReply> {
        let recordings = self.listing().await?.recordings(scope);
        let deadline = Instant::now() + self.0.recordings_wait;
        let described = futures::stream::iter(recordings).map(|found| {
            let backend = self.clone();
            async move { backend.describe(found, deadline).await }
        });
        Ok(described.buffered(FILES_AT_ONCE).collect().await)
    }

    async fn describe(&self, found: RecordingFiles, deadline: Instant) -> RecordingEntry {
        let is_folder = found.is_folder;
        let mut times: Option<TimeRange> = None;
        let mut entry = RecordingEntry {
            name: found.name,
            start: None,
            end: None,
            topics: BTreeSet::new(),
            bytes: found.files.iter().map(|file| file.bytes).sum(),
            problems: Vec::new(),
        };
        let known = futures::stream::iter(found.files).map(|file| {
            let backend = self.clone();
            async move {
                let contents = backend.contents(&file, For::List, deadline).await;
                (file, contents)
            }
        });
        let mut known = known.buffered(FILES_AT_ONCE);
        while let Some((file, contents)) = known.next().await {
            let mut problem = |text: &str| {
                let file = &file.path;
                let text = if is_folder { format!("{file}: {text}") } else { text.to_owned() };
                entry.problems.push(text);
            };
            match contents {
                Ok(Some(contents)) => {
                    contents.problems.iter().for_each(|text| problem(text));
                    entry.topics.extend(contents.topics.iter().map(|topic| topic.name.clone()));
                    times = contents.times.map_or(times, |these| {
                        Some(times.map_or(these, |times| times.union(these)))
                    });
                }
                Ok(None) => problem("it is still being read to find out what it holds"),
                Err(trouble) => problem(ErrorReply::from(trouble).message()),
            }
        }
        let text = |time: Nanos| time.to_string();
        entry.start = times.map(|times| text(times.start));
        entry.end = times.map(|times| text(times.end));
        entry
    }
}

fn many() -> String {
    format!("{MAX_SOURCES} files, or parts of files without a summary,")
}

/// A manifest that the loader would not take, and what to do.
fn too_large(most: &str, (files, name): (usize, &str), names: usize) -> ErrorReply {
    let split = format!("split {:?}, which has {files} files", shown(name));
    let advice = match names {
        0 | 1 => format!("{split}, into several folders"),
        _ => format!("ask for fewer recordings at once, or {split}"),
    };
    ErrorReply::bad_request(format!(
        "the manifest would have more than the {most} that the loader takes: {advice}"
    ))
}

/// Counts what is written.
struct Counted(u64);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A prefix that was mistyped has no files, and is no error.
async fn say_what_there_is(listings: Listings) {
    match listings.current().await.map(|listing| listing.len()) {
        Ok(0) => tracing::warn!("there is no MCAP file there (yet): is it the right place?"),
        Ok(files) => tracing::info!(files, "found MCAP files"),
        // The first request is told; the log says why.
        Err(trouble) => tracing::warn!(?trouble, "the files cannot be listed"),
    }
}
