//! Who waits for a source, and with which URL and token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdl_fetch::{Access, FetchError, ManifestClient, ManifestParams, Token};
use rdl_model::{Nanos, SourceKey};
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use crate::EngineError;
use crate::shared::Shared;
use crate::source::Source;

/// A URL that is refused within this time after the manifest gave it is refused for good.
const RENEWAL_COUNTS_FOR: std::time::Duration = std::time::Duration::from_secs(10);

/// How to ask the manifest endpoint again for one user.
pub(crate) struct Grant {
    pub(crate) manifests: Arc<ManifestClient>,
    pub(crate) endpoint: Url,
    pub(crate) params: ManifestParams,
    pub(crate) token: Option<Token>,
}

impl Grant {
    /// The URL that the manifest gives for the source now; a signed one may have expired.
    pub(crate) async fn renew(&self, key: &SourceKey) -> Result<Option<Access>, FetchError> {
        let manifest = self.manifests.fetch_fresh(&self.params, self.token.as_ref()).await?;
        let source = manifest.sources.iter().find(|source| source.key(&self.endpoint) == *key);
        Ok(source.map(|source| Access { url: source.url().clone(), token: self.token.clone() }))
    }
}

/// Tells one response (or prefetch) from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ViewerId(u64);

impl ViewerId {
    /// One that nobody has.
    pub(crate) fn new() -> ViewerId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        ViewerId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// One response (or prefetch) that waits for a source.
pub(crate) struct Viewer {
    id: ViewerId,
    /// Whether the source holds it back.
    needs: AtomicBool,
    access: Mutex<Access>,
    grant: Arc<Grant>,
    standing: Mutex<Standing>,
}

#[derive(Clone, Default)]
enum Standing {
    #[default]
    Good,
    /// Refused, and the manifest was asked again at this time.
    Renewed(Instant),
    Refused(EngineError),
}

impl Viewer {
    /// Waits for the source once more on this viewer's behalf, which starts its load where nobody
    /// else has.
    pub(crate) fn want_again(&self, shared: &Arc<Shared>, source: &Arc<Source>) -> Interest {
        shared.want(source, self.id, self.access(), self.grant.clone(), Nanos::MIN)
    }

    pub(crate) fn access(&self) -> Access {
        self.access.lock().clone()
    }

    /// The refusal that this viewer's own token got, if it did.
    pub(crate) fn refusal(&self) -> Option<EngineError> {
        match &*self.standing.lock() {
            Standing::Refused(error) => Some(error.clone()),
            Standing::Good | Standing::Renewed(_) => None,
        }
    }

    /// After a refusal: asks the manifest once more, unless it has just been asked. `false` when
    /// this viewer can do no more.
    pub(crate) async fn renew(&self, key: &SourceKey, refusal: &EngineError) -> bool {
        let may_ask = match *self.standing.lock() {
            Standing::Good => true,
            // Signed URLs of a long answer run out again and again.
            Standing::Renewed(at) => at.elapsed() >= RENEWAL_COUNTS_FOR,
            Standing::Refused(_) => false,
        };
        if may_ask && let Ok(Some(access)) = self.grant.renew(key).await {
            *self.access.lock() = access;
            *self.standing.lock() = Standing::Renewed(Instant::now());
            return true;
        }
        *self.standing.lock() = Standing::Refused(refusal.clone());
        false
    }
}

/// How many wait for a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crowd {
    pub(crate) viewers: usize,
    /// How many of them the source holds back.
    pub(crate) needed: usize,
}

/// Everyone who waits for one source.
pub(crate) struct Viewers {
    list: Mutex<Vec<Arc<Viewer>>>,
    crowd: watch::Sender<Crowd>,
}

/// As long as this lives, the source has a viewer.
pub(crate) struct Interest {
    viewer: Arc<Viewer>,
    viewers: Arc<Viewers>,
}

impl Viewers {
    pub(crate) fn new() -> Arc<Viewers> {
        Arc::new(Viewers { list: Mutex::default(), crowd: watch::Sender::default() })
    }

    pub(crate) fn join(
        self: &Arc<Self>,
        id: ViewerId,
        access: Access,
        grant: Arc<Grant>,
    ) -> Interest {
        let viewer = Arc::new(Viewer {
            id,
            needs: AtomicBool::new(false),
            access: Mutex::new(access),
            grant,
            standing: Mutex::default(),
        });
        let mut list = self.list.lock();
        list.push(viewer.clone());
        self.count(&list);
        Interest { viewer, viewers: self.clone() }
    }

    /// A viewer whose token was not refused, the one that waits longest first.
    pub(crate) fn pick(&self) -> Option<Arc<Viewer>> {
        self.list.lock().iter().find(|viewer| viewer.refusal().is_none()).cloned()
    }

    /// The viewer that waits longest.
    pub(crate) fn first(&self) -> Option<ViewerId> {
        self.list.lock().first().map(|viewer| viewer.id)
    }

    /// How many there are now.
    pub(crate) fn crowd_now(&self) -> Crowd {
        *self.crowd.borrow()
    }

    /// How many there are, and a way to wait for a change.
    pub(crate) fn crowd(&self) -> watch::Receiver<Crowd> {
        self.crowd.subscribe()
    }

    fn count(&self, list: &[Arc<Viewer>]) {
        let needs = |viewer: &&Arc<Viewer>| viewer.needs.load(Ordering::Relaxed);
        let needed = list.iter().filter(needs).count();
        let crowd = Crowd { viewers: list.len(), needed };
        self.crowd.send_if_modified(|known| std::mem::replace(known, crowd) != crowd);
    }
}

impl Interest {
    pub(crate) fn viewer(&self) -> &Arc<Viewer> {
        &self.viewer
    }

    /// The source holds this viewer back from now on; whether that is new.
    pub(crate) fn need(&self) -> bool {
        if self.viewer.needs.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.viewers.count(&self.viewers.list.lock());
        true
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut list = self.viewers.list.lock();
        list.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.viewers.count(&list);
    }
}
