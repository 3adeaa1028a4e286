//! One source as one response sees it: pinned to a generation, and followed while that grows.

mod pinned;

use std::collections::BTreeSet;
use std::sync::Arc;

use rdl_mcap_io::AttachmentRecord;
use rdl_merge::{Lookback, Query, SourceState};
use rdl_model::{ChunkRef, Nanos, SourceKey, TimeRange};
use rdl_wire::Source as Declared;

use self::pinned::Pinned;
use super::explained::SourceUse;
use super::upcoming::{UpcomingChunks, read_first};
use super::work::Work;
use crate::cpu::Urgency;
use crate::readers::Progress;
use crate::recording::Inner;
use crate::shared::Shared;
use crate::source::{AttachmentPlace, Generation, Phase, Place, Source};
use crate::viewers::{Interest, ViewerId};
use crate::{EngineError, SourceKind};

/// A source that a response may need.
pub(super) struct Participant {
    /// Its position in the manifest.
    pub(super) at: u32,
    source: Arc<Source>,
    /// The response, and how it gets on.
    viewer: ViewerId,
    progress: Arc<Progress>,
    /// The times that count before the real ones are known.
    declared: TimeRange,
    /// The topics that count before the real ones are known; empty for a static source.
    topics: BTreeSet<String>,
    /// There once the response reached it.
    interest: Option<Interest>,
    pinned: Option<Pinned>,
    /// Whether it was searched for what is newest.
    looked_back: bool,
    /// Whether it took its place in the merge.
    entered: bool,
    /// It failed, and the response goes on without it.
    left: bool,
}

/// Whether looking at a source again told anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// It did.
    Changed,
    /// It did not: wait for it.
    Unchanged,
}

impl Participant {
    /// The source at this position of the manifest, unless the query wants none of its topics as
    /// far as is known: those that the manifest declares, until the real ones are known.
    pub(super) fn plan(
        recording: &Inner,
        query: &Query,
        viewer: ViewerId,
        progress: &Arc<Progress>,
        at: usize,
    ) -> Option<Participant> {
        let source = recording.sources[at].source.clone();
        let complete = matches!(source.current().state().phase, Phase::Complete);
        let (mut declared, mut topics) = (TimeRange::ALL, BTreeSet::new());
        if let Declared::Streamed(streamed) = recording.declared(at) {
            topics = streamed.topics.iter().map(|topic| topic.name.clone()).collect();
            if !complete {
                if query.topics.is_some() && !topics.iter().any(|topic| query.wants_topic(topic)) {
                    return None;
                }
                declared.start = streamed.start.unwrap_or(Nanos::MIN);
                declared.end = streamed.end.unwrap_or(Nanos::MAX);
            }
        }
        let at = u32::try_from(at).ok()?;
        Some(Participant {
            at,
            source,
            viewer,
            progress: progress.clone(),
            declared,
            topics,
            interest: None,
            pinned: None,
            looked_back: false,
            entered: false,
            left: false,
        })
    }

    /// Why it was read, or was not.
    pub(super) fn why(&self) -> SourceUse {
        match self {
            Participant { left: true, .. } => SourceUse::Failed,
            Participant { entered: true, .. } => SourceUse::Merged,
            Participant { looked_back: true, .. } => SourceUse::LookedBack,
            _ => SourceUse::OtherTimes,
        }
    }

    /// It was searched for what is newest in these times, if it is known and has some of them.
    pub(super) fn was_searched(&mut self, times: TimeRange) {
        self.looked_back |= self.pinned.is_some() && self.has_some_of(times);
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.source.kind == SourceKind::Streamed
    }

    pub(super) fn has_left(&self) -> bool {
        self.left
    }

    pub(super) fn declared_times(&self) -> TimeRange {
        self.declared
    }

    pub(super) fn declared_topics(&self) -> BTreeSet<String> {
        self.topics.clone()
    }

    /// Whether every message up to `end` is there for this response, or none will come.
    pub(super) fn is_loaded_until(&self, end: Nanos) -> bool {
        if self.left {
            return true;
        }
        // What is not pinned was not looked at: somebody else may have loaded it just now.
        let Some(pinned) = &self.pinned else { return false };
        match pinned.generation.state().phase {
            Phase::Complete => true,
            Phase::Loading { frontier } => self.is_streamed() && frontier > end,
            Phase::Pending | Phase::Failed { .. } | Phase::Superseded(_) => false,
        }
    }

    /// Whether all of it is known already.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.source.current().state().phase, Phase::Complete)
    }

    /// Whether the chunk has to be fetched before it can be read.
    pub(super) fn is_to_fetch(&self, chunk: u32) -> bool {
        matches!(self.place(chunk), Some(Place::Claimed(_) | Place::LetGo(_)))
    }

    /// Whether the chunk can be read.
    pub(super) fn is_there(&self, chunk: u32) -> bool {
        matches!(self.place(chunk), Some(Place::Stored(_) | Place::Fetched(_)))
    }

    fn place(&self, chunk: u32) -> Option<Place> {
        let state = self.pinned.as_ref()?.generation.state();
        state.chunks.get(chunk as usize).map(|chunk| chunk.place.clone())
    }

    pub(super) fn key(&self) -> SourceKey {
        self.source.key
    }

    pub(super) fn name(&self) -> Arc<str> {
        self.source.name.clone()
    }

    pub(super) fn generation(&self) -> Option<&Arc<Generation>> {
        self.pinned.as_ref().map(|pinned| &pinned.generation)
    }

    /// Starts to read where a merge of these times begins, if the bucket has it, now or as soon as
    /// that is known.
    pub(super) fn read_first(
        &mut self,
        recording: &Inner,
        times: TimeRange,
    ) -> impl Future<Output = ()> + use<> {
        self.open(recording);
        read_first(recording.shared.clone(), self.source.clone(), times)
    }

    /// Whether messages of these times are expected of it, as far as is known.
    pub(super) fn has_some_of(&self, times: TimeRange) -> bool {
        let current = self.source.current();
        let state = current.state();
        let known = match state.phase {
            Phase::Complete => state.times(),
            _ => Some(self.declared),
        };
        known.is_some_and(|known| known.overlaps(times))
    }

    /// Takes its place in the merge, unless no message of it is expected there; whether it did.
    /// What is known of it whole counts more than what was declared.
    pub(super) fn enter(&mut self, times: TimeRange, work: &mut Work) -> bool {
        let current = self.source.current();
        let state = current.state();
        if matches!(state.phase, Phase::Complete) {
            let Some(times) = state.times() else { return false };
            self.declared = times;
        }
        drop(state);
        let enters = self.declared.overlaps(times) && !self.left;
        self.entered = enters;
        if enters {
            work.set_state(self.at, SourceState::Unopened { start: self.declared.start });
        }
        enters
    }

    /// Starts to wait for the source, which starts its load or its indexing.
    pub(super) fn open(&mut self, recording: &Inner) {
        if self.interest.is_none() {
            self.interest = Some(recording.want(self.at as usize, self.viewer));
        }
    }

    /// The source holds the response back: its load comes before those that read ahead.
    pub(super) fn need(&mut self, recording: &Inner) {
        self.open(recording);
        if self.interest.as_ref().is_some_and(Interest::need) {
            recording.shared.queue.touch();
        }
    }

    /// Whether its first message is expected by then.
    pub(super) fn starts_by(&self, time: Nanos) -> bool {
        self.declared.start <= time
    }

    /// Whether messages of it are expected between others of these times.
    pub(super) fn lies_over(&self, times: TimeRange) -> bool {
        self.declared.start < times.end && times.start < self.declared.end
    }

    /// Tells its load that its chunks will be taken apart.
    pub(super) fn take_apart(&self) {
        self.source.current().take_apart(self.declared.start);
    }

    /// The response needs no chunk before this one any more, or none of those known.
    pub(super) fn needs_from(&self, chunk: Option<u32>) {
        if let Some(pinned) = &self.pinned {
            pinned.reading.needs_from(chunk.unwrap_or(pinned.chunks));
        }
    }

    /// Whether all of it is known and was handed to the merge.
    pub(super) fn is_used_up(&self) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| pinned.state == Some(SourceState::Complete))
    }

    /// Reads nothing of it any more.
    pub(super) fn let_go(&mut self) {
        self.interest = None;
        self.pinned = None;
    }

    /// What is stored of it cannot be read any more: it has to be loaded again.
    pub(super) async fn lose(&mut self, shared: &Shared) {
        let Some(pinned) = &self.pinned else { return };
        let changed = EngineError::Changed { source_name: self.name() };
        self.source.supersede(&pinned.generation, changed);
        let files = pinned.generation.state().files.clone();
        if let Some(files) = files {
            // That it fails is told to the log alone: the next reader meets it again.
            let _ = shared.store(move |store| store.forget(&files)).await;
        }
    }

    /// Why what the response has read of it cannot be relied on, if so.
    pub(super) fn superseded(&self) -> Option<EngineError> {
        match &self.pinned.as_ref()?.generation.state().phase {
            Phase::Superseded(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// Whether it is opened and not known whole yet.
    pub(super) fn is_loading(&self) -> bool {
        self.interest.is_some() && !self.is_complete()
    }

    /// Up to which time the messages of the source are known.
    pub(super) fn reached(&self) -> Nanos {
        match self.pinned.as_ref().and_then(|pinned| pinned.state) {
            Some(SourceState::Loading { frontier }) => frontier.max(self.declared.start),
            _ => self.declared.start,
        }
    }

    /// Takes over what the source has new into the merge. A source that was not open is opened.
    pub(super) fn sync(
        &mut self,
        recording: &Inner,
        work: &mut Work,
    ) -> Result<Synced, EngineError> {
        self.look(recording, work)?;
        let Some(pinned) = &mut self.pinned else { return Ok(Synced::Unchanged) };
        let generation = pinned.generation.clone();
        let state = generation.state();
        let reached = match &state.phase {
            Phase::Loading { frontier } => SourceState::Loading { frontier: *frontier },
            Phase::Complete => SourceState::Complete,
            // The next look tells what to do about it.
            Phase::Pending | Phase::Failed { .. } | Phase::Superseded(_) => {
                return Ok(Synced::Unchanged);
            }
        };
        // Under the lock under which the chunks are taken: they may use channels that are new.
        pinned.introduce(self.at, &self.source, &state, work);
        let more = pinned.take(self.at, &state, work);
        if pinned.state == Some(reached) && !more {
            return Ok(Synced::Unchanged);
        }
        pinned.state = Some(reached);
        work.set_state(self.at, reached);
        Ok(Synced::Changed)
    }

    /// Opens the source and pins what there is of it; fails when it failed, and when what was
    /// used of it is gone. From here on [`Participant::changed`] tells of what is new.
    pub(super) fn look(&mut self, recording: &Inner, work: &mut Work) -> Result<(), EngineError> {
        self.open(recording);
        loop {
            let pinned =
                self.pinned.get_or_insert_with(|| Pinned::new(&self.source, &self.progress));
            pinned.watch.mark_unchanged();
            let generation = pinned.generation.clone();
            let state = generation.state();
            let why = match &state.phase {
                Phase::Loading { .. } | Phase::Complete => {
                    pinned.introduce(self.at, &self.source, &state, work);
                    return Ok(());
                }
                // It was opened ahead, and may have been mended since.
                Phase::Failed { at, .. } if pinned.is_unused() && Source::may_retry(*at) => {
                    EngineError::Changed { source_name: self.name() }
                }
                Phase::Failed { error, .. } => return Err(error.clone()),
                Phase::Pending => EngineError::Changed { source_name: self.name() },
                Phase::Superseded(why) => why.clone(),
            };
            drop(state);
            self.start_again(recording, why)?;
        }
    }

    /// Hands new channels and chunks to a lookback. A source that nobody opened reveals what is
    /// known of it all the same.
    pub(super) fn reveal(&mut self, work: &mut Work, lookback: &mut Lookback) {
        if self.left {
            return;
        }
        if self.pinned.is_none() {
            let pinned = Pinned::new(&self.source, &self.progress);
            if !matches!(pinned.generation.state().phase, Phase::Complete) {
                return;
            }
            self.pinned = Some(pinned);
        }
        let Some(pinned) = &mut self.pinned else { return };
        let generation = pinned.generation.clone();
        let state = generation.state();
        pinned.introduce(self.at, &self.source, &state, work);
        lookback.add_channels(self.at, &pinned.channels);
        let known = pinned.revealed as usize;
        for (chunk, entry) in (pinned.revealed..).zip(&state.chunks[known..]) {
            let claimed = match entry.place {
                Place::Empty | Place::Damaged => continue,
                Place::Claimed(_) => true,
                Place::Stored(_) | Place::Fetched(_) | Place::LetGo(_) => false,
            };
            let at = ChunkRef { source: self.at, chunk };
            lookback.add_chunk(at, entry.descriptor.clone(), claimed);
        }
        pinned.revealed = u32::try_from(state.chunks.len()).unwrap_or(u32::MAX);
    }

    /// Resolves when the source has something new.
    pub(super) async fn changed(&mut self) {
        match &mut self.pinned {
            Some(pinned) => {
                let _waits = pinned.reading.wait();
                let _ = pinned.watch.changed().await;
            }
            None => tokio::task::yield_now().await,
        }
    }

    /// Fetches and verifies chunks of a static source, or of one in the bucket.
    pub(super) async fn verify(
        &self,
        shared: &Arc<Shared>,
        chunks: &[u32],
    ) -> Result<(), EngineError> {
        let pinned = self.pinned.as_ref().ok_or(EngineError::TaskDied)?;
        let viewer = self.interest.as_ref().map(Interest::viewer);
        let ranged = pinned.generation.state().ranged.clone().ok_or(EngineError::TaskDied)?;
        ranged.verify(shared, &self.source, &pinned.generation, viewer, chunks).await
    }

    /// Starts to fetch what the response will need soon, where that lies in the bucket.
    pub(super) fn read_ahead(&self, shared: &Arc<Shared>, upcoming: &UpcomingChunks) {
        if let Some(pinned) = &self.pinned {
            upcoming.read(shared, &self.source, &pinned.generation);
        }
    }

    /// Puts verified chunks in the place of their claims.
    pub(super) fn replace_claims(&mut self, work: &mut Work) {
        let Some(pinned) = &mut self.pinned else { return };
        let generation = pinned.generation.clone();
        let state = generation.state();
        let at = self.at;
        // A chunk may define channels that the summary does not name.
        pinned.introduce(at, &self.source, &state, work);
        pinned.claimed.retain(|chunk| {
            let Some(entry) = state.chunks.get(*chunk as usize) else { return true };
            let verified = match entry.place {
                Place::Claimed(_) => return true,
                Place::Damaged | Place::Empty => None,
                Place::Stored(_) | Place::Fetched(_) | Place::LetGo(_) => {
                    Some(entry.descriptor.clone())
                }
            };
            work.replace_chunk(ChunkRef { source: at, chunk: *chunk }, verified);
            false
        });
    }

    /// Stops to wait for the source.
    pub(super) fn leave(&mut self) -> Arc<str> {
        self.let_go();
        self.left = true;
        self.name()
    }

    /// Its attachments; those of a static source are fetched.
    pub(super) async fn attachments(
        &self,
        shared: &Arc<Shared>,
    ) -> Result<Vec<AttachmentRecord>, EngineError> {
        let Some(pinned) = &self.pinned else { return Ok(Vec::new()) };
        let (places, files, ranged) = {
            let state = pinned.generation.state();
            let places: Vec<AttachmentPlace> =
                state.attachments.iter().map(|attachment| attachment.place).collect();
            (places, state.files.clone(), state.ranged.clone())
        };
        let mut attachments = Vec::with_capacity(places.len());
        for place in places {
            let found = match (place, &files, &ranged) {
                (AttachmentPlace::Stored(position), Some(files), _) => {
                    let files = files.clone();
                    let read = move || files.read(position);
                    let read = shared.cpu.run(Urgency::Now, read).await??;
                    AttachmentRecord::from_record_bytes(&read).ok()
                }
                (AttachmentPlace::File(range), _, Some(ranged)) => {
                    let viewer = self.interest.as_ref().map(|interest| &**interest.viewer());
                    ranged.attachment(&self.source, viewer, range).await?
                }
                _ => None,
            };
            attachments.extend(found);
        }
        Ok(attachments)
    }

    /// The pinned generation is gone. As long as nothing of it was used, the next one will do.
    fn start_again(&mut self, recording: &Inner, why: EngineError) -> Result<(), EngineError> {
        let used = self.pinned.as_ref().is_some_and(|pinned| !pinned.is_unused());
        let refusal = self.interest.as_ref().and_then(|interest| interest.viewer().refusal());
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if used {
            return Err(why);
        }
        self.pinned = None;
        // Whatever took its place counts as looked at for this response; where nothing did, the
        // source has to be started again.
        let current = self.source.current();
        let usable = matches!(current.state().phase, Phase::Loading { .. } | Phase::Complete);
        if !usable {
            self.interest = None;
            self.open(recording);
        }
        Ok(())
    }
}
