//! How far a file is intact that has no usable summary: it was cut off, or is still being written.
//!
//! [`PrefixScan`] takes the file's bytes in order and remembers, after every whole record, how far
//! it came and the hash of what no segment has yet. What comes after the last whole record, and
//! damaged chunks with nothing good behind them, are not in it: they may become something else yet.
//! A scan of a file that has grown goes on where it stopped. What is intact is published in segments
//! ([`segment`]), which never change.
//!
//! Memory: a chunk as it lies in the file and uncompressed, and the schemas and channels.

mod chunk;
mod segment;
mod state;

use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{
    ChannelDef, ChannelRecord, Limits, RecordPart, ScanError, ScanEvent, Scanner, SchemaDef,
};
use rdl_model::{Nanos, Problem, ProblemCode, TimeRange};
use sha2::{Digest as _, Sha256};

use self::chunk::{ChunkRecord, records};
pub(crate) use self::segment::{Front, Prefix, Segment, Segments, Version, segments_bytes};
pub(crate) use self::state::State;
use crate::contents::{Contents, Serving, topics_of};

/// Chunks larger than this, as records or uncompressed, are passed over, in bytes.
const LOOKED_INTO_BYTES: u64 = 64 << 20;
/// What a file's magic and header may take, in bytes.
const MAX_HEAD_BYTES: u64 = 1 << 20;
/// How much before the end is compared when a file has grown, in bytes.
pub(crate) const COMPARED_BYTES: usize = 4096;
/// How many problems of one file are told.
const MAX_PROBLEMS: usize = 10;
/// Opcode, length, least and greatest time of a chunk.
const CHUNK_TIMES_END: usize = 1 + 8 + 8 + 8;

/// Reads a file as far as it is intact. Push bytes in order, then finish.
pub(crate) struct PrefixScan {
    scanner: Scanner,
    limits: Limits,
    /// What the scanner's positions lack to be positions in the file.
    offset: u64,
    /// As far as everything was looked at, for good if it turns out intact.
    ahead: State,
    intact: State,
    /// The first bytes, until the first whole record ends.
    head: Vec<u8>,
    /// The hash of what no segment has so far, how many bytes there are, and the last of them.
    hash: Sha256,
    hashed: u64,
    recent: Vec<u8>,
    /// The same at the end of the last whole record.
    reached: (Sha256, u64, Vec<u8>),
    /// Something damaged came, and nothing good since.
    is_doubtful: bool,
    /// The times of a chunk that is too large, as far as they arrived.
    large_front: Vec<u8>,
    ended: Option<ScanError>,
}

impl PrefixScan {
    pub(crate) fn new() -> PrefixScan {
        PrefixScan::looking_into(LOOKED_INTO_BYTES)
    }

    /// One that looks into chunks up to this size.
    fn looking_into(bytes: u64) -> PrefixScan {
        let limits = Limits { large_chunk_bytes: bytes, ..Limits::default() };
        PrefixScan {
            scanner: Scanner::new(limits.clone()),
            limits,
            offset: 0,
            ahead: State::default(),
            intact: State::default(),
            head: Vec::new(),
            hash: Sha256::new(),
            hashed: 0,
            recent: Vec::new(),
            reached: (Sha256::new(), 0, Vec::new()),
            is_doubtful: false,
            large_front: Vec::new(),
            ended: None,
        }
    }

    /// A scan that has read what `state` is of. The next bytes are those behind it.
    pub(crate) fn resumed(state: &State) -> PrefixScan {
        let mut scan = PrefixScan::new();
        scan.scanner.push(state.head.clone());
        scan.drain(&mut Bytes::new());
        scan.offset = state.bytes - state.head.len() as u64;
        scan.hashed = state.bytes;
        scan.hash = state.hash.clone();
        scan.recent.clone_from(&state.recent);
        scan.reached = (state.hash.clone(), state.bytes, state.recent.clone());
        scan.ahead = state.clone();
        scan.intact = state.clone();
        scan
    }

    /// Takes the next bytes. Says whether more of them can matter.
    pub(crate) fn push(&mut self, bytes: &Bytes) -> bool {
        if self.ended.is_some() || self.scanner.is_complete() {
            return false;
        }
        let is_head = self.intact.bytes == 0 && self.head.len() as u64 == self.hashed;
        if is_head && self.hashed < MAX_HEAD_BYTES {
            self.head.extend_from_slice(bytes);
        }
        self.scanner.push(bytes.clone());
        let mut rest = bytes.clone();
        self.drain(&mut rest);
        self.reach(self.scanner.intact_bytes() + self.offset, &mut rest);
        self.hash(&rest);
        if !self.is_doubtful || self.scanner.is_complete() {
            self.keep();
        }
        self.ended.is_none() && !self.scanner.is_complete()
    }

    /// A whole record ends at `end`, in what was hashed or in `rest`, which is to be hashed yet.
    fn reach(&mut self, end: u64, rest: &mut Bytes) {
        let more = usize::try_from(end.saturating_sub(self.hashed)).unwrap_or(usize::MAX);
        let whole = rest.split_to(more.min(rest.len()));
        self.hash(&whole);
        // An end before these bytes was reached when the bytes before it were taken.
        if end > self.reached.1 && end == self.hashed {
            self.reached = (self.hash.clone(), end, self.recent.clone());
        }
    }

    /// All that was reached is intact.
    fn keep(&mut self) {
        if self.reached.1 <= self.intact.bytes {
            return;
        }
        if self.intact.bytes == 0 {
            let head = std::mem::take(&mut self.head);
            let length = head_bytes(&head).unwrap_or(0);
            self.ahead.head = Bytes::copy_from_slice(&head[..length]);
        }
        let (hash, end, recent) = &self.reached;
        self.ahead.bytes = *end;
        self.ahead.hash.clone_from(hash);
        self.ahead.recent.clone_from(recent);
        self.intact = self.ahead.clone();
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.hashed += bytes.len() as u64;
        let last = &bytes[bytes.len().saturating_sub(COMPARED_BYTES)..];
        self.recent.extend_from_slice(last);
        let surplus = self.recent.len().saturating_sub(COMPARED_BYTES);
        self.recent.drain(..surplus);
    }

    /// Takes what has arrived, of which `rest` is not hashed yet.
    fn drain(&mut self, rest: &mut Bytes) {
        loop {
            match self.scanner.next_event() {
                Ok(Some(event)) => {
                    if let ScanEvent::LeftOut { record, .. } = &event
                        && !self.is_doubtful
                    {
                        // What is before it is good whatever becomes of it.
                        let end = self.scanner.intact_bytes() + self.offset;
                        self.reach(end.saturating_sub(record.len() as u64), rest);
                        self.keep();
                    }
                    self.take(event);
                }
                Ok(None) => return,
                Err(error) => {
                    self.ended = Some(moved(error, self.offset));
                    return;
                }
            }
            if self.ahead.definitions_bytes > self.limits.max_definitions_bytes {
                self.ended = Some(ScanError::TooLarge {
                    position: self.scanner.intact_bytes(),
                    what: "what its schemas and channels take together",
                    bytes: self.ahead.definitions_bytes,
                    limit_bytes: self.limits.max_definitions_bytes,
                });
                return;
            }
        }
    }

    fn take(&mut self, event: ScanEvent) {
        match event {
            ScanEvent::Schema { id, def } => self.schema(id, def),
            ScanEvent::Channel { id, schema_id, def } => self.channel(id, schema_id, def),
            ScanEvent::Message(message) => {
                let times = TimeRange { start: message.log_time, end: message.log_time };
                self.ahead.tail.uses(message.channel);
                self.run(1, times, |_| 1);
                self.is_doubtful = false;
            }
            ScanEvent::Chunk(chunk) => self.chunk(&chunk.records),
            ScanEvent::Part(part) => self.large(&part),
            ScanEvent::LeftOut { problem, .. } => {
                self.is_doubtful = true;
                self.problem(problem.message);
            }
            // A scan that goes on has not seen all that these are of.
            ScanEvent::Problem(Problem {
                code: ProblemCode::DataSectionCrc | ProblemCode::SummaryMismatch,
                ..
            }) if self.offset > 0 => {}
            ScanEvent::Problem(problem) => self.problem(problem.message),
            ScanEvent::Metadata(_) | ScanEvent::Attachment(_) | ScanEvent::AttachmentLeftOut => {
                self.ahead.tail.has_more = true;
            }
            ScanEvent::Header { .. } | ScanEvent::Statistics(_) | ScanEvent::End => {}
        }
    }

    fn schema(&mut self, id: u16, def: SchemaDef) {
        if self.ahead.schemas.get(&id).is_none_or(|known| **known != def) {
            let bytes = def.name.len() + def.encoding.len() + def.data.len();
            self.ahead.definitions_bytes += bytes as u64;
            // What was sliced from a chunk would keep all of it.
            let data = Bytes::copy_from_slice(&def.data);
            Arc::make_mut(&mut self.ahead.schemas).insert(id, Arc::new(SchemaDef { data, ..def }));
        }
    }

    fn channel(&mut self, id: u16, schema_id: u16, def: ChannelDef) {
        let state = &mut self.ahead;
        let known = state.channels.get(&id);
        let is_same = known.is_some_and(|known| known.schema_id == schema_id && *known.def == def);
        state.tail.defines(id, schema_id, known.filter(|_| !is_same), &state.schemas);
        if !is_same {
            let texts = def.metadata.iter().map(|(key, value)| key.len() + value.len());
            let bytes = def.topic.len() + def.message_encoding.len() + texts.sum::<usize>();
            let bytes = bytes + size_of::<ChannelDef>();
            state.definitions_bytes += bytes as u64;
            let record = ChannelRecord { id, schema_id, def: Arc::new(def) };
            Arc::make_mut(&mut state.channels).insert(id, record);
        }
    }

    fn chunk(&mut self, bytes: &Bytes) {
        self.is_doubtful = false;
        let mut times: Option<TimeRange> = None;
        let mut log_times = Vec::new();
        for record in records(bytes) {
            match record {
                ChunkRecord::Schema(id, def) => self.schema(id, def),
                ChunkRecord::Channel(id, schema_id, def) => self.channel(id, schema_id, def),
                ChunkRecord::Message(channel, time) => {
                    self.ahead.tail.uses(channel);
                    let this = TimeRange { start: time, end: time };
                    times = Some(times.map_or(this, |times| times.union(this)));
                    log_times.push(time);
                }
            }
        }
        if let Some(times) = times {
            self.run(log_times.len() as u64, times, |newest| {
                log_times.iter().filter(|time| **time < newest).count() as u64
            });
        }
    }

    /// A run of messages that the loader sorts among themselves.
    fn run(&mut self, messages: u64, times: TimeRange, earlier: impl Fn(Nanos) -> u64) {
        let state = &mut self.ahead;
        if let Some(before) = state.times
            && times.start < before.end
        {
            state.late += earlier(before.end);
            state.latest_nanos = state.latest_nanos.max(before.end.0 - times.start.0);
        }
        state.messages += messages;
        state.tail.adds(messages, times);
        state.times = Some(state.times.map_or(times, |before| before.union(times)));
    }

    /// Of what is too large only the times are read that its header claims.
    fn large(&mut self, part: &RecordPart) {
        if part.offset == 0 {
            self.large_front.clear();
        }
        let missing = CHUNK_TIMES_END.saturating_sub(self.large_front.len());
        self.large_front.extend_from_slice(&part.bytes[..missing.min(part.bytes.len())]);
        if !part.is_last() || part.chunk.is_none() {
            return;
        }
        let time = |at: usize| {
            let bytes = self.large_front.get(at..at + 8)?;
            Some(Nanos(u64::from_le_bytes(bytes.try_into().ok()?)))
        };
        if let (Some(start), Some(end)) = (time(9), time(17))
            && start <= end
        {
            self.run(1, TimeRange { start, end }, |_| 0);
        }
        self.ahead.passed_over += 1;
        self.ahead.tail.is_opaque = true;
        self.is_doubtful = false;
    }

    fn problem(&mut self, mut message: String) {
        if self.offset > 0 {
            // Its numbers count from where the scan went on.
            message = "something in what was added is damaged and left out".to_owned();
        }
        if self.ahead.problems.len() < MAX_PROBLEMS {
            self.ahead.problems.push(message);
        }
    }

    /// What was found in a file of `file_bytes`.
    pub(crate) fn finish(mut self, file_bytes: u64) -> Contents {
        let state = self.intact;
        if state.bytes == 0 {
            return Contents::unusable(match &self.ended {
                Some(error) => format!("it is not MCAP: {error}"),
                None => "it has not even a whole MCAP header yet".to_owned(),
            });
        }
        if state.messages == 0 {
            return Contents::unusable(match &self.ended {
                Some(error) => format!("no message in it can be read: {error}"),
                None => "it has no whole chunk and no message yet".to_owned(),
            });
        }
        let mut problems = state.problems.clone();
        if !self.scanner.is_complete() {
            let lost = file_bytes.saturating_sub(state.bytes);
            problems.push(match self.ended.take() {
                Some(ScanError::Truncated { .. }) | None => format!(
                    "it has no end: it was cut off, or is still being written; intact up to byte \
                     {}, without the last {lost} bytes",
                    state.bytes
                ),
                Some(error) => format!(
                    "it is damaged ({error}); served up to byte {}, without the last {lost} bytes",
                    state.bytes
                ),
            });
        }
        if state.late > 0 {
            problems.push(format!(
                "messages behind a chunk with newer ones: {}, late by up to {:.3} s; the loader \
                 sorts what is within its reach and reports the rest",
                state.late,
                std::time::Duration::from_nanos(state.latest_nanos).as_secs_f64()
            ));
        }
        if state.passed_over > 0 {
            problems.push(format!(
                "{} chunks of more than {} MiB were not looked into: topics that are only there \
                 are missing",
                state.passed_over,
                LOOKED_INTO_BYTES >> 20
            ));
        }
        Contents {
            times: state.times,
            topics: topics_of(state.channels.values(), &state.schemas).into(),
            problems,
            serving: Serving::Prefix(Prefix::new(state, self.scanner.is_complete())),
        }
    }
}

/// A hash as it stands in an id: its first half, in hex.
pub(crate) fn words(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The same with positions that count from the start of the file.
fn moved(mut error: ScanError, offset: u64) -> ScanError {
    match &mut error {
        ScanError::Truncated { position }
        | ScanError::Malformed { position, .. }
        | ScanError::TooLarge { position, .. }
        | ScanError::UnknownCompression { position, .. } => *position += offset,
    }
    error
}

/// How long magic and header are together, when they are all there.
fn head_bytes(front: &[u8]) -> Option<usize> {
    let length = front.get(9..17)?.try_into().ok().map(u64::from_le_bytes)?;
    let end = usize::try_from(length).ok()?.checked_add(17)?;
    (end <= front.len()).then_some(end)
}

#[cfg(test)]
mod tests;
