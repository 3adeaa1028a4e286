//! The intact beginning of a file, in segments.
//!
//! A segment is a source of its own: what has to be defined before it ([`Front`]), the bytes of the
//! file from one end of a record to another, and an end. What it is called says which bytes these
//! are and has a hash of all of it, so that a name means the same data for ever.
//!
//! Invariants: segments of a file follow each other without a gap and without overlapping, and one
//! that was published stays published as long as the file begins with it: an answer that lasts is
//! made of those that its manifest named. So that a file that grows for long does not come in ever
//! more pieces, the next has to wait the longer the more there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdl_mcap_io::{ChannelRecord, SchemaDef};
use rdl_model::TimeRange;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::state::{State, Tail};
use super::words;
use crate::contents::{Contents, Topic};

/// After so many segments the next waits twice as long.
const DOUBLES_AFTER: usize = 64;
/// And after so much of what they declare, in bytes: each of them repeats the schemas, and a
/// manifest has its bound.
const DOUBLES_AFTER_BYTES: usize = 512 << 10;
/// What it waits is doubled so often at most.
const MOST_DOUBLINGS: usize = 16;
/// What a manifest writes around a topic, about, in bytes.
const TOPIC_BYTES: usize = 64;
/// What a segment takes in memory without what it shares, about, in bytes.
const SEGMENT_BYTES: usize = 256;

/// Of one file, in the order of its bytes.
pub(crate) type Segments = Arc<[Arc<Segment>]>;

/// What comes before the bytes of a segment: nothing where they begin the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Front {
    /// Magic and header.
    head: Bytes,
    schemas: Vec<(u16, Arc<SchemaDef>)>,
    channels: Vec<ChannelRecord>,
}

impl Front {
    /// Its bytes, in the pieces that it is made of; `None` past the last.
    pub(crate) fn piece(&self, at: usize) -> Option<Bytes> {
        let Some(at) = at.checked_sub(1) else { return Some(self.head.clone()) };
        if let Some((id, schema)) = self.schemas.get(at) {
            return Some(schema.to_record_bytes(*id).into());
        }
        let channel = self.channels.get(at - self.schemas.len())?;
        Some(channel.to_record_bytes().into())
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> {
        (0..).map_while(|at| self.piece(at))
    }

    fn memory_bytes(&self) -> usize {
        // Schemas and channels are shared with what is known of the file.
        self.head.len()
            + self.schemas.len() * size_of::<(u16, Arc<SchemaDef>)>()
            + self.channels.len() * size_of::<ChannelRecord>()
    }
}

/// Which bytes of a file a segment has, and the hash of all of it, in hex: the same words mean the
/// same data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) hash: String,
}

impl Version {
    /// As it stands in URLs and ids.
    pub(crate) fn text(&self) -> String {
        format!("{}-{}-{}", self.start, self.end, self.hash)
    }

    pub(crate) fn parse(text: &str) -> Option<Version> {
        let (start, rest) = text.split_once('-')?;
        let (end, hash) = rest.split_once('-')?;
        let is_hash = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        let version = Version { start, end, hash: hash.to_owned() };
        (is_hash && start < end && version.text() == text).then_some(version)
    }

    /// Whether the bytes that were hashed, with this before them, are what it names.
    pub(crate) fn is_of(&self, mut bytes: Sha256, front: &Front) -> bool {
        hash_front(&mut bytes, front);
        words(bytes.finalize()) == self.hash
    }
}

/// The front comes last: what it has to have is known at the end.
fn hash_front(bytes: &mut Sha256, front: &Front) {
    front.pieces().for_each(|piece| bytes.update(&piece));
}

/// A part of a file that is published.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) version: Version,
    pub(crate) front: Arc<Front>,
    pub(crate) times: TimeRange,
    pub(crate) topics: Arc<[Topic]>,
    /// What a manifest says of its topics takes so much, about.
    declared_bytes: usize,
}

/// What a manifest says of these topics takes, about, in bytes: each schema once.
fn declared_bytes(topics: &[Topic]) -> usize {
    let schemas: BTreeSet<&Arc<SchemaDef>> =
        topics.iter().filter_map(|topic| topic.schema.as_ref()).collect();
    let schemas = schemas.iter().map(|schema| schema.name.len() + schema.data.len() * 4 / 3);
    let names = topics.iter().map(|topic| topic.name.len() + topic.message_encoding.len());
    topics.len() * TOPIC_BYTES + names.sum::<usize>() + schemas.sum::<usize>()
}

/// What they take in memory, about, in bytes.
pub(crate) fn segments_bytes(segments: &[Arc<Segment>]) -> usize {
    let before = std::iter::once(None).chain(segments.iter().map(Some));
    let bytes = segments.iter().zip(before).map(|(segment, before)| {
        let has_front = before.is_none_or(|before| !Arc::ptr_eq(&before.front, &segment.front));
        let has_topics = before.is_none_or(|before| !Arc::ptr_eq(&before.topics, &segment.topics));
        let front = if has_front { segment.front.memory_bytes() } else { 0 };
        let topics = segment.topics.iter().map(Topic::memory_bytes);
        let topics = if has_topics { topics.sum() } else { 0 };
        SEGMENT_BYTES + front + topics
    });
    bytes.sum()
}

/// The intact beginning of a file.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// What a later scan goes on from.
    pub(crate) state: Arc<State>,
    /// What of it is published.
    pub(crate) segments: Segments,
    /// When the last of them was.
    published: Option<Instant>,
    /// What the file is by its summary, once it has one: how it is served when nobody goes by the
    /// segments any more.
    pub(crate) whole: Option<Arc<Contents>>,
    /// Nothing is expected behind it any more.
    is_complete: bool,
}

impl Prefix {
    /// Of which nothing is published.
    pub(super) fn new(state: State, is_complete: bool) -> Prefix {
        let (segments, published, whole) = Default::default();
        Prefix { state: Arc::new(state), segments, published, whole, is_complete }
    }

    /// The same file, of which `before` was published.
    pub(crate) fn after(self, before: &Prefix) -> Prefix {
        Prefix { segments: before.segments.clone(), published: before.published, ..self }
    }

    /// The same file, which has got its summary.
    pub(crate) fn finished(self, whole: Contents) -> Prefix {
        Prefix { whole: Some(Arc::new(whole)), is_complete: true, ..self }
    }

    /// Whether what comes behind the last segment is to become one, where two are published at least
    /// so far `apart`.
    pub(crate) fn is_due(&self, apart: Duration, now: Instant) -> bool {
        let tail = &self.state.tail;
        if self.segments.last().is_some_and(|last| last.version.end >= self.state.bytes) {
            return false;
        }
        let Some(published) = self.published else { return tail.messages > 0 };
        if self.is_complete {
            return tail.messages > 0 || tail.has_more;
        }
        let declared: usize = self.segments.iter().map(|segment| segment.declared_bytes).sum();
        let doublings = (self.segments.len() / DOUBLES_AFTER).max(declared / DOUBLES_AFTER_BYTES);
        let apart = apart.saturating_mul(1 << doublings.min(MOST_DOUBLINGS));
        tail.messages > 0 && now.saturating_duration_since(published) >= apart
    }

    /// With one segment more, of all that comes behind the last. Behind a chunk that was not looked
    /// into nobody knows what it defines: that one grows instead, in the place of the last.
    pub(crate) fn cut(&self, now: Instant) -> Prefix {
        let State { tail, bytes, head, .. } = &*self.state;
        let before = self.segments.iter().filter(|segment| segment.version.end <= tail.start);
        let last = self.segments.last();
        let front = match tail.start {
            0 => Front::default(),
            _ => {
                let (schemas, channels) = tail.definitions();
                Front { head: head.clone(), schemas, channels }
            }
        };
        let mut hash = self.state.hash.clone();
        hash_front(&mut hash, &front);
        let topics = tail.topics(&self.state);
        let declared_bytes = declared_bytes(&topics);
        // Metadata alone has no time; it comes at the end.
        let times =
            tail.times.or(self.state.times.map(|times| TimeRange { start: times.end, ..times }));
        let segment = Segment {
            version: Version { start: tail.start, end: *bytes, hash: words(hash.finalize()) },
            front: match last.filter(|last| *last.front == front) {
                Some(last) => last.front.clone(),
                None => Arc::new(front),
            },
            times: times.unwrap_or(TimeRange::ALL),
            topics: match last.filter(|last| *last.topics == *topics) {
                Some(last) => last.topics.clone(),
                None => topics.into(),
            },
            declared_bytes,
        };
        let segments = before.cloned().chain([Arc::new(segment)]).collect();
        let state = match tail.is_opaque {
            true => self.state.clone(),
            false => Arc::new(State {
                tail: Tail::after(&self.state),
                hash: Sha256::new(),
                ..State::clone(&self.state)
            }),
        };
        Prefix { state, segments, published: Some(now), ..self.clone() }
    }

    /// What it takes in memory without its segments, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let whole = self.whole.as_ref().map_or(0, |whole| whole.memory_bytes());
        self.state.memory_bytes() + whole
    }
}
