//! An object store in memory that misbehaves on demand: slow, away, forgetting answers, repeating
//! requests, frozen with a request under way, or overwriting in silence what must not exist.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::random::Random;

/// One client's view of a store that others may share; each view has faults of its own.
#[derive(Clone)]
pub struct FlakyStore {
    inner: Arc<InMemory>,
    faults: Arc<Faults>,
}

struct Faults {
    away: AtomicBool,
    ignores_conditions: AtomicBool,
    /// So many creations are refused, as if there were an object.
    refused_creations: AtomicU64,
    latency_ms: AtomicU64,
    /// Before an operation is carried out it takes up to this long, and before its answer arrives.
    longest_way_ms: AtomicU64,
    /// The names of the objects that were read.
    read: Mutex<Vec<String>>,
    /// Of a thousand operations so many fail.
    failing: AtomicU64,
    random: Mutex<Random>,
    frozen: watch::Sender<bool>,
    /// Freezes when an object with this name is about to be written.
    freezing_name: Mutex<Option<&'static str>>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            away: AtomicBool::default(),
            ignores_conditions: AtomicBool::default(),
            refused_creations: AtomicU64::default(),
            latency_ms: AtomicU64::default(),
            longest_way_ms: AtomicU64::default(),
            read: Mutex::default(),
            failing: AtomicU64::default(),
            random: Mutex::new(Random::new(0)),
            frozen: watch::Sender::new(false),
            freezing_name: Mutex::default(),
        }
    }
}

impl Faults {
    fn refuses_creation(&self) -> bool {
        let less = |count: u64| count.checked_sub(1);
        self.refused_creations.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

impl FlakyStore {
    /// A view of an empty store.
    pub fn new() -> FlakyStore {
        FlakyStore { inner: Arc::new(InMemory::new()), faults: Arc::default() }
    }

    /// A further view of the same store, without faults.
    pub fn another(&self) -> FlakyStore {
        FlakyStore { inner: self.inner.clone(), faults: Arc::default() }
    }

    /// From now on nothing can be reached, or everything again.
    pub fn set_away(&self, away: bool) {
        self.faults.away.store(away, Ordering::SeqCst);
    }

    /// From now on objects that must not exist are overwritten.
    pub fn set_ignores_conditions(&self, ignores: bool) {
        self.faults.ignores_conditions.store(ignores, Ordering::SeqCst);
    }

    /// The next so many objects that must not exist are refused as existing: what a store says that
    /// is busy with the same name.
    pub fn refuse_creations(&self, count: u64) {
        self.faults.refused_creations.store(count, Ordering::SeqCst);
    }

    /// From now on every operation takes this long.
    pub fn set_latency(&self, latency: Duration) {
        let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.faults.latency_ms.store(millis, Ordering::SeqCst);
    }

    /// From now on so many of a thousand operations fail: a third of them without being carried
    /// out, a third with a lost answer, and a third are repeated by a client that lost the first
    /// answer. Which ones follows from the seed.
    pub fn set_failing(&self, of_thousand: u64, seed: u64) {
        *self.faults.random.lock() = Random::new(seed);
        self.faults.failing.store(of_thousand, Ordering::SeqCst);
    }

    /// From now on every request and every answer is up to this long on its way; how long follows
    /// from the seed.
    pub fn set_ways(&self, longest: Duration, seed: u64) {
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        *self.faults.random.lock() = Random::new(seed);
        self.faults.longest_way_ms.store(millis, Ordering::SeqCst);
    }

    /// From now on this client's requests do not leave and answers do not arrive, until it is
    /// thawed: its process is stopped, or gone for good.
    pub fn set_frozen(&self, frozen: bool) {
        self.faults.frozen.send_replace(frozen);
    }

    /// Freezes this client when it is about to write an object with this name, once.
    pub fn freeze_before(&self, name: &'static str) {
        *self.faults.freezing_name.lock() = Some(name);
    }

    /// How many objects were read, whole or in part.
    pub fn reads(&self) -> usize {
        self.faults.read.lock().len()
    }

    /// Which objects were read, whole or in part, after the first `before` reads; one that was read
    /// several times is named as often.
    pub fn read_since(&self, before: usize) -> Vec<String> {
        self.faults.read.lock().iter().skip(before).cloned().collect()
    }

    /// The names of all objects, in order.
    pub async fn names(&self) -> Vec<String> {
        let objects = self.inner.list(None).map(|object| object.map(|found| found.location));
        let mut names: Vec<String> =
            objects.filter_map(async |name| Some(name.ok()?.to_string())).collect().await;
        names.sort();
        names
    }

    /// Writes an object, whatever is there, at once and without a fault.
    ///
    /// # Panics
    ///
    /// If it is no name of an object.
    pub async fn put_over(&self, name: &str, bytes: &'static [u8]) {
        let put = self.inner.put(&Path::from(name), PutPayload::from_static(bytes)).await;
        put.expect("an object in memory");
    }

    /// Removes an object, or flips the bits of a byte in the middle of it.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    pub async fn damage(&self, name: &str, only_a_byte: bool) {
        let path = Path::from(name);
        let whole = self.inner.get(&path).await.expect("the object is there");
        let mut bytes = whole.bytes().await.expect("an object in memory").to_vec();
        if only_a_byte {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            self.inner.put(&path, bytes.into()).await.expect("an object in memory");
        } else {
            self.inner.delete(&path).await.expect("an object in memory");
        }
    }

    /// Carries an operation out, or not, as the faults will have it.
    async fn carry_out<T, F>(&self, operation: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.under_way().await;
        if self.faults.away.load(Ordering::SeqCst) {
            return Err(unreachable("the store is away"));
        }
        let failing = self.faults.failing.load(Ordering::SeqCst);
        let fate = match self.faults.random.lock().below(1000) {
            at if at >= failing => Fate::Good,
            at if at % 3 == 0 => Fate::Lost,
            at if at % 3 == 1 => Fate::AnswerIsLost,
            _ => Fate::Repeated,
        };
        let answer = match fate {
            Fate::Lost => Err(unreachable("the request was lost")),
            Fate::Good => operation().await,
            Fate::AnswerIsLost => {
                let _lost = operation().await;
                Err(unreachable("the answer was lost"))
            }
            Fate::Repeated => {
                let _lost = operation().await;
                self.under_way().await;
                operation().await
            }
        };
        self.on_its_way().await;
        answer
    }

    async fn under_way(&self) {
        let millis = self.faults.latency_ms.load(Ordering::SeqCst);
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        self.on_its_way().await;
    }

    async fn on_its_way(&self) {
        let longest = self.faults.longest_way_ms.load(Ordering::SeqCst);
        if longest > 0 {
            let millis = self.faults.random.lock().below(longest);
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        let mut frozen = self.faults.frozen.subscribe();
        // The sender lives as long as this view.
        let _thawed = frozen.wait_for(|frozen| !frozen).await;
    }
}

impl Default for FlakyStore {
    fn default() -> Self {
        FlakyStore::new()
    }
}

/// What becomes of an operation.
enum Fate {
    Good,
    Lost,
    AnswerIsLost,
    Repeated,
}

fn unreachable(what: &'static str) -> Error {
    Error::Generic { store: "flaky", source: what.into() }
}

impl fmt::Debug for FlakyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlakyStore")
    }
}

impl fmt::Display for FlakyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlakyStore")
    }
}

#[async_trait]
impl ObjectStore for FlakyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let name = location.filename();
        if self.faults.freezing_name.lock().take_if(|freezing| Some(&**freezing) == name).is_some()
        {
            self.set_frozen(true);
        }
        if options.mode == PutMode::Create && self.faults.refuses_creation() {
            let path = location.to_string();
            return Err(Error::AlreadyExists { path, source: "conflict".into() });
        }
        let put = || {
            let mut options = options.clone();
            if self.faults.ignores_conditions.load(Ordering::SeqCst) {
                options.mode = PutMode::Overwrite;
            }
            self.inner.put_opts(location, payload.clone(), options)
        };
        self.carry_out(put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.carry_out(|| self.inner.put_multipart_opts(location, options.clone())).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.read.lock().push(location.to_string());
        self.carry_out(|| self.inner.get_opts(location, options.clone())).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .then(move |location| {
                let this = this.clone();
                async move {
                    let location = location?;
                    let delete = async || {
                        let one = stream::once(std::future::ready(Ok(location.clone()))).boxed();
                        let removed = this.inner.delete_stream(one).next().await;
                        removed.unwrap_or(Ok(location.clone()))
                    };
                    this.carry_out(delete).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        stream::once(async move {
            let list = async || Ok(this.inner.list(prefix.as_ref()).collect::<Vec<_>>().await);
            match this.carry_out(list).await {
                Ok(listed) => stream::iter(listed).boxed(),
                Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.carry_out(|| self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.carry_out(|| self.inner.copy_opts(from, to, options.clone())).await
    }
}
