//! The virtual file: a whole recording as stable bytes, read by ranges.
//!
//! [`opening`] waits until every source of a recording is known whole, chooses the body of each that
//! all replicas will choose, and has a [`FileLayout`](rdl_merge::FileLayout) made of them. The
//! result is a [`VirtualFile`]: where everything lies, and the generations that have it. [`reading`]
//! gives the bytes of a range, and reads just the chunks of which it has something.
//!
//! Whoever was granted a version before may get what is [`kept`] of it without anybody being asked.
//!
//! A part of a recording is a [`cut`]: the answer to a query, made once and kept.
//!
//! A *version* says which bytes a file has ([`version`]). Whoever asks for a file, with whatever
//! authority, has a [`Session`](sessions): it remembers that the manifest endpoint granted the
//! recording, for at most 30 s, and sticks to the version that it began with.
//!
//! Invariants: one version has the same bytes everywhere and always; when it cannot have them any
//! more it is gone, for good as far as this reader is concerned. Nothing is served to whom the
//! manifest endpoint did not grant every source of the file within the last 30 s, unless the caller
//! says that this is meant so.

mod cut;
mod identity;
mod kept;
mod laid;
mod made_chunks;
mod opening;
mod reading;
mod sessions;
mod version;
mod virtual_file;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rdl_fetch::{ManifestParams, Token};
use rdl_merge::Query;
use tokio::time::Instant;

use self::cut::Makings;
use self::made_chunks::MadeChunks;
pub use self::reading::FileBody;
pub use self::sessions::OpenFile;
use self::sessions::Sessions;
use self::version::Contents;
pub use self::version::FileVersion;
use self::virtual_file::VirtualFile;
use crate::EngineError;
use crate::memory::Memory;
use crate::recording::{RecordedSource, Recording};
use crate::source::Phase;

/// How many versions are remembered of which no file is open, and how many bodies of sources in all
/// of them.
const MOST_CONTENTS: usize = 256;
const MOST_BODIES: usize = 50_000;

/// How many files wait to be asked for, and for how long.
const MOST_RECENT: usize = 16;
const RECENT_FOR: Duration = Duration::from_secs(60);

/// Which file, and on whose behalf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileRequest {
    /// What the manifest endpoint is asked.
    pub params: ManifestParams,
    /// The caller's token.
    pub token: Option<Token>,
    /// A part of the recording: what answers this query. All of it when absent.
    pub cut: Option<Query>,
    /// The version that it has to be; without one, whatever the recording is now.
    pub version: Option<FileVersion>,
    /// Whether just what is kept of that version is served, and nobody asked: neither the manifest
    /// endpoint, which must have granted it to the caller before, nor a source.
    pub kept_only: bool,
}

/// What is known of the file of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Which bytes it has.
    pub version: FileVersion,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// How many chunks overlap somewhere, if those are too many to be held open by a reader.
    pub wide_overlap: Option<usize>,
}

impl Recording {
    /// What is known of the recording's file as it would be made now; `None` while not all of its
    /// sources are known whole, and when it takes longer than so. Starts no load.
    pub async fn file(&self, patience: Duration) -> Option<Result<FileInfo, EngineError>> {
        let is_complete = |recorded: &RecordedSource| {
            matches!(recorded.source.current().state().phase, Phase::Complete)
        };
        if !self.inner().sources.iter().all(is_complete) {
            return None;
        }
        let shared = &self.inner().shared;
        let (inner, stopping) = (self.inner().clone(), shared.stopping.clone());
        // One that takes longer is there for whoever asks next.
        let opening = shared.tasks.spawn(async move {
            tokio::select! {
                opened = opening::open(inner, None, false) => opened,
                () = stopping.cancelled() => Err(EngineError::ShuttingDown),
            }
        });
        let opened = tokio::time::timeout(patience, opening).await.ok()?;
        Some(opened.unwrap_or(Err(EngineError::TaskDied)).map(|file| FileInfo {
            version: file.version(),
            bytes: file.bytes(),
            wide_overlap: file.wide_overlap(),
        }))
    }
}

/// The virtual files of a process.
pub(crate) struct Files {
    sessions: Sessions,
    /// How long a file goes on being made for which nobody waits.
    linger: Duration,
    /// What files that nobody reads may take in memory, with what is known of their sources.
    idle_bytes: usize,
    open: Mutex<HashMap<FileVersion, Weak<VirtualFile>>>,
    /// Files that were made lately, for whoever comes next.
    recent: Mutex<VecDeque<(Instant, Arc<VirtualFile>)>>,
    makings: Makings,
    /// What the versions consist of that were opened or made here.
    contents: Mutex<HashMap<FileVersion, Arc<Contents>>>,
    made_chunks: MadeChunks,
}

impl Files {
    pub(crate) fn new(memory: &Memory, linger: Duration) -> Files {
        Files {
            sessions: Sessions::default(),
            linger,
            idle_bytes: memory.idle_indexes_bytes(),
            open: Mutex::default(),
            recent: Mutex::default(),
            makings: Makings::default(),
            contents: Mutex::default(),
            made_chunks: MadeChunks::default(),
        }
    }

    /// Lets go of files that nobody has asked for lately; of all that are not being read, when room
    /// is needed.
    pub(crate) fn let_go(&self, needs_room: bool) {
        self.sessions.tidy(needs_room, self.linger, self.idle_bytes);
        if needs_room {
            self.made_chunks.clear();
        }
        let mut recent = self.recent.lock();
        recent.retain(|(made, _)| !needs_room && made.elapsed() < RECENT_FOR);
        while recent.iter().map(|(_, file)| file.memory_bytes()).sum::<usize>() > self.idle_bytes {
            recent.pop_front();
        }
        drop(recent);
        self.open.lock().retain(|_, file| file.strong_count() > 0);
    }

    /// Stops making files that nobody waits for.
    pub(crate) fn end_unread_openings(&self) {
        self.sessions.end_unread_openings();
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.sessions.clear();
        self.recent.lock().clear();
        self.made_chunks.clear();
    }

    fn find(&self, version: &FileVersion) -> Option<Arc<VirtualFile>> {
        self.open.lock().get(version)?.upgrade()
    }

    /// The file of this version: the one that is open, or else this one from now on.
    fn add(&self, file: VirtualFile) -> Arc<VirtualFile> {
        let mut open = self.open.lock();
        let entry = open.entry(file.version()).or_default();
        let file = entry.upgrade().unwrap_or_else(|| {
            let file = Arc::new(file);
            *entry = Arc::downgrade(&file);
            file
        });
        let mut recent = self.recent.lock();
        if recent.len() >= MOST_RECENT {
            recent.pop_front();
        }
        recent.push_back((Instant::now(), file.clone()));
        file
    }

    /// Whoever asks for that version next has it made anew, or finds that it cannot be.
    fn forget(&self, file: &Arc<VirtualFile>) {
        let mut open = self.open.lock();
        if open.get(&file.version()).is_some_and(|known| known.ptr_eq(&Arc::downgrade(file))) {
            open.remove(&file.version());
        }
        self.recent.lock().retain(|(_, known)| !Arc::ptr_eq(known, file));
    }

    fn contents(&self, version: &FileVersion) -> Option<Arc<Contents>> {
        self.contents.lock().get(version).cloned()
    }

    fn remember(&self, version: FileVersion, contents: Arc<Contents>) {
        let mut known = self.contents.lock();
        let bodies = known.values().map(|contents| contents.sources.len()).sum::<usize>();
        if bodies + contents.sources.len() > MOST_BODIES || known.len() >= MOST_CONTENTS {
            known.clear();
        }
        known.insert(version, contents);
    }
}
