//! What a response has read of a source so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rdl_mcap_io::ChannelRecord;
use rdl_merge::SourceState;
use rdl_model::ChunkRef;
use tokio::sync::watch;

use crate::readers::{Progress, Reading};
use crate::response::work::{Work, WorkSource};
use crate::source::{Generation, Place, Source, State};

/// The generation that a response reads.
pub(super) struct Pinned {
    pub(super) generation: Arc<Generation>,
    pub(super) reading: Reading,
    pub(super) introduced: bool,
    pub(super) watch: watch::Receiver<u64>,
    pub(super) channels: Arc<BTreeMap<u16, Arc<ChannelRecord>>>,
    /// How many chunks the merge knows.
    pub(super) chunks: u32,
    /// How many chunks the lookback knows.
    pub(super) revealed: u32,
    pub(super) claimed: BTreeSet<u32>,
    pub(super) state: Option<SourceState>,
}

impl Pinned {
    pub(super) fn new(source: &Source, progress: &Arc<Progress>) -> Pinned {
        let (generation, reading) = source.pin(progress);
        Pinned {
            reading,
            watch: generation.watch(),
            introduced: false,
            channels: Arc::default(),
            chunks: 0,
            revealed: 0,
            claimed: BTreeSet::new(),
            state: None,
            generation,
        }
    }

    /// Whether nothing of it was handed on.
    pub(super) fn is_unused(&self) -> bool {
        self.chunks == 0 && self.revealed == 0
    }

    /// Tells the work of the source, and of new channels.
    pub(super) fn introduce(&mut self, at: u32, source: &Source, state: &State, work: &mut Work) {
        let first = !std::mem::replace(&mut self.introduced, true);
        if !first && state.channels.len() == self.channels.len() {
            return;
        }
        self.channels = Arc::new(state.channels.clone());
        let (generation, channels) = (self.generation.clone(), self.channels.clone());
        work.set_source(at, WorkSource { name: source.name.clone(), generation, channels });
    }

    /// Hands new chunks to the merge; whether there were any.
    pub(super) fn take(&mut self, at: u32, state: &State, work: &mut Work) -> bool {
        let known = self.chunks as usize;
        for (chunk, entry) in (self.chunks..).zip(&state.chunks[known..]) {
            match entry.place {
                Place::Empty | Place::Damaged => continue,
                Place::Claimed(_) => {
                    self.claimed.insert(chunk);
                }
                Place::Stored(_) | Place::Fetched(_) | Place::LetGo(_) => {}
            }
            work.add_chunk(ChunkRef { source: at, chunk }, entry);
        }
        self.chunks = u32::try_from(state.chunks.len()).unwrap_or(u32::MAX);
        state.chunks.len() > known
    }
}
