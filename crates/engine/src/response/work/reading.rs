//! An open chunk as one response reads it.

use std::ops::Range;
use std::sync::Arc;

use rdl_mcap_io::{MessageEntry, MessageView, OpenChunk, RunError};
use rdl_merge::Entries;
use rdl_model::Nanos;
use rdl_store::StoreError;

use crate::open_chunks::{Opened, Spilled};

/// What a response reads of a spilled chunk at a time, at most.
const MOST_WINDOW_BYTES: usize = 64 << 10;
/// … and at least, however many chunks are open.
const LEAST_WINDOW_BYTES: usize = 512;
/// How many entries of the table are read at a time, for each byte of the window for messages.
const BYTES_PER_ENTRY: usize = 64;
const LEAST_ENTRIES: usize = 8;

/// An open chunk and where the response is in it.
pub(super) enum Reading {
    Memory(Arc<OpenChunk>),
    Spilled(Window),
}

/// Why a spilled chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingFault {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("a message of a spilled chunk is cut off")]
    CutOff,
}

/// What a response has in memory of a spilled chunk.
pub(super) struct Window {
    spilled: Arc<Spilled>,
    first: usize,
    entries: Arc<[MessageEntry]>,
    records: Vec<u8>,
    /// Where in the run `records` begin.
    start: u64,
}

impl Reading {
    pub(super) fn new(opened: Opened) -> Reading {
        match opened {
            Opened::Memory(chunk) => Self::Memory(chunk),
            Opened::Spilled(spilled) => Self::Spilled(Window {
                spilled,
                first: 0,
                entries: Arc::default(),
                records: Vec::new(),
                start: 0,
            }),
        }
    }

    /// The part of the chunk's message table that begins at `from`, or shortly before `start` where
    /// that is later. `window_bytes`: what this chunk may take in memory here.
    pub(super) fn entries(
        &mut self,
        from: usize,
        start: Nanos,
        window_bytes: usize,
    ) -> Result<Entries, ReadingFault> {
        match self {
            Self::Memory(chunk) => Ok(Entries::from(&**chunk)),
            Self::Spilled(window) => {
                let from = from.max(window.spilled.run.shortly_before(start));
                window.entries(from, window_bytes)
            }
        }
    }

    /// Calls `take` with each of these messages, which lie in the part of the table asked for
    /// last, until it fails.
    pub(super) fn messages<E>(
        &mut self,
        mut messages: Range<usize>,
        window_bytes: usize,
        mut take: impl FnMut(MessageView<'_>) -> Result<(), E>,
    ) -> Result<Result<(), E>, ReadingFault> {
        match self {
            Self::Memory(chunk) => Ok(messages.try_for_each(|at| take(chunk.message(at)))),
            Self::Spilled(window) => {
                for at in messages {
                    if let Err(error) = take(window.message(at, window_bytes)?) {
                        return Ok(Err(error));
                    }
                }
                Ok(Ok(()))
            }
        }
    }
}

impl Window {
    fn entries(&mut self, from: usize, window_bytes: usize) -> Result<Entries, ReadingFault> {
        let Spilled { run, file } = &*self.spilled;
        let window_bytes = window_bytes.clamp(LEAST_WINDOW_BYTES, MOST_WINDOW_BYTES);
        let count = (window_bytes / BYTES_PER_ENTRY).max(LEAST_ENTRIES);
        // One more than is handed out: the time at which the rest goes on.
        let bytes = file.read(run.entries_range(from, count + 1))?;
        let mut entries = run.decode_entries(&bytes)?;
        let next = (entries.len() > count).then(|| entries.remove(count).log_time);
        self.first = from;
        self.entries = entries.into();
        Ok(Entries { first: from, entries: self.entries.clone(), next })
    }

    fn message(&mut self, at: usize, window_bytes: usize) -> Result<MessageView<'_>, ReadingFault> {
        let offset = u64::from(self.entries[at - self.first].offset);
        if !self.has_record(offset)? {
            let window_bytes = window_bytes.clamp(LEAST_WINDOW_BYTES, MOST_WINDOW_BYTES);
            self.read(offset, window_bytes as u64)?;
            if !self.has_record(offset)? {
                // A message that is larger than the window.
                let record_bytes = self.spilled.run.record_bytes(&self.records).unwrap_or(0);
                self.read(offset, record_bytes)?;
            }
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let record = self.records.get(from..).unwrap_or_default();
        self.spilled.run.message_in(record)?.ok_or(ReadingFault::CutOff)
    }

    /// Whether the record at this offset lies in the window whole.
    fn has_record(&self, offset: u64) -> Result<bool, ReadingFault> {
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let record = from.and_then(|from| self.records.get(from..)).unwrap_or_default();
        Ok(self.spilled.run.message_in(record)?.is_some())
    }

    /// Reads this many records' bytes, or as many as there are.
    fn read(&mut self, offset: u64, bytes: u64) -> Result<(), ReadingFault> {
        let Spilled { run, file } = &*self.spilled;
        let bytes = bytes.min(run.records_bytes().saturating_sub(offset));
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes < self.records.capacity() / 4 {
            // A large message must not leave a large buffer behind.
            self.records = Vec::new();
        }
        self.records.resize(bytes, 0);
        self.start = offset;
        Ok(file.read_into(offset, &mut self.records)?)
    }
}
