mod body;
mod conformance;
mod faults;
mod kept;
mod large;
mod order;
mod restarts;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rdl_model::{Nanos, Problem, ProblemCode};

use self::body::Truth;
use super::*;
use crate::{ChannelDef, Compression, Limits, OpenChunk, Spool};

/// Everything that an intake gave out.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) profiles: Vec<String>,
    pub(super) channels: BTreeMap<u16, Arc<ChannelRecord>>,
    pub(super) chunks: Vec<StoredChunk>,
    pub(super) metadata: Vec<MetadataRecord>,
    pub(super) attachments: Vec<AttachmentRecord>,
    pub(super) problems: Vec<Problem>,
    /// Messages that left below a frontier that was seen before.
    pub(super) below_frontier: u64,
    pub(super) frontier: Option<Nanos>,
}

impl Taken {
    /// Drains the events and then looks at the frontier, as a load does.
    pub(super) fn drain(&mut self, intake: &mut Intake) {
        while let Some(event) = intake.next_event() {
            match event {
                IntakeEvent::Profile(profile) => self.profiles.push(profile),
                IntakeEvent::Channel(channel) => {
                    let id = channel.id;
                    assert_ne!(id, 0);
                    assert!(self.channels.insert(id, channel).is_none(), "channel {id} twice");
                }
                IntakeEvent::Chunk { chunk, records } => {
                    if let Some(records) = records {
                        let open = OpenChunk::from_records(records, &Limits::default()).unwrap();
                        let kept = OpenChunk::open(&chunk.bytes, &Limits::default()).unwrap();
                        assert_eq!(open.entries(), kept.entries());
                    } else {
                        assert_eq!(chunk.descriptor.compression, Compression::None);
                    }
                    let seen = self.frontier;
                    let below = read(&chunk).into_iter().filter(|(_, m)| Some(m.log_time) < seen);
                    self.below_frontier += below.count() as u64;
                    for used in &chunk.descriptor.channels {
                        assert!(self.channels.contains_key(&used.id), "{} comes late", used.id);
                    }
                    check_descriptor(&chunk);
                    self.chunks.push(chunk);
                }
                IntakeEvent::Metadata(metadata) => self.metadata.push(metadata),
                IntakeEvent::Attachment(attachment) => self.attachments.push(attachment),
                IntakeEvent::Problem(problem) => self.problems.push(problem),
            }
        }
        let frontier = intake.frontier();
        assert!(frontier >= self.frontier, "the frontier went back");
        self.frontier = frontier;
    }

    /// Pushes bytes and drains until the intake has taken all that it can.
    pub(super) fn push(&mut self, intake: &mut Intake, bytes: &[u8]) -> Result<(), IntakeError> {
        let mut pushed = intake.push(Bytes::copy_from_slice(bytes));
        self.drain(intake);
        while pushed.is_ok() && intake.has_more() {
            pushed = intake.resume();
            self.drain(intake);
        }
        pushed
    }

    /// The chunks, stably merged by log time.
    pub(super) fn messages(&self) -> Vec<Truth> {
        let mut messages: Vec<Truth> = self
            .chunks
            .iter()
            .flat_map(read)
            .map(|(id, message)| Truth { channel: self.channels[&id].def.clone(), ..message })
            .collect();
        messages.sort_by_key(|message| message.log_time);
        messages
    }

    pub(super) fn count(&self, code: ProblemCode) -> u64 {
        self.problems.iter().filter(|problem| problem.code == code).map(|p| p.count).sum()
    }
}

/// The messages of a chunk with their channel ids; their channels are blank.
fn read(chunk: &StoredChunk) -> Vec<(u16, Truth)> {
    let blank = Arc::new(ChannelDef {
        topic: String::new(),
        message_encoding: String::new(),
        schema: None,
        metadata: BTreeMap::new(),
    });
    let open = OpenChunk::open(&chunk.bytes, &Limits::default()).unwrap();
    let message = |i| {
        let message = open.message(i);
        (message.channel, Truth::of(&blank, &message))
    };
    (0..open.len()).map(message).collect()
}

/// Holds a descriptor against the messages, counted one by one.
fn check_descriptor(chunk: &StoredChunk) {
    let descriptor = &chunk.descriptor;
    assert_eq!(descriptor.stored_bytes(), chunk.bytes.len() as u64);
    let messages = read(chunk);
    assert_eq!(descriptor.message_count, messages.len() as u64);
    let times = |id: Option<u16>| {
        let of = messages.iter().filter(move |(of, _)| id.is_none_or(|id| id == *of));
        let times: Vec<Nanos> = of.map(|(_, message)| message.log_time).collect();
        (times.len() as u32, *times.iter().min().unwrap(), *times.iter().max().unwrap())
    };
    let (_, start, end) = times(None);
    assert_eq!((descriptor.times.start, descriptor.times.end), (start, end));
    let ids: std::collections::BTreeSet<u16> = messages.iter().map(|(id, _)| *id).collect();
    assert!(descriptor.channels.iter().map(|used| used.id).eq(ids));
    for used in &descriptor.channels {
        assert_eq!((used.count, used.times.start, used.times.end), times(Some(used.id)));
    }
    let body = &chunk.bytes[9..];
    assert_eq!(body[..8], start.0.to_le_bytes());
    assert_eq!(body[8..16], end.0.to_le_bytes());
}

/// A spool in memory.
#[derive(Default)]
pub(super) struct Kept(Vec<u8>);

impl Spool for Kept {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read_into(&mut self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        into.copy_from_slice(&self.0[offset..offset + into.len()]);
        Ok(())
    }
}

pub(super) fn with_spool(options: IntakeOptions) -> Intake {
    let mut intake = Intake::new(options);
    intake.set_spool(Box::new(|| Ok(Box::new(Kept::default()))));
    intake
}

/// Takes in a whole body in one piece.
pub(super) fn take(options: IntakeOptions, body: &[u8]) -> (Taken, Result<(), IntakeError>) {
    take_in_pieces(options, body, body.len().max(1))
}

pub(super) fn take_in_pieces(
    options: IntakeOptions,
    body: &[u8],
    piece_bytes: usize,
) -> (Taken, Result<(), IntakeError>) {
    let mut intake = with_spool(options);
    let mut taken = Taken::default();
    for piece in body.chunks(piece_bytes) {
        let pushed = taken.push(&mut intake, piece);
        if pushed.is_err() {
            assert_eq!(intake.finish(), pushed);
            return (taken, pushed);
        }
    }
    let finished = intake.finish();
    taken.drain(&mut intake);
    assert_eq!(finished.is_ok(), intake.is_complete());
    (taken, finished)
}

/// A sort buffer so small that a few messages fill it.
pub(super) fn tight() -> IntakeOptions {
    IntakeOptions {
        sort_buffer_bytes: 1 << 10,
        chunk_target_bytes: 300,
        sort_window: Duration::from_nanos(40),
        ..IntakeOptions::default()
    }
}
