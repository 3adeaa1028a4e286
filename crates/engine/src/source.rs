//! A source as everyone sees it: an index that may still grow, and a way to read a chunk.
//!
//! A [`Source`] lives as long as the engine knows of it; its [`Generation`] is one consistent body
//! of data. A response pins the generation that it began with; when the data turns out to be
//! another, the source gets a new generation and the old one is superseded.

mod generation;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdl_fetch::Validator;
use rdl_model::{Nanos, SourceKey};
use tokio::time::Instant;

pub(crate) use self::generation::{
    Attachment, AttachmentPlace, Chunk, ChunkData, Claims, Described, Generation, Phase, Place,
    State,
};
use crate::readers::{Progress, Reading};
use crate::viewers::Viewers;
use crate::{EngineError, SourceKind};

/// For how long a failure answers everyone who asks; then the next one tries again.
const FAILURE_COUNTS_FOR: Duration = Duration::from_secs(5);

/// One source, shared by every recording that names it.
pub(crate) struct Source {
    pub(crate) key: SourceKey,
    /// Its id, or its URL less query and credentials.
    pub(crate) name: Arc<str>,
    pub(crate) kind: SourceKind,
    pub(crate) viewers: Arc<Viewers>,
    current: Mutex<Arc<Generation>>,
    /// A static file whose summary lied, and how.
    distrusted: Mutex<Option<(FileIdentity, String)>>,
}

/// What tells one version of a static file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    pub(crate) bytes: Option<u64>,
    pub(crate) validator: Option<Validator>,
}

impl Source {
    pub(crate) fn new(key: SourceKey, name: &str, kind: SourceKind) -> Source {
        Source {
            key,
            name: name.into(),
            kind,
            viewers: Viewers::new(),
            current: Mutex::new(Arc::default()),
            distrusted: Mutex::default(),
        }
    }

    /// Whether nobody waits for it and no response reads it.
    pub(crate) fn is_idle(&self) -> bool {
        self.viewers.crowd_now().viewers == 0 && self.is_unread(&self.current.lock())
    }

    /// Puts an empty generation in the place of one that no response reads and that is not being
    /// loaded; whether it did.
    pub(crate) fn forget(&self) -> bool {
        let mut current = self.current.lock();
        let is_unread = self.is_unread(&current);
        if is_unread {
            let forgotten = std::mem::take(&mut *current);
            // Whoever waits for it looks again.
            forgotten.touch();
        }
        is_unread
    }

    /// Everyone who reads or loads a generation holds on to it.
    fn is_unread(&self, current: &Arc<Generation>) -> bool {
        Arc::strong_count(current) == 1 && !matches!(current.state().phase, Phase::Loading { .. })
    }

    /// About what is known of it takes in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Source>() + self.name.len() + self.current().state().memory_bytes()
    }

    pub(crate) fn current(&self) -> Arc<Generation> {
        self.current.lock().clone()
    }

    /// The current generation, for a response that reads it from now on.
    pub(crate) fn pin(&self, progress: &Arc<Progress>) -> (Arc<Generation>, Reading) {
        let current = self.current.lock();
        (current.clone(), current.readers().join(progress))
    }

    /// Puts a new, empty generation in place of `old`; whoever reads `old` is told `why`.
    pub(crate) fn supersede(&self, old: &Arc<Generation>, why: EngineError) {
        let mut current = self.current.lock();
        if Arc::ptr_eq(&current, old) {
            *current = Arc::default();
        }
        old.change(|state| state.phase = Phase::Superseded(why));
    }

    /// The same, but the new generation is the caller's to load, as `old` was. A load that nobody
    /// new can find any more (see [`Source::retire`]) goes on as such.
    pub(crate) fn start_over(
        &self,
        old: &Arc<Generation>,
        declared_start: Nanos,
        why: EngineError,
    ) -> Arc<Generation> {
        let fresh = Generation::default();
        fresh.state().phase = Phase::Loading { frontier: declared_start };
        let fresh = Arc::new(fresh);
        let mut current = self.current.lock();
        if Arc::ptr_eq(&current, old) {
            *current = fresh.clone();
        }
        old.change(|state| state.phase = Phase::Superseded(why));
        fresh
    }

    /// Takes a generation that lets go of its beginning out of sight: who reads it goes on, and
    /// whoever comes gets another.
    pub(crate) fn retire(&self, generation: &Arc<Generation>) {
        let mut current = self.current.lock();
        if Arc::ptr_eq(&current, generation) {
            *current = Arc::default();
            generation.touch();
        }
    }

    /// Whether this generation is the one that whoever comes gets.
    pub(crate) fn is_current(&self, generation: &Arc<Generation>) -> bool {
        Arc::ptr_eq(&self.current.lock(), generation)
    }

    /// Whether work on the source has to be started, in which case the caller must start it: the
    /// generation that is returned is already marked as loading. `believed_for` is how long the
    /// validator of a static file counts.
    pub(crate) fn claim_start(
        &self,
        declared_start: Nanos,
        believed_for: Duration,
    ) -> Option<Start> {
        let mut current = self.current.lock();
        let before = {
            let state = current.state();
            match &state.phase {
                Phase::Loading { .. } => return None,
                Phase::Failed { at, .. } if !Source::may_retry(*at) => return None,
                Phase::Complete if !state.is_stale(believed_for) => return None,
                Phase::Complete => Some(current.clone()),
                Phase::Pending | Phase::Failed { .. } | Phase::Superseded(_) => None,
            }
        };
        let fresh = Generation::default();
        fresh.state().phase = Phase::Loading { frontier: declared_start };
        let pending = std::mem::replace(&mut *current, Arc::new(fresh));
        // Whoever looked at the generation while it was pending looks again.
        pending.touch();
        Some(Start { generation: current.clone(), before })
    }

    /// Whether a failure at that time is long enough ago to try again.
    pub(crate) fn may_retry(failed_at: Instant) -> bool {
        failed_at.elapsed() >= FAILURE_COUNTS_FOR
    }

    /// The file turned out to be unchanged: `before` is current again.
    pub(crate) fn put_back(&self, fresh: &Arc<Generation>, before: Arc<Generation>) {
        let mut current = self.current.lock();
        if Arc::ptr_eq(&current, fresh) {
            let is_good = {
                let mut state = before.state();
                state.validated = Some(Instant::now());
                matches!(state.phase, Phase::Complete)
            };
            // A reader may have found meanwhile that it is not to be relied on.
            *current = if is_good { before } else { Arc::default() };
        }
        let unchanged = EngineError::Changed { source_name: self.name.clone() };
        fresh.change(|state| state.phase = Phase::Superseded(unchanged));
    }

    pub(crate) fn distrust(&self, identity: FileIdentity, why: String) {
        *self.distrusted.lock() = Some((identity, why));
    }

    /// Why the summary of this version of the file is not believed, if it is not.
    pub(crate) fn distrusted(&self, identity: &FileIdentity) -> Option<String> {
        let distrusted = self.distrusted.lock();
        distrusted.as_ref().filter(|(known, _)| known == identity).map(|(_, why)| why.clone())
    }
}

/// Work that the caller of [`Source::claim_start`] has to start.
pub(crate) struct Start {
    pub(crate) generation: Arc<Generation>,
    /// The generation that is current again if a static file turns out to be unchanged.
    pub(crate) before: Option<Arc<Generation>>,
}
