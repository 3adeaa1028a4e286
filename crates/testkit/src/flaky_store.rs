//! An object store in memory that misbehaves on demand: slow, away, forgetting answers, or
//! overwriting in silence what must not exist.

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

use crate::random::Random;

/// One client's view of a store that others may share; each view has faults of its own.
#[derive(Clone)]
pub struct FlakyStore {
    inner: Arc<InMemory>,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    away: AtomicBool,
    ignores_conditions: AtomicBool,
    latency_ms: AtomicU64,
    /// The names of the objects that were read.
    read: Mutex<Vec<String>>,
    /// Of a thousand operations so many fail, half of them after they were carried out.
    failing: AtomicU64,
    random: Mutex<Option<Random>>,
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

    /// From now on every operation takes this long.
    pub fn set_latency(&self, latency: Duration) {
        let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.faults.latency_ms.store(millis, Ordering::SeqCst);
    }

    /// From now on so many of a thousand operations fail, half of them after they were carried
    /// out; which ones follows from the seed.
    pub fn set_failing(&self, of_thousand: u64, seed: u64) {
        *self.faults.random.lock() = Some(Random::new(seed));
        self.faults.failing.store(of_thousand, Ordering::SeqCst);
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
    ///
    /// # Panics
    ///
    /// Never.
    pub async fn names(&self) -> Vec<String> {
        let objects = self.inner.list(None).map(|object| object.map(|found| found.location));
        let mut names: Vec<String> =
            objects.filter_map(async |name| Some(name.ok()?.to_string())).collect().await;
        names.sort();
        names
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

    async fn before(&self) -> Result<Fate> {
        let millis = self.faults.latency_ms.load(Ordering::SeqCst);
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        if self.faults.away.load(Ordering::SeqCst) {
            return Err(unreachable("the store is away"));
        }
        let failing = self.faults.failing.load(Ordering::SeqCst);
        if failing == 0 {
            return Ok(Fate::Good);
        }
        let mut random = self.faults.random.lock();
        let Some(random) = random.as_mut() else { return Ok(Fate::Good) };
        match random.below(1000) {
            at if at < failing / 2 => Err(unreachable("the request was lost")),
            at if at < failing => Ok(Fate::AnswerIsLost),
            _ => Ok(Fate::Good),
        }
    }
}

impl Default for FlakyStore {
    fn default() -> Self {
        FlakyStore::new()
    }
}

/// What becomes of an operation that is carried out.
enum Fate {
    Good,
    AnswerIsLost,
}

impl Fate {
    fn of<T>(self, answer: Result<T>) -> Result<T> {
        match self {
            Self::Good => answer,
            Self::AnswerIsLost => Err(unreachable("the answer was lost")),
        }
    }
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
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let fate = self.before().await?;
        if self.faults.ignores_conditions.load(Ordering::SeqCst) {
            options.mode = PutMode::Overwrite;
        }
        fate.of(self.inner.put_opts(location, payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.before().await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.read.lock().push(location.to_string());
        let fate = self.before().await?;
        fate.of(self.inner.get_opts(location, options).await)
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
                    let fate = this.before().await?;
                    let one = stream::once(std::future::ready(Ok(location.clone()))).boxed();
                    let mut removed = this.inner.delete_stream(one);
                    fate.of(removed.next().await.unwrap_or(Ok(location)))
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        stream::once(async move {
            match this.before().await {
                Ok(fate) => match fate.of(Ok(())) {
                    Ok(()) => this.inner.list(prefix.as_ref()),
                    Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
                },
                Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let fate = self.before().await?;
        fate.of(self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let fate = self.before().await?;
        fate.of(self.inner.copy_opts(from, to, options).await)
    }
}
