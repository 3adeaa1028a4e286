//! One file as it is read with one authority: since when the manifest endpoint has not been asked,
//! and which version the reader began with.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::Shared as SharedFuture;
use parking_lot::Mutex;
use rdl_model::ErrorKind;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::OpenFile;
use crate::engine::Engine;
use crate::files::cut::{self, Progress};
use crate::files::laid::LaidFile;
use crate::files::virtual_file::{OpeningFile, VirtualFile};
use crate::files::{FileRequest, kept, opening};
use crate::recording::{Recording, watching};
use crate::viewers::ViewerId;
use crate::{EngineError, SourceKind, SourceStatus};

/// For so long after somebody asked nobody asks again.
const GRANT_IS_FRESH: Duration = Duration::from_secs(5);
/// For so long a file that is gone stays gone: whoever read it has noticed.
const GONE_FOR: Duration = Duration::from_secs(10);
/// So long nobody tries again to make what there turned out to be no room for.
const NO_ROOM_FOR: Duration = Duration::from_secs(30);
/// How often a file is begun again when a source changed meanwhile.
const FRESH_STARTS: u32 = 3;
/// About what a source of a recording takes in memory, in bytes.
const SOURCE_BYTES: usize = 512;

/// One file as it is read with one authority.
pub(super) struct Session {
    request: FileRequest,
    state: Mutex<State>,
    /// Held by whoever asks the manifest endpoint.
    asking: tokio::sync::Mutex<()>,
}

struct State {
    used: Instant,
    granted: Option<Granted>,
    opening: Option<Opening>,
    file: Option<Arc<VirtualFile>>,
    /// Why nobody reads it any more for now.
    ended: Option<(EngineError, Instant)>,
}

/// What the manifest endpoint gave, and when.
#[derive(Clone)]
struct Granted {
    recording: Recording,
    /// When that was asked for; the manifest may have been kept since before.
    at: Instant,
    /// Whether it is known to have every source of the session's file.
    has_all: bool,
}

impl Granted {
    fn is_good(&self) -> bool {
        let recording = self.recording.inner();
        recording.rights.are_good(recording.manifest.asked)
    }

    fn is_fresh(&self) -> bool {
        self.is_good() && self.at.elapsed() < GRANT_IS_FRESH
    }
}

/// A file that is being made; dropped, that stops.
#[derive(Clone)]
struct Opening {
    opened: SharedFuture<OpeningFile>,
    progress: Arc<Progress>,
    _stop: Arc<DropGuard>,
}

impl State {
    /// Nobody reads the file any more for now, for this reason.
    fn end(&mut self, why: &EngineError) {
        self.ended = Some((why.clone(), Instant::now()));
    }

    /// Why nobody reads the file any more; after a while it may be opened anew.
    fn ended(&mut self) -> Option<EngineError> {
        let (error, at) = self.ended.as_ref()?;
        let lasts = match error {
            EngineError::FileGone { .. } => GONE_FOR,
            _ => NO_ROOM_FOR,
        };
        if at.elapsed() < lasts {
            return Some(error.clone());
        }
        (self.ended, self.file, self.opening) = (None, None, None);
        None
    }
}

impl Session {
    /// A session for somebody to whom the manifest endpoint grants the recording.
    pub(super) async fn begin(
        engine: &Arc<Engine>,
        request: &FileRequest,
    ) -> Result<Arc<Session>, EngineError> {
        let (granted, opening, file, ended) = Default::default();
        let state = State { used: Instant::now(), granted, opening, file, ended };
        let session = Arc::new(Session {
            request: request.clone(),
            state: Mutex::new(state),
            asking: tokio::sync::Mutex::default(),
        });
        match request.kept_only {
            true => session.begin_with_kept(engine).await?,
            false => drop(session.ask(engine, Granted::is_good).await?),
        }
        Ok(session)
    }

    /// Nobody is asked, now or later.
    async fn begin_with_kept(&self, engine: &Arc<Engine>) -> Result<(), EngineError> {
        let recording = kept::recording(engine, &self.request).await?;
        let granted = Granted { recording, at: Instant::now(), has_all: true };
        self.state.lock().granted = Some(granted);
        Ok(())
    }

    pub(super) fn request(&self) -> &FileRequest {
        &self.request
    }

    /// For how long nobody has asked anything.
    pub(super) fn idle_for(&self) -> Duration {
        self.state.lock().used.elapsed()
    }

    pub(super) fn is_opening(&self) -> bool {
        self.state.lock().opening.is_some()
    }

    /// About what it keeps in memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let state = self.state.lock();
        let sources =
            state.granted.as_ref().map_or(0, |granted| granted.recording.inner().sources.len());
        sources * SOURCE_BYTES + state.file.as_ref().map_or(0, |file| file.memory_bytes())
    }

    /// Nobody reads the file any more for now, for this reason.
    pub(super) fn end(&self, why: &EngineError) {
        self.state.lock().end(why);
    }

    /// Opens the file, which may have to be made first.
    pub(super) async fn open(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        patience: Duration,
    ) -> Result<OpenFile, EngineError> {
        let give_up = Instant::now() + patience;
        loop {
            let granted = self.granted(engine).await?;
            let opening = {
                let mut state = self.state.lock();
                state.used = Instant::now();
                if let Some(error) = state.ended() {
                    return Err(error);
                }
                match state.file.clone() {
                    Some(file) => return self.opened(&mut state, granted, file),
                    None => {
                        let begin = || self.begin_opening(&granted.recording);
                        state.opening.get_or_insert_with(begin).clone()
                    }
                }
            };
            let opened = tokio::time::timeout_at(give_up, opening.opened.clone()).await;
            let mut state = self.state.lock();
            match opened {
                // What is granted may have changed meanwhile.
                Ok(Ok(file)) => {
                    state.opening = None;
                    state.file.get_or_insert(file);
                }
                Ok(Err(error)) => {
                    state.opening = None;
                    if error.lasts_for_files() {
                        state.end(&error);
                    }
                    return Err(error);
                }
                Err(_) => {
                    drop(state);
                    // How far it is, only those are told who may have it still.
                    let granted = self.granted(engine).await?;
                    return Err(match self.request.cut {
                        Some(_) => opening.progress.not_ready(),
                        None => not_ready(&granted.recording),
                    });
                }
            }
        }
    }

    /// Nothing is served of which the manifest does not grant every source.
    fn opened(
        self: &Arc<Self>,
        state: &mut State,
        granted: Granted,
        file: Arc<VirtualFile>,
    ) -> Result<OpenFile, EngineError> {
        if !granted.has_all {
            if let Err(gone) = opening::missing(granted.recording.inner(), file.bodies()) {
                state.end(&gone);
                return Err(gone);
            }
            if let Some(known) = &mut state.granted
                && known.at == granted.at
            {
                known.has_all = true;
            }
        }
        Ok(OpenFile { session: self.clone(), recording: granted.recording, file })
    }

    /// What the manifest endpoint granted lately; it is asked where that is too long ago, and behind
    /// the reader's back a while before.
    async fn granted(self: &Arc<Self>, engine: &Arc<Engine>) -> Result<Granted, EngineError> {
        let granted = self.state.lock().granted.clone();
        if self.request.kept_only {
            return granted.ok_or(EngineError::GrantEnded);
        }
        match granted.filter(Granted::is_good) {
            Some(granted) => {
                if !granted.is_fresh() {
                    self.ask_behind(engine);
                }
                Ok(granted)
            }
            None => self.ask(engine, Granted::is_good).await,
        }
    }

    /// Asks the manifest endpoint, unless somebody else did meanwhile and that will do.
    async fn ask(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        will_do: impl Fn(&Granted) -> bool,
    ) -> Result<Granted, EngineError> {
        let _asking = self.asking.lock().await;
        let known = self.state.lock().granted.clone();
        if let Some(known) = known.clone().filter(will_do) {
            return Ok(known);
        }
        let at = Instant::now();
        let asked = match known {
            Some(known) => engine.recording_again(&known.recording.inner().rights).await,
            None => engine.recording(&self.request.params, self.request.token.clone()).await,
        };
        let recording = asked.inspect_err(|error| {
            // That it cannot be asked is no refusal: what was granted counts for its time.
            if !matches!(error.kind(), ErrorKind::BadGateway | ErrorKind::GatewayTimeout) {
                self.state.lock().granted = None;
            }
        })?;
        let file = self.state.lock().file.clone();
        let gone = file.as_ref().and_then(|file| {
            let missing = opening::missing(recording.inner(), file.bodies());
            missing.err().or_else(|| file.changed())
        });
        if let Some(laid) = file.as_ref().and_then(|file| file.laid()) {
            look_again(&recording, laid);
        }
        let mut state = self.state.lock();
        // Of one that was opened meanwhile it is not known.
        let is_same =
            state.file.as_ref().zip(file.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
        let granted = Granted { recording, at, has_all: is_same && gone.is_none() };
        state.granted = Some(granted.clone());
        match gone {
            Some(gone) => {
                state.end(&gone);
                Err(gone)
            }
            None => Ok(granted),
        }
    }

    /// The same while the reader goes on with what was granted before.
    fn ask_behind(self: &Arc<Self>, engine: &Arc<Engine>) {
        // Whoever is at it will do.
        if self.asking.try_lock().is_err() {
            return;
        }
        let (session, engine) = (self.clone(), engine.clone());
        engine.shared().tasks.clone().spawn(async move {
            let stopping = engine.shared().stopping.clone();
            tokio::select! {
                // What it says is said again to whoever comes next.
                _ = session.ask(&engine, Granted::is_fresh) => {}
                () = stopping.cancelled() => {}
            }
        });
    }

    /// Begins to make the file, on a task that goes on as long as the session lasts.
    fn begin_opening(&self, recording: &Recording) -> Opening {
        let inner = recording.inner().clone();
        let FileRequest { version, cut: query, kept_only, .. } = self.request.clone();
        let progress: Arc<Progress> = Arc::default();
        let written = progress.clone();
        let (tasks, stopping) = (inner.shared.tasks.clone(), inner.shared.stopping.clone());
        let unwanted = CancellationToken::new();
        let stop = Arc::new(unwanted.clone().drop_guard());
        let task = tasks.spawn(async move {
            let made = async {
                let mut starts = 1;
                loop {
                    let opened = match &query {
                        None => opening::open(inner.clone(), version, kept_only).await,
                        Some(query) => {
                            cut::open(inner.clone(), query, version, written.clone()).await
                        }
                    };
                    match opened {
                        Err(EngineError::Changed { .. }) if starts < FRESH_STARTS => starts += 1,
                        opened => return opened,
                    }
                }
            };
            tokio::select! {
                made = made => made,
                () = unwanted.cancelled() => Err(EngineError::TaskDied),
                () = stopping.cancelled() => Err(EngineError::ShuttingDown),
            }
        });
        let opened = async move { task.await.unwrap_or(Err(EngineError::TaskDied)) };
        Opening { opened: opened.boxed().shared(), progress, _stop: stop }
    }
}

/// Has the static sources of a file looked at again that were not for a while.
fn look_again(recording: &Recording, file: &LaidFile) {
    let inner = recording.inner().clone();
    let ours: HashSet<_> = file
        .sources
        .iter()
        .filter(|source| source.are_claims)
        .map(|source| source.body.key)
        .collect();
    let believed_for = inner.shared.config.static_revalidate;
    let stale: Vec<usize> = (0..inner.sources.len())
        .filter(|at| ours.contains(&inner.sources[*at].source.key))
        .filter(|at| inner.sources[*at].source.current().state().wants_another_look(believed_for))
        .collect();
    if stale.is_empty() {
        return;
    }
    inner.shared.tasks.clone().spawn(async move {
        let (viewer, stopping) = (ViewerId::new(), inner.shared.stopping.clone());
        let looks = stale.iter().map(|at| watching::settled(&inner, *at, viewer));
        tokio::select! {
            _ = futures::future::join_all(looks) => {}
            () = stopping.cancelled() => {}
        }
    });
}

fn not_ready(recording: &Recording) -> EngineError {
    let info = recording.sources();
    let is_ready = |status| matches!(status, SourceStatus::Cached | SourceStatus::Indexed);
    let ready = info.sources.iter().filter(|source| is_ready(source.status)).count();
    let loading = info.sources.iter().filter(|source| source.kind == SourceKind::Streamed);
    EngineError::FileNotReady {
        ready,
        sources: info.sources.len(),
        loaded_bytes: loading.filter_map(|source| source.bytes).sum(),
    }
}
