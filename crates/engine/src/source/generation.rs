//! One consistent body of data of a source, and what is known of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use rdl_mcap_io::{
    AttachmentHead, ChannelRecord, ChannelUse, ChunkDescriptor, Index, Limits, MetadataRecord,
    Position, SchemaDef,
};
use rdl_metrics::table;
use rdl_model::{ByteRange, Nanos, Problem, ProblemCode, SourceKey, TimeRange};
use rdl_store::{RemoteSource, SourceFiles, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::FileIdentity;
use crate::EngineError;
use crate::open_chunks::ChunkId;
use crate::ranged::{FetchedChunk, Ranged};
use crate::readers::Readers;
use crate::sharing::Sharing;

const NOT_TAKEN_APART: u64 = u64::MAX;

/// One consistent body of data of a source.
pub(crate) struct Generation {
    /// Tells it from every other generation of the process.
    number: u64,
    state: Mutex<State>,
    version: watch::Sender<u64>,
    readers: Arc<Readers>,
    /// The log time from which on merges open chunks of it; [`NOT_TAKEN_APART`] when none does.
    taken_apart_from: AtomicU64,
    /// What files are made from, once it is complete and somebody asked.
    described: OnceLock<Described>,
    /// What the bucket has of the same source, once somebody found that.
    published: OnceLock<Arc<Generation>>,
}

impl Default for Generation {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Generation {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            state: Mutex::default(),
            version: watch::Sender::new(0),
            readers: Arc::default(),
            taken_apart_from: AtomicU64::new(NOT_TAKEN_APART),
            described: OnceLock::new(),
            published: OnceLock::new(),
        }
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
    /// The file behind a static source, or the parts in the bucket.
    pub(crate) ranged: Option<Arc<Ranged>>,
    /// What the summary of a static file claims of its chunks, which stays when they are verified.
    pub(crate) claims: Option<Arc<Claims>>,
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
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In the source's files.
    Stored(Position),
    /// Fetched from a static file, and verified.
    Fetched(FetchedChunk),
    /// In the static file itself or in the bucket, verified before, and not here now.
    LetGo(ByteRange),
    /// In the static file itself, not yet verified: the descriptor is what the summary claims.
    Claimed(ByteRange),
    /// It has no messages.
    Empty,
    /// It is damaged and left out.
    Damaged,
}

/// What files are made from.
pub(crate) struct Described {
    /// What tells its bytes from others.
    pub(crate) identity: SourceKey,
    /// Its chunks as they are laid out.
    pub(crate) chunks: Arc<[Arc<ChunkDescriptor>]>,
}

/// What the summary of a static file claims.
pub(crate) struct Claims {
    pub(crate) channels: BTreeMap<u16, Arc<ChannelRecord>>,
    pub(crate) chunks: Arc<[Arc<ChunkDescriptor>]>,
    /// Every schema, those that no channel has too.
    pub(crate) schemas: BTreeMap<u16, Arc<SchemaDef>>,
}

/// An attachment of a generation.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) head: AttachmentHead,
    /// A checksum of its content, where that was read once.
    pub(crate) crc: Option<u32>,
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

impl AttachmentPlace {
    /// How long the whole record is.
    pub(crate) fn record_bytes(self) -> u64 {
        match self {
            Self::Stored(position) => position.range.len(),
            Self::File(range) => range.len(),
        }
    }
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

    /// What files are made from, whatever becomes of its chunks later. It has to be complete.
    pub(crate) fn described(&self, describe: impl FnOnce(&State) -> Described) -> &Described {
        self.described.get_or_init(|| describe(&self.state()))
    }

    /// What the bucket has of the same source, if that was found before.
    pub(crate) fn published(&self) -> Option<Arc<Generation>> {
        let found = self.published.get()?;
        let is_good = matches!(found.state().phase, Phase::Complete);
        is_good.then(|| found.clone())
    }

    /// The bucket has this of the same source.
    pub(crate) fn set_published(&self, found: Arc<Generation>) {
        let _ = self.published.set(found);
    }

    /// The responses that read it.
    pub(crate) fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    /// A merge opens chunks of it, from this time on: it will want the next ones open, too.
    pub(crate) fn take_apart(&self, from: Nanos) {
        let (old, order) = (NOT_TAKEN_APART, Ordering::Relaxed);
        // The first one counts.
        let _ = self.taken_apart_from.compare_exchange(old, from.0, order, order);
    }

    /// How much log time a merge has to pass before it opens a chunk that starts at `start`;
    /// `None` when none opens chunks.
    pub(crate) fn is_due_after(&self, start: Nanos) -> Option<u64> {
        match self.taken_apart_from.load(Ordering::Relaxed) {
            NOT_TAKEN_APART => None,
            from => Some(start.0.saturating_sub(from)),
        }
    }

    /// The name of one of its chunks among all of the process.
    pub(crate) fn chunk_id(&self, chunk: u32) -> ChunkId {
        (self.number, chunk)
    }

    pub(crate) fn descriptor(&self, chunk: u32) -> Option<Arc<ChunkDescriptor>> {
        self.state().chunks.get(chunk as usize).map(|chunk| chunk.descriptor.clone())
    }

    pub(super) fn touch(&self) {
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

    /// Fills the generation with a source that is complete in the bucket, unless it is complete
    /// already, or somebody else began to load it: `loading` tells whether the caller has.
    pub(crate) fn fill_from_bucket(
        &self,
        found: RemoteSource,
        sharing: &Sharing,
        limits: Limits,
        loading: bool,
    ) {
        self.change(|state| {
            let may = match state.phase {
                Phase::Pending => !loading,
                Phase::Loading { .. } => loading,
                _ => false,
            };
            if may {
                state.fill_from_bucket(found, sharing.clone(), limits);
            }
        });
    }

    pub(crate) fn fail(&self, error: EngineError) {
        self.change(|state| {
            let message = error.to_string();
            table::PROBLEMS.count([ProblemCode::SourceFailed.as_str()]);
            Problem::new(ProblemCode::SourceFailed, message).add_to(&mut state.problems);
            state.phase = Phase::Failed { error, at: Instant::now() };
        });
    }

    /// Where the bytes of a chunk lie; `None` where they have to be fetched first, and for one
    /// that is left out. Whoever has it can read it.
    pub(crate) fn chunk_data(&self, chunk: u32) -> Option<ChunkData> {
        let state = self.state();
        match (&state.chunks.get(chunk as usize)?.place, &state.files) {
            (Place::Stored(position), Some(files)) => {
                Some(ChunkData::Stored(files.clone(), *position))
            }
            (Place::Fetched(fetched), _) => Some(ChunkData::Fetched(fetched.clone())),
            _ => None,
        }
    }
}

/// The bytes of a chunk on disk: its record, and the message indexes behind it.
#[derive(Clone)]
pub(crate) enum ChunkData {
    Stored(Arc<SourceFiles>, Position),
    Fetched(FetchedChunk),
}

impl ChunkData {
    /// Its size in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Stored(_, position) => position.range.len(),
            Self::Fetched(fetched) => fetched.len(),
        }
    }

    /// That it is read, as metrics tell it.
    pub(crate) fn count_read(&self) {
        table::CHUNK_READS.count(["disk"]);
        table::CHUNK_READ_BYTES.add(self.len(), ["disk"]);
    }

    /// Reads all of it. Blocks.
    pub(crate) fn read_all(&self) -> Result<Bytes, StoreError> {
        self.count_read();
        self.read(ByteRange::at(0, self.len()))
    }

    /// Reads a part of it. Blocks.
    pub(crate) fn read(&self, part: ByteRange) -> Result<Bytes, StoreError> {
        match self {
            Self::Stored(files, position) => {
                let start = position.range.start + part.start;
                files.read(Position { range: ByteRange::at(start, part.len()), ..*position })
            }
            Self::Fetched(fetched) => fetched.read(part),
        }
    }

    /// Reads a part of it where that does not block.
    pub(crate) fn read_at_once(&self, part: ByteRange) -> Option<Bytes> {
        match self {
            Self::Stored(files, position) => {
                let range = ByteRange::at(position.range.start + part.start, part.len());
                files.read_at_once(Position { range, ..*position })
            }
            Self::Fetched(fetched) => fetched.read_at_once(part),
        }
    }

    /// Reads the part at `offset` that fills the buffer. Blocks.
    pub(crate) fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        match self {
            Self::Stored(files, position) => {
                files.read_into(position.part, position.range.start + offset, buffer)
            }
            Self::Fetched(fetched) => fetched.read_into(offset, buffer),
        }
    }
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
            .map(|found| Attachment {
                head: found.head,
                crc: Some(found.crc),
                place: AttachmentPlace::Stored(found.position),
            })
            .collect();
        self.problems = index.problems;
        self.files = Some(files);
        self.phase = Phase::Complete;
    }

    /// Chunks of the bucket are as if they had been fetched, verified and let go of before.
    fn fill_from_bucket(&mut self, found: RemoteSource, sharing: Sharing, limits: Limits) {
        let RemoteSource { index, parts, .. } = found;
        let away = |position| parts.place(position).unwrap_or(ByteRange::at(0, 0));
        self.profile = index.profile;
        self.channels = index.channels;
        let chunks = index.chunks.into_iter();
        self.chunks = chunks
            .map(|chunk| Chunk {
                descriptor: chunk.descriptor,
                place: Place::LetGo(away(chunk.position)),
            })
            .collect();
        self.metadata = index.metadata;
        let attachments = index.attachments.into_iter();
        self.attachments = attachments
            .map(|found| Attachment {
                head: found.head,
                crc: Some(found.crc),
                place: AttachmentPlace::File(away(found.position)),
            })
            .collect();
        self.problems = index.problems;
        self.ranged = Some(Arc::new(Ranged::bucket(parts, sharing, limits)));
        self.phase = Phase::Complete;
    }

    /// Whether this is that version of a static file, for certain.
    pub(crate) fn is_file(&self, identity: &FileIdentity) -> bool {
        identity.validator.is_some() && self.identity.as_ref() == Some(identity)
    }

    /// Whether a static file of which a later version can be told may be another one by now.
    pub(crate) fn wants_another_look(&self, believed_for: Duration) -> bool {
        let has_validator = |identity: &FileIdentity| identity.validator.is_some();
        self.identity.as_ref().is_some_and(has_validator)
            && matches!(self.phase, Phase::Complete)
            && self.is_stale(believed_for)
    }

    /// Whether a static file has to be looked at again before its next use.
    pub(super) fn is_stale(&self, believed_for: Duration) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.validator.is_none())
            || self.validated.is_some_and(|at| at.elapsed() > believed_for)
    }

    /// About what it takes in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
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
        let claims = self.claims.iter().flat_map(|claims| claims.chunks.iter());
        let claims = claims.map(|chunk| {
            size_of::<ChunkDescriptor>() + chunk.channels.len() * size_of::<ChannelUse>()
        });
        size_of::<Self>() + chunks.chain(claims).chain(channels).chain(metadata).sum::<usize>()
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
                Place::Stored(_) | Place::Fetched(_) | Place::LetGo(_) => {
                    Some(chunk.descriptor.message_count)
                }
            })
            .sum()
    }
}
