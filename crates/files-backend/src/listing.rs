//! Which files there are, asked for at most every two seconds, and the recordings that they make.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use crate::access::Scope;
use crate::error::Trouble;
use crate::path::FilePath;
use crate::place::{FileMeta, Place};

/// How long a listing answers.
const LASTS: Duration = Duration::from_secs(2);

/// The files, in the order of their paths.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    files: BTreeMap<FilePath, FileMeta>,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordingFiles {
    /// As it is listed.
    pub(crate) name: String,
    /// Whether it is all files right in a folder.
    pub(crate) is_folder: bool,
    /// In the order of their names.
    pub(crate) files: Vec<FileMeta>,
}

impl Listing {
    pub(crate) fn of(files: Vec<FileMeta>) -> Listing {
        Listing { files: files.into_iter().map(|file| (file.path.clone(), file)).collect() }
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn file(&self, path: &FilePath) -> Option<&FileMeta> {
        self.files.get(path)
    }

    /// Every recording in the scope, by name: each file, and each folder with the files right in
    /// it. Where a folder is called like a file, its name has a slash at the end. What is outside
    /// the scope has no influence.
    pub(crate) fn recordings(&self, scope: &Scope) -> Vec<RecordingFiles> {
        let mut folders: BTreeMap<&str, Vec<FileMeta>> = BTreeMap::new();
        let mut found = Vec::new();
        for file in self.files.values() {
            if let Some(folder) = file.path.folder() {
                folders.entry(folder).or_default().push(file.clone());
            }
            if scope.covers(file.path.as_str()) {
                found.push(RecordingFiles {
                    name: file.path.stem().to_owned(),
                    is_folder: false,
                    files: vec![file.clone()],
                });
            }
        }
        for (folder, files) in folders {
            let path = format!("{folder}/");
            if scope.covers(&path) {
                let is_ambiguous = self.named(folder, scope).is_some();
                let name = if is_ambiguous { path } else { folder.to_owned() };
                found.push(RecordingFiles { name, is_folder: true, files });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The file that this name is of.
    fn named(&self, name: &str, scope: &Scope) -> Option<&FileMeta> {
        let path = FilePath::parse(&format!("{name}.mcap"))?;
        self.files.get(&path).filter(|file| scope.covers(file.path.as_str()))
    }

    /// What this name means within the scope: a file; else a folder, which a slash at the end names
    /// in any case.
    pub(crate) fn recording(&self, name: &str, scope: &Scope) -> Option<RecordingFiles> {
        if let Some(file) = self.named(name, scope) {
            let files = vec![file.clone()];
            return Some(RecordingFiles { name: name.to_owned(), is_folder: false, files });
        }
        let folder = name.strip_suffix('/').unwrap_or(name);
        let path = format!("{folder}/");
        if folder.is_empty() || !scope.covers(&path) {
            return None;
        }
        let below = (Bound::Excluded(path.as_str()), Bound::Unbounded);
        let files: Vec<FileMeta> = self
            .files
            .range::<str, _>(below)
            .take_while(|(file, _)| file.as_str().starts_with(&path))
            .filter(|(file, _)| file.folder() == Some(folder))
            .map(|(_, file)| file.clone())
            .collect();
        let is_folder = true;
        (!files.is_empty()).then(|| RecordingFiles { name: name.to_owned(), is_folder, files })
    }
}

type Attempt = Shared<BoxFuture<'static, Result<Arc<Listing>, Trouble>>>;

/// The listing that is current. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Listings(Arc<Inner>);

struct Inner {
    place: Place,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    newest: Option<(Instant, Arc<Listing>)>,
    attempt: Option<Attempt>,
}

impl Listings {
    pub(crate) fn new(place: Place) -> Listings {
        Listings(Arc::new(Inner { place, kept: Mutex::default() }))
    }

    /// One that is at most two seconds old. Those who ask at once share it, or what went wrong; it
    /// is made whoever of them goes away.
    pub(crate) async fn current(&self) -> Result<Arc<Listing>, Trouble> {
        let attempt = {
            let mut kept = self.0.kept.lock();
            if let Some((_, listing)) = kept.newest.as_ref().filter(|(at, _)| at.elapsed() < LASTS)
            {
                return Ok(listing.clone());
            }
            kept.attempt.get_or_insert_with(|| self.attempt()).clone()
        };
        attempt.await
    }

    fn attempt(&self) -> Attempt {
        let listings = self.clone();
        let task = tokio::spawn(async move {
            let listed = listings.0.place.list().await;
            let listed = listed.map(|files| Arc::new(Listing::of(files)));
            let mut kept = listings.0.kept.lock();
            kept.attempt = None;
            if let Ok(listing) = &listed {
                kept.newest = Some((Instant::now(), listing.clone()));
            }
            listed
        });
        let listings = self.clone();
        let ended = async move {
            match task.await {
                Ok(listed) => listed,
                // It broke down: the next who asks begins anew.
                Err(_) => {
                    listings.0.kept.lock().attempt = None;
                    Err(Trouble::Stopped)
                }
            }
        };
        ended.boxed().shared()
    }

    /// The newest one there is, however old; nothing is asked for.
    pub(crate) fn newest(&self) -> Option<Arc<Listing>> {
        self.0.kept.lock().newest.as_ref().map(|(_, listing)| listing.clone())
    }
}
