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

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdl_model::{Nanos, Problem, ProblemCode, TimeRange};
use twox_hash::xxhash3_128::Hasher;

use self::continuity::{Continuity, Once};
use self::definitions::{Defined, Definitions};
pub use self::error::IntakeError;
use self::large::Large;
use self::look::look_through;
use crate::rechunk::{RechunkOptions, Rechunked, Rechunker, WellFormed};
use crate::scan::damaged_chunk;
use crate::walk::{ChunkItem, ChunkItems, ParsedChannel, parse_channel, parse_schema};
use crate::{
    AttachmentRecord, ChannelRecord, ChunkError, Limits, MessageView, MetadataRecord, ScanError,
    ScanEvent, ScannedChunk, Scanner, SchemaDef, SpoolFactory, StoredChunk, SummaryStatistics,
};

/// How much goes uncompressed with the chunks that wait to be taken, in bytes.
const MOST_WAITING_RECORDS_BYTES: usize = 8 << 20;
/// When chunks of so many bytes, uncompressed, wait to be taken, the intake stops.
const PAUSE_BYTES: usize = 4 << 20;

/// The uncompressed sizes between which a chunk may be kept as it came.
const KEPT_BYTES: std::ops::RangeInclusive<usize> = (256 << 10)..=(8 << 20);

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

    /// Whether every message so far came in order of log time.
    pub fn is_in_order(&self) -> bool {
        self.rechunker.is_in_order()
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

    fn take(&mut self, event: ScanEvent) -> Result<(), IntakeError> {
        match event {
            ScanEvent::Header { profile, library: _ } => {
                if !std::mem::replace(&mut self.profile_given, true) {
                    self.events.push_back(IntakeEvent::Profile(profile));
                }
            }
            ScanEvent::Schema { id, def } => {
                self.define_schema(id, def)?;
            }
            ScanEvent::Channel { id, schema_id, def } => {
                self.define_channel(ParsedChannel { id, schema_id, def })?;
            }
            ScanEvent::Message(message) => {
                self.message(&MessageView {
                    channel: message.channel,
                    sequence: message.sequence,
                    log_time: message.log_time,
                    publish_time: message.publish_time,
                    data: &message.data,
                })?;
            }
            ScanEvent::Chunk(chunk) => {
                self.body.chunks += 1;
                self.chunk(chunk)?;
            }
            ScanEvent::Part(part) => self.part(part)?,
            ScanEvent::LeftOut { problem, record } => {
                self.body.chunks += u64::from(problem.code == ProblemCode::DamagedChunk);
                self.leave_out(problem, &record)?;
            }
            ScanEvent::Metadata(metadata) => {
                self.body.metadata += 1;
                self.metadata(metadata)?;
            }
            ScanEvent::Attachment(attachment) => {
                self.body.attachments += 1;
                self.attachment(attachment)?;
            }
            ScanEvent::AttachmentLeftOut => self.body.attachments += 1,
            ScanEvent::Statistics(statistics) => self.compare(&statistics),
            ScanEvent::Problem(problem) => {
                self.body.incomplete |= problem.code == ProblemCode::MalformedRecord;
                self.problem(problem);
            }
            ScanEvent::End => self.continuity.finish()?,
        }
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        if self.problems_given.is_new((problem.code, problem.topic.clone())) {
            self.events.push_back(IntakeEvent::Problem(problem));
        }
    }

    fn leave_out(&mut self, problem: Problem, record: &[u8]) -> Result<(), IntakeError> {
        self.body.incomplete = true;
        self.continuity.left_out(Hasher::oneshot(record))?;
        self.problem(problem);
        Ok(())
    }

    fn metadata(&mut self, metadata: MetadataRecord) -> Result<(), IntakeError> {
        if self.metadata_given.is_new(metadata.clone()) {
            let entries = metadata.metadata.iter().map(|(key, value)| key.len() + value.len() + 64);
            self.definitions.spend((metadata.name.len() + 64 + entries.sum::<usize>()) as u64)?;
            self.events.push_back(IntakeEvent::Metadata(metadata));
        }
        Ok(())
    }

    fn attachment(&mut self, attachment: AttachmentRecord) -> Result<(), IntakeError> {
        let AttachmentRecord { name, media_type, log_time, create_time, data } = &attachment;
        let fields = (name.clone(), media_type.clone(), *log_time, *create_time);
        if self.attachments_given.is_new((fields, Hasher::oneshot(data))) {
            let kept_bytes = attachment.name.len() + attachment.media_type.len() + 64;
            self.definitions.spend(kept_bytes as u64)?;
            self.events.push_back(IntakeEvent::Attachment(attachment));
        }
        Ok(())
    }

    /// Whether the ids in the record are canonical.
    fn define_schema(&mut self, id: u16, def: SchemaDef) -> Result<bool, IntakeError> {
        let defined = self.definitions.schema(id, def)?;
        Ok(self.defined(defined))
    }

    /// Whether the ids in the record are canonical.
    fn define_channel(&mut self, parsed: ParsedChannel) -> Result<bool, IntakeError> {
        let defined = self.definitions.channel(parsed)?;
        Ok(self.defined(defined))
    }

    fn defined(&mut self, defined: Defined) -> bool {
        self.events.extend(defined.new.map(IntakeEvent::Channel));
        if let Some(problem) = defined.problem {
            self.problem(problem);
        }
        defined.canonical
    }

    /// Counts a message and checks it against what was taken before. Its canonical channel when it
    /// is new; `None` when it was taken before or is left out.
    fn count_message(&mut self, message: &MessageView<'_>) -> Result<Option<u16>, IntakeError> {
        let time = TimeRange { start: message.log_time, end: message.log_time };
        self.body.times = Some(self.body.times.map_or(time, |times| times.union(time)));
        self.body.messages += 1;
        let Some(channel) = self.definitions.get(message.channel) else {
            let what = format!(
                "a message at {} names channel {}, which is not defined; it is left out",
                message.log_time, message.channel
            );
            self.leave_out(Problem::new(ProblemCode::MessageWithoutChannel, what), message.data)?;
            return Ok(None);
        };
        channel.messages += 1;
        let new = self.continuity.message(channel.identity, message)?;
        Ok(new.then_some(channel.record.id))
    }

    fn message(&mut self, message: &MessageView<'_>) -> Result<(), IntakeError> {
        match self.count_message(message)? {
            Some(channel) => self.rechunker.message(&MessageView { channel, ..*message }, None),
            None => Ok(()),
        }
    }

    fn chunk(&mut self, chunk: ScannedChunk) -> Result<(), IntakeError> {
        let look = match look_through(&chunk.records, &self.limits) {
            Ok(look) => look,
            Err(ChunkError::TooLarge { what, bytes, limit_bytes }) => {
                let position = chunk.position;
                return Err(ScanError::TooLarge { position, what, bytes, limit_bytes }.into());
            }
            Err(error) => {
                let problem = damaged_chunk(chunk.ordinal, chunk.position, &error.to_string());
                return self.leave_out(problem, &chunk.record);
            }
        };
        let claimed = TimeRange { start: chunk.header.start, end: chunk.header.end };
        let truthful = look.times.is_none_or(|times| times == claimed);
        if !truthful {
            self.problem(header_mismatch(chunk.ordinal, chunk.position));
        }
        let fit = truthful && look.in_order && KEPT_BYTES.contains(&chunk.records.len());
        let ScannedChunk { record, records, header, .. } = chunk;
        // A large chunk that is rewritten need not be in memory twice.
        let record = fit.then_some(record);
        let canonical = self.chunk_messages(&records, fit)?;
        match record {
            Some(record) if canonical && look.times.is_some() => {
                let well_formed = WellFormed::of(&header, &record, records, &self.limits);
                // Looked through before without an error.
                let well_formed =
                    well_formed.map_err(|error| IntakeError::Compress(error.to_string()))?;
                well_formed.map_or(Ok(()), |chunk| self.rechunker.chunk(chunk))
            }
            _ => Ok(()),
        }
    }

    /// Takes the records of a chunk. When it is `fit` to be kept as it came, its messages are held
    /// back as long as its ids turn out to be canonical and each message is new. Whether they all
    /// were.
    fn chunk_messages(&mut self, records: &Bytes, fit: bool) -> Result<bool, IntakeError> {
        let mut canonical = fit;
        let mut held_back = 0;
        for item in ChunkItems::new(records, &self.limits.clone()) {
            // Looked through before; nothing is wrong with any item.
            let Ok((_, item)) = item else { break };
            let mut as_it_came = true;
            let mut taken = None;
            match item {
                ChunkItem::Schema(body) => {
                    if let Ok((id, def)) = parse_schema(body) {
                        as_it_came = self.define_schema(id, def)?;
                    }
                }
                ChunkItem::Channel(body) => {
                    if let Ok(parsed) = parse_channel(body) {
                        as_it_came = self.define_channel(parsed)?;
                    }
                }
                ChunkItem::Message(message) => {
                    let channel = self.count_message(&message)?;
                    as_it_came = channel == Some(message.channel);
                    taken = channel.map(|channel| MessageView { channel, ..message });
                }
            }
            if canonical && !as_it_came {
                canonical = false;
                self.let_go(records, held_back)?;
            }
            match taken {
                Some(_) if canonical => held_back += 1,
                Some(message) => {
                    self.rechunker.message(&message, Some(records))?;
                    self.give_chunks();
                }
                None => {}
            }
        }
        Ok(canonical)
    }

    /// Takes the first `count` messages of a chunk, whose ids are canonical.
    fn let_go(&mut self, records: &Bytes, count: usize) -> Result<(), IntakeError> {
        let messages = ChunkItems::new(records, &self.limits).filter_map(|item| match item {
            Ok((_, ChunkItem::Message(message))) => Some(message),
            _ => None,
        });
        for message in messages.take(count) {
            self.rechunker.message(&message, Some(records))?;
        }
        Ok(())
    }

    /// Holds the statistics in the summary against what this body was found to have.
    fn compare(&mut self, claimed: &SummaryStatistics) {
        if self.body.incomplete {
            return;
        }
        let body = &self.body;
        let times = body.times.unwrap_or(TimeRange { start: Nanos(0), end: Nanos(0) });
        let counts = &claimed.channel_message_counts;
        let counted = |id: u16| counts.get(&id).copied().unwrap_or(0);
        let pairs = [
            ("messages", claimed.message_count, body.messages),
            ("chunks", u64::from(claimed.chunk_count), body.chunks),
            ("attachments", u64::from(claimed.attachment_count), body.attachments),
            ("metadata records", u64::from(claimed.metadata_count), body.metadata),
            ("as least log time", claimed.start.0, times.start.0),
            ("as greatest log time", claimed.end.0, times.end.0),
        ];
        let wrong = pairs.iter().find(|(_, claimed, found)| claimed != found);
        let what = match wrong {
            Some((what, claimed, found)) => {
                format!("the summary claims {claimed} {what}, and there are {found}")
            }
            None if !counts.is_empty()
                && self.definitions.counts().any(|(id, found)| counted(id) != found) =>
            {
                "the summary claims other numbers of messages by channel than there are".to_owned()
            }
            None => return,
        };
        self.problem(Problem::new(ProblemCode::SummaryMismatch, what));
    }
}

fn header_mismatch(ordinal: u64, position: u64) -> Problem {
    let what = format!(
        "the header of chunk {ordinal} at byte {position} claims other times than its messages have"
    );
    Problem::new(ProblemCode::ChunkHeaderMismatch, what)
}

#[cfg(test)]
mod tests;
