//! Who waits for a source, and with which URL and token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdl_fetch::{Access, AskedManifest, FetchError, ManifestClient, ManifestParams, Token};
use rdl_model::{Nanos, SourceKey};
use tokio::sync::watch;
use url::Url;

use crate::EngineError;
use crate::shared::Shared;
use crate::source::Source;

/// How to ask the manifest endpoint again for one user.
pub(crate) struct Grant {
    pub(crate) manifests: Arc<ManifestClient>,
    pub(crate) endpoint: Url,
    pub(crate) params: ManifestParams,
    pub(crate) token: Option<Token>,
}

impl Grant {
    /// What the manifest endpoint grants now.
    pub(crate) async fn ask(&self) -> Result<AskedManifest, FetchError> {
        self.manifests.fetch_fresh(&self.params, self.token.as_ref()).await
    }

    /// The URL that the manifest gives for the source now; a signed one may have expired.
    async fn renew(&self, key: &SourceKey) -> Result<Option<Access>, FetchError> {
        let manifest = self.ask().await?;
        let source = manifest.sources.iter().find(|source| source.key(&self.endpoint) == *key);
        Ok(source.map(|source| Access { url: source.url().clone(), token: self.token.clone() }))
    }
}

/// How one caller reaches one source: with what the manifest endpoint gave last. Signed URLs of a
/// long answer run out again and again.
pub(crate) struct Held {
    key: SourceKey,
    /// `None`: the caller gets what is kept, and nobody is asked in their name.
    grant: Option<Arc<Grant>>,
    current: Mutex<Current>,
    /// Held by whoever asks the manifest endpoint for another.
    asking: tokio::sync::Mutex<()>,
}

struct Current {
    access: Option<Access>,
    /// It came in the place of one that was refused, and no request with it was answered yet.
    is_untried: bool,
}

impl Held {
    pub(crate) fn new(key: SourceKey, access: Access, grant: Arc<Grant>) -> Arc<Held> {
        let current = Mutex::new(Current { access: Some(access), is_untried: false });
        let grant = Some(grant);
        Arc::new(Held { key, grant, current, asking: tokio::sync::Mutex::default() })
    }

    /// For whoever gets what is kept of a source and no more.
    pub(crate) fn of_kept(key: SourceKey) -> Arc<Held> {
        let current = Mutex::new(Current { access: None, is_untried: false });
        Arc::new(Held { key, grant: None, current, asking: tokio::sync::Mutex::default() })
    }

    /// Whether there is another access by now than the one that was refused; the manifest is asked
    /// for it, unless the one before was refused as well without ever having been of use. Whoever
    /// comes after that has it asked anew: a refusal is nobody else's.
    async fn renew(&self, refused: &Access) -> bool {
        let _asking = self.asking.lock().await;
        {
            let mut current = self.current.lock();
            if current.access.as_ref() != Some(refused) {
                return true;
            }
            if std::mem::take(&mut current.is_untried) {
                return false;
            }
        }
        let Some(grant) = &self.grant else { return false };
        match grant.renew(&self.key).await {
            Ok(Some(access)) if access != *refused => {
                *self.current.lock() = Current { access: Some(access), is_untried: true };
                true
            }
            _ => false,
        }
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
    held: Arc<Held>,
    refusal: Mutex<Option<EngineError>>,
}

impl Viewer {
    /// Waits for the source once more on this viewer's behalf, which starts its load where nobody
    /// else has.
    pub(crate) fn want_again(&self, shared: &Arc<Shared>, source: &Arc<Source>) -> Interest {
        shared.want(source, self.id, self.held.clone(), Nanos::MIN)
    }

    /// With what the source is asked; the refusal of a viewer who can ask nothing any more.
    pub(crate) fn access(&self) -> Result<Access, EngineError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        self.held.current.lock().access.clone().ok_or(EngineError::GrantEnded)
    }

    /// A request with this access was answered.
    pub(crate) fn answered(&self, access: &Access) {
        let mut current = self.held.current.lock();
        if current.is_untried && current.access.as_ref() == Some(access) {
            current.is_untried = false;
        }
    }

    /// The refusal that this viewer's own token got, if it did.
    pub(crate) fn refusal(&self) -> Option<EngineError> {
        self.refusal.lock().clone()
    }

    /// After this access was refused: whether to try again with the one that there is now. `false`
    /// when this viewer can do no more.
    pub(crate) async fn renew(&self, refused: &Access, refusal: &EngineError) -> bool {
        if self.refusal().is_some() {
            return false;
        }
        let is_renewed = self.held.renew(refused).await;
        if !is_renewed {
            *self.refusal.lock() = Some(refusal.clone());
        }
        is_renewed
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

    pub(crate) fn join(self: &Arc<Self>, id: ViewerId, held: Arc<Held>) -> Interest {
        let needs = AtomicBool::new(false);
        let refusal = held.grant.is_none().then_some(EngineError::GrantEnded);
        let viewer = Arc::new(Viewer { id, needs, held, refusal: Mutex::new(refusal) });
        let mut list = self.list.lock();
        list.push(viewer.clone());
        self.count(&list);
        Interest { viewer, viewers: self.clone() }
    }

    /// A viewer whose token was not refused, the one that waits longest first, and with what it asks.
    pub(crate) fn pick(&self) -> Option<(Access, Arc<Viewer>)> {
        let list = self.list.lock();
        list.iter().find_map(|viewer| Some((viewer.access().ok()?, viewer.clone())))
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
