//! Looks at one MCAP body while it streams, in bounded memory.
//!
//! [`Examiner`] takes bytes in any split and gathers [`Facts`]: what is wrong with the body, what is
//! in it, and a digest over its messages (channel identity, times, sequence, data) with marks on the
//! way, so that two readings can be compared as far as both came.
//!
//! Invariants: at most one chunk of [`LARGEST_OPENED`] bytes and the definitions of the body are
//! held; every list has a bound; what is in a record that was not opened, or could not be, is told
//! as not looked at.

mod channels;
mod digest;
mod facts;

use std::collections::BTreeSet;

use bytes::Bytes;
use rdl_mcap_io::{
    ChunkRecord, Limits, MessageView, ScanError, ScanEvent, ScannedChunk, Scanner,
    SummaryStatistics,
};
use rdl_model::{Nanos, Problem, ProblemCode};
use rdl_wire::StreamedSource;

pub(crate) use self::channels::Mismatch;
use self::channels::{Channels, Undefined};
pub(crate) use self::digest::{Compared, Marks};
pub(crate) use self::facts::{Balance, Facts, Fault, Noted, Notes};

/// A chunk, as a record or uncompressed, that is larger is not opened.
const LARGEST_OPENED: u64 = 64 << 20;
/// How much of the front and of the end of a file is kept to hold ranges against, in bytes.
pub(crate) const KEPT_BYTES: usize = 64 << 10;

/// What is looked for, and what was found so far.
pub(crate) struct Examiner {
    limits: Limits,
    scanner: Scanner,
    channels: Channels,
    declared: Option<StreamedSource>,
    facts: Facts,
    newest: Option<Nanos>,
    failed: bool,
}

impl Examiner {
    /// At the first byte of a body; a streamed source is held against what it declares, and of a
    /// file so much is kept that its ranges can be held against it.
    pub(crate) fn new(declared: Option<StreamedSource>) -> Examiner {
        let limits = Limits {
            large_chunk_bytes: LARGEST_OPENED,
            max_attachment_bytes: LARGEST_OPENED,
            ..Limits::default()
        };
        Examiner {
            scanner: Scanner::new(limits.clone()),
            channels: Channels::new(declared.as_ref(), limits.max_definitions_bytes),
            limits,
            facts: Facts::new(if declared.is_some() { 0 } else { KEPT_BYTES }),
            declared,
            newest: None,
            failed: false,
        }
    }

    /// Takes the next bytes. False: nothing that comes after them can be read.
    pub(crate) fn push(&mut self, bytes: Bytes) -> bool {
        self.facts.keep(&bytes);
        if self.failed {
            return false;
        }
        self.scanner.push(bytes);
        loop {
            match self.scanner.next_event() {
                Ok(Some(event)) => self.event(event),
                Ok(None) => return !self.failed,
                Err(error) => {
                    self.stop(&error);
                    return false;
                }
            }
            if self.failed {
                return false;
            }
        }
    }

    /// The body ended: what is missing is truncated.
    pub(crate) fn finish(mut self) -> Facts {
        if !self.failed
            && let Err(error) = self.scanner.finish()
        {
            self.stop(&error);
        }
        self.into_facts()
    }

    /// The rest of the body was not read.
    pub(crate) fn into_facts(mut self) -> Facts {
        self.facts.complete = self.scanner.is_complete() && !self.failed;
        let (not_canonical, of) = self.channels.not_canonical();
        (self.facts.not_canonical, self.facts.ids) = (not_canonical, of);
        self.facts.marks.end();
        let declared = self.channels.declared();
        self.facts.reduce(|topic| declared.contains(topic));
        self.facts
    }

    fn stop(&mut self, error: &ScanError) {
        self.failed = true;
        let (fault, at) = match error {
            ScanError::Malformed { position, .. } if !self.facts.has_header => {
                (Fault::NotMcap, *position)
            }
            ScanError::Truncated { position } if !self.facts.has_header => {
                (Fault::NotMcap, *position)
            }
            ScanError::Truncated { position } => (Fault::Incomplete, *position),
            ScanError::Malformed { position, .. } if self.scanner.is_complete() => {
                (Fault::Incomplete, *position)
            }
            // The scanner has no error of its own for what should be the end magic.
            ScanError::Malformed { position, what } if what.contains("end magic") => {
                (Fault::Incomplete, *position)
            }
            ScanError::Malformed { position, .. }
            | ScanError::TooLarge { position, .. }
            | ScanError::UnknownCompression { position, .. } => (Fault::Invalid, *position),
        };
        self.facts.stopped = Some(fault);
        self.facts.fault(fault, Noted::at(at, error.to_string()));
    }

    fn event(&mut self, event: ScanEvent) {
        match event {
            ScanEvent::Header { .. } => self.facts.has_header = true,
            ScanEvent::Schema { id, def } => self.definition(|channels| channels.schema(id, def)),
            ScanEvent::Channel { id, schema_id, def } => {
                self.definition(|channels| channels.channel(id, schema_id, def));
            }
            ScanEvent::Message(message) => {
                self.facts.loose_messages += 1;
                self.message(
                    &MessageView {
                        channel: message.channel,
                        sequence: message.sequence,
                        log_time: message.log_time,
                        publish_time: message.publish_time,
                        data: &message.data,
                    },
                    None,
                );
            }
            ScanEvent::Chunk(chunk) => self.chunk(&chunk),
            ScanEvent::Part(part) => {
                if part.offset == 0 {
                    self.facts.unopened += 1;
                    if part.chunk.is_some() {
                        self.facts.chunk(part.position, part.record_bytes, part.record_bytes);
                    }
                    self.facts.marks.stop();
                }
            }
            ScanEvent::LeftOut { problem, .. } => {
                self.facts.left_out += 1;
                self.facts.marks.stop();
                self.problem(problem);
            }
            ScanEvent::Problem(problem) => self.problem(problem),
            ScanEvent::Statistics(statistics) => self.statistics(&statistics),
            ScanEvent::Metadata(_)
            | ScanEvent::Attachment(_)
            | ScanEvent::AttachmentLeftOut
            | ScanEvent::End => {}
        }
    }

    fn problem(&mut self, problem: Problem) {
        let fault = match problem.code {
            ProblemCode::DamagedChunk
            | ProblemCode::DamagedAttachment
            | ProblemCode::DataSectionCrc
            | ProblemCode::SummaryCrc => Fault::Checksum,
            ProblemCode::SummaryMismatch if problem.message.contains("without an end") => {
                Fault::Incomplete
            }
            // It is only more than is looked at.
            ProblemCode::AttachmentTooLarge => return,
            _ => Fault::Invalid,
        };
        self.facts.fault(fault, Noted::new(problem.message));
    }

    /// Adds a definition; what is wrong with it is noted.
    fn definition(&mut self, add: impl FnOnce(&mut Channels) -> Result<(), Undefined>) {
        if let Err(Undefined { what, is_fatal }) = add(&mut self.channels) {
            self.facts.fault(Fault::Invalid, Noted::new(what));
            if is_fatal {
                self.failed = true;
                self.facts.stopped = Some(Fault::Invalid);
            }
        }
    }

    fn chunk(&mut self, chunk: &ScannedChunk) {
        let record_bytes = chunk.record.len() as u64;
        self.facts.chunk(chunk.position, record_bytes, chunk.records.len() as u64);
        self.facts.without_checksum += u64::from(!chunk.has_checksum());
        let limits = self.limits.clone();
        let mut times: Option<(Nanos, Nanos)> = None;
        for record in chunk.parsed_records(&limits) {
            match record {
                Ok(ChunkRecord::Schema { id, def }) => {
                    self.definition(|channels| channels.schema(id, def));
                }
                Ok(ChunkRecord::Channel { id, schema_id, def }) => {
                    self.definition(|channels| channels.channel(id, schema_id, def));
                }
                Ok(ChunkRecord::Message(message)) => {
                    let time = message.log_time;
                    let (start, end) = times.unwrap_or((time, time));
                    times = Some((start.min(time), end.max(time)));
                    self.message(&message, Some(chunk.position));
                }
                Err(error) => {
                    let what = format!("chunk {}: {error}", chunk.ordinal);
                    self.facts.fault(Fault::Invalid, Noted::at(chunk.position, what));
                    self.facts.half_read += 1;
                    self.facts.marks.stop();
                }
            }
            if self.failed {
                return;
            }
        }
        let claimed = chunk.claimed_times();
        if let Some((start, end)) = times
            && (start < claimed.start || end > claimed.end)
        {
            let what = format!(
                "chunk {} says that its messages lie between {} and {}, and they lie between \
                 {start} and {end}",
                chunk.ordinal, claimed.start, claimed.end
            );
            self.facts.fault(Fault::Invalid, Noted::at(chunk.position, what));
        }
    }

    fn message(&mut self, message: &MessageView<'_>, position: Option<u64>) {
        self.facts.messages += 1;
        let number = self.facts.messages;
        let noted = |what: String| Noted {
            what,
            byte: position,
            message: Some(number),
            time: Some(message.log_time),
            topic: None,
        };
        let Some(channel) = self.channels.of(message.channel) else {
            let what = format!("it is of channel {}, which was never defined", message.channel);
            self.facts.fault(Fault::Invalid, noted(what));
            self.facts.undefined += 1;
            self.facts.marks.message(0, message);
            self.time(message.log_time, noted);
            return;
        };
        self.facts.marks.message(channel.identity, message);
        let topic = self.facts.topics.entry(channel.topic.clone()).or_default();
        topic.messages += 1;
        topic.bytes += message.data.len() as u64;
        let in_topic = |what: String| Noted { topic: Some(channel.topic.clone()), ..noted(what) };
        match &channel.mismatch {
            None => {}
            Some(Mismatch::Undeclared) if topic.messages == 1 => {
                let what = "the manifest does not declare its topic for this source".to_owned();
                self.facts.undeclared.add(in_topic(what));
            }
            Some(Mismatch::Undeclared) => self.facts.undeclared.again(),
            Some(Mismatch::Differs(what)) if !channel.told => {
                self.facts.mismatched.add(in_topic(what.clone()));
                channel.told = true;
            }
            Some(Mismatch::Differs(_)) => {}
        }
        let topic = channel.topic.clone();
        self.time(message.log_time, |what| Noted { topic: Some(topic.clone()), ..noted(what) });
    }

    /// Looks at when a message is.
    fn time(&mut self, time: Nanos, noted: impl Fn(String) -> Noted) {
        if let Some(newest) = self.newest.filter(|newest| time < *newest) {
            let what = format!(
                "it lies {} before the newest message that came before it",
                apart(newest, time)
            );
            self.facts.disorder.add(noted(what));
        }
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        let times = self.facts.times.unwrap_or((time, time));
        self.facts.times = Some((times.0.min(time), times.1.max(time)));
        if let Some(declared) = &self.declared {
            let early = declared.start.filter(|start| time < *start);
            let late = declared.end.filter(|end| time > *end);
            if let Some(start) = early {
                let what =
                    format!("it lies {} before the declared start {start}", apart(start, time));
                self.facts.outside.add(noted(what));
            } else if let Some(end) = late {
                let what = format!("it lies {} after the declared end {end}", apart(time, end));
                self.facts.outside.add(noted(what));
            }
        }
    }

    fn statistics(&mut self, statistics: &SummaryStatistics) {
        let is_known = self.facts.unverified().is_none() && self.facts.half_read == 0;
        if is_known && statistics.message_count != self.facts.messages {
            let what = format!(
                "the statistics count {} messages, and there are {}",
                statistics.message_count, self.facts.messages
            );
            self.facts.fault(Fault::Invalid, Noted::new(what));
        }
        let counted: BTreeSet<u16> = statistics.channel_message_counts.keys().copied().collect();
        let unknown = counted.into_iter().find(|id| self.channels.of(*id).is_none());
        if let Some(id) = unknown.filter(|_| is_known) {
            let what = format!("the statistics count messages of channel {id}, which there is not");
            self.facts.fault(Fault::Invalid, Noted::new(what));
        }
    }
}

/// How far two times lie apart, for people.
fn apart(later: Nanos, earlier: Nanos) -> String {
    let nanos = later.0.saturating_sub(earlier.0);
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} µs", nanos / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        _ => format!("{}.{} s", nanos / 1_000_000_000, nanos / 100_000_000 % 10),
    }
}

#[cfg(test)]
mod tests;
