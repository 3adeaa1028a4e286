use std::sync::Arc;
use std::time::Duration;

use rdl_fetch::{AskedManifest, HttpClient, ManifestClient, ManifestParams, Token};
use rdl_metrics::table;
use rdl_model::Nanos;
use rdl_store::{Bucket, DiskStore};
use rdl_wire::Source as DeclaredSource;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::cpu::Cpu;
use crate::files::Files;
use crate::load::{self, LoadMode};
use crate::memory::Memory;
use crate::open_chunks::OpenChunks;
use crate::pressure::Pressure;
use crate::queue::LoadQueue;
use crate::ranged::FetchedGroups;
use crate::recording::Recording;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::sharing::{BucketWatch, Sharing};
use crate::source::{Source, Start};
use crate::standing::Rights;
use crate::viewers::{Grant, Held, Interest, ViewerId};
use crate::{EngineConfig, EngineError, SourceKind, ranged};

/// How long [`Engine::shutdown`] waits for what runs.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);

/// How many static sources are indexed at a time: a recording may have thousands.
const INDEXED_AT_A_TIME: usize = 32;

/// How often what is known of idle sources is held against its bound.
const TIDIED_EVERY: Duration = Duration::from_secs(1);

/// The data plane of one process: every recording that anyone asks it for, each source of them
/// loaded once and shared by all.
pub struct Engine {
    shared: Arc<Shared>,
    manifests: Arc<ManifestClient>,
    bucket: Option<BucketWatch>,
}

impl Engine {
    /// Opens the disk store, checks the bucket, and gets ready to be asked. The data backend is not
    /// asked anything.
    pub async fn start(config: EngineConfig) -> Result<Arc<Engine>, EngineError> {
        let store_config = config.store.clone();
        let store = tokio::task::spawn_blocking(move || DiskStore::open(&store_config))
            .await
            .map_err(|_| EngineError::TaskDied)??;
        let misconfigured = |error| EngineError::Misconfigured(Arc::new(error));
        let bucket = match &config.bucket {
            Some(bucket) => {
                let bucket = Bucket::open(bucket).map_err(misconfigured)?;
                Some((bucket.clone(), BucketWatch::begin(bucket).await.map_err(misconfigured)?))
            }
            None => None,
        };
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let sharing = bucket.as_ref().map(|(bucket, _)| {
            let (sharing, silence) = (config.sharing.clone(), config.source_silence);
            Sharing::new(bucket.clone(), sharing, silence, tasks.clone(), stopping.clone())
        });
        let bucket = bucket.map(|(_, watch)| watch);
        let fetch = Arc::new(config.fetch.clone());
        let http = HttpClient::new(fetch.clone())
            .map_err(|error| EngineError::Manifest(Arc::new(error)))?;
        let manifests = Arc::new(ManifestClient::new(fetch, http.clone()));
        let memory = Memory::new(config.memory_limit_bytes);
        let shared = Arc::new(Shared {
            http,
            store: Arc::new(store),
            cpu: Cpu::new()?,
            tasks,
            indexing: Semaphore::new(INDEXED_AT_A_TIME),
            registry: Registry::default(),
            fetched: FetchedGroups::default(),
            open_chunks: OpenChunks::new(memory.open_chunks_bytes()),
            files: Files::new(&memory, config.load_linger),
            pressure: Pressure::new(),
            queue: LoadQueue::new(config.max_concurrent_loads),
            memory,
            sharing,
            draining: CancellationToken::new(),
            stopping,
            config,
        });
        shared.tasks.spawn(keep_tidy(shared.clone()));
        if let Some(bucket) = bucket.clone() {
            shared.tasks.spawn(bucket.run(shared.stopping.clone()));
        }
        Ok(Arc::new(Engine { shared, manifests, bucket }))
    }

    /// Asks the manifest endpoint for a recording, with the caller's own token.
    pub async fn recording(
        self: &Arc<Self>,
        params: &ManifestParams,
        token: Option<Token>,
    ) -> Result<Recording, EngineError> {
        if self.shared.stopping.is_cancelled() {
            return Err(EngineError::ShuttingDown);
        }
        let grant = self.grant(params, token);
        let granted = self.granted(&grant).await?;
        let rights = Rights::new(&self.shared, grant, granted);
        Ok(Recording::new(self.shared.clone(), rights))
    }

    /// Asks again; what is granted counts for the answers from before too, unless they were
    /// refused.
    pub(crate) async fn recording_again(
        &self,
        rights: &Arc<Rights>,
    ) -> Result<Recording, EngineError> {
        let granted =
            self.granted(&rights.grant).await.inspect_err(|error| rights.refuse(error))?;
        let rights = match rights.renew(granted.clone()) {
            true => rights.clone(),
            false => Rights::new(&self.shared, rights.grant.clone(), granted),
        };
        Ok(Recording::new(self.shared.clone(), rights))
    }

    pub(crate) fn grant(&self, params: &ManifestParams, token: Option<Token>) -> Arc<Grant> {
        Arc::new(Grant {
            manifests: self.manifests.clone(),
            endpoint: self.shared.config.fetch.manifest_endpoint.clone(),
            params: params.clone(),
            token,
        })
    }

    async fn granted(&self, grant: &Grant) -> Result<AskedManifest, EngineError> {
        let granted = self.manifests.fetch(&grant.params, grant.token.as_ref());
        let granted = granted.instrument(tracing::debug_span!("manifest")).await;
        granted.map_err(|error| EngineError::Manifest(Arc::new(error)))
    }

    /// Whether requests can be answered now; otherwise why not, in one sentence.
    pub fn readiness(&self) -> Result<(), String> {
        if self.shared.stopping.is_cancelled() {
            return Err("the loader is shutting down".into());
        }
        match self.bucket.as_ref().and_then(BucketWatch::trouble) {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        }
    }

    /// Tells metrics what is looked at rather than counted.
    pub async fn measure(&self) {
        let shared = &self.shared;
        shared.memory.measure(shared.open_chunks.held_bytes());
        table::LOADS_WAITING.now(shared.queue.waiting_count() as u64);
        if let Some(sharing) = &shared.sharing {
            table::BUCKET_OVERWRITES.now(u64::from(sharing.bucket.overwrites_in_silence()));
        }
        if let Ok(usage) = shared.store(DiskStore::usage).await {
            table::DISK_LIMIT.now(usage.max_bytes);
            table::DISK_BYTES.now(usage.bytes);
            table::DISK_SOURCES.now(usage.sources);
        }
    }

    /// From now on loads that nobody reads here are released at once, so that other replicas take
    /// them over.
    pub fn drain(&self) {
        self.shared.draining.cancel();
        self.shared.files.end_unread_openings();
    }

    /// Resolves when every source that is complete here is in the bucket too, or cannot get there.
    pub async fn published(&self) {
        if let Some(sharing) = &self.shared.sharing {
            sharing.published().await;
        }
    }

    /// How many loads run.
    pub fn running_loads(&self) -> usize {
        self.shared.queue.running_count()
    }

    /// Stops every load and waits for what runs; what is not complete is discarded.
    pub async fn shutdown(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        let all = async {
            self.shared.tasks.wait().await;
            self.shared.cpu.is_idle().await;
        };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, all).await.is_err() {
            tracing::warn!("some work did not stop in time and is cut off");
        }
        self.shared.files.clear();
        self.shared.registry.clear();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Forgets what is known of idle sources beyond its bound, until the engine stops.
async fn keep_tidy(shared: Arc<Shared>) {
    let bound_bytes = shared.memory.idle_indexes_bytes();
    let mut ticks = tokio::time::interval(TIDIED_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                shared.files.let_go(false);
                if shared.draining.is_cancelled() {
                    shared.files.end_unread_openings();
                }
                shared.registry.tidy(bound_bytes);
            }
            () = shared.stopping.cancelled() => return,
        }
    }
}

impl Shared {
    /// The source that the manifest names so.
    pub(crate) fn source(&self, declared: &DeclaredSource) -> Arc<Source> {
        let key = declared.key(&self.config.fetch.manifest_endpoint);
        let kind = match declared {
            DeclaredSource::Streamed(_) => SourceKind::Streamed,
            DeclaredSource::Static(_) => SourceKind::Static,
        };
        self.registry.get(key, &declared.name(), kind)
    }

    /// Registers somebody who waits for `source`, and starts the load or the indexing unless it
    /// runs or is done.
    pub(crate) fn want(
        self: &Arc<Self>,
        source: &Arc<Source>,
        viewer: ViewerId,
        held: Arc<Held>,
        declared_start: Nanos,
    ) -> Interest {
        let interest = source.viewers.join(viewer, held);
        let Some(Start { generation, before }) =
            source.claim_start(declared_start, self.config.static_revalidate)
        else {
            return interest;
        };
        let (shared, source) = (self.clone(), source.clone());
        match source.kind {
            SourceKind::Streamed => {
                let mode = LoadMode {
                    truncated_is_final: false,
                    key: source.key,
                    keep: true,
                    start: declared_start,
                };
                // It outlives the request that needs it, and is for others too.
                let span = tracing::debug_span!(parent: None, "load", source = %source.name);
                span.follows_from(tracing::Span::current());
                self.tasks.spawn(load::run(shared, source, generation, mode).instrument(span));
            }
            SourceKind::Static => {
                let span = tracing::debug_span!("index", source = %source.name);
                let index = ranged::index(shared, source, generation, before);
                self.tasks.spawn(index.instrument(span));
            }
        }
        interest
    }
}
