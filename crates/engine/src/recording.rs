//! A resolved manifest and its sources, as one caller may see them.

mod describe;
pub(crate) mod watching;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rdl_fetch::{Access, AskedManifest};
use rdl_merge::Query;
use rdl_model::Nanos;
use rdl_wire::Source as DeclaredSource;

use crate::cpu::Urgency;
use crate::response::{self, Answer, Explanation, ResponseStream};
use crate::shared::Shared;
use crate::source::{Phase, Source};
use crate::standing::{Rights, Standing};
use crate::viewers::{Held, Interest, ViewerId};
use crate::{EngineError, RecordingInfo, SourceKind, SourcesInfo};

/// How long [`Recording::describe`] waits for static sources.
const DESCRIBE_PATIENCE: Duration = Duration::from_secs(5);
/// How many sources are looked for in the bucket side by side.
const LOOKS_INTO_BUCKET: usize = 32;
/// How often a response may begin again, before its first message, when a source changed.
const FRESH_STARTS: u32 = 3;

/// A recording that the manifest endpoint granted to one caller. Cheap to clone.
#[derive(Clone)]
pub struct Recording(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) manifest: AskedManifest,
    /// By which it was granted, and which manifest of theirs this is.
    pub(crate) rights: Arc<Rights>,
    version: u64,
    pub(crate) sources: Vec<RecordedSource>,
}

/// A source of a recording; at the same place as in the manifest.
pub(crate) struct RecordedSource {
    pub(crate) source: Arc<Source>,
    pub(crate) held: Arc<Held>,
}

impl Inner {
    pub(crate) fn declared(&self, at: usize) -> &DeclaredSource {
        &self.manifest.sources[at]
    }

    /// The declared start; the least time where none is known.
    pub(crate) fn declared_start(&self, at: usize) -> Nanos {
        match self.declared(at) {
            DeclaredSource::Streamed(source) => source.start.unwrap_or(Nanos::MIN),
            DeclaredSource::Static(_) => Nanos::MIN,
        }
    }

    /// An answer from sources of this manifest.
    pub(crate) fn standing(&self) -> Standing {
        Standing::new(&self.rights, self.version)
    }

    /// Waits for the source on this caller's behalf for as long as the answer lives.
    pub(crate) fn want(&self, at: usize, viewer: ViewerId) -> Interest {
        let RecordedSource { source, held } = &self.sources[at];
        self.shared.want(source, viewer, held.clone(), self.declared_start(at))
    }

    /// Lets something be fetched of a source on this caller's behalf, and starts nothing; `None`
    /// where the recording does not have it.
    pub(crate) fn interest_in(&self, source: &Arc<Source>, viewer: ViewerId) -> Option<Interest> {
        let is_it = |recorded: &&RecordedSource| recorded.source.key == source.key;
        let recorded = self.sources.iter().find(is_it)?;
        Some(source.viewers.join(viewer, recorded.held.clone()))
    }
}

impl Recording {
    /// What these rights give now.
    pub(crate) fn new(shared: Arc<Shared>, rights: Arc<Rights>) -> Recording {
        let (manifest, version) = rights.current();
        let recorded = |declared: &DeclaredSource| {
            let grant = rights.grant.clone();
            let source = shared.source(declared);
            let access = Access { url: declared.url().clone(), token: grant.token.clone() };
            RecordedSource { held: Held::new(source.key, access, grant), source }
        };
        let sources = manifest.sources.iter().map(recorded).collect();
        Recording(Arc::new(Inner { shared, manifest, rights, version, sources }))
    }

    /// Of these sources, whatever the rights give; at the same places as in their manifest.
    pub(crate) fn with_sources(
        shared: Arc<Shared>,
        rights: Arc<Rights>,
        sources: Vec<RecordedSource>,
    ) -> Recording {
        let (manifest, version) = rights.current();
        Recording(Arc::new(Inner { shared, manifest, rights, version, sources }))
    }

    pub(crate) fn of(inner: Arc<Inner>) -> Recording {
        Recording(inner)
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// What is known of the recording. Starts no load, but indexes the static sources side by
    /// side and looks for sources that are stored whole; what is not known after 5 s stays
    /// pending.
    pub async fn describe(&self) -> Result<RecordingInfo, EngineError> {
        let known = async {
            self.find_stored().await;
            self.index_static().await;
        };
        // What is under way goes on without us; only the waiting ends.
        let _ = tokio::time::timeout(DESCRIBE_PATIENCE, known).await;
        self.snapshot().await
    }

    /// The title that the manifest gives.
    pub fn name(&self) -> Option<&str> {
        self.0.manifest.name.as_deref()
    }

    /// What is known now.
    pub async fn snapshot(&self) -> Result<RecordingInfo, EngineError> {
        let recording = self.0.clone();
        self.0.shared.cpu.run(Urgency::Now, move || describe::describe(&recording)).await
    }

    /// Of that, how the sources come along, which takes much less to tell.
    pub fn sources(&self) -> SourcesInfo {
        describe::sources(&self.0)
    }

    /// Loads and indexes everything in the background, a bounded number of sources at a time.
    pub fn prefetch(&self) {
        watching::prefetch(self.0.clone());
    }

    /// Whether the manifest endpoint grants the recording still, which is asked again as its answer
    /// grows old. Gives the recording as it is granted now, if there is another manifest since.
    pub async fn still_granted(&self) -> Result<Option<Recording>, EngineError> {
        let Inner { shared, rights, version, .. } = &*self.0;
        rights.hold().await?;
        let is_same = rights.current().1 == *version;
        Ok((!is_same).then(|| Recording::new(shared.clone(), rights.clone())))
    }

    /// Resolves when [`Recording::sources`] may have changed.
    pub async fn changed(&self) {
        watching::changed(&self.0).await;
    }

    /// Whether nothing is being loaded or indexed.
    pub fn is_settled(&self) -> bool {
        let loading = |source: &RecordedSource| {
            matches!(source.source.current().state().phase, Phase::Loading { .. })
        };
        !self.0.sources.iter().any(loading)
    }

    /// Answers a query with one MCAP stream. Resolves when the first message, or its absence, is
    /// known; what fails before that is an error here, what fails after it an error item of the
    /// stream. That the caller's token is refused meanwhile is such a failure. Dropping the stream
    /// stops the work.
    pub async fn stream(&self, query: Query) -> Result<ResponseStream, EngineError> {
        let answer = self.answer(query).await?;
        ResponseStream::new(answer, self.0.standing()).await
    }

    /// Answers a query, throws the answer away, and tells what it was made of.
    pub async fn explain(&self, query: Query) -> Result<Explanation, EngineError> {
        let mut standing = self.0.standing();
        let mut answer = self.answer_with(query, true).await?;
        let mut bytes = 0;
        standing.hold(|granted| answer.is_granted(granted)).await?;
        while let Some(piece) = answer.next().await {
            bytes += piece?.len() as u64;
            // Who is not granted it any more learns nothing of it, and keeps nobody busy.
            standing.hold(|granted| answer.is_granted(granted)).await?;
        }
        let explanation = answer.explanation().ok_or(EngineError::TaskDied)?;
        Ok(Explanation { bytes, ..explanation })
    }

    /// The same for what is served to nobody, or not yet.
    pub(crate) async fn answer(&self, query: Query) -> Result<Answer, EngineError> {
        self.answer_with(query, false).await
    }

    async fn answer_with(&self, query: Query, explain: bool) -> Result<Answer, EngineError> {
        let query = Arc::new(query);
        let mut started = 0;
        loop {
            started += 1;
            match response::start(self.0.clone(), query.clone(), explain).await {
                // Nothing has left yet: the changed data can be served from its beginning.
                Err(EngineError::Changed { .. }) if started < FRESH_STARTS => {}
                result => return result,
            }
        }
    }

    /// Sources that an earlier load left whole, here or in the bucket, are known without asking
    /// the data backend.
    pub(crate) async fn find_stored(&self) {
        self.find_on_disk().await;
        let Some(sharing) = &self.0.shared.sharing else { return };
        let limits = self.0.shared.config.limits();
        let find = async |source: Arc<Source>| {
            let generation = source.current();
            if let Some(found) = sharing.find_complete(&source.key).await {
                generation.fill_from_bucket(found, sharing, limits.clone(), false);
            }
        };
        futures::stream::iter(self.pending()).for_each_concurrent(LOOKS_INTO_BUCKET, find).await;
    }

    /// The streamed sources of which nothing is known here.
    fn pending(&self) -> Vec<Arc<Source>> {
        let sources = self.0.sources.iter().map(|recorded| recorded.source.clone());
        sources
            .filter(|source| source.kind == SourceKind::Streamed)
            .filter(|source| matches!(source.current().state().phase, Phase::Pending))
            .collect()
    }

    async fn find_on_disk(&self) {
        let pending = self.pending();
        let find = move |store: &rdl_store::DiskStore| {
            for source in pending {
                let generation = source.current();
                if let Some(found) = store.find(&source.key) {
                    generation.fill_if_pending(found.index, found.files);
                }
            }
        };
        if let Err(error) = self.0.shared.store(find).await {
            tracing::warn!(%error, "cannot look for stored sources");
        }
    }

    async fn index_static(&self) {
        let viewer = ViewerId::new();
        let indexings = (0..self.0.sources.len())
            .filter(|at| matches!(self.0.declared(*at), DeclaredSource::Static(_)))
            .map(|at| watching::settled(&self.0, at, viewer));
        futures::future::join_all(indexings).await;
    }
}
