//! From a recording to a file: every source known whole, one body of each, and a layout.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use rdl_mcap_io::AttachmentHead;
use rdl_model::{ByteRange, SourceKey};
use rdl_store::RemoteSource;
use tokio::time::Instant;

use super::laid::{FileSource, LaidFile};
use super::reading::attachment_bytes;
use super::version::{Body, Contents, FileVersion};
use super::virtual_file::VirtualFile;
use crate::EngineError;
use crate::cpu::Urgency;
use crate::ranged::key_of_file;
use crate::recording::{Inner, watching};
use crate::shared::Shared;
use crate::source::{AttachmentPlace, Generation, Source};
use crate::viewers::ViewerId;

/// How long sources that were loaded here are looked for in the bucket: they are written there
/// behind their loads. After that they count as they are here.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many sources are looked at side by side.
const AT_A_TIME: usize = 32;

/// Makes the file of a recording; with a version, exactly that one; perhaps of nothing but what is
/// kept.
pub(super) async fn open(
    recording: Arc<Inner>,
    version: Option<FileVersion>,
    kept_only: bool,
) -> Result<Arc<VirtualFile>, EngineError> {
    let shared = recording.shared.clone();
    let wanted = match version {
        Some(version) => {
            if let Some(file) = shared.files.find(&version)
                && file.changed().is_none()
            {
                missing(&recording, file.bodies())?;
                return Ok(file);
            }
            contents(&shared, version).await
        }
        None => None,
    };
    let members = members(&recording, wanted.as_deref())?;
    let viewer = ViewerId::new();
    let whole = match kept_only {
        true => watching::all_kept(&recording, &members).await?,
        false => watching::all_complete(&recording, &members, viewer).await?,
    };
    let give_up = Instant::now() + PUBLISHED_WITHIN;
    let bodies: Vec<_> = members
        .iter()
        .zip(&whole)
        .enumerate()
        .map(|(at, (member, whole))| {
            let source = recording.sources[*member].source.clone();
            let wanted = wanted.as_ref().map(|contents| contents.sources[at].clone());
            body(shared.clone(), source, whole.generation.clone(), wanted, give_up)
        })
        .collect();
    let bodies = futures::stream::iter(bodies).buffered(AT_A_TIME);
    let mut sources: Vec<FileSource> = bodies.try_collect().await?;
    let contents = Contents::new(sources.iter().map(|source| source.body.clone()).collect());
    let made = contents.version();
    if version.is_some_and(|version| version != made) {
        return Err(gone("its sources are not what they were when the link was made"));
    }
    if let Some(file) = shared.files.find(&made) {
        return Ok(file);
    }
    drop_duplicates(&recording, &mut sources, viewer).await?;
    let file = {
        let (shared, contents) = (shared.clone(), contents.clone());
        let _memory = shared.memory.ingest().reserve(layout_takes_bytes(&sources)).await;
        let build = move || LaidFile::build(&shared, &contents, sources);
        recording.shared.cpu.run(Urgency::Now, build).await??
    };
    remember(&shared, made, contents).await;
    Ok(shared.files.add(VirtualFile::Laid(file)))
}

fn gone(why: &str) -> EngineError {
    EngineError::FileGone { why: why.into() }
}

/// About what it takes to lay the sources out, in bytes: the index of each chunk, twice.
fn layout_takes_bytes(sources: &[FileSource]) -> u64 {
    let chunks = sources.iter().flat_map(|source| source.chunks.iter());
    chunks.map(|chunk| 2 * (100 + 10 * chunk.channels.len() as u64) + 64).sum()
}

/// What the version consists of, if anybody knows.
pub(super) async fn contents(shared: &Shared, version: FileVersion) -> Option<Arc<Contents>> {
    if let Some(known) = shared.files.contents(&version) {
        return Some(known);
    }
    let sharing = shared.sharing.as_ref()?;
    match sharing.file_contents(&version.to_string()).await {
        Ok(text) => Contents::from_json(&text?, version).map(Arc::new),
        Err(error) => {
            tracing::warn!(%version, %error, "cannot look for what a file consists of");
            None
        }
    }
}

/// Makes the version known to every replica. What fails is met by whoever opens it elsewhere.
async fn remember(shared: &Shared, version: FileVersion, contents: Contents) {
    if let Some(sharing) = &shared.sharing
        && let Err(error) =
            sharing.put_file_contents(&version.to_string(), contents.to_json().into()).await
    {
        tracing::warn!(%version, %error, "other replicas may not know what a file consists of");
    }
    shared.files.remember(version, Arc::new(contents));
}

/// Fails when the manifest does not grant every one of these sources.
pub(super) fn missing(recording: &Inner, bodies: &[Body]) -> Result<(), EngineError> {
    let granted = recording.sources.iter().map(|recorded| recorded.source.key).collect();
    missing_in(&granted, bodies)
}

/// The same of the keys of what is granted.
pub(super) fn missing_in(granted: &HashSet<SourceKey>, bodies: &[Body]) -> Result<(), EngineError> {
    match bodies.iter().all(|body| granted.contains(&body.key)) {
        true => Ok(()),
        false => Err(gone("the manifest does not grant every source of it any more")),
    }
}

/// The positions in the manifest of the sources of the file, in their order there.
fn members(recording: &Inner, wanted: Option<&Contents>) -> Result<Vec<usize>, EngineError> {
    let Some(wanted) = wanted else { return Ok((0..recording.sources.len()).collect()) };
    missing(recording, &wanted.sources)?;
    let places: HashMap<_, usize> =
        recording.sources.iter().zip(0..).map(|(found, at)| (found.source.key, at)).collect();
    let found = wanted.sources.iter().filter_map(|body| places.get(&body.key).copied());
    Ok(found.collect())
}

/// The body of a source that every replica chooses: with a bucket the one that lies there.
async fn body(
    shared: Arc<Shared>,
    source: Arc<Source>,
    generation: Arc<Generation>,
    wanted: Option<Body>,
    give_up: Instant,
) -> Result<FileSource, EngineError> {
    // One that was too large for the disk has let go of its beginning.
    if !source.is_current(&generation) {
        let found = published(&shared, &source, &generation, give_up).await;
        let changed = EngineError::Changed { source_name: source.name.clone() };
        return describe(&shared, &source, &found.ok_or(changed)?).await;
    }
    let here = describe(&shared, &source, &generation).await?;
    if wanted.as_ref().is_some_and(|wanted| wanted.identity == here.body.identity) {
        return Ok(here);
    }
    // What a version consists of was there when it was made.
    let give_up = if wanted.is_some() { Instant::now() } else { give_up };
    match published(&shared, &source, &generation, give_up).await {
        Some(found) => {
            let there = describe(&shared, &source, &found).await?;
            // What is here has the same bytes, and is nearer.
            Ok(if there.body == here.body { here } else { there })
        }
        None => Ok(here),
    }
}

async fn describe(
    shared: &Shared,
    source: &Arc<Source>,
    generation: &Arc<Generation>,
) -> Result<FileSource, EngineError> {
    let (source, generation) = (source.clone(), generation.clone());
    shared.cpu.run(Urgency::Now, move || FileSource::new(&source, &generation)).await
}

/// What the bucket has of a source that is loaded here, as a generation of its own.
async fn published(
    shared: &Shared,
    source: &Source,
    generation: &Generation,
    give_up: Instant,
) -> Option<Arc<Generation>> {
    let sharing = shared.sharing.as_ref()?;
    let key = {
        let state = generation.state();
        let in_bucket = state.ranged.as_ref().is_some_and(|ranged| ranged.is_in_bucket());
        if in_bucket || state.claims.is_some() {
            return None;
        }
        match &state.identity {
            None => source.key,
            // A static file that was loaded whole; without a validator it is kept nowhere.
            Some(identity) if identity.validator.is_some() => key_of_file(&source.key, identity),
            Some(_) => return None,
        }
    };
    if let Some(found) = generation.published() {
        return Some(found);
    }
    let found: RemoteSource = loop {
        if let Some(found) = sharing.find_complete(&key).await {
            break found;
        }
        if Instant::now() >= give_up {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let there = Arc::new(Generation::default());
    there.fill_from_bucket(found, sharing, shared.config.limits(), false);
    generation.set_published(there.clone());
    Some(there)
}

/// Leaves out attachments that a source before has too.
async fn drop_duplicates(
    recording: &Inner,
    sources: &mut [FileSource],
    viewer: ViewerId,
) -> Result<(), EngineError> {
    let mut count: HashMap<&AttachmentHead, usize> = HashMap::new();
    for attachment in sources.iter().flat_map(|source| &source.attachments) {
        *count.entry(&attachment.head).or_default() += 1;
    }
    // Only where the heads are the same does the content decide.
    let mut checksums = Vec::new();
    for (source, laid) in sources.iter().enumerate() {
        for (at, attachment) in laid.attachments.iter().enumerate() {
            if count.get(&attachment.head).is_some_and(|count| *count > 1) {
                let checksum = checksum(recording, laid, attachment.place, viewer);
                checksums.push(async move { checksum.await.map(|crc| (source, at, crc)) });
            }
        }
    }
    let checksums = futures::stream::iter(checksums).buffered(AT_A_TIME);
    let checksums: Vec<(usize, usize, Option<u32>)> = checksums.try_collect().await?;
    let mut known = HashSet::new();
    let mut again = HashSet::new();
    for (source, at, crc) in checksums {
        let head = &sources[source].attachments[at].head;
        if crc.is_some() && !known.insert((head.clone(), crc)) {
            again.insert((source, at));
        }
    }
    for (source, laid) in sources.iter_mut().enumerate() {
        let mut at = 0..;
        laid.attachments.retain(|_| !again.contains(&(source, at.next().unwrap_or(usize::MAX))));
    }
    Ok(())
}

/// The checksum at the end of an attachment record; `None` where its writer computed none.
async fn checksum(
    recording: &Inner,
    source: &FileSource,
    place: AttachmentPlace,
    viewer: ViewerId,
) -> Result<Option<u32>, EngineError> {
    const CRC_BYTES: u64 = 4;
    let Some(start) = place.record_bytes().checked_sub(CRC_BYTES) else { return Ok(None) };
    let range = ByteRange::at(start, CRC_BYTES);
    let interest = recording.interest_in(&source.source, viewer);
    let viewer = interest.as_ref().map(|interest| &**interest.viewer());
    let (shared, generation) = (&recording.shared, &source.generation);
    let bytes = attachment_bytes(shared, &source.source, generation, viewer, place, range).await?;
    let crc = bytes.first_chunk().map(|crc| u32::from_le_bytes(*crc));
    Ok(crc.filter(|crc| *crc != 0))
}
