use std::time::Duration;

use rdl_fetch::FetchConfig;
use rdl_mcap_io::Limits;
use rdl_store::{BucketConfig, StoreConfig};

/// Everything that an [`Engine`](crate::Engine) is told at start.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Towards the data backend.
    pub fetch: FetchConfig,
    /// Where sources are kept.
    pub store: StoreConfig,
    /// The bucket that several replicas share, if there is one.
    pub bucket: Option<BucketConfig>,
    /// How loads are shared through it.
    pub sharing: SharingConfig,
    /// How long a load outlives its last viewer.
    pub load_linger: Duration,
    /// How many sources may load ahead of what a response needs now.
    pub max_concurrent_loads: usize,
    /// How long a source may give nothing new before its load fails.
    pub source_silence: Duration,
    /// How long what the manifest endpoint grants a token is believed, in an answer that lasts.
    pub grant_lasts: Duration,
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
    /// What a chunk of a source may be.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_chunk_bytes: self.max_chunk_bytes,
            max_message_bytes: self.max_message_bytes,
            ..Limits::default()
        }
    }

    /// The defaults, over this manifest endpoint's configuration.
    pub fn new(fetch: FetchConfig) -> EngineConfig {
        EngineConfig {
            fetch,
            store: StoreConfig::default(),
            bucket: None,
            sharing: SharingConfig::default(),
            load_linger: Duration::from_secs(60),
            max_concurrent_loads: 8,
            source_silence: Duration::from_secs(30),
            grant_lasts: Duration::from_secs(30),
            static_revalidate: Duration::from_secs(60),
            memory_limit_bytes: 160 << 20,
            max_chunk_bytes: 256 << 20,
            max_message_bytes: 64 << 20,
        }
    }
}

/// How the replicas that share a bucket tell each other of their loads.
#[derive(Clone, Debug)]
pub struct SharingConfig {
    /// A load says how far it is at most this often.
    pub write_min_interval: Duration,
    /// A load says at least this often that it is alive.
    pub touch_interval: Duration,
    /// One that has said nothing new for this long is dead.
    pub stale_age: Duration,
    /// Saying so takes longer than this: a warning.
    pub slow_update: Duration,
    /// Writing a part takes longer than this: a warning.
    pub slow_upload: Duration,
    /// A load that is followed has nothing new for longer than this: a warning.
    pub slow_bytes: Duration,
}

impl Default for SharingConfig {
    fn default() -> Self {
        SharingConfig {
            write_min_interval: Duration::from_secs(1),
            touch_interval: Duration::from_secs(5),
            stale_age: Duration::from_secs(20),
            slow_update: Duration::from_secs(2),
            slow_upload: Duration::from_secs(10),
            slow_bytes: Duration::from_secs(1),
        }
    }
}
