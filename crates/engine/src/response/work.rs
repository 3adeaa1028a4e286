//! The part of a response that burns CPU and reads files; runs on blocking threads.

mod reading;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdl_mcap_io::{
    AttachmentRecord, ChannelRecord, ChunkDescriptor, Compression, Limits, MessageView,
    MetadataRecord, OpenChunk, OutputOptions, OutputPiece, OutputWriter,
};
use rdl_merge::{MergeHeap, Query, SourceState, Step};
use rdl_metrics::table;
use rdl_model::ChunkRef;

use self::reading::Reading;
use super::explained::{Notes, Tier, farther_tier};
use super::pieces::Piece;
use super::upcoming::Upcoming;
use crate::EngineError;
use crate::open_chunks::{Opened, Spilled};
use crate::shared::Shared;
use crate::source::{ChunkData, Generation, Place};

/// What is handed to the viewer at a time once the response is under way, about.
const SLICE_BYTES: usize = 1 << 20;
/// The first chunk is small, so that the viewer sees something soon; each later one is this many
/// times larger, up to the target.
const FIRST_CHUNK_BYTES: usize = 64 << 10;
const GROWTH: usize = 4;
/// How long a piece of work goes on before others get their turn.
const QUANTUM: Duration = Duration::from_millis(20);
/// When a chunk is due that the merge begins with.
const DUE_AT_ONCE: u64 = 0;
/// How many chunks are looked at for a static source's next request.
const READ_AHEAD_CHUNKS: usize = 64;

/// The merge and the writer of one response.
pub(super) struct Work {
    shared: Arc<Shared>,
    query: Arc<Query>,
    heap: MergeHeap,
    /// The chunks that the merge has taken apart.
    open: HashMap<ChunkRef, Reading>,
    /// The chunks that pass through and have not left yet, by ticket.
    passing: HashMap<u64, (ChunkRef, ChunkData)>,
    /// What they come to, in bytes.
    passing_bytes: u64,
    /// A chunk that passes through once it is fetched again.
    held_up: Option<ChunkRef>,
    /// A quarter of what the response may hold; another each is what is ready, what is on its
    /// way, and what is read of spilled chunks.
    share_bytes: usize,
    /// The size of the next chunk that is written.
    chunk_bytes: usize,
    /// There once the first record is to be written: the header names a profile.
    writer: Option<OutputWriter>,
    sources: BTreeMap<u32, WorkSource>,
    limits: Limits,
    /// For whoever wants to know what the answer is made of.
    notes: Option<Notes>,
    /// How many messages metrics know of.
    counted_messages: u64,
    /// Whether every message is written.
    ended: bool,
}

/// One source as the work sees it.
pub(super) struct WorkSource {
    pub(super) name: Arc<str>,
    pub(super) generation: Arc<Generation>,
    pub(super) channels: Arc<BTreeMap<u16, Arc<ChannelRecord>>>,
}

/// What the work needs before it can go on.
pub(super) enum Need {
    /// Somebody takes what is ready.
    Send,
    /// Others get their turn.
    Turn,
    /// The first of these chunks is fetched and verified; the others may be.
    Chunks { source: u32, chunks: Vec<u32> },
    /// This source goes on.
    Source(u32),
    /// The disk, which is full, has room for a chunk that finds none in memory.
    Room(EngineError),
    /// Nothing: every message is written.
    End,
}

impl Work {
    /// A response that may hold `reserved_bytes` in memory, beside open chunks.
    pub(super) fn new(shared: Arc<Shared>, query: Arc<Query>, reserved_bytes: u64) -> Work {
        let config = &shared.config;
        Work {
            heap: MergeHeap::new(query.clone()),
            query,
            open: HashMap::new(),
            passing: HashMap::new(),
            passing_bytes: 0,
            held_up: None,
            share_bytes: usize::try_from(reserved_bytes / 4).unwrap_or(usize::MAX),
            chunk_bytes: FIRST_CHUNK_BYTES,
            writer: None,
            sources: BTreeMap::new(),
            limits: Limits {
                max_chunk_bytes: config.max_chunk_bytes,
                max_message_bytes: config.max_message_bytes,
                ..Limits::default()
            },
            notes: None,
            counted_messages: 0,
            ended: false,
            shared,
        }
    }

    /// From now on it notes what the answer is made of.
    pub(super) fn note(&mut self) {
        self.notes = Some(Notes::default());
    }

    /// What it has noted.
    pub(super) fn take_notes(&mut self) -> Option<Notes> {
        self.notes.take()
    }

    /// How many messages are written.
    pub(super) fn message_count(&self) -> u64 {
        self.writer.as_ref().map_or(0, OutputWriter::message_count)
    }

    /// Tells how much of a source is known. Chunks go first.
    pub(super) fn set_state(&mut self, source: u32, state: SourceState) {
        self.heap.set_state(source, state);
    }

    pub(super) fn set_source(&mut self, at: u32, source: WorkSource) {
        self.sources.insert(at, source);
    }

    pub(super) fn add_chunk(&mut self, at: ChunkRef, chunk: &crate::source::Chunk) {
        let Some(source) = self.sources.get(&at.source) else { return };
        let claimed = matches!(chunk.place, Place::Claimed(_));
        if let Some(notes) = &mut self.notes
            && matches!(chunk.place, Place::Claimed(_) | Place::LetGo(_))
        {
            notes.is_away(at);
        }
        self.heap.add_chunk(at, chunk.descriptor.clone(), claimed, &source.channels);
    }

    pub(super) fn replace_chunk(&mut self, at: ChunkRef, verified: Option<Arc<ChunkDescriptor>>) {
        let Some(source) = self.sources.get(&at.source) else { return };
        self.heap.replace_chunk(at, verified, &source.channels);
    }

    /// The first chunk of each source that is still needed; sources of which none is are not
    /// listed.
    pub(super) fn needed_chunks(&self) -> BTreeMap<u32, u32> {
        let mut needed: BTreeMap<u32, u32> = BTreeMap::new();
        let waiting = self.heap.upcoming(usize::MAX);
        let passing = self.passing.values().map(|(at, _)| *at).chain(self.held_up);
        for at in waiting.into_iter().chain(self.open.keys().copied()).chain(passing) {
            let first = needed.entry(at.source).or_insert(at.chunk);
            *first = at.chunk.min(*first);
        }
        needed
    }

    /// Forgets a source of which nothing is needed any more.
    pub(super) fn forget_source(&mut self, source: u32) {
        self.sources.remove(&source);
    }

    pub(super) fn leave_out(&mut self, source: u32) {
        self.heap.failed(source);
    }

    pub(super) fn next_unopened(&self, count: usize) -> Vec<u32> {
        self.heap.upcoming_sources(count)
    }

    pub(super) fn late(&self) -> BTreeMap<u32, u64> {
        self.heap.late().collect()
    }

    /// Writes a message that a lookback found.
    pub(super) fn latch(
        &mut self,
        source: u32,
        message: MessageView<'_>,
    ) -> Result<(), EngineError> {
        let source = self.sources.get(&source).ok_or(EngineError::TaskDied)?;
        if let Some(channel) = source.channels.get(&message.channel).cloned() {
            self.writer().message(&channel, message)?;
        }
        Ok(())
    }

    /// Merges until something is needed.
    pub(super) fn advance(&mut self) -> Result<Need, EngineError> {
        let started = Instant::now();
        loop {
            if self.is_ready() {
                return Ok(Need::Send);
            }
            if started.elapsed() >= QUANTUM {
                return Ok(Need::Turn);
            }
            let step = match self.held_up.take() {
                Some(at) => Step::Pass(at),
                None => self.next_step(),
            };
            match step {
                Step::Pass(at) => {
                    if !self.pass(at)? {
                        self.held_up = Some(at);
                        return Ok(self.need_chunks(at));
                    }
                }
                Step::Open { at, from } => match self.open(at, from) {
                    Ok(true) => {}
                    Ok(false) => return Ok(self.need_chunks(at)),
                    Err(error) if error.is_full() => return Ok(Need::Room(error)),
                    Err(error) => return Err(error),
                },
                Step::Merge { at, messages } => self.merge(at, messages)?,
                Step::Verify(at) => return Ok(self.need_chunks(at)),
                Step::Wait(source) => return Ok(Need::Source(source)),
                Step::End => {
                    self.ended = true;
                    return Ok(Need::End);
                }
            }
        }
    }

    fn next_step(&mut self) -> Step {
        let (writer, sources) = (&self.writer, &self.sources);
        self.heap.next(&mut |at, descriptor| {
            let Some(source) = sources.get(&at.source) else { return false };
            let channels = channels_of(&source.channels, descriptor);
            writer
                .as_ref()
                .is_none_or(|writer| writer.accepts(channels.iter().map(|channel| &**channel)))
        })
    }

    /// The chunk, and those of its source that come next.
    fn need_chunks(&self, at: ChunkRef) -> Need {
        let upcoming = self.heap.upcoming(READ_AHEAD_CHUNKS);
        let others = upcoming.into_iter().filter(|other| *other != at);
        let mut chunks = vec![at.chunk];
        chunks.extend(others.filter(|other| other.source == at.source).map(|other| other.chunk));
        Need::Chunks { source: at.source, chunks }
    }

    /// The chunks that come next, by source.
    pub(super) fn upcoming(&self) -> Upcoming {
        let mut upcoming = Upcoming::default();
        for (at, bytes) in self.heap.upcoming_sizes() {
            if upcoming.is_enough() {
                break;
            }
            upcoming.push(at, bytes);
        }
        upcoming
    }

    /// Closes the chunk that is being written, so that it can leave.
    pub(super) fn flush(&mut self) -> Result<(), EngineError> {
        match &mut self.writer {
            Some(writer) => Ok(writer.close_chunk()?),
            None => Ok(()),
        }
    }

    /// Writes everything after the last message.
    pub(super) fn finish(
        &mut self,
        metadata: &[MetadataRecord],
        attachments: &[AttachmentRecord],
    ) -> Result<(), EngineError> {
        let writer = self.writer();
        writer.close_chunk()?;
        for attachment in attachments {
            writer.attachment(attachment)?;
        }
        for record in metadata {
            writer.metadata(record)?;
        }
        writer.finish()?;
        Ok(())
    }

    /// Whether the first message, or its absence, is known.
    pub(super) fn may_leave(&self) -> bool {
        self.ended || self.writer.as_ref().is_some_and(|writer| writer.message_count() > 0)
    }

    /// What the viewer gets next. The more it has, the larger is the next chunk that is written.
    pub(super) fn take_output(&mut self) -> Result<Vec<Piece>, EngineError> {
        let most = self.share_bytes.min(OutputOptions::default().chunk_target_bytes);
        let Some(writer) = &mut self.writer else { return Ok(Vec::new()) };
        table::MESSAGES.more(writer.message_count() - self.counted_messages);
        self.counted_messages = writer.message_count();
        self.chunk_bytes = self.chunk_bytes.saturating_mul(GROWTH).min(most);
        writer.set_chunk_target_bytes(self.chunk_bytes);
        self.passing_bytes = 0;
        let pieces = writer.take_output().into_iter();
        pieces
            .map(|piece| match piece {
                OutputPiece::Bytes(bytes) => Ok(Piece::Bytes(bytes)),
                OutputPiece::Elsewhere(ticket) => {
                    let (at, data) = self.passing.remove(&ticket).ok_or(EngineError::TaskDied)?;
                    Ok(Piece::Chunk(at, data))
                }
            })
            .collect()
    }

    /// Whether there is enough for the viewer.
    pub(super) fn is_ready(&self) -> bool {
        let written = self.writer.as_ref().map_or(0, OutputWriter::pending_bytes) as u64;
        written + self.passing_bytes >= self.chunk_bytes.min(SLICE_BYTES) as u64
    }

    /// Opens a chunk for a lookback. It is kept only where the merge wants it next and there is room
    /// for it. `None` when it has to be fetched first.
    pub(super) fn open_once(
        &mut self,
        at: ChunkRef,
        was_away: bool,
    ) -> Result<Option<Arc<OpenChunk>>, EngineError> {
        let source = self.sources.get(&at.source).ok_or(EngineError::TaskDied)?;
        if let Some(chunk) = self.shared.open_chunks.find(source.generation.chunk_id(at.chunk)) {
            if let Some(notes) = &mut self.notes {
                notes.read_from(at, Tier::Memory, chunk.memory_bytes() as u64);
            }
            return Ok(Some(chunk));
        }
        let Some(data) = source.generation.chunk_data(at.chunk) else { return Ok(None) };
        let bytes = data.read_all().map_err(|error| self.lost(at, &error))?;
        let opened =
            OpenChunk::open(&bytes, &self.limits).map_err(|error| self.lost(at, &error))?;
        let descriptor = source.generation.descriptor(at.chunk).ok_or(EngineError::TaskDied)?;
        if self.query.times.overlaps(descriptor.times) {
            let id = source.generation.chunk_id(at.chunk);
            self.shared.open_chunks.offer(id, DUE_AT_ONCE, || Some(opened.clone()));
        }
        if let Some(notes) = &mut self.notes {
            let tier = if was_away { farther_tier(&source.generation) } else { Tier::Disk };
            notes.read_from(at, tier, data.len());
        }
        Ok(Some(Arc::new(opened)))
    }

    /// `false` when the chunk has to be fetched first.
    fn pass(&mut self, at: ChunkRef) -> Result<bool, EngineError> {
        let source = self.sources.get(&at.source).ok_or(EngineError::TaskDied)?;
        let Some(data) = source.generation.chunk_data(at.chunk) else { return Ok(false) };
        let descriptor = source.generation.descriptor(at.chunk).ok_or(EngineError::TaskDied)?;
        let channels = channels_of(&source.channels, &descriptor);
        let ticket = self.writer().pass(&descriptor, &channels)?;
        table::CHUNKS.count(["passed"]);
        data.count_read();
        if let (Some(notes), Some(source)) = (&mut self.notes, self.sources.get(&at.source)) {
            notes.passed(at);
            notes.read(at, Tier::Disk, farther_tier(&source.generation), data.len());
        }
        self.passing_bytes += data.len();
        self.passing.insert(ticket, (at, data));
        Ok(true)
    }

    /// `false` when the chunk has to be fetched first.
    fn open(&mut self, at: ChunkRef, from: usize) -> Result<bool, EngineError> {
        if !self.open.contains_key(&at) {
            let source = self.sources.get(&at.source).ok_or(EngineError::TaskDied)?;
            let generation = &source.generation;
            let Some(data) = generation.chunk_data(at.chunk) else { return Ok(false) };
            let descriptor = generation.descriptor(at.chunk).ok_or(EngineError::TaskDied)?;
            generation.take_apart(descriptor.times.start);
            let bytes = data.len();
            let mut tier = Tier::Memory;
            let opened = self.shared.open_chunks.get(
                generation.chunk_id(at.chunk),
                descriptor.uncompressed_bytes,
                || {
                    tier = Tier::Disk;
                    let bytes = data.read_all().map_err(|error| self.lost(at, &error))?;
                    OpenChunk::open(&bytes, &self.limits).map_err(|error| self.lost(at, &error))
                },
                |chunk| {
                    self.shared.with_room(chunk.memory_bytes() as u64, || {
                        Spilled::write(chunk, self.shared.store.scratch()?)
                    })
                },
            )?;
            table::CHUNKS.count(["taken_apart"]);
            let why = self.heap.why_opened();
            if let (Some(notes), Some(why)) = (&mut self.notes, why) {
                // A chunk that is spilled is read from the disk, whoever spilled it.
                let here = if matches!(opened, Opened::Spilled(_)) { Tier::Disk } else { tier };
                notes.taken_apart(at, why);
                notes.read(at, here, farther_tier(generation), bytes);
            }
            self.open.insert(at, Reading::new(opened));
        }
        let window_bytes = self.window_bytes();
        let reading = self.open.get_mut(&at).ok_or(EngineError::TaskDied)?;
        let entries = reading.entries(from, self.query.times.start, window_bytes);
        let entries = entries.map_err(|fault| self.lost(at, &fault))?;
        self.heap.opened(at, entries);
        self.close_if_used_up(at);
        Ok(true)
    }

    fn merge(&mut self, at: ChunkRef, messages: std::ops::Range<usize>) -> Result<(), EngineError> {
        let window_bytes = self.window_bytes();
        let mut reading = self.open.remove(&at).ok_or(EngineError::TaskDied)?;
        let channels = self.sources.get(&at.source).ok_or(EngineError::TaskDied)?.channels.clone();
        let writer = self.writer();
        let written = reading.messages(messages, window_bytes, |message| {
            match channels.get(&message.channel) {
                Some(channel) => writer.message(channel, message),
                None => Ok(()),
            }
        });
        written.map_err(|fault| self.lost(at, &fault))??;
        if self.heap.is_open(at) {
            self.open.insert(at, reading);
        }
        Ok(())
    }

    fn close_if_used_up(&mut self, at: ChunkRef) {
        if !self.heap.is_open(at) {
            self.open.remove(&at);
        }
    }

    /// What each spilled chunk may take of the share for them.
    fn window_bytes(&self) -> usize {
        self.share_bytes / self.open.len().max(1)
    }

    /// A chunk that was verified cannot be read any more.
    fn lost(&self, at: ChunkRef, why: &dyn std::fmt::Display) -> EngineError {
        let name = self.sources.get(&at.source).map(|source| source.name.clone());
        EngineError::StoredChunk {
            source_name: name.unwrap_or_else(|| "?".into()),
            position: at.source,
            what: why.to_string().into(),
        }
    }

    fn writer(&mut self) -> &mut OutputWriter {
        self.writer.get_or_insert_with(|| {
            let compression = match &self.query.accepts {
                Some(accepted) if !accepted.contains(&Compression::Lz4) => {
                    accepted.first().copied().unwrap_or_default()
                }
                _ => Compression::Lz4,
            };
            let profile = common_profile(&self.sources);
            let chunk_target_bytes = self.chunk_bytes;
            let options = OutputOptions {
                profile,
                compression,
                chunk_target_bytes,
                ..OutputOptions::default()
            };
            OutputWriter::new(options)
        })
    }
}

/// The profile that all sources which name one agree on; none otherwise.
fn common_profile(sources: &BTreeMap<u32, WorkSource>) -> String {
    let mut common = String::new();
    for source in sources.values() {
        let state = source.generation.state();
        if state.profile.is_empty() || state.profile == common {
            continue;
        }
        if !common.is_empty() {
            return String::new();
        }
        common.clone_from(&state.profile);
    }
    common
}

/// The channels that a chunk uses or records.
fn channels_of(
    channels: &BTreeMap<u16, Arc<ChannelRecord>>,
    descriptor: &ChunkDescriptor,
) -> Vec<Arc<ChannelRecord>> {
    descriptor.channel_ids().iter().filter_map(|id| channels.get(id).cloned()).collect()
}
