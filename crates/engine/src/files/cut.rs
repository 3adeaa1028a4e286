//! A cut: the answer to a query, made once and kept as a file.
//!
//! Which cut it is follows from the query and from the sources that the manifest names: the same key
//! means the same data, and a static source adds its validator. Two makings need not have the same
//! bytes, so a version is a hash over those too. In the bucket the first that was made counts for
//! every replica; the others are not used.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Shared as SharedFuture, WeakShared};
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use rdl_mcap_io::MetadataRecord;
use rdl_merge::{Query, ReplayPolicy};
use rdl_model::{ByteRange, SourceKey, SourceKeyHasher};
use rdl_store::{BucketError, BucketErrorKind, KeptFile, PartRead, WholeFile};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::identity;
use super::version::{Body, Contents, FileVersion, Made};
use super::virtual_file::{OpeningFile, VirtualFile};
use crate::cpu::Urgency;
use crate::recording::{Inner, Recording, watching};
use crate::shared::Shared;
use crate::sharing::Sharing;
use crate::viewers::ViewerId;
use crate::{EngineError, SourceKind};

/// How often a cut is made that lacks messages which came too late to be put in order: once their
/// sources are complete they are in their place.
const MOST_MAKINGS: u32 = 3;

/// So long a cut waits for room on the disk before it is too large.
const ROOM_COMES_WITHIN: Duration = Duration::from_secs(2);

/// Under which name `complete.json` says what a cut consists of.
const CONTENTS: &str = "contents";

/// A cut that is made.
pub(super) struct CutFile {
    contents: Contents,
    made: Made,
    /// Its bytes here; without them they are in the bucket.
    here: Option<KeptFile>,
}

/// How far the making of a cut is, whoever makes it.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Arc<Counts>>);

/// In bytes.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    /// In the bucket.
    kept: AtomicU64,
}

impl Progress {
    /// What whoever waits is told.
    pub(super) fn not_ready(&self) -> EngineError {
        let counts = self.0.lock();
        EngineError::CutNotReady {
            written_bytes: counts.written.load(Ordering::Relaxed),
            kept_bytes: counts.kept.load(Ordering::Relaxed),
        }
    }
}

/// The cuts that are being made: whoever wants one of them waits for it too, and with the last of
/// them it ends.
#[derive(Default)]
pub(super) struct Makings(Mutex<HashMap<FileVersion, Making>>);

struct Making {
    cut: WeakShared<OpeningFile>,
    counts: Arc<Counts>,
}

impl CutFile {
    pub(super) fn version(&self) -> FileVersion {
        self.contents.version()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.made.bytes
    }

    pub(super) fn bodies(&self) -> &[Body] {
        &self.contents.sources
    }

    /// Reads a part; of the bucket with what is kept of the last call.
    pub(super) async fn read(
        &self,
        shared: &Shared,
        incoming: &mut Option<PartRead>,
        range: ByteRange,
        end: u64,
    ) -> Result<Bytes, EngineError> {
        if let Some(file) = &self.here {
            let file = file.clone();
            let read = move || file.read(range);
            return Ok(shared.cpu.run(Urgency::Now, read).await??);
        }
        let sharing = shared.sharing.as_ref().ok_or(EngineError::TaskDied)?;
        let incoming = incoming.get_or_insert_with(|| {
            let rest = ByteRange { start: range.start, end };
            sharing.bucket.read_cut(&self.version().to_string(), rest)
        });
        incoming.take(range).await.map_err(|error| {
            let what = error.to_string().into();
            match error.kind() {
                BucketErrorKind::NotFound | BucketErrorKind::Damaged => {
                    EngineError::DamagedCopy { source_name: "a cut".into(), what }
                }
                _ => EngineError::CutAway { what },
            }
        })
    }
}

/// Finds the cut of a recording, or makes it; with a version, exactly that one.
pub(super) async fn open(
    recording: Arc<Inner>,
    query: &Query,
    version: Option<FileVersion>,
    progress: Arc<Progress>,
) -> Result<Arc<VirtualFile>, EngineError> {
    let shared = recording.shared.clone();
    if let Some(version) = version {
        return open_version(&recording, query, version).await;
    }
    let cut = Contents::of_cut(bodies(&recording).await, hash(query));
    if let Some(found) = find(&shared, &cut).await {
        return Ok(found);
    }
    loop {
        let (making, is_ours) = join(&recording, query, &cut, &progress);
        match making.await {
            // Somebody else's token may be refused where ours is not.
            Err(error) if !is_ours && error.is_refusal() => {}
            made => return made,
        }
    }
}

/// The making of a cut, begun if nobody else is at it; and whether it is ours.
fn join(
    recording: &Arc<Inner>,
    query: &Query,
    cut: &Contents,
    progress: &Progress,
) -> (SharedFuture<OpeningFile>, bool) {
    let mut makings = recording.shared.files.makings.0.lock();
    let runs = |making: &Making| making.cut.upgrade().filter(|cut| cut.peek().is_none());
    makings.retain(|_, making| runs(making).is_some());
    let id = cut.version();
    if let Some(making) = makings.get(&id)
        && let Some(cut) = runs(making)
    {
        *progress.0.lock() = making.counts.clone();
        return (cut, false);
    }
    let counts = progress.0.lock().clone();
    let making = {
        let (recording, query, cut) = (recording.clone(), query.clone(), cut.clone());
        let counts = counts.clone();
        async move {
            let made = make(&recording, &query, &cut, &counts).await;
            let file = made.map_err(|error| match error.is_full() {
                true => EngineError::CutTooLarge,
                false => error,
            })?;
            let shared = &recording.shared;
            let file = publish(shared, file, &counts).await;
            let contents = Arc::new(file.contents.clone());
            shared.files.remember(file.version(), contents.clone());
            shared.files.remember(cut.version(), contents);
            Ok(shared.files.add(VirtualFile::Cut(file)))
        }
    };
    let making = making.boxed().shared();
    if let Some(cut) = making.downgrade() {
        makings.insert(id, Making { cut, counts });
    }
    (making, true)
}

async fn open_version(
    recording: &Arc<Inner>,
    query: &Query,
    version: FileVersion,
) -> Result<Arc<VirtualFile>, EngineError> {
    let shared = &recording.shared;
    if let Some(file) = shared.files.find(&version) {
        super::opening::missing(recording, file.bodies())?;
        return Ok(file);
    }
    if let Some(contents) = super::opening::contents(shared, version).await {
        super::opening::missing(recording, &contents.sources)?;
        let here = find_here(shared, &contents.with_bytes(None)).await;
        if let Some(file) = here.filter(|file| file.version() == version) {
            return Ok(shared.files.add(VirtualFile::Cut(file)));
        }
        if let Some(file) = find_in_bucket(shared, &contents).await {
            return Ok(shared.files.add(VirtualFile::Cut(file)));
        }
    }
    // Nobody wrote down what it consists of; perhaps it is what the recording is now.
    let cut = Contents::of_cut(bodies(recording).await, hash(query));
    match find(shared, &cut).await {
        Some(file) if file.version() == version => Ok(file),
        _ => Err(EngineError::FileGone { why: "the cut is not kept any more".into() }),
    }
}

/// A cut that was made before, here or elsewhere.
async fn find(shared: &Shared, cut: &Contents) -> Option<Arc<VirtualFile>> {
    let found = match find_here(shared, cut).await {
        Some(file) => file,
        None => {
            let sharing = shared.sharing.as_ref()?;
            let text = sharing.file_contents(&cut.version().to_string()).await;
            let text = text.inspect_err(|error| tracing::warn!(%error, "cannot look for a cut"));
            find_in_bucket(shared, &Contents::from_json_of_cut(&text.ok()??, cut)?).await?
        }
    };
    shared.files.remember(found.version(), Arc::new(found.contents.clone()));
    Some(shared.files.add(VirtualFile::Cut(found)))
}

/// A cut that is kept on the disk.
async fn find_here(shared: &Shared, cut: &Contents) -> Option<CutFile> {
    let key = key(cut);
    let found = shared.store(move |store| store.find(&key)).await.ok()??;
    let about = found.index.metadata.first()?;
    let contents = Contents::from_json_of_cut(about.metadata.get(CONTENTS)?.as_bytes(), cut)?;
    let made = contents.made()?;
    Some(CutFile { contents, made, here: Some(KeptFile::new(found.files, made.bytes)) })
}

/// The cut, if its bytes are in the bucket.
async fn find_in_bucket(shared: &Shared, contents: &Contents) -> Option<CutFile> {
    let (sharing, made) = (shared.sharing.as_ref()?, contents.made()?);
    let found = sharing.bucket.has_cut(&contents.version().to_string(), made.bytes).await;
    let found = found.inspect_err(|error| tracing::warn!(%error, "cannot look for a cut"));
    found.is_ok_and(|found| found).then(|| CutFile { contents: contents.clone(), made, here: None })
}

/// Which body of each source the cut is of, as far as the manifest tells. Starts no load, but static
/// sources are indexed.
async fn bodies(recording: &Arc<Inner>) -> Vec<Body> {
    let viewer = ViewerId::new();
    let is_static = |at: &usize| recording.sources[*at].source.kind == SourceKind::Static;
    let looks: Vec<_> = (0..recording.sources.len())
        .filter(is_static)
        .map(|at| watching::settled(recording, at, viewer))
        .collect();
    futures::future::join_all(looks).await;
    let bodies = recording.sources.iter().map(|recorded| {
        let source = &recorded.source;
        let generation = source.current();
        let identity = match source.kind {
            SourceKind::Streamed => source.key,
            SourceKind::Static => identity::of_static(&generation),
        };
        Body { key: source.key, identity }
    });
    bodies.collect()
}

/// What a cut is kept under, whatever its bytes.
fn key(cut: &Contents) -> SourceKey {
    SourceKeyHasher::new().field("cut").field(cut.version().to_string()).finish()
}

/// Runs the query once into a file.
async fn make(
    inner: &Arc<Inner>,
    query: &Query,
    cut: &Contents,
    counts: &Counts,
) -> Result<CutFile, EngineError> {
    let shared = &inner.shared;
    let mut makings = 1;
    loop {
        counts.written.store(0, Ordering::Relaxed);
        let (key, name) = (key(cut), format!("cut {}", cut.version()));
        let file = shared.store(move |store| store.begin_whole(&key, &name)).await??;
        let mut writing = Writing { file, hasher: Sha256::new() };
        let mut stream = Recording::of(inner.clone()).answer(query.clone()).await?;
        while let Some(piece) = stream.next().await {
            writing = writing.append(shared, piece?).await?;
            counts.written.store(writing.file.bytes(), Ordering::Relaxed);
        }
        if stream.lacks_late_messages() && makings < MOST_MAKINGS {
            makings += 1;
            let all: Vec<usize> = (0..inner.sources.len()).collect();
            // That some cannot be loaded is no failure of the cut, which may not need them.
            let _ = watching::all_complete(inner, &all, ViewerId::new()).await;
            continue;
        }
        let Writing { file, hasher } = writing;
        let made = Made { bytes: file.bytes(), digest: SourceKey(hasher.finalize().into()) };
        let contents = cut.with_bytes(Some(made));
        let text = String::from_utf8_lossy(&contents.to_json()).into_owned();
        let metadata = [(CONTENTS.to_owned(), text)].into();
        let about = MetadataRecord { name: "cut".into(), metadata };
        let kept = shared.store(move |_| file.complete(about)).await??;
        return Ok(CutFile { contents, made, here: Some(kept) });
    }
}

/// A cut that is being written.
struct Writing {
    file: WholeFile,
    hasher: Sha256,
}

impl Writing {
    /// Where there is no room, it waits a moment: an answer or a cut that has just ended still holds some.
    async fn append(self, shared: &Arc<Shared>, piece: Bytes) -> Result<Writing, EngineError> {
        let since = Instant::now();
        let mut writing = self;
        loop {
            let (here, piece, Writing { mut file, mut hasher }) =
                (shared.clone(), piece.clone(), writing);
            let append = move |_: &rdl_store::DiskStore| {
                let written = here.with_room(piece.len() as u64, || file.append(&piece));
                if written.is_ok() {
                    hasher.update(&piece);
                }
                (Writing { file, hasher }, written)
            };
            let (then, written) = shared.store(append).await?;
            match written {
                Ok(_) => return Ok(then),
                Err(error) if error.is_full() && since.elapsed() < ROOM_COMES_WITHIN => {
                    writing = then;
                }
                Err(error) => return Err(error),
            }
            shared.pressure.wait_for_room(since, ROOM_COMES_WITHIN).await;
        }
    }
}

/// Writes the cut into the bucket, and gives the one that was there first. Trouble with the bucket
/// leaves it here.
async fn publish(shared: &Shared, file: CutFile, counts: &Counts) -> CutFile {
    let Some(here) = &file.here else { return file };
    let Some(sharing) = &shared.sharing else {
        // Another process may have made it in the same folder.
        return match find_here(shared, &file.contents.with_bytes(None)).await {
            Some(first) if first.version() != file.version() => {
                forget(shared, here).await;
                first
            }
            _ => file,
        };
    };
    let count = |bytes| {
        counts.kept.fetch_add(bytes, Ordering::Relaxed);
    };
    if let Err(error) = sharing.bucket.put_cut(&file.version().to_string(), here, count).await {
        tracing::warn!(%error, "a cut is kept here alone");
        return file;
    }
    match tell(sharing, &file.contents).await {
        Ok(Some(first)) => {
            forget(shared, here).await;
            first
        }
        Ok(None) => file,
        Err(error) => {
            tracing::warn!(%error, "other replicas do not know of a cut");
            file
        }
    }
}

/// What stays of it is in nobody's way, and goes when room is needed.
async fn forget(shared: &Shared, file: &KeptFile) {
    let files = file.files().clone();
    let _ = shared.store(move |store| store.discard(&files)).await;
}

/// Makes a cut that lies in the bucket known to every replica; gives the one that they know already,
/// if its bytes are there.
async fn tell(sharing: &Sharing, contents: &Contents) -> Result<Option<CutFile>, BucketError> {
    let text: Bytes = contents.to_json().into();
    sharing.put_file_contents(&contents.version().to_string(), text.clone()).await?;
    let cut = contents.with_bytes(None);
    let id = cut.version().to_string();
    if sharing.bucket.create_file_contents(&id, text.clone()).await? {
        return Ok(None);
    }
    let first = sharing.file_contents(&id).await?;
    let first = first.and_then(|first| Contents::from_json_of_cut(&first, &cut));
    if let Some(first) = first
        && let Some(made) = first.made()
        && sharing.bucket.has_cut(&first.version().to_string(), made.bytes).await?
    {
        return Ok((first != *contents).then_some(CutFile { contents: first, made, here: None }));
    }
    sharing.put_file_contents(&id, text).await?;
    Ok(None)
}

/// Tells one query from another.
fn hash(query: &Query) -> SourceKey {
    let Query { topics, times, has_start, replay, lookback, accepts, partial, attachments } = query;
    let mut hasher = SourceKeyHasher::new();
    match topics {
        None => hasher = hasher.field("all topics"),
        Some(topics) => {
            hasher = hasher.field("topics");
            for topic in topics {
                hasher = hasher.field(topic);
            }
        }
    }
    let replay = match replay {
        ReplayPolicy::None => "none",
        ReplayPolicy::LastPerChannel => "lastPerChannel",
        ReplayPolicy::LastPerChannelInRange => "lastPerChannelInRange",
    };
    hasher = hasher
        .field("times")
        .field(times.start.0.to_le_bytes())
        .field(times.end.0.to_le_bytes())
        .field([u8::from(*has_start), u8::from(*partial), u8::from(*attachments)])
        .field(replay)
        .field(lookback.as_nanos().to_le_bytes());
    match accepts {
        None => hasher.field("any compression").finish(),
        Some(accepts) => {
            accepts.iter().fold(hasher, |hasher, name| hasher.field(name.mcap_name())).finish()
        }
    }
}
