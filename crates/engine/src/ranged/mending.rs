//! A chunk that the bucket has lost under its readers, made again from the source.
//!
//! What the bucket had is removed and forgotten for whoever comes next, and the source is loaded
//! again. Those that read it already keep their chunks and their plan: each chunk that they miss is
//! put together from the messages at the same ordinals. That is possible where the source's chunks
//! follow one another in time, which makes the order of its messages one and the same however
//! they were cut into chunks; what is put together has to match the descriptor of the lost chunk.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdl_mcap_io::{ChannelRecord, ChunkBuilder, ChunkDescriptor, OpenChunk, StoredChunk};
use rdl_model::{ByteRange, Nanos};
use rdl_store::StoreError;

use super::{Ranged, Reader};
use crate::EngineError;
use crate::cpu::Urgency;
use crate::readers::Reading;
use crate::shared::Shared;
use crate::source::{Chunk, Generation, Phase, Place, Source};
use crate::viewers::{Interest, Viewer};

/// The chunk that is to be made again.
struct Lost {
    descriptor: Arc<ChunkDescriptor>,
    range: ByteRange,
    /// How many messages lie in the chunks before it.
    first: u64,
    channels: BTreeMap<u16, Arc<ChannelRecord>>,
}

/// The source as it is loaded again: one load for all the chunks that are missed.
pub(super) struct Again {
    interest: Interest,
    generation: Arc<Generation>,
    reading: Reading,
}

impl Again {
    fn begin(shared: &Arc<Shared>, source: &Arc<Source>, viewer: &Viewer) -> Again {
        let interest = viewer.want_again(shared, source);
        let (generation, reading) = source.pin(&Arc::default());
        Again { interest, generation, reading }
    }
}

impl Ranged {
    /// Makes a chunk again that the bucket has lost. Where that cannot be done, whoever reads the
    /// generation cannot go on.
    pub(super) async fn mend(
        &self,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        viewer: Option<&Arc<Viewer>>,
        chunk: u32,
    ) -> Result<(), EngineError> {
        let mut again = self.mending.lock().await;
        let Some(lost) = find_lost(generation, chunk) else { return Ok(()) };
        source.retire(generation);
        self.forget_copy(source).await;
        let changed = || {
            let changed = EngineError::Changed { source_name: source.name.clone() };
            source.supersede(generation, changed.clone());
            changed
        };
        let Some(viewer) = viewer.filter(|_| follow_in_time(&generation.state().chunks)) else {
            return Err(changed());
        };
        tracing::warn!(source = %source.name, chunk, "the bucket has lost a chunk; its source is loaded again");
        let made = self.make_again(shared, source, viewer, &lost, &mut again).await?;
        let made = made.filter(|made| is_same(&made.descriptor, &lost.descriptor));
        let Some(made) = made else { return Err(changed()) };
        let file = shared.store(rdl_store::DiskStore::scratch).await??;
        let kept = shared.fetched.add(file, generation);
        let here = shared.clone();
        let bytes = made.bytes.clone();
        let fetched = shared
            .store(move |_| here.with_room(bytes.len() as u64, || kept.keep(&bytes, lost.range)))
            .await??;
        generation.change(|state| {
            if let Some(entry) = state.chunks.get_mut(chunk as usize) {
                entry.place = Place::Fetched(fetched);
                entry.descriptor = Arc::new(made.descriptor);
            }
        });
        Ok(())
    }

    /// What the bucket has is not whole: neither this replica reads it any more, nor whoever looks.
    pub(super) async fn forget_copy(&self, source: &Source) {
        let Reader::Bucket(parts, sharing) = &self.reader else { return };
        sharing.avoid(parts.attempt());
        if let Err(error) = parts.forget().await {
            tracing::warn!(source = %source.name, %error, "a source that is not whole cannot be removed from the bucket");
        }
    }

    /// The messages of the lost chunk, from the source as it is loaded now; `None` where it turns
    /// out to be another.
    async fn make_again(
        &self,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        viewer: &Arc<Viewer>,
        lost: &Lost,
        known: &mut Option<Again>,
    ) -> Result<Option<StoredChunk>, EngineError> {
        let end = lost.first + lost.descriptor.message_count;
        loop {
            let again = known.get_or_insert_with(|| Again::begin(shared, source, viewer));
            // A viewer waits for it: it comes before loads that read ahead.
            if again.interest.need() {
                shared.queue.touch();
            }
            let mut watch = again.generation.watch();
            let (phase, needed, there) = {
                let state = again.generation.state();
                let (mut needed, mut there) = (0, 0);
                for chunk in &state.chunks {
                    there += chunk.descriptor.message_count;
                    needed += u32::from(there <= lost.first);
                }
                (state.phase.clone(), needed, there)
            };
            again.reading.needs_from(needed);
            match phase {
                Phase::Complete | Phase::Loading { .. } if there >= end => {
                    let generation = again.generation.clone();
                    let made = self.put_together(shared, source, &generation, viewer, lost).await;
                    match made {
                        // A disk that is too small for the source has let go of its beginning.
                        Err(EngineError::Store(error))
                            if matches!(*error, StoreError::Discarded { .. }) =>
                        {
                            *known = None;
                        }
                        made => return made,
                    }
                }
                Phase::Complete => return Ok(None),
                Phase::Failed { error, .. } => return Err(error),
                Phase::Superseded(why @ EngineError::ShuttingDown) => return Err(why),
                Phase::Pending | Phase::Superseded(_) => {
                    *known = None;
                    // Whoever put another in its place has done so by now, or does so at once.
                    tokio::task::yield_now().await;
                }
                Phase::Loading { .. } => {
                    let waits = again.reading.wait();
                    let _ = watch.changed().await;
                    drop(waits);
                    if let Some(refusal) = again.interest.viewer().refusal() {
                        // Whoever comes next asks with a token of its own.
                        *known = None;
                        return Err(refusal);
                    }
                }
            }
        }
    }

    async fn put_together(
        &self,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        viewer: &Arc<Viewer>,
        lost: &Lost,
    ) -> Result<Option<StoredChunk>, EngineError> {
        let (chunks, channels, ranged) = {
            let state = generation.state();
            if !follow_in_time(&state.chunks) {
                return Ok(None);
            }
            (state.chunks.clone(), state.channels.clone(), state.ranged.clone())
        };
        let mut builder = ChunkBuilder::new(lost.descriptor.compression);
        let end = lost.first + lost.descriptor.message_count;
        let mut first = 0;
        for (number, chunk) in (0..).zip(&chunks) {
            let count = chunk.descriptor.message_count;
            let from = lost.first.max(first) - first;
            let to = end.min(first + count).saturating_sub(first);
            first += count;
            if from >= to {
                continue;
            }
            if generation.chunk_data(number).is_none()
                && let Some(ranged) = &ranged
            {
                let chunks = [number];
                Box::pin(ranged.verify(shared, source, generation, Some(viewer), &chunks)).await?;
            }
            let Some(data) = generation.chunk_data(number) else { return Ok(None) };
            let takes_bytes = 2 * (chunk.descriptor.uncompressed_bytes + data.len());
            let _memory = shared.memory.ingest().reserve(takes_bytes).await;
            let ids: BTreeMap<u16, u16> = channels
                .values()
                .filter_map(|new| {
                    let old = lost.channels.values().find(|old| old.def == new.def)?;
                    Some((new.id, old.id))
                })
                .collect();
            let limits = self.limits.clone();
            let add = move || {
                let bytes = data.read_all().map_err(EngineError::from)?;
                let Ok(open) = OpenChunk::open(&bytes, &limits) else { return Ok(None) };
                for at in from..to {
                    let message = open.message(usize::try_from(at).unwrap_or(usize::MAX));
                    let Some(id) = ids.get(&message.channel) else { return Ok(None) };
                    builder.message(*id, &message);
                }
                Ok::<_, EngineError>(Some(builder))
            };
            match shared.cpu.run(Urgency::Now, add).await?? {
                Some(filled) => builder = filled,
                None => return Ok(None),
            }
        }
        let built = shared.cpu.run(Urgency::Now, move || builder.build()).await?;
        Ok(built.ok().flatten())
    }
}

/// The chunk, unless it is here meanwhile.
fn find_lost(generation: &Generation, chunk: u32) -> Option<Lost> {
    let state = generation.state();
    let entry = state.chunks.get(chunk as usize)?;
    let Place::LetGo(range) = entry.place else { return None };
    let before = state.chunks.iter().take(chunk as usize);
    Some(Lost {
        descriptor: entry.descriptor.clone(),
        range,
        first: before.map(|chunk| chunk.descriptor.message_count).sum(),
        channels: state.channels.clone(),
    })
}

/// Whether each chunk begins where, or after, the one before it ends.
fn follow_in_time(chunks: &[Chunk]) -> bool {
    let mut reached = Nanos::MIN;
    chunks.iter().all(|chunk| {
        let times = chunk.descriptor.times;
        times.start >= std::mem::replace(&mut reached, times.end)
    })
}

/// Whether it has the same messages: byte for byte where the lost chunk had nothing but messages,
/// as far as descriptors tell where it had more.
fn is_same(made: &ChunkDescriptor, lost: &ChunkDescriptor) -> bool {
    let has_only_messages = lost.channel_records.is_empty() && lost.schema_records.is_empty();
    made.times == lost.times
        && made.channels == lost.channels
        && (!has_only_messages || made.crc == lost.crc)
}
