//! Messages under canonical ids in, chunks of a good size in a good order out.
//!
//! Stands between the intake, which knows what a body says, and the disk store. Messages wait in a
//! bounded sort buffer; the oldest leave it as LZ4 chunks that hold Message records only. A chunk
//! that is already as it should be is held back until what follows shows that nothing earlier
//! comes, and then leaves as it came.
//!
//! Invariants: the chunks in the order in which they leave, stably merged by log time, are the
//! stable sort of the messages in the order in which they came. What was promised by
//! [`Rechunker::promise`] holds: whatever leaves later lies at or after that time, but for the
//! chunks that a late-messages problem counts. Memory: the sort buffer, as much again for late
//! messages, and one chunk.

mod sort_buffer;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use rdl_model::{Nanos, Problem, ProblemCode, TimeRange};

use self::sort_buffer::SortBuffer;
use crate::describe::describe;
use crate::walk::{ChunkHeader, ChunkItem, ChunkItems, RECORD_HEADER_BYTES};
use crate::{ChunkBuilder, ChunkError, Compression, IntakeError, Limits, MessageView, StoredChunk};

/// How the rechunker sorts and cuts.
#[derive(Clone, Debug)]
pub(crate) struct RechunkOptions {
    pub(crate) limits: Limits,
    pub(crate) sort_buffer_bytes: usize,
    pub(crate) chunk_target_bytes: usize,
    pub(crate) sort_window: Duration,
}

/// What leaves the rechunker.
pub(crate) enum Rechunked {
    /// A chunk, and its uncompressed records unless it is itself uncompressed.
    Chunk(StoredChunk, Option<Bytes>),
    Problem(Problem),
}

/// A chunk of the input whose ids are canonical, whose messages are in order and whose header
/// tells the truth.
pub(crate) struct WellFormed {
    pub(crate) chunk: StoredChunk,
    pub(crate) records: Bytes,
}

impl WellFormed {
    /// The chunk with this header and these decompressed records; `None` without messages.
    pub(crate) fn of(
        header: &ChunkHeader,
        record: &Bytes,
        records: Bytes,
        limits: &Limits,
    ) -> Result<Option<WellFormed>, ChunkError> {
        let described = describe(header, record.len() as u64, &records, limits)?;
        let stored = described.into_stored(header, &record[RECORD_HEADER_BYTES..]);
        Ok(stored.map(|(chunk, _)| WellFormed { chunk, records }))
    }

    fn times(&self) -> TimeRange {
        self.chunk.descriptor.times
    }
}

pub(crate) struct Rechunker {
    options: RechunkOptions,
    buffer: SortBuffer,
    late: SortBuffer,
    held: Option<WellFormed>,
    builder: ChunkBuilder,
    promised: Option<Nanos>,
    /// The greatest time that has left, or that [`Rechunker::flush_early`] let go of.
    settled: Option<Nanos>,
    newest: Option<Nanos>,
    disordered: bool,
    /// The frontier stays before it although more has left, because it left early.
    left_early: Option<Nanos>,
    out: VecDeque<Rechunked>,
}

impl Rechunker {
    pub(crate) fn new(options: RechunkOptions) -> Rechunker {
        Rechunker {
            options,
            buffer: SortBuffer::default(),
            late: SortBuffer::default(),
            held: None,
            builder: ChunkBuilder::new(Compression::Lz4),
            promised: None,
            settled: None,
            newest: None,
            disordered: false,
            left_early: None,
            out: VecDeque::new(),
        }
    }

    /// How far what has left reaches. Not the least time that waits to be sorted: an earlier
    /// message may still come, and would be in its place as long as nothing later has left. But
    /// no further than what waits: within one push, something may leave before what precedes it
    /// comes.
    pub(crate) fn frontier(&self) -> Option<Nanos> {
        let held = self.held.as_ref().map(|held| held.times().start);
        let waiting = self.buffer.oldest().into_iter().chain(held).chain(self.left_early).min();
        self.settled.map(|settled| waiting.map_or(settled, |waiting| settled.min(waiting)))
    }

    /// The frontier is about to be seen: what comes below it from now on is late.
    pub(crate) fn promise(&mut self) {
        self.promised = self.promised.max(self.frontier());
    }

    /// What has left, in order.
    pub(crate) fn next(&mut self) -> Option<Rechunked> {
        self.out.pop_front()
    }

    /// Whether every message so far came in order of log time.
    pub(crate) fn is_in_order(&self) -> bool {
        !self.disordered
    }

    /// Takes a message whose channel id is canonical; `records` are those of the chunk that it
    /// came in, if it came in one.
    pub(crate) fn message(
        &mut self,
        message: &MessageView<'_>,
        records: Option<&Bytes>,
    ) -> Result<(), IntakeError> {
        self.disordered |= self.newest.is_some_and(|newest| message.log_time < newest);
        self.newest = self.newest.max(Some(message.log_time));
        if self.is_late(message.log_time) {
            self.late.push(message, records);
            if self.late.bytes() > self.options.chunk_target_bytes {
                self.emit_late()?;
            }
            return Ok(());
        }
        self.settle_held(message.log_time)?;
        self.buffer(message, records)
    }

    /// Takes a well-formed chunk of messages that all come after everything taken so far in the
    /// order of the body.
    pub(crate) fn chunk(&mut self, chunk: WellFormed) -> Result<(), IntakeError> {
        if self.is_late(chunk.times().start) {
            return self.take_apart(&chunk, Self::message);
        }
        self.disordered |= self.newest.is_some_and(|newest| chunk.times().start < newest);
        self.newest = self.newest.max(Some(chunk.times().end));
        self.settle_held(chunk.times().start)?;
        if self.buffer.newest().is_some_and(|newest| newest > chunk.times().start) {
            return self.take_apart(&chunk, Self::buffer);
        }
        self.held = Some(chunk);
        Ok(())
    }

    /// Takes a chunk of a single message, as [`Rechunker::message`] would take that.
    pub(crate) fn huge(&mut self, chunk: StoredChunk) -> Result<(), IntakeError> {
        let time = chunk.descriptor.times.start;
        self.disordered |= self.newest.is_some_and(|newest| time < newest);
        self.newest = self.newest.max(Some(time));
        if self.is_late(time) {
            self.emit_late()?;
            self.out.push_back(Rechunked::Chunk(chunk, None));
            self.out.push_back(late_messages(1));
            return Ok(());
        }
        self.settle_held(time)?;
        self.emit_until(time)?;
        self.left_early = None;
        self.settled = self.settled.max(Some(time));
        self.out.push_back(Rechunked::Chunk(chunk, None));
        Ok(())
    }

    /// Lets go of what lies at least the sort window behind the newest message.
    pub(crate) fn flush_early(&mut self) -> Result<(), IntakeError> {
        self.emit_late()?;
        let window = u64::try_from(self.options.sort_window.as_nanos()).unwrap_or(u64::MAX);
        let Some(until) = self.newest.and_then(|newest| newest.0.checked_sub(window)) else {
            return Ok(());
        };
        let until = Nanos(until);
        if self.held.as_ref().is_some_and(|held| held.times().end <= until) {
            self.emit_held()?;
        } else {
            self.emit_until(until)?;
        }
        self.left_early = self.left_early.map(|early| early.max(until));
        // A chunk held back that reaches beyond still leaves whole.
        let held = self.held.as_ref().map_or(until, |held| until.min(held.times().start));
        self.settled = self.settled.max(Some(held));
        Ok(())
    }

    /// Lets go of everything, and of all memory. What lay within the sort window leaves early: the
    /// frontier stays behind it, so that what still belongs before it finds its place.
    pub(crate) fn shed(&mut self) -> Result<(), IntakeError> {
        let before = self.frontier();
        self.finish()?;
        let early = self.newest.map(|newest| self.behind(newest));
        self.left_early = early.max(before);
        self.buffer = SortBuffer::default();
        self.late = SortBuffer::default();
        self.builder = ChunkBuilder::new(Compression::Lz4);
        Ok(())
    }

    /// What it holds in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let held = self.held.as_ref().map_or(0, |held| held.chunk.bytes.len() + held.records.len());
        let out = self.out.iter().map(|out| match out {
            Rechunked::Chunk(chunk, records) => {
                chunk.bytes.len() + records.as_ref().map_or(0, Bytes::len)
            }
            Rechunked::Problem(_) => 0,
        });
        let buffers = self.buffer.memory_bytes() + self.late.memory_bytes();
        buffers + self.builder.memory_bytes() + held + out.sum::<usize>()
    }

    fn behind(&self, newest: Nanos) -> Nanos {
        let window = u64::try_from(self.options.sort_window.as_nanos()).unwrap_or(u64::MAX);
        Nanos(newest.0.saturating_sub(window))
    }

    /// Lets go of everything.
    pub(crate) fn finish(&mut self) -> Result<(), IntakeError> {
        self.emit_late()?;
        self.emit_held()?;
        self.emit_until(Nanos::MAX)
    }

    fn is_late(&self, time: Nanos) -> bool {
        self.promised.is_some_and(|promised| time < promised)
    }

    fn buffer(
        &mut self,
        message: &MessageView<'_>,
        records: Option<&Bytes>,
    ) -> Result<(), IntakeError> {
        if message.data.len() > self.options.sort_buffer_bytes {
            // It would push out all that is older, and leave at once: without a copy of it.
            self.emit_until(message.log_time)?;
            self.left_early = None;
            self.builder.message(message.channel, message);
            self.settled = self.settled.max(Some(message.log_time));
            return self.emit_built();
        }
        self.buffer.push(message, records);
        while self.buffer.bytes() > self.options.sort_buffer_bytes {
            self.emit_one(Nanos::MAX)?;
        }
        Ok(())
    }

    /// Decides what becomes of the chunk held back, now that `next` follows it.
    fn settle_held(&mut self, next: Nanos) -> Result<(), IntakeError> {
        if self.held.as_ref().is_none_or(|held| held.times().end <= next) {
            return self.emit_held();
        }
        match self.held.take() {
            Some(held) => self.take_apart(&held, Self::buffer),
            None => Ok(()),
        }
    }

    /// Lets go of the chunk held back, and before it of everything that is older.
    fn emit_held(&mut self) -> Result<(), IntakeError> {
        let Some(held) = self.held.take() else { return Ok(()) };
        self.left_early = None;
        self.emit_until(Nanos::MAX)?;
        self.settled = self.settled.max(Some(held.times().end));
        self.out.push_back(Rechunked::Chunk(held.chunk, Some(held.records)));
        Ok(())
    }

    fn take_apart(
        &mut self,
        chunk: &WellFormed,
        take: impl Fn(&mut Self, &MessageView<'_>, Option<&Bytes>) -> Result<(), IntakeError>,
    ) -> Result<(), IntakeError> {
        let limits = self.options.limits.clone();
        for item in ChunkItems::new(&chunk.records, &limits) {
            if let (_, ChunkItem::Message(message)) =
                item.map_err(|error| verified_before(&error))?
            {
                take(self, &message, Some(&chunk.records))?;
            }
        }
        Ok(())
    }

    fn emit_until(&mut self, until: Nanos) -> Result<(), IntakeError> {
        while self.buffer.oldest().is_some_and(|oldest| oldest <= until) {
            self.emit_one(until)?;
        }
        Ok(())
    }

    fn emit_one(&mut self, until: Nanos) -> Result<(), IntakeError> {
        self.left_early = None;
        self.buffer.move_oldest(&mut self.builder, self.options.chunk_target_bytes, until);
        self.settled = self.settled.max(self.builder.times().map(|times| times.end));
        self.emit_built()
    }

    fn emit_late(&mut self) -> Result<(), IntakeError> {
        let count = self.late.len();
        if count == 0 {
            return Ok(());
        }
        while !self.late.is_empty() {
            let target_bytes = self.options.chunk_target_bytes;
            self.late.move_oldest(&mut self.builder, target_bytes, Nanos::MAX);
            self.emit_built()?;
        }
        self.out.push_back(late_messages(count as u64));
        Ok(())
    }

    fn emit_built(&mut self) -> Result<(), IntakeError> {
        let built = self.builder.build_with_records();
        let built = built.map_err(|error| IntakeError::Compress(error.to_string()))?;
        let usual_bytes = self.options.chunk_target_bytes.saturating_mul(2);
        if built.as_ref().is_some_and(|(_, records)| records.len() > usual_bytes) {
            // One huge message must not leave huge buffers behind.
            self.builder = ChunkBuilder::new(Compression::Lz4);
        }
        self.out.extend(built.map(|(chunk, records)| Rechunked::Chunk(chunk, Some(records))));
        Ok(())
    }
}

fn late_messages(count: u64) -> Rechunked {
    let what = "messages came later than the sort buffer can mend; a response that was past \
                their time lacks them, and later ones have them in their place";
    let problem = Problem::new(ProblemCode::LateMessages, what);
    Rechunked::Problem(Problem { count, ..problem })
}

/// The same bytes were opened before without an error.
fn verified_before(error: &ChunkError) -> IntakeError {
    IntakeError::Compress(error.to_string())
}
