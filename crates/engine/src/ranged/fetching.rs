//! Fetching chunks of a static source, and verifying them.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use rdl_mcap_io::{ChunkDescriptor, ChunkError, StoredChunk, verify_chunk};
use rdl_metrics::table;
use rdl_model::{ByteRange, Problem, ProblemCode};
use tracing::Instrument as _;

use super::{FetchedChunk, Ranged};
use crate::EngineError;
use crate::cpu::Urgency;
use crate::shared::Shared;
use crate::source::{Generation, Place, Source};
use crate::viewers::Viewer;

/// Chunks with less than this between them are fetched with one request …
const COALESCE_GAP_BYTES: u64 = 256 << 10;
/// … of one object, of at most this size, unless one chunk alone is larger …
pub(crate) const COALESCE_BYTES: u64 = 8 << 20;
/// … and of no more than this part of a small disk.
const PART_OF_DISK: u64 = 16;

/// What a connection has read of what nobody took yet, at most.
const TRANSPORT_BYTES: u64 = 1 << 20;

/// Puts the bytes of a verified chunk on the disk.
type Keep = Arc<dyn Fn(&[u8]) -> Result<FetchedChunk, EngineError> + Send + Sync>;

/// How many chunks of a source are on their way at most before more are read ahead.
const MOST_CHUNKS_AHEAD: usize = 1024;

impl Ranged {
    /// Fetches and verifies `chunks[0]`, and those of the others that lie near it. Returns when
    /// `chunks[0]` is no longer merely claimed. A dropped future does not stop the fetch, which
    /// others may share.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        viewer: Option<&Arc<Viewer>>,
        chunks: &[u32],
    ) -> Result<(), EngineError> {
        let Some(&needed) = chunks.first() else { return Ok(()) };
        let mut watch = generation.watch();
        loop {
            let Some((fetch, ours)) = self.join_fetch(shared, source, generation, viewer, chunks)
            else {
                return Ok(());
            };
            let is_here =
                async { while is_to_fetch(generation, needed) && watch.changed().await.is_ok() {} };
            // The others that come with it may take a while longer. Those of a file are waited for: a
            // summary that lies is better found before anything is sent.
            let fetched = tokio::select! {
                fetched = fetch => fetched,
                () = is_here, if self.is_in_bucket() => return Ok(()),
            };
            match fetched {
                Ok(()) => {}
                // Perhaps it was one of the others that lie near it.
                Err(EngineError::DamagedCopy { .. }) => {
                    return self.mend_or_fetch(shared, source, generation, viewer, needed).await;
                }
                // Somebody else's token may be refused where ours is not.
                Err(error) if ours || !error.is_refusal() => return Err(error),
                Err(_) => {}
            }
            if !is_to_fetch(generation, needed) {
                return Ok(());
            }
        }
    }

    /// After a fetch has failed with damage in one of its chunks: fetches this chunk alone, and
    /// makes it again if that fails too.
    async fn mend_or_fetch(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        viewer: Option<&Arc<Viewer>>,
        chunk: u32,
    ) -> Result<(), EngineError> {
        let place = generation.state().chunks.get(chunk as usize).map(|chunk| chunk.place.clone());
        let Some(Place::LetGo(range)) = place else { return Ok(()) };
        let alone = [(chunk, range)];
        match self
            .fetch_group(shared, source, generation, viewer.map(|it| &**it), chunk, &alone)
            .await
        {
            Err(EngineError::DamagedCopy { .. }) => {
                self.mend(shared, source, generation, viewer, chunk).await
            }
            fetched => fetched,
        }
    }

    /// Starts to fetch those of the first `count` of `chunks` that are not here; the others may come
    /// with them. What fails is met again by whoever needs it.
    pub(crate) fn read_ahead(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        chunks: &[u32],
        count: usize,
    ) {
        let mut at = 0;
        loop {
            {
                let fetches = self.fetches.lock();
                if fetches.len() >= MOST_CHUNKS_AHEAD {
                    return;
                }
                let is_away =
                    |chunk: &u32| !fetches.contains_key(chunk) && is_to_fetch(generation, *chunk);
                let left = chunks.get(at..count.min(chunks.len())).unwrap_or_default();
                let Some(next) = left.iter().position(is_away) else { return };
                at += next;
            }
            self.join_fetch(shared, source, generation, None, &chunks[at..]);
            at += 1;
        }
    }

    /// The fetch that covers the needed chunk, started if there is none; and whether it is ours.
    fn join_fetch(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        viewer: Option<&Arc<Viewer>>,
        chunks: &[u32],
    ) -> Option<(super::Fetch, bool)> {
        let mut fetches = self.fetches.lock();
        if let Some(fetch) = fetches.get(&chunks[0]) {
            return Some((fetch.clone(), false));
        }
        let group = {
            let state = generation.state();
            let claimed = |chunk: &u32| match state.chunks.get(*chunk as usize)?.place {
                Place::Claimed(range) | Place::LetGo(range) => Some((*chunk, range)),
                _ => None,
            };
            claimed(&chunks[0])?;
            let others = chunks.iter().filter(|chunk| !fetches.contains_key(chunk));
            let most = COALESCE_BYTES.min(shared.store.usage().room_bytes / PART_OF_DISK);
            let others = others.filter_map(claimed).collect::<Vec<_>>();
            coalesce(&others, most, |a, b| self.is_one_object(a, b))
        };
        let needed = chunks[0];
        let members: Vec<u32> = group.iter().map(|(chunk, _)| *chunk).collect();
        let span = tracing::debug_span!("fetch", source = %source.name, chunks = group.len());
        let task = shared.tasks.spawn({
            let (ranged, shared, source) = (self.clone(), shared.clone(), source.clone());
            let (generation, viewer) = (generation.clone(), viewer.cloned());
            async move {
                let fetched = ranged
                    .fetch_group(&shared, &source, &generation, viewer.as_deref(), needed, &group)
                    .await;
                let mut fetches = ranged.fetches.lock();
                for (chunk, _) in &group {
                    fetches.remove(chunk);
                }
                fetched
            }
            .instrument(span)
        });
        let fetch: super::Fetch =
            async move { task.await.unwrap_or(Err(EngineError::TaskDied)) }.boxed().shared();
        for chunk in members {
            fetches.insert(chunk, fetch.clone());
        }
        Some((fetch, true))
    }

    /// Fetches chunks that one request reads, in their order. Each is there as soon as it is verified.
    /// Fails as full when there is no room for the needed chunk; for the others it is enough that
    /// they are asked for again.
    async fn fetch_group(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        viewer: Option<&Viewer>,
        needed: u32,
        group: &[(u32, ByteRange)],
    ) -> Result<(), EngineError> {
        let start = group.iter().map(|(_, range)| range.start).min().unwrap_or(0);
        let end = group.iter().map(|(_, range)| range.end).max().unwrap_or(0);
        let uncompressed_bytes = group.iter().filter_map(|(chunk, _)| {
            let state = generation.state();
            state.chunks.get(*chunk as usize).map(|chunk| chunk.descriptor.uncompressed_bytes)
        });
        // Nobody is asked for what cannot be kept.
        let room = shared.clone();
        shared.store(move |_| room.find_room(end - start)).await??;
        // What is fetched (of the bucket one chunk at a time), and the largest of its chunks while it
        // is verified.
        let largest = group.iter().map(|(_, range)| range.len()).max().unwrap_or(0);
        let fetched = if self.is_in_bucket() { largest + TRANSPORT_BYTES } else { end - start };
        let takes_bytes = fetched + uncompressed_bytes.max().unwrap_or(0);
        let _memory = shared.memory.ingest().reserve(takes_bytes).await;
        let mut incoming = self.read_along(source, viewer, ByteRange { start, end }).await?;
        let file = shared.store(rdl_store::DiskStore::scratch).await??;
        let kept = shared.fetched.add(file, generation);
        let source_here = source;
        for (chunk, range) in group.iter().copied() {
            let record = self.take(source, &mut incoming, range).await?;
            let (ranged, source) = (self.clone(), source_here.clone());
            let (shared_here, generation) = (shared.clone(), generation.clone());
            let kept = kept.clone();
            let keep: Keep = Arc::new(move |bytes: &[u8]| {
                shared_here.with_room(bytes.len() as u64, || kept.keep(bytes, range))
            });
            let verify = move |record: Bytes| {
                let (ranged, source) = (ranged.clone(), source.clone());
                let (generation, keep) = (generation.clone(), keep.clone());
                move || ranged.keep_verified(&source, &generation, chunk, range, &record, &keep)
            };
            let mut verified = shared.cpu.run(Urgency::Now, verify(record)).await?;
            if matches!(verified, Err(EngineError::DamagedCopy { .. })) {
                // On its way, or where it lies?
                let again = self.read(source_here, viewer, range).await?;
                verified = shared.cpu.run(Urgency::Now, verify(again)).await?;
            }
            match verified {
                Err(error) if error.is_full() && chunk != needed => {}
                verified => verified?,
            }
        }
        Ok(())
    }

    /// Verifies one chunk and puts it in the place of the claim.
    fn keep_verified(
        &self,
        source: &Source,
        generation: &Arc<Generation>,
        chunk: u32,
        range: ByteRange,
        record: &Bytes,
        keep: &Keep,
    ) -> Result<(), EngineError> {
        let claim = generation.descriptor(chunk).ok_or(EngineError::TaskDied)?;
        // In the bucket its message indexes lie behind it.
        let record_bytes = usize::try_from(claim.record_bytes).unwrap_or(usize::MAX);
        let record = record.slice(..record.len().min(record_bytes));
        let channels = generation.state().channels.clone();
        let verified = verify_chunk(record, &|id| channels.get(&id).cloned(), &self.limits);
        let mut definitions = Vec::new();
        let damaged_copy = |what: String| EngineError::DamagedCopy {
            source_name: source.name.clone(),
            what: format!("chunk {chunk}: {what}").into(),
        };
        if self.is_in_bucket() {
            // It was whole when it was written, and had messages.
            let is_same = match &verified {
                Ok(Some(verified)) => covers(&claim, &verified.chunk.descriptor),
                Ok(None) => false,
                Err(error) => return Err(damaged_copy(error.to_string())),
            };
            if !is_same {
                return Err(damaged_copy("it is another one".into()));
            }
        }
        let tier = if self.is_in_bucket() { "bucket" } else { "source" };
        table::CHUNK_READS.count([tier]);
        table::CHUNK_READ_BYTES.add(range.len(), [tier]);
        let (found, problem) = match verified {
            Ok(Some(verified)) if !covers(&claim, &verified.chunk.descriptor) => {
                let lie = ChunkError::Lies("its times or its channels are others".to_owned());
                return Err(summary_lies(source, generation, chunk, &lie));
            }
            Ok(Some(verified)) => {
                definitions = verified.definitions;
                (Some(verified.chunk), None)
            }
            Ok(None) => (None, None),
            Err(ChunkError::Damaged(why)) => {
                let message =
                    format!("chunk {chunk} at byte {} is damaged and left out: {why}", range.start);
                let problem = Problem::new(ProblemCode::DamagedChunk, message);
                table::PROBLEMS.count([problem.code.as_str()]);
                (None, Some(problem.of_source(&*source.name)))
            }
            Err(lie) => return Err(summary_lies(source, generation, chunk, &lie)),
        };
        let place = match (&found, &problem) {
            (Some(StoredChunk { bytes, .. }), _) => Place::Fetched(keep(bytes)?),
            (None, Some(_)) => Place::Damaged,
            (None, None) => Place::Empty,
        };
        generation.change(|state| {
            if let Some(problem) = problem {
                problem.add_to(&mut state.problems);
            }
            for channel in definitions {
                state.channels.entry(channel.id).or_insert_with(|| Arc::new(channel));
            }
            if let Some(entry) = state.chunks.get_mut(chunk as usize) {
                entry.place = place;
                if let Some(found) = found {
                    entry.descriptor = Arc::new(found.descriptor);
                }
            }
        });
        Ok(())
    }
}

/// The summary is not to be believed: from now on the file is loaded like a streamed source.
pub(crate) fn summary_lies(
    source: &Source,
    generation: &Arc<Generation>,
    chunk: u32,
    lie: &ChunkError,
) -> EngineError {
    let why = format!("its summary contradicts its data at chunk {chunk}: {lie}");
    tracing::warn!(source = %source.name, why, "a static source's summary lies");
    let changed = EngineError::Changed { source_name: source.name.clone() };
    if let Some(identity) = generation.state().identity.clone() {
        source.distrust(identity, why);
    }
    source.supersede(generation, changed.clone());
    changed
}

/// Whether a claim did not leave out anything that the chunk turned out to have: queries were
/// planned by it.
fn covers(claim: &ChunkDescriptor, verified: &ChunkDescriptor) -> bool {
    let claimed = |id: u16| claim.channels.iter().any(|used| used.id == id);
    claim.times.covers(verified.times) && verified.channels.iter().all(|used| claimed(used.id))
}

fn is_to_fetch(generation: &Generation, chunk: u32) -> bool {
    let state = generation.state();
    let place = state.chunks.get(chunk as usize).map(|chunk| &chunk.place);
    matches!(place, Some(Place::Claimed(_) | Place::LetGo(_)))
}

/// The first chunk and those that one request of at most `most_bytes` may fetch with it, by
/// position in the file.
fn coalesce(
    chunks: &[(u32, ByteRange)],
    most_bytes: u64,
    is_one_object: impl Fn(ByteRange, ByteRange) -> bool,
) -> Vec<(u32, ByteRange)> {
    let Some(&needed) = chunks.first() else { return Vec::new() };
    let mut sorted = chunks.to_vec();
    sorted.sort_by_key(|(_, range)| range.start);
    let at = sorted.iter().position(|chunk| *chunk == needed).unwrap_or(0);
    let (mut first, mut last) = (at, at);
    let joins = |front: ByteRange, back: ByteRange, first: ByteRange, last: ByteRange| {
        back.start.saturating_sub(front.end) <= COALESCE_GAP_BYTES
            && last.end.saturating_sub(first.start) <= most_bytes
            && is_one_object(front, back)
    };
    while last + 1 < sorted.len()
        && joins(sorted[last].1, sorted[last + 1].1, sorted[first].1, sorted[last + 1].1)
    {
        last += 1;
    }
    while first > 0
        && joins(sorted[first - 1].1, sorted[first].1, sorted[first - 1].1, sorted[last].1)
    {
        first -= 1;
    }
    sorted[first..=last].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(_: ByteRange, _: ByteRange) -> bool {
        true
    }

    fn at(chunk: u32, start: u64, len: u64) -> (u32, ByteRange) {
        (chunk, ByteRange::at(start, len))
    }

    #[test]
    fn near_chunks_share_a_request() {
        let near = [at(1, 1000, 500), at(2, 1500, 500), at(0, 0, 900)];
        assert_eq!(coalesce(&near, COALESCE_BYTES, one), [near[2], near[0], near[1]]);
        let far = [at(1, 0, 500), at(2, 600 << 10, 500)];
        assert_eq!(coalesce(&far, COALESCE_BYTES, one), [far[0]]);
        let begins_at_1000 = |a: ByteRange, b: ByteRange| (a.start < 1000) == (b.start < 1000);
        assert_eq!(coalesce(&near, COALESCE_BYTES, begins_at_1000), [near[0], near[1]]);
    }

    #[test]
    fn a_request_stays_within_its_size() {
        let large = [at(0, 0, 5 << 20), at(1, 5 << 20, 5 << 20), at(2, 10 << 20, 1)];
        assert_eq!(coalesce(&large, COALESCE_BYTES, one), [large[0]]);
        assert_eq!(coalesce(&[at(0, 0, 20 << 20)], COALESCE_BYTES, one).len(), 1);
        assert_eq!(coalesce(&[], COALESCE_BYTES, one), []);
    }
}
