use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rdl_model::Nanos;

use super::{KEPT_BYTES, Marks};
use crate::shown::beginning;

/// How many places of one fault are noted.
const MOST_NOTED: usize = 5;
/// How many sizes of chunks are kept; they tell the median well enough.
const MOST_SIZES: usize = 1 << 16;

/// In which way a body can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotMcap,
    Incomplete,
    Invalid,
    Checksum,
}

/// A place in a body, and what is wrong there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) what: String,
    pub(crate) byte: Option<u64>,
    pub(crate) message: Option<u64>,
    pub(crate) time: Option<Nanos>,
    pub(crate) topic: Option<String>,
}

impl Noted {
    pub(super) fn new(what: String) -> Noted {
        Noted { what, ..Noted::default() }
    }

    pub(super) fn at(byte: u64, what: String) -> Noted {
        Noted { what, byte: Some(byte), ..Noted::default() }
    }
}

/// The first places of a fault, and how many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) first: Vec<Noted>,
    pub(crate) count: u64,
}

impl Notes {
    pub(super) fn add(&mut self, noted: Noted) {
        self.count += 1;
        if self.first.len() < MOST_NOTED {
            self.first.push(noted);
        }
    }

    /// One that was noted already, again.
    pub(super) fn again(&mut self) {
        self.count += 1;
    }
}

/// What one topic has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TopicFacts {
    pub(crate) messages: u64,
    /// Of the messages' data.
    pub(crate) bytes: u64,
}

/// What a body is like.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    pub(crate) marks: Marks,
    /// Magic and header were read.
    pub(crate) has_header: bool,
    /// The end magic was read, and nothing after it.
    pub(crate) complete: bool,
    /// What made the rest unreadable.
    pub(crate) stopped: Option<Fault>,
    pub(crate) not_mcap: Notes,
    pub(crate) incomplete: Notes,
    pub(crate) invalid: Notes,
    pub(crate) checksums: Notes,
    pub(crate) disorder: Notes,
    pub(crate) undeclared: Notes,
    pub(crate) mismatched: Notes,
    pub(crate) outside: Notes,
    pub(crate) topics: BTreeMap<String, TopicFacts>,
    /// The least and the greatest log time.
    pub(crate) times: Option<(Nanos, Nanos)>,
    pub(crate) chunks: u64,
    pub(crate) largest_chunk: u64,
    /// Uncompressed, of the first chunks.
    pub(crate) chunk_sizes: Vec<u64>,
    /// Where the first chunks lie: start and length of their records.
    pub(crate) chunk_places: Vec<(u64, u64)>,
    /// Not all chunks are among them.
    pub(crate) chunks_unknown: bool,
    pub(crate) uncompressed_bytes: u64,
    pub(crate) without_checksum: u64,
    /// Messages outside of chunks.
    pub(crate) loose_messages: u64,
    /// Records that are too large to be opened.
    pub(crate) unopened: u64,
    /// Damaged records that are left out.
    pub(crate) left_out: u64,
    /// Schemas and channels whose ids are not canonical.
    pub(crate) not_canonical: u64,
    /// Schemas and channels.
    pub(crate) ids: u64,
    pub(crate) has_statistics: bool,
    pub(crate) front: Vec<u8>,
    tail: VecDeque<u8>,
}

impl Facts {
    /// Whether everything in it was looked at.
    pub(crate) fn is_whole(&self) -> bool {
        self.complete && self.unopened == 0
    }

    /// What the body begins with, for people.
    pub(crate) fn begins_with(&self) -> String {
        beginning(&self.front)
    }

    /// The last bytes, as many as this; `None` when not so many were kept.
    pub(crate) fn tail(&self, bytes: usize) -> Option<Vec<u8>> {
        let skip = self.tail.len().checked_sub(bytes)?;
        Some(self.tail.iter().skip(skip).copied().collect())
    }

    /// The median size of a chunk, uncompressed.
    pub(crate) fn median_chunk(&self) -> Option<u64> {
        let mut sizes = self.chunk_sizes.clone();
        sizes.sort_unstable();
        sizes.get(sizes.len() / 2).copied()
    }

    pub(super) fn keep(&mut self, bytes: &Bytes) {
        self.bytes += bytes.len() as u64;
        let room = KEPT_BYTES - self.front.len();
        self.front.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let last = &bytes[bytes.len().saturating_sub(KEPT_BYTES)..];
        let over = (self.tail.len() + last.len()).saturating_sub(KEPT_BYTES);
        self.tail.drain(..over);
        self.tail.extend(last);
    }

    pub(super) fn chunk(&mut self, position: u64, record_bytes: u64, uncompressed_bytes: u64) {
        self.chunks += 1;
        self.uncompressed_bytes += uncompressed_bytes;
        self.largest_chunk = self.largest_chunk.max(uncompressed_bytes);
        if self.chunk_sizes.len() < MOST_SIZES {
            self.chunk_sizes.push(uncompressed_bytes);
            self.chunk_places.push((position, record_bytes));
        } else {
            self.chunks_unknown = true;
        }
    }

    pub(super) fn fault(&mut self, fault: Fault, noted: Noted) {
        match fault {
            Fault::NotMcap => self.not_mcap.add(noted),
            Fault::Incomplete => self.incomplete.add(noted),
            Fault::Invalid => self.invalid.add(noted),
            Fault::Checksum => self.checksums.add(noted),
        }
    }
}
