//! Who reads which file: one [`Session`] for each file and authority.

mod session;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdl_model::SourceKey;

use self::session::Session;
use super::version::FileVersion;
use super::virtual_file::VirtualFile;
use super::{FileRequest, opening};
use crate::EngineError;
use crate::engine::Engine;
use crate::recording::{Inner, Recording};
use crate::shared::Shared;

/// A session of which nobody has asked anything for this long is over …
const IDLE_ENDS: Duration = Duration::from_secs(300);
/// … or for this long, when room is needed.
const IDLE_LETS_GO: Duration = Duration::from_secs(10);
/// How many sessions there may be; beyond that, those go that were used longest ago.
const MOST_SESSIONS: usize = 4096;

/// Every session of a process.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<FileRequest, Arc<Session>>>);

/// A file that somebody may read. Cheap to clone.
#[derive(Clone)]
pub struct OpenFile {
    session: Arc<Session>,
    recording: Recording,
    file: Arc<VirtualFile>,
}

impl OpenFile {
    /// How long it is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Which bytes it has.
    pub fn version(&self) -> FileVersion {
        self.file.version()
    }

    pub(super) fn file(&self) -> &Arc<VirtualFile> {
        &self.file
    }

    pub(super) fn recording(&self) -> &Arc<Inner> {
        self.recording.inner()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.recording.inner().shared
    }

    /// Whether these are all the sources that it is made of; one that is not granted any more ends
    /// the session.
    pub(super) fn is_granted(&self, granted: &HashSet<SourceKey>) -> Result<(), EngineError> {
        let missing = opening::missing_in(granted, self.file.bodies());
        missing.inspect_err(|gone| self.session.end(gone))
    }

    /// What a failure to read means: bytes that cannot be had any more are gone for whoever reads on.
    pub(super) fn failed(&self, error: EngineError) -> EngineError {
        let is_gone = match &error {
            EngineError::Changed { .. }
            | EngineError::DamagedCopy { .. }
            | EngineError::StoredChunk { .. } => true,
            EngineError::Fetch { error, .. } => error.is_missing(),
            EngineError::Store(error) => error.is_gone(),
            _ => false,
        };
        if !is_gone {
            return error;
        }
        let gone = EngineError::FileGone { why: error.to_string().into() };
        self.shared().files.forget(&self.file);
        self.session.end(&gone);
        gone
    }
}

impl Engine {
    /// Opens the file of a recording, and waits at most so long until it is there: it takes every
    /// source of it to be loaded. That goes on for a while when nobody waits any more.
    pub async fn open_file(
        self: &Arc<Self>,
        request: &FileRequest,
        patience: Duration,
    ) -> Result<OpenFile, EngineError> {
        let sessions = &self.shared().files.sessions;
        let known = sessions.0.lock().get(request).cloned();
        let session = match known {
            Some(session) => session,
            None => {
                // Whoever is refused takes nobody's place.
                let session = Session::begin(self, request).await?;
                sessions.add(session)?
            }
        };
        session.open(self, patience).await
    }
}

impl Sessions {
    /// Gives the session a place, unless somebody else was faster.
    fn add(&self, session: Arc<Session>) -> Result<Arc<Session>, EngineError> {
        let mut sessions = self.0.lock();
        if let Some(known) = sessions.get(session.request()) {
            return Ok(known.clone());
        }
        if sessions.len() >= MOST_SESSIONS {
            let unused = sessions.iter().filter(|(_, session)| !is_in_use(session));
            let oldest = unused.max_by_key(|(_, session)| session.idle_for());
            let oldest = oldest.map(|(request, _)| request.clone());
            sessions.remove(&oldest.ok_or(EngineError::MemorySpent)?);
        }
        sessions.insert(session.request().clone(), session.clone());
        Ok(session)
    }

    /// Ends the sessions that nobody uses any more, and those used longest ago while all that are
    /// idle take more than `bound_bytes` of memory. One whose file is being made lasts as a load
    /// does that nobody waits for.
    pub(super) fn tidy(&self, needs_room: bool, linger: Duration, bound_bytes: usize) {
        let mut sessions = self.0.lock();
        sessions.retain(|_, session| {
            let lasts = match (session.is_opening(), needs_room) {
                (true, _) => linger.max(IDLE_LETS_GO),
                (false, true) => IDLE_LETS_GO,
                (false, false) => IDLE_ENDS,
            };
            is_in_use(session) || session.idle_for() < lasts
        });
        let mut idle: Vec<(Duration, usize, FileRequest)> = sessions
            .iter()
            .filter(|(_, session)| !is_in_use(session) && !session.is_opening())
            .map(|(request, session)| (session.idle_for(), session.memory_bytes(), request))
            .filter(|(idle_for, ..)| *idle_for >= IDLE_LETS_GO)
            .map(|(idle_for, bytes, request)| (idle_for, bytes, request.clone()))
            .collect();
        idle.sort_unstable_by_key(|(idle_for, ..)| *idle_for);
        let mut kept_bytes = 0;
        for (_, bytes, request) in idle {
            kept_bytes += bytes;
            if kept_bytes > bound_bytes {
                sessions.remove(&request);
            }
        }
    }

    /// Ends those whose file is being made and for which nobody waits.
    pub(super) fn end_unread_openings(&self) {
        self.0.lock().retain(|_, session| is_in_use(session) || !session.is_opening());
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Whether a request waits for the session, or reads its file.
fn is_in_use(session: &Arc<Session>) -> bool {
    Arc::strong_count(session) > 1
}
