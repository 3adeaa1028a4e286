use std::time::Duration;

use clap::Args;
use rdl_engine::EngineConfig;

use super::values::{HOUR_MS, parse_number};

/// The largest size that may be configured, in bytes.
const MAX_BYTES: u64 = 1 << 32;

/// The least memory with which a chunk of a common size can be loaded and sent, in bytes.
const LEAST_MEMORY_BYTES: u64 = 16 << 20;

/// Fetching and loading sources.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Loading")]
pub(crate) struct LoadingSettings {
    /// For how many milliseconds a source may give nothing new before its load fails
    #[arg(long, env = "REQUEST_CACHE_MAX_BYTES_WAIT_MS", default_value = "30000",
          value_parser = parse_number::<1, HOUR_MS>)]
    pub(crate) request_cache_max_bytes_wait_ms: u64,

    /// For how many milliseconds a load goes on after its last viewer has left
    #[arg(long, env = "LOAD_LINGER_MS", default_value = "60000",
          value_parser = parse_number::<0, { 24 * HOUR_MS }>)]
    pub(crate) load_linger_ms: u64,

    /// How many sources may load ahead of what viewers need now
    #[arg(long, env = "MAX_CONCURRENT_LOADS", default_value = "8",
          value_parser = parse_number::<1, 256>)]
    pub(crate) max_concurrent_loads: u64,

    /// For how many milliseconds a static source is believed to be unchanged
    #[arg(long, env = "STATIC_REVALIDATE_MS", default_value = "60000",
          value_parser = parse_number::<0, { 24 * HOUR_MS }>)]
    pub(crate) static_revalidate_ms: u64,

    /// How much memory responses, loads and open chunks may hold together, in bytes; the process
    /// needs about 60 MiB besides. When it is spent, further requests get a 503
    #[arg(long, env = "MEMORY_LIMIT_BYTES", default_value = "167772160",
          value_parser = parse_number::<LEAST_MEMORY_BYTES, { 1 << 40 }>)]
    pub(crate) memory_limit_bytes: u64,

    /// The largest chunk of a source, in bytes, compressed or not
    #[arg(long, env = "MAX_CHUNK_BYTES", default_value = "268435456",
          value_parser = parse_number::<1, MAX_BYTES>)]
    pub(crate) max_chunk_bytes: u64,

    /// The largest message of a source, in bytes
    #[arg(long, env = "MAX_MESSAGE_BYTES", default_value = "67108864",
          value_parser = parse_number::<1, MAX_BYTES>)]
    pub(crate) max_message_bytes: u64,
}

impl LoadingSettings {
    pub(super) fn apply(&self, config: &mut EngineConfig) {
        config.source_silence = Duration::from_millis(self.request_cache_max_bytes_wait_ms);
        config.load_linger = Duration::from_millis(self.load_linger_ms);
        config.max_concurrent_loads = usize::try_from(self.max_concurrent_loads).unwrap_or(256);
        config.static_revalidate = Duration::from_millis(self.static_revalidate_ms);
        config.memory_limit_bytes = self.memory_limit_bytes;
        config.max_chunk_bytes = self.max_chunk_bytes;
        config.max_message_bytes = self.max_message_bytes;
    }
}
