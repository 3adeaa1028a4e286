//! Whether what a caller was granted still stands, for answers that last.
//!
//! [`Rights`] are what the manifest endpoint grants one caller, as it was asked last; all answers
//! from one [`Recording`](crate::Recording) share them. [`Standing`] is one of those answers, which
//! asks before each piece that leaves. As long as the grant is young that is a look; then the
//! manifest endpoint is asked behind the answer's back; at the end of the grant's time the answer
//! waits.
//!
//! Invariants: a refusal is final for every answer that it meets, and told as it came; trouble with
//! the manifest endpoint ends nothing before the grant's time is over. Nobody is asked where there
//! is no token: then everyone may see everything.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared as SharedFuture};
use parking_lot::Mutex;
use rdl_fetch::AskedManifest;
use rdl_model::{ErrorKind, SourceKey};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::EngineError;
use crate::shared::Shared;
use crate::viewers::Grant;

/// The part of its time for which a grant is as good as new.
const FRESH_PART: u32 = 3;
/// The part of its time after which the manifest endpoint is asked again when that failed.
const PAUSE_PART: u32 = 30;

/// What the manifest endpoint grants one caller, as it was asked last.
pub(crate) struct Rights {
    pub(crate) grant: Arc<Grant>,
    lasts: Duration,
    tasks: TaskTracker,
    stopping: CancellationToken,
    state: Mutex<State>,
}

struct State {
    granted: AskedManifest,
    /// How many manifests there were.
    version: u64,
    /// The keys of the sources of this manifest, once somebody wanted to know them.
    keys: Option<Arc<HashSet<SourceKey>>>,
    refused: Option<EngineError>,
    asking: Option<Asking>,
}

type Asking = SharedFuture<BoxFuture<'static, Result<(), EngineError>>>;

impl Rights {
    pub(crate) fn new(shared: &Shared, grant: Arc<Grant>, granted: AskedManifest) -> Arc<Rights> {
        let (keys, refused, asking) = Default::default();
        let state = State { granted, version: 1, keys, refused, asking };
        Arc::new(Rights {
            grant,
            lasts: shared.config.grant_lasts,
            tasks: shared.tasks.clone(),
            stopping: shared.stopping.clone(),
            state: Mutex::new(state),
        })
    }

    /// The manifest that was granted last, and which one it is.
    pub(crate) fn current(&self) -> (AskedManifest, u64) {
        let state = self.state.lock();
        (state.granted.clone(), state.version)
    }

    /// Whether a manifest that was asked for then is believed.
    pub(crate) fn are_good(&self, asked: Instant) -> bool {
        asked.elapsed() < self.lasts && self.state.lock().refused.is_none()
    }

    /// Somebody else has asked as well; whether that counts, which it does not after a refusal.
    pub(crate) fn renew(&self, granted: AskedManifest) -> bool {
        let mut state = self.state.lock();
        if state.refused.is_some() {
            return false;
        }
        if granted.asked > state.granted.asked {
            state.granted = granted;
            state.version += 1;
            state.keys = None;
        }
        true
    }

    /// The manifest endpoint answered so. Only a refusal is an answer.
    pub(crate) fn refuse(&self, error: &EngineError) {
        if is_refusal(error) {
            self.state.lock().refused.get_or_insert_with(|| error.clone());
        }
    }

    /// Whether the grant stands; waits for the manifest endpoint where its time is over.
    pub(crate) async fn hold(self: &Arc<Self>) -> Result<(), EngineError> {
        let asking = {
            let mut state = self.state.lock();
            if let Some(error) = &state.refused {
                return Err(error.clone());
            }
            let age = state.granted.asked.elapsed();
            if age < self.lasts / FRESH_PART {
                return Ok(());
            }
            let asking = state.asking.get_or_insert_with(|| self.clone().ask()).clone();
            if age < self.lasts {
                return Ok(());
            }
            asking
        };
        asking.await
    }

    /// Starts to ask, on a task that goes on whoever waits for it.
    fn ask(self: Arc<Self>) -> Asking {
        let task = self.tasks.clone().spawn(async move {
            let asked = tokio::select! {
                asked = self.ask_until_answered() => asked,
                () = self.stopping.cancelled() => Err(EngineError::ShuttingDown),
            };
            self.state.lock().asking = None;
            asked
        });
        async move { task.await.unwrap_or(Err(EngineError::TaskDied)) }.boxed().shared()
    }

    /// Until there is an answer, or the time of what was granted before is over.
    async fn ask_until_answered(&self) -> Result<(), EngineError> {
        loop {
            let error = match self.grant.ask().await {
                Ok(granted) if self.renew(granted.clone()) => return Ok(()),
                // Somebody else was refused meanwhile.
                Ok(_) => return self.state.lock().refused.clone().map_or(Ok(()), Err),
                Err(error) => EngineError::Manifest(Arc::new(error)),
            };
            let is_over = self.state.lock().granted.asked.elapsed() >= self.lasts;
            if is_refusal(&error) || is_over {
                tracing::info!(%error, "a grant is not renewed");
                self.refuse(&error);
                return Err(error);
            }
            tokio::time::sleep(self.lasts / PAUSE_PART).await;
        }
    }

    /// The keys of the sources that are granted, if that is another manifest than this one.
    fn keys_after(&self, version: u64) -> Option<(Arc<HashSet<SourceKey>>, u64)> {
        let granted = {
            let state = self.state.lock();
            if state.version == version {
                return None;
            }
            match &state.keys {
                Some(keys) => return Some((keys.clone(), state.version)),
                None => (state.granted.clone(), state.version),
            }
        };
        // Of ten thousand sources that takes a while.
        let (granted, version) = granted;
        let endpoint = &self.grant.endpoint;
        let keys = granted.sources.iter().map(|source| source.key(endpoint)).collect();
        let keys: Arc<HashSet<SourceKey>> = Arc::new(keys);
        let mut state = self.state.lock();
        if state.version == version {
            state.keys = Some(keys.clone());
        }
        Some((keys, version))
    }
}

/// Whether the manifest endpoint has answered, and the caller gets nothing.
fn is_refusal(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound)
}

/// One answer, and what it was granted.
pub(crate) struct Standing {
    /// Nothing without a token.
    rights: Option<Arc<Rights>>,
    /// The manifest that is known to have every source of it.
    version: u64,
}

impl Standing {
    /// Of an answer from sources of this version of the manifest.
    pub(crate) fn new(rights: &Arc<Rights>, version: u64) -> Standing {
        let rights = rights.grant.token.is_some().then(|| rights.clone());
        Standing { rights, version }
    }

    /// Fails when the grant does not stand any more, or has ended for a source that the answer is
    /// made of. `in_all` looks whether the sources of these keys are all that it takes.
    pub(crate) async fn hold(
        &mut self,
        in_all: impl FnOnce(&HashSet<SourceKey>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let Some(rights) = &self.rights else { return Ok(()) };
        rights.hold().await?;
        if let Some((keys, version)) = rights.keys_after(self.version) {
            in_all(&keys)?;
            self.version = version;
        }
        Ok(())
    }
}
