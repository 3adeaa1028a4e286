//! What is known at the end of an intact beginning, for its manifest and for a scan that goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdl_mcap_io::{ChannelDef, SchemaDef};
use rdl_model::TimeRange;
use sha2::Sha256;

/// The intact beginning of a file.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// How long it is, in bytes.
    pub(crate) bytes: u64,
    /// The hash of it, in hex: the same words mean the same bytes.
    pub(crate) hash: String,
    /// What a later scan goes on from; `None`: there is nothing to go on with.
    pub(crate) state: Option<Arc<State>>,
}

impl Prefix {
    pub(crate) fn memory_bytes(&self) -> usize {
        let Some(state) = &self.state else { return 0 };
        let definitions = usize::try_from(state.definitions_bytes).unwrap_or(usize::MAX);
        state.head.len() + state.recent.len() + definitions.saturating_mul(2)
    }
}

/// What is known at the end of an intact beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(super) bytes: u64,
    pub(super) hash: Sha256,
    /// Magic and header.
    pub(super) head: Vec<u8>,
    /// The last bytes of it.
    pub(super) recent: Vec<u8>,
    pub(super) schemas: Arc<BTreeMap<u16, Arc<SchemaDef>>>,
    pub(super) channels: Arc<BTreeMap<u16, (u16, ChannelDef)>>,
    pub(super) definitions_bytes: u64,
    pub(super) messages: u64,
    pub(super) times: Option<TimeRange>,
    /// How many messages come behind a chunk with a newer one, and how late the latest of them.
    pub(super) late: u64,
    pub(super) latest_nanos: u64,
    pub(super) passed_over: u64,
    pub(super) problems: Vec<String>,
}

impl State {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the file had right before [`State::bytes`].
    pub(crate) fn recent(&self) -> &[u8] {
        &self.recent
    }
}
