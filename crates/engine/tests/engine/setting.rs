//! A bucket that replicas share, and the data backend behind them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rdl_engine::{
    BucketConfig, BucketProvider, Engine, EngineConfig, EngineError, FetchConfig, Query,
    StoreConfig,
};
use rdl_testkit::FlakyStore;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::backend::{declare, recording};
use crate::drive::{Message, Shape, Source, merged};
use crate::faulty::{Answer, Faulty};
use crate::output;

/// A thousand messages of this size in chunks of 64 KiB, ten seconds of them.
pub(crate) fn source(bytes: u32) -> Source {
    Source {
        messages: (0..1000_u32)
            .map(|at| Message {
                topic: "/a".into(),
                schema: Some(("S".into(), vec![7; 30])),
                metadata: Default::default(),
                log_time: 1_000_000_000 + u64::from(at) * 10_000_000,
                publish_time: u64::from(at),
                sequence: at,
                data: noise(at, bytes),
            })
            .collect(),
        shape: Shape {
            chunk_bytes: Some(64 << 10),
            compression: None,
            first_id: 1,
            is_static: false,
        },
    }
}

/// What no codec makes smaller.
pub(crate) fn noise(seed: u32, bytes: u32) -> Vec<u8> {
    rdl_testkit::Random::new(u64::from(seed)).bytes(bytes as usize)
}

/// Loads in two seconds.
pub(crate) fn slowly(source: &Source) -> Answer {
    Answer::Slowly(source.mcap(), 50 << 10, Duration::from_millis(100))
}

pub(crate) struct Setting {
    pub(crate) sources: Vec<Source>,
    pub(crate) backend: Faulty,
    pub(crate) store: FlakyStore,
    folders: tempfile::TempDir,
}

pub(crate) struct Replica {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: FlakyStore,
}

impl Setting {
    pub(crate) async fn new(answer: impl Fn(&Source) -> Answer) -> Setting {
        Setting::of(source(1000), answer).await
    }

    pub(crate) async fn of(source: Source, answer: impl Fn(&Source) -> Answer) -> Setting {
        Setting::of_several(vec![source], answer).await
    }

    pub(crate) async fn of_several(
        sources: Vec<Source>,
        answer: impl Fn(&Source) -> Answer,
    ) -> Setting {
        let paths: Vec<String> = (0..sources.len()).map(|at| format!("/s/{at}")).collect();
        let answers: Vec<_> = paths
            .iter()
            .zip(&sources)
            .map(|(path, source)| (path.as_str(), vec![answer(source)]))
            .collect();
        let declared: Vec<_> = sources.iter().enumerate().map(declare).collect();
        let backend = Faulty::start(json!({ "sources": declared }), &answers).await;
        let folders = tempfile::tempdir().unwrap();
        Setting { sources, backend, store: FlakyStore::new(), folders }
    }

    pub(crate) async fn replica(&self) -> Replica {
        self.replica_over(self.store.another()).await
    }

    pub(crate) async fn replica_over(&self, store: FlakyStore) -> Replica {
        self.replica_with(store, None).await
    }

    pub(crate) async fn replica_with(&self, store: FlakyStore, max_bytes: Option<u64>) -> Replica {
        self.replica_of(store, |config| config.store.max_bytes = max_bytes).await
    }

    pub(crate) async fn replica_of(
        &self,
        store: FlakyStore,
        change: impl FnOnce(&mut EngineConfig),
    ) -> Replica {
        let endpoint = format!("http://{}/manifest", self.backend.address).parse().unwrap();
        let mut fetch = FetchConfig::new(endpoint);
        fetch.allow_http_sources = true;
        fetch.use_system_proxy = false;
        let mut config = EngineConfig::new(fetch);
        let folder = tempfile::tempdir_in(self.folders.path()).unwrap().keep();
        config.store = StoreConfig { folder: Some(folder), bucket: None, max_bytes: None };
        config.bucket = Some(BucketConfig {
            provider: BucketProvider::Other(Arc::new(store.clone())),
            name: "b".into(),
            prefix: "some/where".into(),
        });
        config.sharing.stale_age = Duration::from_secs(1);
        config.sharing.touch_interval = Duration::from_millis(250);
        config.sharing.write_min_interval = Duration::from_millis(100);
        config.source_silence = Duration::from_secs(10);
        change(&mut config);
        Replica { engine: Engine::start(config).await.unwrap(), store }
    }

    pub(crate) fn assert_whole(&self, answer: &[u8]) {
        assert_eq!(output::messages(answer), merged(&self.sources));
    }

    pub(crate) fn downloads(&self) -> usize {
        self.backend.requests("/s/0")
    }

    /// The names of the cuts in the bucket.
    pub(crate) async fn cuts(&self) -> Vec<String> {
        let names = self.store.names().await.into_iter();
        names.filter(|name| name.contains("/v1/cuts/")).collect()
    }

    /// Waits until the bucket holds one complete attempt of each source, and nothing else.
    pub(crate) async fn settled(&self) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..100 {
            names = self.store.names().await;
            let of = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
            let sources = self.sources.len();
            if of("complete.json") == sources && of("running.json") == sources && of(".claim") == 0
            {
                return names;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the bucket does not settle: {names:#?}");
    }
}

/// An engine over the data backend at this address, without a bucket.
pub(crate) async fn engine_at(
    address: SocketAddr,
    change: impl FnOnce(&mut EngineConfig),
) -> (Arc<Engine>, tempfile::TempDir) {
    let mut fetch = FetchConfig::new(format!("http://{address}/manifest").parse().unwrap());
    fetch.allow_http_sources = true;
    fetch.use_system_proxy = false;
    fetch.retry_pause = Duration::from_millis(10);
    let folder = tempfile::tempdir().unwrap();
    let mut config = EngineConfig::new(fetch);
    config.store =
        StoreConfig { folder: Some(folder.path().to_owned()), bucket: None, max_bytes: None };
    change(&mut config);
    (Engine::start(config).await.unwrap(), folder)
}

/// Serves these routes on a free port, until the task is aborted.
pub(crate) async fn serve(routes: axum::Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
}

pub(crate) type Asking = JoinHandle<Result<Vec<u8>, EngineError>>;

/// Asks for everything, and goes on with something else meanwhile.
pub(crate) async fn asking(replica: &Replica) -> Asking {
    let recording = recording(&replica.engine).await;
    tokio::spawn(async move { output::collect(&recording, Query::default()).await })
}

/// Asks one replica for everything, so that it leads, and another one, so that it follows; both
/// are in the middle of it then.
pub(crate) async fn asking_both(leader: &Replica, follower: &Replica) -> [Asking; 2] {
    let leading = asking(leader).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let following = asking(follower).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    [leading, following]
}

pub(crate) async fn ask(replica: &Replica) -> Vec<u8> {
    let recording = recording(&replica.engine).await;
    output::collect(&recording, Query::default()).await.unwrap()
}
