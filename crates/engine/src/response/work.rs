//! The part of a response that burns CPU and reads files; runs on blocking threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{
    AttachmentRecord, ChannelRecord, ChunkDescriptor, ChunkError, Compression, Limits,
    MetadataRecord, OpenChunk, OutputOptions, OutputWriter, StoredChunk,
};
use rdl_merge::{LookbackMessage, MergeHeap, Query, SourceState, Step};
use rdl_model::ChunkRef;

use crate::source::{Generation, Place, ReadFault};
use crate::{EngineConfig, EngineError};

/// What is handed to the viewer at a time, about.
const SLICE_BYTES: usize = 1 << 20;
/// How many chunks are looked at for a static source's next request.
const READ_AHEAD_CHUNKS: usize = 64;

/// The merge and the writer of one response.
pub(super) struct Work {
    query: Arc<Query>,
    heap: MergeHeap,
    /// There once the first record is to be written: the header names a profile.
    writer: Option<OutputWriter>,
    sources: BTreeMap<u32, WorkSource>,
    limits: Limits,
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
    /// The first of these chunks is fetched and verified; the others may be.
    Chunks { source: u32, chunks: Vec<u32> },
    /// This source goes on.
    Source(u32),
    /// Nothing: every message is written.
    End,
}

/// The messages of a lookback, and the chunks that they lie in.
#[derive(Default)]
pub(super) struct Latched {
    pub(super) messages: Vec<LookbackMessage>,
    pub(super) chunks: HashMap<ChunkRef, Arc<OpenChunk>>,
}

impl Work {
    pub(super) fn new(query: Arc<Query>, config: &EngineConfig) -> Work {
        Work {
            heap: MergeHeap::new(query.clone()),
            query,
            writer: None,
            sources: BTreeMap::new(),
            limits: Limits {
                max_chunk_bytes: config.max_chunk_bytes,
                max_message_bytes: config.max_message_bytes,
                ..Limits::default()
            },
            ended: false,
        }
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
        self.heap.add_chunk(at, chunk.descriptor.clone(), claimed, &source.channels);
    }

    pub(super) fn replace_chunk(&mut self, at: ChunkRef, verified: Option<Arc<ChunkDescriptor>>) {
        let Some(source) = self.sources.get(&at.source) else { return };
        self.heap.replace_chunk(at, verified, &source.channels);
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

    /// Writes what a lookback found.
    pub(super) fn latch(&mut self, latched: &Latched) -> Result<(), EngineError> {
        for message in &latched.messages {
            let (Some(chunk), Some(source)) =
                (latched.chunks.get(&message.at), self.sources.get(&message.at.source))
            else {
                return Err(EngineError::TaskDied);
            };
            let view = chunk.message(message.entry);
            let Some(channel) = source.channels.get(&view.channel) else { continue };
            let channel = channel.clone();
            self.writer().message(&channel, view)?;
        }
        Ok(())
    }

    /// Merges until something is needed.
    pub(super) fn advance(&mut self) -> Result<Need, EngineError> {
        loop {
            if self.writer.as_ref().is_some_and(|writer| writer.pending_bytes() >= SLICE_BYTES) {
                return Ok(Need::Send);
            }
            let (writer, sources) = (&self.writer, &self.sources);
            let step = self.heap.next(&mut |at, descriptor| {
                let Some(source) = sources.get(&at.source) else { return false };
                let channels = channels_of(&source.channels, descriptor);
                writer
                    .as_ref()
                    .is_none_or(|writer| writer.accepts(channels.iter().map(|channel| &**channel)))
            });
            match step {
                Step::Pass(at) => self.pass(at)?,
                Step::Open(at) => {
                    let chunk = self.open(at)?;
                    self.heap.opened(at, Arc::new(chunk));
                }
                Step::Merge { at, messages } => self.merge(at, messages)?,
                Step::Verify(at) => {
                    let upcoming = self.heap.upcoming(READ_AHEAD_CHUNKS);
                    let others = upcoming.into_iter().filter(|other| *other != at);
                    let mut chunks = vec![at.chunk];
                    chunks.extend(
                        others.filter(|other| other.source == at.source).map(|other| other.chunk),
                    );
                    return Ok(Need::Chunks { source: at.source, chunks });
                }
                Step::Wait(source) => return Ok(Need::Source(source)),
                Step::End => {
                    self.ended = true;
                    return Ok(Need::End);
                }
            }
        }
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

    pub(super) fn take_output(&mut self) -> Vec<Bytes> {
        self.writer.as_mut().map(OutputWriter::take_output).unwrap_or_default()
    }

    /// Opens a chunk that is kept: reads, decompresses and verifies it.
    pub(super) fn open(&self, at: ChunkRef) -> Result<OpenChunk, EngineError> {
        let (bytes, _) = self.read(at)?;
        OpenChunk::open(&bytes, &self.limits).map_err(|error| self.broken(at, &error))
    }

    fn pass(&mut self, at: ChunkRef) -> Result<(), EngineError> {
        let (bytes, descriptor) = self.read(at)?;
        let source = self.sources.get(&at.source).ok_or(EngineError::TaskDied)?;
        let channels = channels_of(&source.channels, &descriptor);
        let chunk = StoredChunk { descriptor: (*descriptor).clone(), bytes };
        self.writer().pass(&chunk, &channels)?;
        Ok(())
    }

    fn merge(&mut self, at: ChunkRef, messages: std::ops::Range<usize>) -> Result<(), EngineError> {
        let chunk = self.heap.open_chunk(at).ok_or(EngineError::TaskDied)?.clone();
        let channels = self.sources.get(&at.source).ok_or(EngineError::TaskDied)?.channels.clone();
        let writer = self.writer();
        for entry in messages {
            let view = chunk.message(entry);
            let Some(channel) = channels.get(&view.channel) else { continue };
            writer.message(channel, view)?;
        }
        Ok(())
    }

    fn read(&self, at: ChunkRef) -> Result<(Bytes, Arc<ChunkDescriptor>), EngineError> {
        let source = self.sources.get(&at.source).ok_or(EngineError::TaskDied)?;
        let descriptor = {
            let state = source.generation.state();
            let chunk = state.chunks.get(at.chunk as usize).ok_or(EngineError::TaskDied)?;
            chunk.descriptor.clone()
        };
        match source.generation.read_chunk(at.chunk) {
            Ok(bytes) => Ok((bytes, descriptor)),
            Err(ReadFault::Store(error)) => Err(error),
            Err(ReadFault::NotHere) => Err(EngineError::TaskDied),
        }
    }

    fn broken(&self, at: ChunkRef, error: &ChunkError) -> EngineError {
        let name = self.sources.get(&at.source).map(|source| source.name.clone());
        EngineError::StoredChunk {
            source_name: name.unwrap_or_else(|| "?".into()),
            what: error.to_string().into(),
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
            OutputWriter::new(OutputOptions { profile, compression, ..OutputOptions::default() })
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
