//! What each record of a body is for, and what it says about the others.
//!
//! The messages of a chunk are held back while the chunk may still be kept as it came; the first
//! sign that it cannot be lets them go to the rechunker one by one.

use bytes::Bytes;
use rdl_model::{Nanos, Problem, ProblemCode, TimeRange};
use twox_hash::xxhash3_128::Hasher;

use super::definitions::Defined;
use super::look::look_through;
use super::{Intake, IntakeError, IntakeEvent};
use crate::rechunk::WellFormed;
use crate::scan::damaged_chunk;
use crate::walk::{ChunkItem, ChunkItems, ParsedChannel, parse_channel, parse_schema};
use crate::{
    AttachmentRecord, ChunkError, MessageView, MetadataRecord, ScanError, ScanEvent, ScannedChunk,
    SchemaDef, SummaryStatistics,
};

/// The uncompressed sizes between which a chunk may be kept as it came.
const KEPT_BYTES: std::ops::RangeInclusive<usize> = (256 << 10)..=(8 << 20);

impl Intake {
    pub(super) fn take(&mut self, event: ScanEvent) -> Result<(), IntakeError> {
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

    pub(super) fn problem(&mut self, problem: Problem) {
        if self.problems_given.is_new((problem.code, problem.topic.clone())) {
            self.events.push_back(IntakeEvent::Problem(problem));
        }
    }

    pub(super) fn leave_out(&mut self, problem: Problem, record: &[u8]) -> Result<(), IntakeError> {
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
    pub(super) fn define_schema(&mut self, id: u16, def: SchemaDef) -> Result<bool, IntakeError> {
        let defined = self.definitions.schema(id, def)?;
        Ok(self.defined(defined))
    }

    /// Whether the ids in the record are canonical.
    pub(super) fn define_channel(&mut self, parsed: ParsedChannel) -> Result<bool, IntakeError> {
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
    pub(super) fn count_message(
        &mut self,
        message: &MessageView<'_>,
    ) -> Result<Option<u16>, IntakeError> {
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

    pub(super) fn message(&mut self, message: &MessageView<'_>) -> Result<(), IntakeError> {
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

pub(super) fn header_mismatch(ordinal: u64, position: u64) -> Problem {
    let what = format!(
        "the header of chunk {ordinal} at byte {position} claims other times than its messages have"
    );
    Problem::new(ProblemCode::ChunkHeaderMismatch, what)
}
