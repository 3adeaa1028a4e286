use std::time::Duration;

use rdl_fetch::FetchConfig;
use rdl_store::StoreConfig;

/// Everything that an [`Engine`](crate::Engine) is told at start.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Towards the data backend.
    pub fetch: FetchConfig,
    /// Where sources are kept.
    pub store: StoreConfig,
    /// How long a load outlives its last viewer.
    pub load_linger: Duration,
    /// How many sources may load ahead of what a response needs now.
    pub max_concurrent_loads: usize,
    /// How long a source may give nothing new before its load fails.
    pub source_silence: Duration,
    /// How long the validator of a static source is believed.
    pub static_revalidate: Duration,
    /// What responses, loads and open chunks may hold in memory together, in bytes. The process
    /// needs some 60 MiB besides.
    pub memory_limit_bytes: u64,
    /// The largest chunk, compressed or not, in bytes.
    pub max_chunk_bytes: u64,
    /// The largest message, in bytes.
    pub max_message_bytes: u64,
}

impl EngineConfig {
    /// The defaults, over this manifest endpoint's configuration.
    pub fn new(fetch: FetchConfig) -> EngineConfig {
        EngineConfig {
            fetch,
            store: StoreConfig::default(),
            load_linger: Duration::from_secs(60),
            max_concurrent_loads: 8,
            source_silence: Duration::from_secs(30),
            static_revalidate: Duration::from_secs(60),
            memory_limit_bytes: 160 << 20,
            max_chunk_bytes: 256 << 20,
            max_message_bytes: 64 << 20,
        }
    }
}
