//! A source as everyone sees it: an index that may still grow, and a way to read a chunk.
//!
//! A [`Source`] lives as long as the engine knows of it; its [`Generation`] is one consistent body
//! of data. A response pins the generation that it began with; when the data turns out to be
//! another, the source gets a new generation and the old one is superseded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use rdl_fetch::Validator;
use rdl_mcap_io::{ChannelRecord, ChannelUse, ChunkDescriptor, Index, MetadataRecord, Position};
use rdl_model::{ByteRange, Nanos, Problem, ProblemCode, SourceKey, TimeRange};
use rdl_store::SourceFiles;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ranged::Ranged;
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
        Arc::strong_count(current) == 1
            && !matches!(current.state().phase, Phase::Loading { .. })
    }

    /// About what is known of it takes in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Source>() + self.name.len() + self.current().state().memory_bytes()
    }

    pub(crate) fn current(&self) -> Arc<Generation> {
        self.current.lock().clone()
    }

    /// Puts a new, empty generation in place of `old`; whoever reads `old` is told `why`.
    /// Returns the generation that is current afterwards.
    pub(crate) fn supersede(&self, old: &Arc<Generation>, why: EngineError) -> Arc<Generation> {
        let mut current = self.current.lock();
        if Arc::ptr_eq(&current, old) {
            *current = Arc::default();
        }
        old.change(|state| state.phase = Phase::Superseded(why));
        current.clone()
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
                Phase::Failed { at, .. } if at.elapsed() < FAILURE_COUNTS_FOR => return None,
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

    /// The file turned out to be unchanged: `before` is current again.
    pub(crate) fn put_back(&self, fresh: &Arc<Generation>, before: Arc<Generation>) {
        let mut current = self.current.lock();
        if Arc::ptr_eq(&current, fresh) {
            *current = before;
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

/// One consistent body of data of a source.
pub(crate) struct Generation {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

impl Default for Generation {
    fn default() -> Self {
        Generation { state: Mutex::default(), version: watch::Sender::new(0) }
    }
}

/// What is known of a generation. Channels and chunks are only ever added while it loads; a
/// claimed chunk of a static source is replaced once, by what verification found.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) profile: String,
    pub(crate) channels: BTreeMap<u16, Arc<ChannelRecord>>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) metadata: Vec<MetadataRecord>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) problems: Vec<Problem>,
    /// The chunks of a loaded source.
    pub(crate) files: Option<Arc<SourceFiles>>,
    /// The file behind a static source.
    pub(crate) ranged: Option<Arc<Ranged>>,
    /// Which version of a static file this is.
    pub(crate) identity: Option<FileIdentity>,
    /// When that was last checked.
    pub(crate) validated: Option<Instant>,
    /// Why a static source is loaded like a streamed one, where it is.
    pub(crate) loaded_whole: Option<Problem>,
}

/// How far a generation has come.
#[derive(Clone, Default)]
pub(crate) enum Phase {
    /// Nobody needed it yet.
    #[default]
    Pending,
    /// It is being loaded or indexed. Every message before `frontier` is there.
    Loading { frontier: Nanos },
    /// All of it is known.
    Complete,
    /// It failed for good.
    Failed { error: EngineError, at: Instant },
    /// The source has another generation now.
    Superseded(EngineError),
}

/// A chunk of a generation.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) descriptor: Arc<ChunkDescriptor>,
    pub(crate) place: Place,
}

/// Where a chunk's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the source's files.
    Stored(Position),
    /// In the scratch file of a static source.
    Scratch(ByteRange),
    /// In the static file itself, not yet verified: the descriptor is what the summary claims.
    Claimed(ByteRange),
    /// It has no messages.
    Empty,
    /// It is damaged and left out.
    Damaged,
}

/// An attachment of a generation.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) place: AttachmentPlace,
}

/// Where an attachment record lies.
#[derive(Clone, Copy)]
pub(crate) enum AttachmentPlace {
    /// In the source's files.
    Stored(Position),
    /// In the static file itself.
    File(ByteRange),
}

impl Generation {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Changes the state and wakes everyone who watches.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.touch();
        result
    }

    fn touch(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Fills the generation with a source that was stored whole.
    pub(crate) fn fill(&self, index: Index, files: Arc<SourceFiles>) {
        self.change(|state| state.fill(index, files));
    }

    /// The same, unless somebody began to load it meanwhile.
    pub(crate) fn fill_if_pending(&self, index: Index, files: Arc<SourceFiles>) {
        self.change(|state| {
            if matches!(state.phase, Phase::Pending) {
                state.fill(index, files);
            }
        });
    }

    pub(crate) fn fail(&self, error: EngineError) {
        self.change(|state| {
            let message = error.to_string();
            Problem::new(ProblemCode::SourceFailed, message).add_to(&mut state.problems);
            state.phase = Phase::Failed { error, at: Instant::now() };
        });
    }

    /// Reads a chunk that is not merely claimed. Blocks.
    pub(crate) fn read_chunk(&self, chunk: u32) -> Result<Bytes, ReadFault> {
        let state = self.state();
        let place = state.chunks.get(chunk as usize).map(|chunk| chunk.place);
        let files = state.files.clone();
        let ranged = state.ranged.clone();
        drop(state);
        match (place, files, ranged) {
            (Some(Place::Stored(position)), Some(files), _) => {
                files.read(position).map_err(|error| ReadFault::Store(error.into()))
            }
            (Some(Place::Scratch(range)), _, Some(ranged)) => {
                ranged.scratch.read(range).map_err(|error| ReadFault::Store(error.into()))
            }
            _ => Err(ReadFault::NotHere),
        }
    }
}

/// Why [`Generation::read_chunk`] gave nothing.
pub(crate) enum ReadFault {
    /// The chunk is only claimed, or left out.
    NotHere,
    /// The disk store failed.
    Store(EngineError),
}

impl State {
    fn fill(&mut self, index: Index, files: Arc<SourceFiles>) {
        self.profile = index.profile;
        self.channels = index.channels;
        self.chunks = index
            .chunks
            .into_iter()
            .map(|chunk| Chunk {
                descriptor: chunk.descriptor,
                place: Place::Stored(chunk.position),
            })
            .collect();
        self.metadata = index.metadata;
        self.attachments = index
            .attachments
            .into_iter()
            .map(|found| Attachment { place: AttachmentPlace::Stored(found.position) })
            .collect();
        self.problems = index.problems;
        self.files = Some(files);
        self.phase = Phase::Complete;
    }

    /// Whether this is that version of a static file, for certain.
    pub(crate) fn is_file(&self, identity: &FileIdentity) -> bool {
        identity.validator.is_some() && self.identity.as_ref() == Some(identity)
    }

    /// Whether a static file has to be looked at again before its next use.
    fn is_stale(&self, believed_for: Duration) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.validator.is_none())
            || self.validated.is_some_and(|at| at.elapsed() > believed_for)
    }

    /// About what it takes in memory, in bytes.
    fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| {
            let descriptor = &chunk.descriptor;
            size_of::<Chunk>()
                + size_of::<ChunkDescriptor>()
                + descriptor.channels.len() * size_of::<ChannelUse>()
                + (descriptor.channel_records.len() + descriptor.schema_records.len()) * 2
        });
        let channels = self.channels.values().map(|channel| {
            let schema = channel.def.schema.as_ref().map_or(0, |schema| schema.data.len());
            size_of::<ChannelRecord>() + channel.def.topic.len() + schema
        });
        let metadata = self.metadata.iter().flat_map(|record| &record.metadata);
        let metadata = metadata.map(|(key, value)| key.len() + value.len());
        size_of::<Self>() + chunks.chain(channels).chain(metadata).sum::<usize>()
    }

    /// The least and the greatest log time so far.
    pub(crate) fn times(&self) -> Option<TimeRange> {
        self.chunks
            .iter()
            .filter(|chunk| !matches!(chunk.place, Place::Empty | Place::Damaged))
            .map(|chunk| chunk.descriptor.times)
            .reduce(TimeRange::union)
    }

    /// How many messages; `None` where the chunks are not yet verified.
    pub(crate) fn message_count(&self) -> Option<u64> {
        self.chunks
            .iter()
            .map(|chunk| match chunk.place {
                Place::Claimed(_) => None,
                Place::Empty | Place::Damaged => Some(0),
                Place::Stored(_) | Place::Scratch(_) => Some(chunk.descriptor.message_count),
            })
            .sum()
    }
}
