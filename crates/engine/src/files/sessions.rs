//! Who reads which file, and since when the manifest endpoint has not been asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::Shared as SharedFuture;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::FileRequest;
use super::cut::{self, Progress};
use super::laid::LaidFile;
use super::opening;
use super::version::FileVersion;
use super::virtual_file::{OpeningFile, VirtualFile};
use crate::engine::Engine;
use crate::recording::{Inner, Recording, watching};
use crate::shared::Shared;
use crate::viewers::ViewerId;
use crate::{EngineError, SourceKind, SourceStatus};

/// So long a grant of the manifest endpoint is believed at most, with the time that the manifest
/// was kept …
const GRANT_LASTS: Duration = Duration::from_secs(30);
/// … and so long nobody asks again.
const GRANT_IS_FRESH: Duration = Duration::from_secs(5);
/// A session of which nobody has asked anything for this long is over.
const IDLE_ENDS: Duration = Duration::from_secs(300);
/// The same when room is needed, and for a session whose file is gone: whoever read it has noticed.
const IDLE_LETS_GO: Duration = Duration::from_secs(10);
/// So long nobody tries again to load what the disk turned out to have no room for.
const NO_ROOM_COUNTS_FOR: Duration = Duration::from_secs(30);
/// How many sessions there may be; beyond that, those go that were used longest ago.
const MOST_SESSIONS: usize = 4096;
/// How often a file is begun again when a source changed meanwhile.
const FRESH_STARTS: u32 = 3;

/// Every session of a process.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<FileRequest, Arc<Session>>>);

/// One file as it is read with one authority.
pub(crate) struct Session {
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
    gone: Option<EngineError>,
    /// Why the file could not be made, and when.
    failed: Option<(EngineError, Instant)>,
}

#[derive(Clone)]
struct Granted {
    recording: Recording,
    at: Instant,
}

/// A file that is being made; dropped, that stops.
#[derive(Clone)]
struct Opening {
    opened: SharedFuture<OpeningFile>,
    progress: Arc<Progress>,
    _stop: Arc<DropGuard>,
}

/// A file that somebody may read. Cheap to clone.
#[derive(Clone)]
pub struct OpenFile {
    session: Arc<Session>,
    recording: Recording,
    file: Arc<VirtualFile>,
}

impl OpenFile {
    /// How long it is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Which bytes it has.
    pub fn version(&self) -> FileVersion {
        self.file.version()
    }

    /// How many chunks overlap somewhere, if those are too many to be held open by a reader.
    pub fn wide_overlap(&self) -> Option<usize> {
        self.file.wide_overlap()
    }

    /// The title that the manifest gives.
    pub fn name(&self) -> Option<&str> {
        self.recording.name()
    }

    pub(super) fn file(&self) -> &Arc<VirtualFile> {
        &self.file
    }

    pub(super) fn recording(&self) -> &Arc<Inner> {
        self.recording.inner()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.recording.inner().shared
    }

    /// What a failure to read means: bytes that cannot be had any more are gone for whoever reads on.
    pub(super) fn failed(&self, error: EngineError) -> EngineError {
        let is_gone = match &error {
            EngineError::Changed { .. }
            | EngineError::DamagedCopy { .. }
            | EngineError::StoredChunk { .. } => true,
            EngineError::Fetch { error, .. } => error.is_missing(),
            EngineError::Store(error) => error.is_gone(),
            _ => false,
        };
        if !is_gone {
            return error;
        }
        let gone = EngineError::FileGone { why: error.to_string().into() };
        self.session.state.lock().gone = Some(gone.clone());
        gone
    }
}

impl Sessions {
    fn get(&self, request: &FileRequest) -> Arc<Session> {
        let mut sessions = self.0.lock();
        if let Some(known) = sessions.get(request) {
            return known.clone();
        }
        if sessions.len() >= MOST_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.state.lock().used);
            if let Some(oldest) = oldest.map(|(request, _)| request.clone()) {
                sessions.remove(&oldest);
            }
        }
        let session = Arc::new(Session {
            request: request.clone(),
            state: Mutex::new(State {
                used: Instant::now(),
                granted: None,
                opening: None,
                file: None,
                gone: None,
                failed: None,
            }),
            asking: tokio::sync::Mutex::default(),
        });
        sessions.insert(request.clone(), session.clone());
        session
    }

    /// Ends the sessions that nobody uses any more; one whose file is being made, like a load, when
    /// nobody has asked for so long.
    pub(super) fn tidy(&self, needs_room: bool, linger: Duration) {
        self.0.lock().retain(|_, session| {
            let state = session.state.lock();
            if state.opening.is_some() {
                return state.used.elapsed() < linger.max(IDLE_LETS_GO);
            }
            let lasts = if needs_room || state.gone.is_some() { IDLE_LETS_GO } else { IDLE_ENDS };
            state.used.elapsed() < lasts
        });
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

impl Engine {
    /// Opens the file of a recording, and waits at most so long until it is there: it takes every
    /// source of it to be loaded. That goes on for a while when nobody waits any more.
    pub async fn open_file(
        self: &Arc<Self>,
        request: &FileRequest,
        patience: Duration,
    ) -> Result<OpenFile, EngineError> {
        self.shared().files.sessions.get(request).open(self, patience).await
    }
}

impl Session {
    async fn open(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        patience: Duration,
    ) -> Result<OpenFile, EngineError> {
        let give_up = Instant::now() + patience;
        let kept_for = engine.shared().config.fetch.manifest_cache_ttl;
        let lasts = GRANT_LASTS.saturating_sub(kept_for);
        let granted = {
            let mut state = self.state.lock();
            // A gone file stays gone for whoever goes on reading it.
            if let Some(gone) = &state.gone {
                let (gone, is_over) = (gone.clone(), state.used.elapsed() >= IDLE_LETS_GO);
                state.used = Instant::now();
                if !is_over {
                    return Err(gone);
                }
                (state.gone, state.file, state.opening) = (None, None, None);
            }
            state.used = Instant::now();
            state.granted.clone().filter(|granted| granted.at.elapsed() < lasts)
        };
        let granted = match granted {
            Some(granted) => {
                if granted.at.elapsed() >= GRANT_IS_FRESH {
                    self.ask_behind(engine);
                }
                granted
            }
            None => self.ask(engine, lasts).await?,
        };
        let opening = {
            let mut state = self.state.lock();
            if let Some(file) = &state.file {
                return Ok(self.opened(&granted, file.clone()));
            }
            if let Some((error, at)) = &state.failed
                && at.elapsed() < NO_ROOM_COUNTS_FOR
            {
                return Err(error.clone());
            }
            state.opening.get_or_insert_with(|| self.begin(&granted.recording)).clone()
        };
        let opened = tokio::time::timeout_at(give_up, opening.opened.clone()).await;
        let mut state = self.state.lock();
        state.used = Instant::now();
        match opened {
            Ok(Ok(file)) => {
                state.opening = None;
                let file = state.file.get_or_insert(file).clone();
                drop(state);
                Ok(self.opened(&granted, file))
            }
            Ok(Err(error)) => {
                state.opening = None;
                match &error {
                    EngineError::FileGone { .. } => state.gone = Some(error.clone()),
                    EngineError::NoRoom { .. } => {
                        state.failed = Some((error.clone(), Instant::now()));
                    }
                    _ => {}
                }
                Err(error)
            }
            Err(_) if self.request.cut.is_some() => {
                let written_bytes = opening.progress.bytes();
                Err(EngineError::CutNotReady { written_bytes })
            }
            Err(_) => Err(not_ready(&granted.recording)),
        }
    }

    fn opened(self: &Arc<Self>, granted: &Granted, file: Arc<VirtualFile>) -> OpenFile {
        OpenFile { session: self.clone(), recording: granted.recording.clone(), file }
    }

    /// Begins to make the file, on a task that goes on as long as the session lasts.
    fn begin(&self, recording: &Recording) -> Opening {
        let inner = recording.inner().clone();
        let FileRequest { version, cut: query, .. } = self.request.clone();
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
                        None => opening::open(inner.clone(), version).await,
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

    /// Asks the manifest endpoint, unless somebody else did within this time.
    async fn ask(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        counts_for: Duration,
    ) -> Result<Granted, EngineError> {
        let _asking = self.asking.lock().await;
        let granted = self.state.lock().granted.clone();
        if let Some(granted) = granted.filter(|granted| granted.at.elapsed() < counts_for) {
            return Ok(granted);
        }
        let at = Instant::now();
        let asked = engine.recording(&self.request.params, self.request.token.clone()).await;
        let recording = match asked {
            Ok(recording) => recording,
            Err(error) => {
                // That it cannot be asked is no refusal: what was granted counts for its time.
                if !matches!(
                    error.kind(),
                    rdl_model::ErrorKind::BadGateway | rdl_model::ErrorKind::GatewayTimeout
                ) {
                    self.state.lock().granted = None;
                }
                return Err(error);
            }
        };
        let granted = Granted { recording, at };
        let file = self.state.lock().file.clone();
        let gone = match &file {
            Some(file) => {
                let missing = opening::missing(granted.recording.inner(), file.bodies());
                missing.err().or_else(|| file.changed())
            }
            None => None,
        };
        let mut state = self.state.lock();
        state.granted = Some(granted.clone());
        match gone {
            Some(gone) => {
                state.gone = Some(gone.clone());
                Err(gone)
            }
            None => {
                drop(state);
                if let Some(laid) = file.as_ref().and_then(VirtualFile::laid) {
                    look_again(&granted.recording, laid);
                }
                Ok(granted)
            }
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
                _ = session.ask(&engine, GRANT_IS_FRESH) => {}
                () = stopping.cancelled() => {}
            }
        });
    }
}

/// Has the static sources of a file looked at again that were not for a while.
fn look_again(recording: &Recording, file: &LaidFile) {
    let inner = recording.inner().clone();
    let stale: Vec<usize> = {
        let believed_for = inner.shared.config.static_revalidate;
        let is_stale = |at: &usize| {
            let source = &inner.sources[*at].source;
            let is_ours =
                file.sources.iter().any(|ours| ours.are_claims && ours.body.key == source.key);
            is_ours && source.current().state().wants_another_look(believed_for)
        };
        (0..inner.sources.len()).filter(is_stale).collect()
    };
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
    let info = recording.snapshot();
    let is_ready = |status| matches!(status, SourceStatus::Cached | SourceStatus::Indexed);
    let ready = info.sources.iter().filter(|source| is_ready(source.status)).count();
    let loading = info.sources.iter().filter(|source| source.kind == SourceKind::Streamed);
    EngineError::FileNotReady {
        ready,
        sources: info.sources.len(),
        loaded_bytes: loading.filter_map(|source| source.bytes).sum(),
    }
}
