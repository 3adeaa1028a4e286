//! Finding what is sent before the range: the async side of [`rdl_merge::Lookback`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rdl_mcap_io::{MessageView, OpenChunk};
use rdl_merge::{DeclaredSource, Lookback, LookbackMessage, LookbackStep, next_to_load};
use rdl_model::{ChunkRef, Nanos, TimeRange};
use tokio::task::JoinSet;

use super::participant::Participant;
use super::upcoming::UpcomingChunks;
use super::{Response, SOON_NANOS, participant_of};
use crate::EngineError;

/// How many chunks, and how many sources, are read side by side at most.
const MOST_AT_ONCE: usize = 64;

/// Searches for the newest message of each channel, as the query's replay policy asks, and sends
/// what it finds.
pub(super) async fn search(response: &mut Response) -> Result<(), EngineError> {
    let mut lookback = Lookback::new(response.query.clone());
    let Some(times) = lookback.times() else { return Ok(()) };
    let topics: Vec<BTreeSet<String>> =
        response.participants.iter().map(Participant::declared_topics).collect();
    let mut found = Found::new(response.reservation.bytes() / 4);
    let _beginning = begin(response).await;
    look_at_sources(response, &mut lookback, times).await?;
    loop {
        match lookback.next() {
            LookbackStep::Read(at) => {
                read_ahead(response, &mut lookback, at)?;
                let opened = open(response, at).await?;
                // A static source's chunk may define channels that its summary does not name.
                reveal(response, at.source, &mut lookback)?;
                match opened {
                    Some(chunk) => {
                        for message in lookback.offer(at, &chunk) {
                            found.keep(message, &chunk);
                        }
                    }
                    None => lookback.skip(at),
                }
            }
            LookbackStep::Done => {
                let declared: Vec<DeclaredSource<'_>> = response
                    .participants
                    .iter()
                    .zip(&topics)
                    .filter(|(participant, _)| participant.is_streamed())
                    .map(|(participant, topics)| DeclaredSource {
                        source: participant.at,
                        times: participant.declared_times(),
                        topics,
                        is_loaded: participant.is_loaded_until(times.end),
                    })
                    .collect();
                let newest_found = |topic: &str| lookback.newest_found(topic);
                let Some(source) = next_to_load(&response.query, &declared, &newest_found) else {
                    break;
                };
                load(response, source, times).await?;
                reveal(response, source, &mut lookback)?;
            }
        }
    }
    for participant in &mut response.participants {
        participant.was_searched(times);
    }
    write(response, lookback.finish(), found).await
}

/// What the merge will begin with is looked for in the bucket, and read, while the search goes on;
/// as long as the result lives.
async fn begin(response: &mut Response) -> JoinSet<()> {
    let mut beginning = JoinSet::new();
    let shared = &response.recording.shared;
    let Some(times) = response.query.merged_times() else { return beginning };
    if shared.sharing.is_none() || shared.pressure.is_on() {
        return beginning;
    }
    let soon = Nanos(times.start.0.saturating_add(SOON_NANOS)).min(times.end);
    let soon = TimeRange { start: times.start, end: soon };
    let first =
        response.participants.iter_mut().filter(|participant| participant.has_some_of(soon));
    for participant in first.take(MOST_AT_ONCE) {
        let mut reading = Box::pin(participant.read_first(&response.recording, times));
        // What is known is on its way before anything else.
        if futures::poll!(&mut reading).is_pending() {
            beginning.spawn(reading);
        }
    }
    beginning
}

/// If the chunk has to be read from the bucket, the others that will be needed are read with it.
fn read_ahead(
    response: &mut Response,
    lookback: &mut Lookback,
    at: ChunkRef,
) -> Result<(), EngineError> {
    let shared = response.recording.shared.clone();
    let participant = participant_of(&mut response.participants, at.source)?;
    if shared.sharing.is_none() || shared.pressure.is_on() || !participant.is_to_fetch(at.chunk) {
        return Ok(());
    }
    let mut chunks: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for at in lookback.upcoming(MOST_AT_ONCE) {
        chunks.entry(at.source).or_default().push(at.chunk);
    }
    for (source, chunks) in chunks {
        let participant = participant_of(&mut response.participants, source)?;
        participant.read_ahead(&shared, &UpcomingChunks::all(chunks));
    }
    Ok(())
}

/// Writes the messages that were found, and sends them on.
async fn write(
    response: &mut Response,
    messages: Vec<LookbackMessage>,
    mut found: Found,
) -> Result<(), EngineError> {
    let mut last: Option<(ChunkRef, Arc<OpenChunk>)> = None;
    for message in messages {
        let source = message.at.source;
        if let Some(kept) = found.take(&message) {
            let work = response.work.as_mut().ok_or(EngineError::TaskDied)?;
            work.latch(source, kept.view())?;
        } else {
            let chunk = match last.take().filter(|(at, _)| *at == message.at) {
                Some((_, chunk)) => chunk,
                None => match open(response, message.at).await? {
                    Some(chunk) => chunk,
                    None => continue,
                },
            };
            let work = response.work.as_mut().ok_or(EngineError::TaskDied)?;
            work.latch(source, chunk.message(message.entry))?;
            last = Some((message.at, chunk));
        }
        let work = response.work.as_mut().ok_or(EngineError::TaskDied)?;
        if work.is_ready() {
            response.send().await?;
        }
    }
    Ok(())
}

/// Copies of messages that were found, as many as there is memory for: what finds none is read
/// again.
struct Found {
    kept: HashMap<LookbackMessage, KeptMessage>,
    bytes: u64,
    most_bytes: u64,
}

struct KeptMessage {
    channel: u16,
    sequence: u32,
    log_time: Nanos,
    publish_time: Nanos,
    data: Box<[u8]>,
}

impl Found {
    fn new(most_bytes: u64) -> Found {
        Found { kept: HashMap::new(), bytes: 0, most_bytes }
    }

    fn keep(&mut self, found: LookbackMessage, chunk: &OpenChunk) {
        let message = chunk.message(found.entry);
        let bytes = (size_of::<KeptMessage>() + message.data.len()) as u64;
        if self.bytes + bytes > self.most_bytes {
            return;
        }
        self.bytes += bytes;
        let MessageView { channel, sequence, log_time, publish_time, data } = message;
        let data = data.into();
        let kept = KeptMessage { channel, sequence, log_time, publish_time, data };
        self.kept.insert(found, kept);
    }

    fn take(&mut self, found: &LookbackMessage) -> Option<KeptMessage> {
        self.kept.remove(found)
    }
}

impl KeptMessage {
    fn view(&self) -> MessageView<'_> {
        MessageView {
            channel: self.channel,
            sequence: self.sequence,
            log_time: self.log_time,
            publish_time: self.publish_time,
            data: &self.data,
        }
    }
}

/// Hands what the sources reveal to the search. Static sources are waited for until they are
/// indexed; streamed ones count as far as they are there.
async fn look_at_sources(
    response: &mut Response,
    lookback: &mut Lookback,
    times: TimeRange,
) -> Result<(), EngineError> {
    let sources: Vec<u32> =
        response.participants.iter().map(|participant| participant.at).collect();
    for source in sources {
        let participant = participant_of(&mut response.participants, source)?;
        if !participant.is_streamed() && !participant.has_left() {
            // All of them start to be indexed before the first is waited for.
            participant.open(&response.recording);
        }
    }
    for at in 0..response.participants.len() {
        let source = response.participants[at].at;
        if !response.participants[at].is_streamed() {
            load(response, source, times).await?;
        }
        reveal(response, source, lookback)?;
    }
    Ok(())
}

/// Hands what is new of a source to the search.
fn reveal(
    response: &mut Response,
    source: u32,
    lookback: &mut Lookback,
) -> Result<(), EngineError> {
    let work = response.work.as_mut().ok_or(EngineError::TaskDied)?;
    participant_of(&mut response.participants, source)?.reveal(work, lookback);
    Ok(())
}

/// Opens the source and waits until it is there as far as the search reaches.
async fn load(response: &mut Response, source: u32, times: TimeRange) -> Result<(), EngineError> {
    loop {
        let work = response.work.as_mut().ok_or(EngineError::TaskDied)?;
        let participant = participant_of(&mut response.participants, source)?;
        if participant.has_left() {
            return Ok(());
        }
        participant.need(&response.recording);
        match participant.look(&response.recording, work) {
            Ok(()) if participant.is_loaded_until(times.end) => return Ok(()),
            Ok(()) => participant.changed().await,
            Err(error) => return response.source_failed(source, error),
        }
    }
}

/// Opens a chunk, fetched and verified where it is only claimed; `None` if it has nothing.
async fn open(
    response: &mut Response,
    at: ChunkRef,
) -> Result<Option<Arc<OpenChunk>>, EngineError> {
    let mut was_away = false;
    loop {
        let participant = participant_of(&mut response.participants, at.source)?;
        if participant.has_left() {
            return Ok(None);
        }
        if participant.is_to_fetch(at.chunk) {
            was_away = true;
            response.verify(at.source, &[at.chunk]).await?;
        } else if !participant.is_there(at.chunk) {
            return Ok(None);
        } else if let Some(chunk) =
            response.with_work(move |work| work.open_once(at, was_away)).await?
        {
            return Ok(Some(chunk));
        }
        // What was fetched may be let go of at any time; then it is fetched again.
    }
}
