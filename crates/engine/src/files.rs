//! The virtual file: a whole recording as stable bytes, read by ranges.
//!
//! [`opening`] waits until every source of a recording is known whole, chooses the body of each that
//! all replicas will choose, and has a [`FileLayout`](rdl_merge::FileLayout) made of them. The
//! result is a [`VirtualFile`]: where everything lies, and the generations that have it. [`reading`]
//! gives the bytes of a range, and reads just the chunks of which it has something.
//!
//! A *version* says which bytes a file has ([`version`]). Whoever asks for a file, with whatever
//! authority, has a [`Session`](sessions): it remembers that the manifest endpoint granted the
//! recording, for at most 30 s, and sticks to the version that it began with.
//!
//! Invariants: one version has the same bytes everywhere and always; when it cannot have them any
//! more it is gone, for good as far as this reader is concerned. Nothing is served to whom the
//! manifest endpoint did not grant every source of the file within the last 30 s.

mod identity;
mod numbering;
mod opening;
mod reading;
mod sessions;
mod version;
mod virtual_file;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rdl_fetch::{ManifestParams, Token};

use self::numbering::Renumbered;
pub use self::reading::FileBody;
pub use self::sessions::OpenFile;
use self::sessions::Sessions;
use self::version::Contents;
pub use self::version::FileVersion;
use self::virtual_file::VirtualFile;
use crate::memory::Memory;

/// How many versions are remembered of which no file is open.
const MOST_CONTENTS: usize = 256;

/// Which file, and on whose behalf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileRequest {
    /// What the manifest endpoint is asked.
    pub params: ManifestParams,
    /// The caller's token.
    pub token: Option<Token>,
    /// The version that it has to be; without one, whatever the recording is now.
    pub version: Option<FileVersion>,
}

/// The virtual files of a process.
pub(crate) struct Files {
    sessions: Sessions,
    open: Mutex<HashMap<FileVersion, Weak<VirtualFile>>>,
    /// What the versions consist of that were opened or made here.
    contents: Mutex<HashMap<FileVersion, Arc<Contents>>>,
    renumbered: Renumbered,
}

impl Files {
    pub(crate) fn new(memory: &Memory) -> Files {
        Files {
            sessions: Sessions::default(),
            open: Mutex::default(),
            contents: Mutex::default(),
            renumbered: Renumbered::new(memory.ingest().clone()),
        }
    }

    /// Lets go of files that nobody has asked for lately; of all that are not being read, when room
    /// is needed.
    pub(crate) fn let_go(&self, needs_room: bool) {
        self.sessions.tidy(needs_room);
        self.renumbered.tidy();
        self.open.lock().retain(|_, file| file.strong_count() > 0);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.sessions.clear();
    }

    fn find(&self, version: &FileVersion) -> Option<Arc<VirtualFile>> {
        self.open.lock().get(version)?.upgrade()
    }

    /// The file of this version: the one that is open, or else this one from now on.
    fn add(&self, file: VirtualFile) -> Arc<VirtualFile> {
        let mut open = self.open.lock();
        let entry = open.entry(file.version()).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let file = Arc::new(file);
            *entry = Arc::downgrade(&file);
            file
        })
    }

    fn contents(&self, version: &FileVersion) -> Option<Arc<Contents>> {
        self.contents.lock().get(version).cloned()
    }

    fn remember(&self, version: FileVersion, contents: Arc<Contents>) {
        let mut known = self.contents.lock();
        if known.len() >= MOST_CONTENTS {
            known.clear();
        }
        known.insert(version, contents);
    }
}
