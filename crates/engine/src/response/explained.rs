//! What an answer was made of, for whoever asks for that, and what took its time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rdl_merge::WhyOpened;
use rdl_model::ChunkRef;
use tokio::time::Instant;
use tracing::Span;

use super::Response;
use super::participant::Participant;
use super::work::Work;
use crate::SourceKind;
use crate::source::Generation;

/// What an answer was made of, and what took its time.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The sources of the recording, in the order of the manifest.
    pub sources: Vec<ExplainedSource>,
    /// How many messages it has.
    pub messages: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// From the beginning to the first message, or to its absence.
    pub first_message: Duration,
    /// From the beginning to the end.
    pub total: Duration,
    /// What the answer spent its time with; the rest went to the exchange with whoever asked.
    pub stages: Vec<(Stage, Duration)>,
}

/// What became of one source.
#[derive(Clone, Debug)]
pub struct ExplainedSource {
    /// Its id, or its URL less query and credentials.
    pub name: Arc<str>,
    /// Read once and in order, or by ranges.
    pub kind: SourceKind,
    /// Why it was read, or was not.
    pub why: SourceUse,
    /// Chunks that passed through as they are.
    pub passed: u64,
    /// Chunks that were taken apart, by the reason.
    pub taken_apart: BTreeMap<WhyOpened, u64>,
    /// What was read for that, by where it was.
    pub reads: BTreeMap<Tier, Reads>,
}

/// Why a source was read, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceUse {
    /// It has, or may have, wanted messages in the times of the query.
    Merged,
    /// It was only searched for the newest messages.
    LookedBack,
    /// It lies outside the times of the query.
    OtherTimes,
    /// It has none of the wanted topics.
    OtherTopics,
    /// It failed, and was left out.
    Failed,
}

/// Where a chunk was when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Open in memory.
    Memory,
    /// On the disk.
    Disk,
    /// In the bucket.
    Bucket,
    /// At a static source.
    Source,
}

/// What was read there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// How many chunks.
    pub chunks: u64,
    /// How many bytes, as they are stored.
    pub bytes: u64,
}

/// What an answer waits for, or works at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Searching for the newest messages before the start.
    Lookback,
    /// Waiting for sources: to be found, indexed, or loaded further.
    Sources,
    /// Reading chunks that are not here.
    Reads,
    /// Merging messages, and writing them.
    Merge,
    /// Waiting for whoever asked to take what is ready, and reading what passes through.
    Send,
    /// Waiting for room on the disk.
    Room,
}

/// The stages of one answer.
#[derive(Debug)]
pub(super) struct Stages {
    began: Instant,
    spent: BTreeMap<Stage, Duration>,
    first_message: Option<Duration>,
}

/// One stage that runs.
pub(super) struct Running {
    stage: Stage,
    began: Instant,
}

impl Stages {
    pub(super) fn new() -> Stages {
        Stages { began: Instant::now(), spent: BTreeMap::new(), first_message: None }
    }

    /// A stage that begins, and what is seen of it in traces: nothing once the first message has
    /// left, for traces have the life of a seek, and are no log of playback.
    pub(super) fn begin(&self, stage: Stage) -> (Running, Span) {
        let span = match (self.first_message, stage) {
            (Some(_), _) => Span::none(),
            (None, Stage::Lookback) => tracing::debug_span!("lookback"),
            (None, Stage::Sources) => tracing::debug_span!("sources"),
            (None, Stage::Reads) => tracing::debug_span!("reads"),
            (None, Stage::Merge) => tracing::debug_span!("merge"),
            (None, Stage::Send) => tracing::debug_span!("send"),
            (None, Stage::Room) => tracing::debug_span!("room"),
        };
        (Running { stage, began: Instant::now() }, span)
    }

    pub(super) fn end(&mut self, running: &Running) {
        *self.spent.entry(running.stage).or_default() += running.began.elapsed();
    }

    /// The first message leaves, or it is known that there is none.
    pub(super) fn first_message(&mut self) {
        self.first_message.get_or_insert(self.began.elapsed());
        tracing::debug!("the first message is known");
    }

    pub(super) fn finish(self, explained: &mut Explanation) {
        explained.total = self.began.elapsed();
        explained.first_message = self.first_message.unwrap_or(explained.total);
        explained.stages = self.spent.into_iter().collect();
    }
}

impl Response {
    /// What the answer was made of, as far as it came.
    pub(super) fn explain(&mut self) -> Explanation {
        let mut explained = Explanation::default();
        let stages = std::mem::replace(&mut self.stages, Stages::new());
        stages.finish(&mut explained);
        explained.messages = self.work.as_ref().map_or(0, Work::message_count);
        let mut notes = self.work.as_mut().and_then(Work::take_notes).unwrap_or_default();
        let mut participants = self.participants.iter().peekable();
        for (at, recorded) in (0_u32..).zip(&self.recording.sources) {
            // They are in the order of the manifest.
            let participant = participants.next_if(|participant| participant.at == at);
            let SourceNotes { passed, taken_apart, reads } = notes.take(at);
            explained.sources.push(ExplainedSource {
                name: recorded.source.name.clone(),
                kind: recorded.source.kind,
                why: participant.map_or(SourceUse::OtherTopics, Participant::why),
                passed,
                taken_apart,
                reads,
            });
        }
        explained
    }
}

/// Where the chunks of a source lie that are not here.
pub(super) fn farther_tier(generation: &Generation) -> Tier {
    let state = generation.state();
    match state.ranged.as_ref().is_some_and(|ranged| ranged.is_in_bucket()) {
        true => Tier::Bucket,
        false => Tier::Source,
    }
}

/// What the work of one answer notes of its chunks.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The chunks that were not here when they became known.
    away: HashSet<ChunkRef>,
    sources: BTreeMap<u32, SourceNotes>,
}

#[derive(Debug, Default)]
struct SourceNotes {
    passed: u64,
    taken_apart: BTreeMap<WhyOpened, u64>,
    reads: BTreeMap<Tier, Reads>,
}

impl Notes {
    pub(super) fn is_away(&mut self, at: ChunkRef) {
        self.away.insert(at);
    }

    pub(super) fn passed(&mut self, at: ChunkRef) {
        self.source(at).passed += 1;
    }

    pub(super) fn taken_apart(&mut self, at: ChunkRef, why: WhyOpened) {
        *self.source(at).taken_apart.entry(why).or_default() += 1;
    }

    /// A chunk was read `here`; or in the farther tier, if it was not here before.
    pub(super) fn read(&mut self, at: ChunkRef, here: Tier, farther: Tier, bytes: u64) {
        let tier = if self.away.remove(&at) { farther } else { here };
        self.read_from(at, tier, bytes);
    }

    /// A chunk was read there.
    pub(super) fn read_from(&mut self, at: ChunkRef, tier: Tier, bytes: u64) {
        let reads = self.source(at).reads.entry(tier).or_default();
        reads.chunks += 1;
        reads.bytes += bytes;
    }

    fn take(&mut self, source: u32) -> SourceNotes {
        self.sources.remove(&source).unwrap_or_default()
    }

    fn source(&mut self, at: ChunkRef) -> &mut SourceNotes {
        self.sources.entry(at.source).or_default()
    }
}
