use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rdl_model::Nanos;

use super::Marks;
use crate::shown::beginning;

/// How many places of one fault are noted.
const MOST_NOTED: usize = 5;
/// How many sizes of chunks are kept while a body is read; they tell the median well enough.
const MOST_SIZES: usize = 1 << 16;
/// How much of the front of a body is kept to tell what it is, in bytes.
const FRONT_BYTES: usize = 64;
/// A topic with less than this share of the bytes is small.
const SMALL_TOPIC: u64 = 50;

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

/// How the bytes of a body are spread over its topics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balance {
    /// The topic with the most bytes, and how many.
    pub(crate) largest: Option<(String, u64)>,
    pub(crate) all_bytes: u64,
    /// Topics with few bytes, and how many bytes all of them have.
    pub(crate) small: u64,
    pub(crate) small_bytes: u64,
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
    /// Once the body was read, those alone that are declared.
    pub(crate) topics: BTreeMap<String, TopicFacts>,
    pub(crate) balance: Balance,
    /// The least and the greatest log time.
    pub(crate) times: Option<(Nanos, Nanos)>,
    pub(crate) chunks: u64,
    pub(crate) largest_chunk: u64,
    /// Uncompressed, of the first chunks, while the body is read.
    chunk_sizes: Vec<u64>,
    /// The median of them, and of all but the last.
    pub(crate) median_chunk: Option<u64>,
    pub(crate) median_but_last: Option<u64>,
    /// Where the first chunks of a file lie, in order: start and length of their records.
    pub(crate) chunk_places: Vec<(u64, u64)>,
    /// There are more of them.
    pub(crate) more_chunks: bool,
    pub(crate) uncompressed_bytes: u64,
    pub(crate) without_checksum: u64,
    /// Messages outside of chunks.
    pub(crate) loose_messages: u64,
    /// Records that are too large to be opened.
    pub(crate) unopened: u64,
    /// Damaged records that are left out.
    pub(crate) left_out: u64,
    /// Chunks with a record that could not be read, after which nothing more is.
    pub(crate) half_read: u64,
    /// Messages of channels that were never defined.
    pub(crate) undefined: u64,
    /// Schemas and channels whose ids are not canonical.
    pub(crate) not_canonical: u64,
    /// Schemas and channels.
    pub(crate) ids: u64,
    /// How much of front and tail is kept, in bytes.
    kept_bytes: usize,
    pub(crate) front: Vec<u8>,
    tail: VecDeque<u8>,
}

impl Facts {
    /// Of a body whose front and tail, as many bytes as this, are to be held against ranges.
    pub(super) fn new(kept_bytes: usize) -> Facts {
        Facts { kept_bytes, ..Facts::default() }
    }

    /// Whether everything in it was looked at.
    pub(crate) fn is_whole(&self) -> bool {
        self.complete && self.not_looked_into().is_none()
    }

    /// Why not everything in it was looked at although it was read.
    pub(crate) fn not_looked_into(&self) -> Option<&'static str> {
        self.unverified().or(if self.half_read > 0 {
            Some("a chunk has a record that cannot be read; what follows it was not looked at")
        } else if self.undefined > 0 {
            Some("there are messages of channels that were never defined")
        } else {
            None
        })
    }

    /// Why not every checksum could be looked at.
    pub(crate) fn unverified(&self) -> Option<&'static str> {
        if self.unopened > 0 {
            Some("a chunk of more than 64 MiB was not looked into")
        } else if self.left_out > 0 {
            Some("a damaged record was left out; what is in it was not looked at")
        } else {
            None
        }
    }

    /// Whether the places of all chunks are known.
    pub(crate) fn knows_every_chunk(&self) -> bool {
        self.complete && !self.more_chunks && self.left_out == 0
    }

    /// Forgets the bytes and places that only ranges are held against.
    pub(crate) fn forget_bytes(&mut self) {
        self.front.truncate(FRONT_BYTES);
        self.front.shrink_to_fit();
        (self.tail, self.chunk_places) = Default::default();
    }

    /// Reduces what grows with the body to what is judged.
    pub(super) fn reduce(&mut self, is_declared: impl Fn(&str) -> bool) {
        let sizes = std::mem::take(&mut self.chunk_sizes);
        self.median_but_last = median(&sizes[..sizes.len().saturating_sub(1)]);
        self.median_chunk = median(&sizes);
        let all_bytes = self.topics.values().map(|topic| topic.bytes).sum();
        let is_small = |topic: &&TopicFacts| topic.bytes.saturating_mul(SMALL_TOPIC) < all_bytes;
        let small = || self.topics.values().filter(is_small);
        let largest = self.topics.iter().max_by_key(|(_, topic)| topic.bytes);
        self.balance = Balance {
            largest: largest.map(|(name, topic)| (name.clone(), topic.bytes)),
            all_bytes,
            small: small().count() as u64,
            small_bytes: small().map(|topic| topic.bytes).sum(),
        };
        self.topics.retain(|name, _| is_declared(name));
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

    pub(super) fn keep(&mut self, bytes: &Bytes) {
        self.bytes += bytes.len() as u64;
        let room = self.kept_bytes.max(FRONT_BYTES) - self.front.len();
        self.front.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let last = &bytes[bytes.len().saturating_sub(self.kept_bytes)..];
        let over = (self.tail.len() + last.len()).saturating_sub(self.kept_bytes);
        self.tail.drain(..over);
        self.tail.extend(last);
    }

    pub(super) fn chunk(&mut self, position: u64, record_bytes: u64, uncompressed_bytes: u64) {
        self.chunks += 1;
        self.uncompressed_bytes += uncompressed_bytes;
        self.largest_chunk = self.largest_chunk.max(uncompressed_bytes);
        if self.chunk_sizes.len() == MOST_SIZES {
            self.more_chunks = true;
            return;
        }
        self.chunk_sizes.push(uncompressed_bytes);
        // Places are held against a summary, which is read of files alone.
        if self.kept_bytes > 0 {
            self.chunk_places.push((position, record_bytes));
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

fn median(sizes: &[u64]) -> Option<u64> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied()
}
