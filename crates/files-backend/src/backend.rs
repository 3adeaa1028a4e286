//! The backend behind its routes: recordings and their manifests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::{StreamExt as _, TryStreamExt as _};
use rdl_model::{Nanos, TimeRange};
use rdl_wire::json::{Manifest, Source};
use serde::Serialize;
use tokio::time::Instant;

use crate::access::{Access, AccessRule, Scope};
use crate::contents::{Contents, Serving};
use crate::error::{StartError, Trouble};
use crate::known::Known;
use crate::listing::{Listing, Listings, RecordingFiles};
use crate::manifest::{static_source, streamed_source};
use crate::path::FilePath;
use crate::place::{FileMeta, Place};
use crate::reply::{Refusal, shown};
use crate::routes;

/// The loader takes no manifest with more sources.
const MAX_SOURCES: usize = 10_000;
/// How many files one request has examined side by side.
const FILES_AT_ONCE: usize = 64;
/// A file that changes while it is examined is looked at again so often.
const TRIES: usize = 3;

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
    signed_urls: Option<Duration>,
    manifest_wait: Duration,
    recordings_wait: Duration,
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
        Ok(FilesBackend(Arc::new(Inner {
            listings: Listings::new(place.clone()),
            known: Known::new(place.clone(), config.known_bytes),
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

    /// The file as the newest listing has it, where there is one.
    pub(crate) fn listed(&self, path: &FilePath) -> Option<FileMeta> {
        self.0.listings.newest()?.file(path).filter(|file| file.has_etag()).cloned()
    }

    /// The manifest of these recordings together, each file once.
    pub(crate) async fn manifest(
        &self,
        names: &[String],
        scope: &Scope,
    ) -> Result<Manifest, Refusal> {
        let listing = self.listing().await?;
        let mut files: Vec<FileMeta> = Vec::new();
        for name in names {
            let found = listing.recording(name).filter(|found| scope.covers(&found.path));
            let found = found.ok_or_else(|| {
                let message = format!(
                    "there is no recording {:?}; GET /recordings lists those that there are",
                    shown(name)
                );
                Refusal::not_found(message)
            })?;
            for file in found.files {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
            if files.len() > MAX_SOURCES {
                return Err(Refusal::bad_request(format!(
                    "these recordings have more than the {MAX_SOURCES} files that a manifest may name"
                )));
            }
        }
        let deadline = Instant::now() + self.0.manifest_wait;
        let asked = futures::stream::iter(files).map(|file| {
            let backend = self.clone();
            async move { backend.source(&file, deadline).await }
        });
        let sources: Vec<Result<Source, String>> =
            asked.buffered(FILES_AT_ONCE).try_collect().await?;
        let mut why = Vec::new();
        let sources: Vec<Source> =
            sources.into_iter().filter_map(|source| source.map_err(|e| why.push(e)).ok()).collect();
        if sources.is_empty() {
            let [first, ..] = why.as_slice() else { return Err(Trouble::Changed.into()) };
            return Err(Refusal::not_found(format!(
                "nothing of the recording {:?} can be read: {first}",
                shown(&names.join(", "))
            )));
        }
        Ok(Manifest { name: Some(names.join(", ")), sources })
    }

    /// The source of a file, or why it is left out.
    async fn source(
        &self,
        file: &FileMeta,
        deadline: Instant,
    ) -> Result<Result<Source, String>, Refusal> {
        let path = &file.path;
        let (_, contents) = match self.contents(file, deadline).await? {
            Some(known) => known,
            None => {
                return Err(Refusal::unavailable(format!(
                    "{path} has no index and is still being read to find out what it holds: ask \
                     again in a while"
                )));
            }
        };
        match (&contents.serving, contents.times) {
            (Serving::Not, _) => Ok(Err(format!("{path}: {}", contents.problems.join("; ")))),
            (Serving::Prefix(prefix), Some(times)) => {
                Ok(Ok(streamed_source(path, prefix, &contents, times)))
            }
            (Serving::Prefix(_), None) => Ok(Err(format!("{path}: it has no message yet"))),
            (Serving::Whole, _) => {
                let url = match self.0.signed_urls {
                    Some(lasts) => self.0.place.signed(path, lasts).await?.into(),
                    None => format!("files/{}", path.escaped()),
                };
                Ok(Ok(static_source(url)))
            }
        }
    }

    /// What the file is, and was when that was found out; `None` when the time is over first.
    async fn contents(
        &self,
        file: &FileMeta,
        deadline: Instant,
    ) -> Result<Option<(FileMeta, Arc<Contents>)>, Trouble> {
        let mut file = file.clone();
        for _ in 1..TRIES {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.0.known.contents(&file, left).await {
                None => return Ok(None),
                Some(Err(Trouble::Changed)) => {}
                Some(found) => return found.map(|contents| Some((file, contents))),
            }
            file = self.0.place.look(&file.path).await?.ok_or(Trouble::Changed)?;
        }
        Err(Trouble::Changed)
    }

    /// Every recording in the scope, by name.
    pub(crate) async fn recordings(&self, scope: &Scope) -> Result<Vec<RecordingEntry>, Refusal> {
        let recordings = self.listing().await?.recordings();
        let deadline = Instant::now() + self.0.recordings_wait;
        let visible = recordings.into_iter().filter(|found| scope.covers(&found.path));
        let described = futures::stream::iter(visible).map(|found| {
            let backend = self.clone();
            async move { backend.describe(found, deadline).await }
        });
        Ok(described.buffered(FILES_AT_ONCE).collect().await)
    }

    async fn describe(&self, found: RecordingFiles, deadline: Instant) -> RecordingEntry {
        let is_folder = found.path.ends_with('/');
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
                let contents = backend.contents(&file, deadline).await;
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
                Ok(Some((_, contents))) => {
                    contents.problems.iter().for_each(|text| problem(text));
                    entry.topics.extend(contents.topics.iter().map(|topic| topic.name.clone()));
                    times = contents.times.map_or(times, |these| {
                        Some(times.map_or(these, |times| times.union(these)))
                    });
                }
                Ok(None) => problem("it is still being read to find out what it holds"),
                Err(trouble) => problem(&Refusal::from(trouble).message),
            }
        }
        let text = |time: Nanos| time.to_string();
        entry.start = times.map(|times| text(times.start));
        entry.end = times.map(|times| text(times.end));
        entry
    }
}
