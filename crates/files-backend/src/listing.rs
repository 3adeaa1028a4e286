//! Which files there are, asked for at most every two seconds, and the recordings that they make.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

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
    /// What a prefix of a token is held against: the file's path, or the folder's with a slash.
    pub(crate) path: String,
    /// In the order of their names.
    pub(crate) files: Vec<FileMeta>,
}

impl Listing {
    pub(crate) fn of(files: Vec<FileMeta>) -> Listing {
        Listing { files: files.into_iter().map(|file| (file.path.clone(), file)).collect() }
    }

    pub(crate) fn file(&self, path: &FilePath) -> Option<&FileMeta> {
        self.files.get(path)
    }

    /// Every recording, by name: each file, and each folder with the files right in it. Where a
    /// folder is called like a file, its name has a slash at the end.
    pub(crate) fn recordings(&self) -> Vec<RecordingFiles> {
        let mut folders: BTreeMap<&str, Vec<FileMeta>> = BTreeMap::new();
        let mut found = Vec::new();
        for file in self.files.values() {
            if let Some(folder) = file.path.folder() {
                folders.entry(folder).or_default().push(file.clone());
            }
            found.push(RecordingFiles {
                name: file.path.stem().to_owned(),
                path: file.path.to_string(),
                files: vec![file.clone()],
            });
        }
        found.extend(folders.into_iter().map(|(folder, files)| {
            let path = format!("{folder}/");
            let name = if self.names_a_file(folder) { path.clone() } else { folder.to_owned() };
            RecordingFiles { name, path, files }
        }));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    fn names_a_file(&self, name: &str) -> bool {
        FilePath::parse(&format!("{name}.mcap")).is_some_and(|path| self.files.contains_key(&path))
    }

    /// What this name means: a file; else a folder, which a slash at the end names in any case.
    pub(crate) fn recording(&self, name: &str) -> Option<RecordingFiles> {
        let file = FilePath::parse(&format!("{name}.mcap")).and_then(|path| self.files.get(&path));
        if let Some(file) = file {
            let (path, files) = (file.path.to_string(), vec![file.clone()]);
            return Some(RecordingFiles { name: name.to_owned(), path, files });
        }
        let folder = name.strip_suffix('/').unwrap_or(name);
        if folder.is_empty() {
            return None;
        }
        let files: Vec<FileMeta> = self
            .files
            .values()
            .filter(|file| file.path.folder() == Some(folder))
            .cloned()
            .collect();
        let path = format!("{folder}/");
        (!files.is_empty()).then(|| RecordingFiles { name: name.to_owned(), path, files })
    }
}

/// The listing that is current.
pub(crate) struct Listings {
    place: Place,
    newest: Mutex<Option<(Instant, Arc<Listing>)>>,
    /// Who lists; the others wait for it.
    turn: tokio::sync::Mutex<()>,
}

impl Listings {
    pub(crate) fn new(place: Place) -> Listings {
        Listings { place, newest: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// One that is at most two seconds old. Those who ask at once share it.
    pub(crate) async fn current(&self) -> Result<Arc<Listing>, Trouble> {
        if let Some(listing) = self.fresh() {
            return Ok(listing);
        }
        let _turn = self.turn.lock().await;
        if let Some(listing) = self.fresh() {
            return Ok(listing);
        }
        let listing = Arc::new(Listing::of(self.place.list().await?));
        *self.newest.lock() = Some((Instant::now(), listing.clone()));
        Ok(listing)
    }

    fn fresh(&self) -> Option<Arc<Listing>> {
        let newest = self.newest.lock();
        let (_, listing) = newest.as_ref().filter(|(made, _)| made.elapsed() < LASTS)?;
        Some(listing.clone())
    }

    /// The newest one there is, however old; nothing is asked for.
    pub(crate) fn newest(&self) -> Option<Arc<Listing>> {
        self.newest.lock().as_ref().map(|(_, listing)| listing.clone())
    }
}
