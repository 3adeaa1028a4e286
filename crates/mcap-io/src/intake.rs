//! A streamed source, from the bytes of its body to chunks that can be kept.
//!
//! The interface of this crate to a load: [`Scanner`] finds the records, [`Definitions`] gives
//! their ids a meaning, [`Continuity`] watches over restarts, and the rechunker makes chunks of
//! the messages. Push bytes, then drain the events.
//!
//! Invariants: what was given out is never taken back or given out again, however often the body
//! breaks off and starts anew. Bad data ends in an event or in an error, never in silence. Memory:
//! one record of at most [`Limits::large_chunk_bytes`], or one message of a larger one, and what
//! the rechunker holds, whatever the input says.

mod continuity;
mod definitions;
mod error;
mod large;
mod look;
mod records;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdl_model::{Nanos, Problem, ProblemCode, TimeRange};

use self::continuity::{Continuity, Once};
use self::definitions::Definitions;
pub use self::error::IntakeError;
use self::large::Large;
use crate::rechunk::{RechunkOptions, Rechunked, Rechunker};
use crate::{
    AttachmentRecord, ChannelRecord, Limits, MetadataRecord, ScanError, Scanner, SpoolFactory,
    StoredChunk,
};

/// How much goes uncompressed with the chunks that wait to be taken, in bytes.
const MOST_WAITING_RECORDS_BYTES: usize = 8 << 20;
/// When chunks of so many bytes, uncompressed, wait to be taken, the intake stops.
const PAUSE_BYTES: usize = 4 << 20;

/// How a body is taken in.
#[derive(Clone, Debug)]
pub struct IntakeOptions {
    /// What is the most that is accepted.
    pub limits: Limits,
    /// How many bytes of messages may wait to be sorted.
    pub sort_buffer_bytes: usize,
    /// How large a new chunk is, uncompressed, in bytes. A single larger message gets its own.
    pub chunk_target_bytes: usize,
    /// How far behind the newest message [`Intake::flush_early`] lets go.
    pub sort_window: Duration,
}

impl Default for IntakeOptions {
    fn default() -> IntakeOptions {
        IntakeOptions {
            limits: Limits::default(),
            sort_buffer_bytes: 4 << 20,
            chunk_target_bytes: 2 << 20,
            sort_window: Duration::from_secs(1),
        }
    }
}

/// What an intake gives out, in order.
#[derive(Clone, Debug)]
pub enum IntakeEvent {
    /// The profile in the header; empty when it has none.
    Profile(String),
    /// A channel under its canonical id, before the first chunk that uses it.
    Channel(Arc<ChannelRecord>),
    /// A chunk to keep.
    Chunk {
        /// In the form in which it is kept.
        chunk: StoredChunk,
        /// Its uncompressed records, for [`crate::OpenChunk::from_records`]; `None` where many
        /// chunks came of one, and their records would be too much.
        records: Option<Bytes>,
    },
    /// A metadata record.
    Metadata(MetadataRecord),
    /// An attachment.
    Attachment(AttachmentRecord),
    /// Something is wrong with the data; the source is left open.
    Problem(Problem),
}

/// Takes in one streamed source.
pub struct Intake {
    limits: Limits,
    body: Body,
    profile_given: bool,
    definitions: Definitions,
    continuity: Continuity,
    rechunker: Rechunker,
    problems_given: Once<(ProblemCode, Option<String>)>,
    metadata_given: Once<MetadataRecord>,
    /// Told apart by what they say and a hash of their data.
    attachments_given: Once<((String, String, Nanos, Nanos), u128)>,
    events: VecDeque<IntakeEvent>,
    /// What was given out as chunks since the events were last drained.
    waiting_records_bytes: usize,
    make_spool: Option<SpoolFactory>,
    /// Whether it stopped before it had taken all that it could.
    is_paused: bool,
}

/// What starts anew with every body.
struct Body {
    scanner: Scanner,
    large: Option<Large>,
    chunks: u64,
    messages: u64,
    times: Option<TimeRange>,
    attachments: u64,
    metadata: u64,
    /// Whether something was left out, so that the statistics cannot be compared.
    incomplete: bool,
    /// Once it has failed it stays so.
    failed: Option<IntakeError>,
}

impl Body {
    fn new(limits: &Limits) -> Body {
        Body {
            scanner: Scanner::new(limits.clone()),
            large: None,
            chunks: 0,
            messages: 0,
            times: None,
            attachments: 0,
            metadata: 0,
            incomplete: false,
            failed: None,
        }
    }
}

impl Intake {
    /// An intake at the first byte of a body.
    pub fn new(options: IntakeOptions) -> Intake {
        let IntakeOptions { limits, sort_buffer_bytes, chunk_target_bytes, sort_window } = options;
        Intake {
            body: Body::new(&limits),
            profile_given: false,
            definitions: Definitions::new(limits.max_definitions_bytes),
            continuity: Continuity::new(),
            problems_given: Once::new(),
            metadata_given: Once::new(),
            attachments_given: Once::new(),
            events: VecDeque::new(),
            waiting_records_bytes: 0,
            make_spool: None,
            is_paused: false,
            rechunker: Rechunker::new(RechunkOptions {
                limits: limits.clone(),
                sort_buffer_bytes,
                chunk_target_bytes,
                sort_window,
            }),
            limits,
        }
    }

    /// Gives it the spools for large records, which are refused without.
    pub fn set_spool(&mut self, make: SpoolFactory) {
        self.make_spool = Some(make);
    }

    /// Takes the next bytes of the body. After an error only [`Intake::restart`] helps.
    ///
    /// It stops where much waits to be drained: see [`Intake::has_more`].
    ///
    /// # Errors
    ///
    /// When the body cannot be taken in any further.
    pub fn push(&mut self, bytes: Bytes) -> Result<(), IntakeError> {
        self.body.scanner.push(bytes);
        self.resume()
    }

    /// Goes on where it stopped.
    ///
    /// # Errors
    ///
    /// As those of [`Intake::push`].
    pub fn resume(&mut self) -> Result<(), IntakeError> {
        self.is_paused = false;
        self.guarded(|intake| intake.scan(PAUSE_BYTES))
    }

    /// Whether it stopped before it had taken all that it could: drain the events, and
    /// [`Intake::resume`].
    pub fn has_more(&self) -> bool {
        self.is_paused && self.body.failed.is_none()
    }

    /// What it will take in memory, while it goes on with a large record, in bytes.
    pub fn working_bytes(&self) -> u64 {
        self.body.large.as_ref().map_or(0, Large::working_bytes)
    }

    /// When it stopped because its spool is full: what that lacks at least, in bytes.
    pub fn missing_room_bytes(&self) -> Option<u64> {
        self.body.large.as_ref().and_then(Large::missing_room_bytes)
    }

    /// What it holds in memory between two calls, in bytes, but for definitions.
    pub fn memory_bytes(&self) -> usize {
        let events: usize = self.waiting_chunks().map(|chunk| chunk.bytes.len()).sum();
        let large = self.body.large.as_ref().map_or(0, Large::memory_bytes);
        self.body.scanner.memory_bytes() + self.rechunker.memory_bytes() + large + events
    }

    /// What the record that is arriving will take in memory until it is taken in, in bytes.
    pub fn incoming_bytes(&mut self) -> u64 {
        self.body.scanner.incoming_bytes()
    }

    /// How much more of the body it needs before it can go on, in bytes; 0 where whatever comes
    /// next brings it on.
    pub fn missing_bytes(&mut self) -> u64 {
        self.body.scanner.missing_bytes()
    }

    /// Whether every message so far came in order of log time.
    pub fn is_in_order(&self) -> bool {
        self.rechunker.is_in_order()
    }

    /// Whether what it has given out has the messages of the body as they came: all of them, and
    /// in their order.
    pub fn is_as_it_came(&self) -> bool {
        self.is_in_order() && !self.body.incomplete
    }

    /// Gives out everything that waits to be sorted, and gives its memory back. What comes later
    /// and lies at most the sort window behind is in its place all the same. An error is kept and
    /// comes with the next call that can return one.
    pub fn shed(&mut self) {
        if self.body.failed.is_none() {
            // Kept in `failed`.
            let _ = self.guarded(|intake| intake.rechunker.shed());
        }
    }

    /// Takes out the beginning of the record that is arriving, for somebody else to keep;
    /// [`Intake::swap_in`] puts it back, before anything else is called.
    pub fn swap_out(&mut self) -> Option<Bytes> {
        Some(self.body.scanner.swap_out()).filter(|bytes| !bytes.is_empty())
    }

    /// Puts back what [`Intake::swap_out`] took.
    pub fn swap_in(&mut self, bytes: Bytes) {
        self.body.scanner.swap_in(bytes);
    }

    /// The next event. Drain them after every other call.
    pub fn next_event(&mut self) -> Option<IntakeEvent> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.waiting_records_bytes = 0;
        }
        event
    }

    /// Puts back the event that [`Intake::next_event`] gave last.
    pub fn put_back(&mut self, event: IntakeEvent) {
        self.events.push_front(event);
    }

    /// Gives out as chunks what lies at least the sort window of log time behind the newest
    /// message. An error is kept and comes with the next call that can return one.
    pub fn flush_early(&mut self) {
        if self.body.failed.is_none() {
            // Kept in `failed`.
            let _ = self.guarded(|intake| intake.rechunker.flush_early());
        }
    }

    /// Ends the body, of which there is no more: [`IntakeError::Truncated`] unless its end magic was
    /// met; otherwise gives out everything that is left.
    pub fn finish(&mut self) -> Result<(), IntakeError> {
        self.guarded(|intake| {
            intake.scan(usize::MAX)?;
            intake.body.scanner.finish()?;
            intake.rechunker.finish()
        })
    }

    /// Ends a body that is known to be truncated: gives out what is intact of it, with a problem.
    pub fn finish_truncated(&mut self) -> Result<(), IntakeError> {
        // Kept in `failed`.
        let _ = self.guarded(|intake| intake.scan(usize::MAX));
        self.body.failed.take_if(|error| error.is_retryable());
        let truncated = self.body.scanner.finish();
        self.guarded(|intake| {
            if let Err(error) = truncated {
                let ScanError::Truncated { position } = error else { return Err(error.into()) };
                let what = format!(
                    "the file ends at byte {position} without its footer; what came before is served, and what was to follow is lost"
                );
                intake.problem(Problem::new(ProblemCode::TruncatedFile, what));
            }
            intake.continuity.finish()?;
            intake.rechunker.finish()
        })
    }

    /// The body broke off and comes again from its first byte. What was taken before is skipped,
    /// and must be the same.
    pub fn restart(&mut self) {
        self.body = Body::new(&self.limits);
        self.is_paused = false;
        self.definitions.restart();
        self.continuity.restart();
        self.problems_given.restart();
        self.metadata_given.restart();
        self.attachments_given.restart();
    }

    /// No chunk that is still to come has a message before this time, but for those that a
    /// late-messages problem counts. `None` before the first message.
    pub fn frontier(&self) -> Option<Nanos> {
        let chunks = self.waiting_chunks().map(|chunk| chunk.descriptor.times.start);
        self.rechunker.frontier().map(|frontier| chunks.fold(frontier, Nanos::min))
    }

    /// The chunks among the events that nobody has taken yet.
    fn waiting_chunks(&self) -> impl Iterator<Item = &StoredChunk> {
        self.events.iter().filter_map(|event| match event {
            IntakeEvent::Chunk { chunk, .. } => Some(chunk),
            _ => None,
        })
    }

    /// How many messages were taken, at the furthest point that any body reached.
    pub fn messages_taken(&self) -> u64 {
        self.continuity.messages_taken()
    }

    /// Whether the end magic was met.
    pub fn is_complete(&self) -> bool {
        self.body.failed.is_none() && self.body.scanner.is_complete()
    }

    /// Runs `action` unless the body has failed; keeps its error, gives out what it made, and
    /// promises the frontier.
    fn guarded(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<(), IntakeError>,
    ) -> Result<(), IntakeError> {
        if let Some(error) = &self.body.failed {
            return Err(error.clone());
        }
        let result = action(self);
        if let Err(error) = &result {
            self.body.failed = Some(error.clone());
        }
        self.give_chunks();
        self.rechunker.promise();
        result
    }

    /// Takes what has arrived, until chunks of `pause_bytes` wait.
    fn scan(&mut self, pause_bytes: usize) -> Result<(), IntakeError> {
        loop {
            if !self.go_on_with_large()? {
                let Some(event) = self.body.scanner.next_event()? else {
                    self.is_paused = false;
                    return Ok(());
                };
                self.take(event)?;
            }
            self.give_chunks();
            self.is_paused |= self.waiting_records_bytes >= pause_bytes;
            if self.is_paused && (pause_bytes < usize::MAX || self.missing_room_bytes().is_some()) {
                return Ok(());
            }
        }
    }

    fn give_chunks(&mut self) {
        while let Some(made) = self.rechunker.next() {
            self.events.push_back(match made {
                Rechunked::Chunk(chunk, records) => {
                    self.waiting_records_bytes +=
                        records.as_ref().map_or(chunk.bytes.len(), Bytes::len);
                    let few = self.waiting_records_bytes <= MOST_WAITING_RECORDS_BYTES;
                    IntakeEvent::Chunk { chunk, records: records.filter(|_| few) }
                }
                Rechunked::Problem(problem) => IntakeEvent::Problem(problem),
            });
        }
    }
}

#[cfg(test)]
mod tests;
