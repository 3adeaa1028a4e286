//! The part of a load that burns CPU and writes files; runs on blocking threads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdl_mcap_io::{
    Index, IndexedAttachment, IndexedChunk, Intake, IntakeError, IntakeEvent, IntakeOptions,
    Limits, OpenChunk,
};
use rdl_model::{Nanos, Problem, SourceKey};
use rdl_store::{Attempt, DiskStore, StoreError};

use super::arrived::Arrived;
use super::published::Published;
use super::spool::spools;
use super::{LoadMode, room};
use crate::EngineError;
use crate::readers::Readers;
use crate::shared::Shared;
use crate::sharing::{Claim, Sharing};
use crate::source::{Attachment, AttachmentPlace, Chunk, Generation, Phase, Place, Source};

/// In how many steps the disk store is filled, at least.
const STEPS: u64 = 128;
/// No new chunk is made smaller than this for the sake of a small disk, in bytes.
const LEAST_CHUNK_BYTES: usize = 64 << 10;

/// The sizes of the body at which what can leave early does, from the first to the last; each is
/// twice the one before.
const FIRST_EARLY_FLUSH_BYTES: u64 = 256 << 10;
const LAST_EARLY_FLUSH_BYTES: u64 = 4 << 20;

/// One attempt at a body: the bytes go in, the generation grows.
pub(super) struct LoadWork {
    intake: Intake,
    buffer_bytes: u64,
    /// What it may take in memory for a large record.
    granted_bytes: u64,
    attempt: Attempt,
    generation: Arc<Generation>,
    /// What goes into the bucket beside the parts; the generation holds the same.
    index: Index,
    source_name: Arc<str>,
    truncated_is_final: bool,
    shared: Arc<Shared>,
    limits: Limits,
    /// How much of the body was taken, over all connections.
    taken_bytes: u64,
    /// When so much was taken, what can leave before its chunk is full leaves.
    flush_at_bytes: u64,
    arrived: Arrived,
    /// What ends the body once everything before it is stored.
    failed: Option<IntakeError>,
    /// The parts before it are discarded.
    first_part: u32,
    /// What other replicas learn of it.
    published: Published,
}

/// How far a piece of work came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Done,
    /// The disk has no room for this much; the rest is left over for [`LoadWork::go_on`].
    NoRoom {
        bytes: u64,
    },
    /// A large record needs this much memory; the rest is left over for [`LoadWork::go_on`], after
    /// [`LoadWork::grant`].
    NoMemory {
        bytes: u64,
    },
}

/// Why a load's work stopped.
pub(super) enum LoadFault {
    /// The body is not what it should be.
    Data(IntakeError),
    /// The loader's own fault.
    Engine(EngineError),
}

impl From<StoreError> for LoadFault {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<IntakeError> for LoadFault {
    fn from(error: IntakeError) -> Self {
        Self::Data(error)
    }
}

impl LoadWork {
    pub(super) async fn begin(
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        mode: LoadMode,
    ) -> Result<LoadWork, EngineError> {
        let options = intake_options(shared);
        let limits = options.limits.clone();
        let buffer_bytes = (options.sort_buffer_bytes + options.chunk_target_bytes) as u64;
        let name = source.name.clone();
        let begin = move |store: &DiskStore| store.begin(&mode.key, &name, mode.keep);
        let attempt = shared.store(begin).await??;
        generation.change(|state| state.files = Some(attempt.files()));
        let mut intake = Intake::new(options);
        intake.set_spool(spools(shared, generation));
        Ok(LoadWork {
            intake,
            buffer_bytes,
            granted_bytes: 0,
            attempt,
            generation: generation.clone(),
            index: Index::default(),
            source_name: source.name.clone(),
            truncated_is_final: mode.truncated_is_final,
            shared: shared.clone(),
            limits,
            taken_bytes: 0,
            flush_at_bytes: FIRST_EARLY_FLUSH_BYTES,
            arrived: Arrived::default(),
            failed: None,
            first_part: 0,
            published: Published::default(),
        })
    }

    /// From now on what is loaded goes to the bucket as well.
    /// Where its beginning is discarded already there is nothing to publish.
    pub(super) fn publish_to(&mut self, sharing: &Sharing, key: SourceKey, claim: Claim) {
        if self.first_part > 0 {
            return sharing.release(claim);
        }
        self.published.begin(sharing, key, claim, &self.attempt);
    }

    /// What is taken in from now on was put into order before.
    pub(super) fn takes_mended(&mut self) {
        self.published.mended();
    }

    /// Whether it is published.
    pub(super) fn is_published(&self) -> bool {
        self.published.has_begun()
    }

    /// Whether other replicas follow it.
    pub(super) fn is_followed(&self) -> bool {
        self.published.is_followed()
    }

    /// For how long it has to go on for followers of whom it may not know yet.
    pub(super) fn followers_linger(&self) -> Duration {
        self.published.followers_linger()
    }

    /// Tells other replicas of the parts that were closed since.
    fn tell_parts(&mut self) {
        if !self.intake.is_as_it_came() {
            self.published.mended();
        }
        self.published.tell(&self.attempt);
    }

    /// Takes over what whoever loaded the source first has found wrong with it.
    pub(super) fn adopt_problems(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if !self.index.problems.contains(&problem) {
                self.index.problems.push(problem);
            }
        }
    }

    /// Adds bytes of the body to what waits; whether it is worth taking: a chunk is whole, or so
    /// much waits.
    pub(super) fn hold(&mut self, batch: Vec<Bytes>, most_bytes: usize) -> bool {
        self.taken_bytes += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.arrived.extend(batch);
        let missing_bytes = match self.arrived.is_swapped_out() {
            true => 0,
            false => usize::try_from(self.intake.missing_bytes()).unwrap_or(usize::MAX),
        };
        self.arrived.memory_bytes() >= missing_bytes.min(most_bytes)
    }

    /// Takes what waits.
    pub(super) fn take(&mut self) -> Result<Outcome, LoadFault> {
        let outcome = self.go_on()?;
        if !matches!(outcome, Outcome::Done) || self.taken_bytes < self.flush_at_bytes {
            return Ok(outcome);
        }
        // Who waits for the beginning gets it at once, and what follows in larger and larger
        // chunks. Where messages come in disorder, more of it is mended the longer they wait.
        self.flush_at_bytes = match self.flush_at_bytes {
            at if at >= LAST_EARLY_FLUSH_BYTES => u64::MAX,
            at => 2 * at,
        };
        if self.intake.is_in_order() {
            self.intake.flush_early();
        }
        self.publish()
    }

    /// Goes on with what was left over when there was no room.
    pub(super) fn go_on(&mut self) -> Result<Outcome, LoadFault> {
        let mut has_more = self.arrived.swap_in(&mut self.intake)?;
        loop {
            if let Outcome::NoRoom { bytes } = self.publish()? {
                return Ok(Outcome::NoRoom { bytes });
            }
            let pushed = if self.intake.has_more() || std::mem::take(&mut has_more) {
                let bytes = self.intake.working_bytes();
                if bytes > self.granted_bytes {
                    return Ok(Outcome::NoMemory { bytes });
                }
                self.intake.resume()
            } else {
                match self.arrived.next() {
                    Some(bytes) => self.intake.push(bytes),
                    None => return Ok(Outcome::Done),
                }
            };
            if pushed.is_ok()
                && let Some(bytes) = self.intake.missing_room_bytes()
            {
                return Ok(Outcome::NoRoom { bytes });
            }
            match pushed {
                // A chunk that was never closed: what follows is noise, and the end tells.
                Err(error) if self.truncated_is_final && error.is_retryable() => {}
                pushed => self.failed = pushed.err(),
            }
        }
    }

    /// Lets it take this much in memory for a large record.
    pub(super) fn grant(&mut self, bytes: u64) {
        self.granted_bytes = bytes;
    }

    /// Lets go of what can be let go of before a chunk is full.
    pub(super) fn let_go(&mut self) -> Result<Outcome, LoadFault> {
        self.intake.flush_early();
        self.publish()
    }

    /// The same, and closes the part, so that followers see it.
    pub(super) fn flush_early(&mut self) -> Result<Outcome, LoadFault> {
        let outcome = self.let_go()?;
        if matches!(outcome, Outcome::Done) {
            self.attempt.close_part()?;
            self.tell_parts();
        }
        Ok(outcome)
    }

    /// Lets go of all memory but a little.
    pub(super) fn shed(&mut self) -> Result<Outcome, LoadFault> {
        self.intake.shed();
        let outcome = self.publish()?;
        if matches!(outcome, Outcome::Done) && !room::is_tight(&self.shared.store.usage()) {
            self.arrived.swap_out(&mut self.intake, &self.shared.store)?;
        }
        Ok(outcome)
    }

    /// The connection broke; the body comes again from its first byte.
    pub(super) fn restart(&mut self) {
        self.arrived.clear();
        self.intake.restart();
    }

    /// The body ended. Before it comes [`LoadWork::go_on`].
    pub(super) fn finish(&mut self) -> Result<Outcome, LoadFault> {
        let finished = match self.intake.finish() {
            Err(IntakeError::Truncated { .. }) if self.truncated_is_final => {
                self.intake.finish_truncated()
            }
            finished => finished,
        };
        self.failed = finished.err();
        self.publish()
    }

    /// The last byte was verified: stores the index and tells everyone. What cannot be kept for
    /// later is there for those who read it now.
    pub(super) fn complete(mut self) {
        let kept = self.attempt.complete(&self.index);
        if let Err(error) = &kept {
            tracing::warn!(source = %self.source_name, %error, "a complete source cannot be kept");
        }
        let is_kept = kept.is_ok() && self.first_part == 0;
        if let Err(error) = self.published.complete(&self.attempt, self.index, is_kept) {
            tracing::warn!(source = %self.source_name, %error, "a complete source cannot be published");
        }
        self.generation.change(|state| state.phase = Phase::Complete);
    }

    /// About what it holds in memory, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.intake.memory_bytes() + self.arrived.memory_bytes()) as u64
    }

    /// What its sort buffer and the chunk that it builds take at most, in bytes.
    pub(super) fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes
    }

    /// What the record that is arriving will take besides, in bytes.
    pub(super) fn incoming_bytes(&mut self) -> u64 {
        let swapped = self.arrived.swapped_incoming_bytes();
        swapped.unwrap_or_else(|| self.intake.incoming_bytes())
    }

    /// What it holds on disk, in bytes.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.attempt.bytes()
    }

    /// Whether a response cannot go on before there is more.
    pub(super) fn is_waited_for(&self) -> bool {
        self.generation.readers().wait()
    }

    /// When what comes next is due, if a merge takes it apart.
    pub(super) fn next_is_due_after(&self) -> Option<u64> {
        self.generation.is_due_after(self.intake.frontier()?)
    }

    /// Who reads what is loaded.
    pub(super) fn readers(&self) -> Arc<Readers> {
        self.generation.readers().clone()
    }

    /// Discards the parts that every reader has passed and that are in the bucket, if they are to
    /// go there; whether there were any. From then on new viewers get a generation of their own.
    pub(super) fn discard(&mut self, source: &Source) -> Result<bool, StoreError> {
        if self.generation.readers().is_empty() || self.needed_part() <= self.first_part {
            return Ok(false);
        }
        let unsent = self.published.needs_from().unwrap_or(u32::MAX);
        let needed = self.needed_part().min(unsent);
        if needed <= self.first_part {
            return Ok(false);
        }
        // From here on nobody joins who would need more.
        source.retire(&self.generation);
        self.first_part = needed;
        Ok(self.attempt.discard_before(self.first_part)? > 0)
    }

    /// The first part that any reader still needs.
    fn needed_part(&self) -> u32 {
        let needed = self.index.chunks.get(self.generation.readers().needed_from() as usize);
        needed.map_or(self.attempt.part_of_next(), |chunk| chunk.position.part)
    }

    /// Stores what the intake gives and lets the generation grow by it. What does not find room
    /// is left over, and so is the error that came with it.
    fn publish(&mut self) -> Result<Outcome, LoadFault> {
        let before = Grown::of(&self.index);
        let stored = self.store_events();
        self.grow(&before);
        self.tell_parts();
        match stored? {
            Outcome::Done => {
                self.failed.take().map_or(Ok(Outcome::Done), |error| Err(error.into()))
            }
            no_room => Ok(no_room),
        }
    }

    fn store_events(&mut self) -> Result<Outcome, LoadFault> {
        while let Some(event) = self.intake.next_event() {
            let is_tight = matches!(event, IntakeEvent::Chunk { .. })
                && room::is_tight(&self.shared.store.usage());
            if is_tight && !self.is_waited_for() {
                self.intake.put_back(event);
                return Ok(Outcome::NoRoom { bytes: 0 });
            }
            match self.store(&event) {
                // One at a time: it may be all that those who wait need.
                Ok(()) if is_tight => self.generation.readers().go_on(),
                Ok(()) => {}
                Err(StoreError::Full { needed_bytes, .. }) => {
                    self.intake.put_back(event);
                    return Ok(Outcome::NoRoom { bytes: needed_bytes });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Outcome::Done)
    }

    fn grow(&self, before: &Grown) {
        let frontier = self.intake.frontier();
        let index = &self.index;
        self.generation.change(|state| {
            state.profile.clone_from(&index.profile);
            if state.channels.len() != index.channels.len() {
                state.channels.clone_from(&index.channels);
            }
            state.chunks.extend(index.chunks[before.chunks..].iter().map(|chunk| Chunk {
                descriptor: chunk.descriptor.clone(),
                place: Place::Stored(chunk.position),
            }));
            state.metadata.extend_from_slice(&index.metadata[before.metadata..]);
            state.attachments.extend(index.attachments[before.attachments..].iter().map(
                |attachment| Attachment {
                    head: attachment.head.clone(),
                    crc: Some(attachment.crc),
                    place: AttachmentPlace::Stored(attachment.position),
                },
            ));
            if state.problems != index.problems {
                state.problems.clone_from(&index.problems);
            }
            if let (Phase::Loading { frontier: known }, Some(reached)) =
                (&mut state.phase, frontier)
            {
                // Late messages that wait lie before what was promised.
                *known = reached.max(*known);
            }
        });
    }

    /// Whoever takes the chunks of this source apart need not decompress the next one.
    fn hand_over(&self, start: Nanos, records: Bytes) {
        let Some(due) = self.generation.is_due_after(start) else { return };
        let Ok(number) = u32::try_from(self.index.chunks.len()) else { return };
        let open = || OpenChunk::from_records(records, &self.limits).ok();
        self.shared.open_chunks.offer(self.generation.chunk_id(number), due, open);
    }

    /// Keeps what an event brings. After an error it may be repeated.
    fn store(&mut self, event: &IntakeEvent) -> Result<(), StoreError> {
        match event {
            IntakeEvent::Profile(profile) => {
                self.attempt.set_profile(profile);
                self.index.profile.clone_from(profile);
            }
            IntakeEvent::Channel(channel) => {
                self.index.channels.insert(channel.id, channel.clone());
            }
            IntakeEvent::Chunk { chunk, records } => {
                let channels = self.index.channels_of(&chunk.descriptor);
                let position = self.attempt.append_chunk(chunk, &channels)?;
                if let Some(records) = records {
                    self.hand_over(chunk.descriptor.times.start, records.clone());
                }
                let descriptor = Arc::new(chunk.descriptor.clone());
                self.index.chunks.push(IndexedChunk { descriptor, position });
            }
            IntakeEvent::Metadata(metadata) => self.index.metadata.push(metadata.clone()),
            IntakeEvent::Attachment(attachment) => {
                let position = self.attempt.append_attachment(attachment)?;
                let (head, crc) = (attachment.head(), attachment.data_crc());
                self.index.attachments.push(IndexedAttachment { head, crc, position });
            }
            IntakeEvent::Problem(problem) => {
                let source = Some(self.source_name.to_string());
                Problem { source, ..problem.clone() }.add_to(&mut self.index.problems);
            }
        }
        Ok(())
    }
}

/// How a load takes a body in.
pub(super) fn intake_options(shared: &Shared) -> IntakeOptions {
    let mut options = IntakeOptions::default();
    options.limits.max_chunk_bytes = shared.config.max_chunk_bytes;
    options.limits.max_message_bytes = shared.config.max_message_bytes;
    // A small disk has to be filled and emptied in small steps.
    let most = usize::try_from(shared.store.usage().max_bytes / STEPS).unwrap_or(usize::MAX);
    options.chunk_target_bytes = options.chunk_target_bytes.min(most.max(LEAST_CHUNK_BYTES));
    options.sort_buffer_bytes = options.sort_buffer_bytes.min(2 * options.chunk_target_bytes);
    options
}

/// How long an index's lists were.
struct Grown {
    chunks: usize,
    metadata: usize,
    attachments: usize,
}

impl Grown {
    fn of(index: &Index) -> Grown {
        Grown {
            chunks: index.chunks.len(),
            metadata: index.metadata.len(),
            attachments: index.attachments.len(),
        }
    }
}
