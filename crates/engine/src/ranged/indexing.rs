//! Learning what a static source holds.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_fetch::{Opening, RangeReader};
use rdl_mcap_io::{
    AttachmentHead, ChannelUse, ChunkDescriptor, Compression, Limits, MetadataRecord, Summary,
    SummaryAttachment, SummaryChunk, SummaryStep, read_header, read_summary,
};
use rdl_metrics::table;
use rdl_model::{ByteRange, Problem, ProblemCode, SourceKey, SourceKeyHasher};
use tokio::time::Instant;

use super::{Ranged, Reader};
use crate::EngineError;
use crate::load::{self, LoadMode};
use crate::memory::{Pool, Reservation};
use crate::shared::Shared;
use crate::source::{
    Attachment, AttachmentPlace, Chunk, Claims, FileIdentity, Generation, Phase, Place, Source,
};
use crate::viewers::Viewer;

/// What the first request asks for: usually the whole summary.
const TAIL_BYTES: u64 = 256 << 10;
/// Enough for the header record of any file seen in the wild.
const HEADER_BYTES: u64 = 512;
/// How many times its size a summary takes while it is read and parsed, about.
const SUMMARY_TAKES: u64 = 4;
/// How often a file that becomes another while it is indexed is looked at.
const LOOKS: u32 = 3;
/// Metadata records beyond this are left unread, with a problem.
const MAX_METADATA_BYTES: u64 = 4 << 20;

/// Indexes `source` into `generation`, which the caller has marked as loading; `before` is the
/// generation that it replaces if the file changed since.
pub(crate) async fn index(
    shared: Arc<Shared>,
    source: Arc<Source>,
    generation: Arc<Generation>,
    before: Option<Arc<Generation>>,
) {
    let indexing = Indexing { shared, source, generation };
    let mut looks = 1;
    let outcome = loop {
        match indexing.run(before.clone()).await {
            // The file became another, or this viewer's own token was refused: the next look
            // tells more.
            Err(error) if error.is_refusal() => {}
            Err(EngineError::Changed { .. }) if looks < LOOKS => {}
            outcome => break outcome,
        }
        looks += 1;
    };
    match outcome {
        Ok(Outcome::Indexed) => {}
        Ok(Outcome::LoadWhole { why, identity }) => indexing.load_whole(&why, identity).await,
        Ok(Outcome::Refused) => {
            let source_name = indexing.source.name.clone();
            let changed = EngineError::Changed { source_name };
            indexing.source.supersede(&indexing.generation, changed);
        }
        Err(error) => {
            tracing::warn!(source = %indexing.source.name, %error, "a static source cannot be indexed");
            indexing.generation.fail(error);
        }
    }
}

enum Outcome {
    Indexed,
    /// It has to be loaded like a streamed source.
    LoadWhole {
        why: String,
        identity: FileIdentity,
    },
    /// Every viewer's own token was refused; each of them knows.
    Refused,
}

struct Indexing {
    shared: Arc<Shared>,
    source: Arc<Source>,
    generation: Arc<Generation>,
}

impl Indexing {
    async fn run(&self, before: Option<Arc<Generation>>) -> Result<Outcome, EngineError> {
        let turn = self.shared.indexing.acquire().await;
        let _turn = turn.map_err(|_| EngineError::ShuttingDown)?;
        let (viewer, opening) = loop {
            let Some((access, viewer)) = self.source.viewers.pick() else {
                return Ok(Outcome::Refused);
            };
            match RangeReader::open(&self.shared.http, &access, TAIL_BYTES).await {
                Ok(opening) => {
                    viewer.answered(&access);
                    break (viewer, opening);
                }
                Err(error) => {
                    let refused = error.is_refusal();
                    let source_name = self.source.name.clone();
                    let error = EngineError::Fetch { source_name, error: Arc::new(error) };
                    if !refused {
                        return Err(error);
                    }
                    viewer.renew(&access, &error).await;
                }
            }
        };
        let opened = match opening {
            Opening::Ranged(opened) => opened,
            Opening::Unsupported(_) => {
                return Ok(Outcome::LoadWhole {
                    why: "its server ignores Range".into(),
                    identity: FileIdentity { bytes: None, validator: None },
                });
            }
        };
        let identity = FileIdentity {
            bytes: Some(opened.total_bytes),
            validator: opened.reader.validator().cloned(),
        };
        if let Some(why) = self.source.distrusted(&identity) {
            return Ok(Outcome::LoadWhole { why, identity });
        }
        if let Some(before) = before.filter(|before| before.state().is_file(&identity)) {
            self.source.put_back(&self.generation, before);
            return Ok(Outcome::Indexed);
        }
        let file = File {
            source: &self.source,
            viewer: &viewer,
            reader: &opened.reader,
            bytes: opened.total_bytes,
            tail: opened.tail,
        };
        let ingest = self.shared.memory.ingest();
        let limits = Limits {
            // What it takes to be read, parsed and kept has to fit.
            max_summary_bytes: ingest.total_bytes() / SUMMARY_TAKES,
            max_chunk_bytes: self.shared.config.max_chunk_bytes,
            max_message_bytes: self.shared.config.max_message_bytes,
            ..Limits::default()
        };
        let summary = match file.summary(&limits, ingest).await? {
            Ok(summary) => summary,
            Err(why) => return Ok(Outcome::LoadWhole { why, identity }),
        };
        let header = file.read(ByteRange { start: 0, end: HEADER_BYTES.min(file.bytes) }).await?;
        let Ok(profile) = read_header(&header) else {
            let why = "it does not start like an MCAP file".to_owned();
            return Ok(Outcome::LoadWhole { why, identity });
        };
        let (metadata, problems) = file.metadata(&summary).await?;
        for problem in &problems {
            table::PROBLEMS.add(problem.count, [problem.code.as_str()]);
        }
        self.generation.change(|state| {
            state.profile = profile;
            state.channels.clone_from(&summary.channels);
            state.chunks = summary.chunks.iter().map(claimed).collect();
            state.claims = Some(Arc::new(Claims {
                channels: summary.channels.clone(),
                chunks: state.chunks.iter().map(as_it_will_be_kept).collect(),
                schemas: summary.schemas.clone(),
            }));
            state.metadata = metadata;
            state.attachments = summary
                .attachments
                .iter()
                .map(|found| Attachment {
                    head: head_of(found),
                    crc: None,
                    place: AttachmentPlace::File(found.record),
                })
                .collect();
            state.problems = problems;
            state.validated = Some(Instant::now());
            state.identity = Some(identity);
            state.ranged = Some(Arc::new(Ranged {
                reader: Reader::File(opened.reader),
                limits,
                fetches: Mutex::default(),
                mending: tokio::sync::Mutex::default(),
            }));
            state.phase = Phase::Complete;
        });
        Ok(Outcome::Indexed)
    }

    async fn load_whole(&self, why: &str, identity: FileIdentity) {
        let name = &self.source.name;
        tracing::info!(source = %name, why, "a static source is loaded like a streamed one");
        let message = format!("{name} is loaded like a streamed source: {why}");
        table::PROBLEMS.count([ProblemCode::LoadedAsStreamed.as_str()]);
        let problem = Problem::new(ProblemCode::LoadedAsStreamed, message).of_source(&**name);
        // Without a validator nobody can tell whether a later answer is the same file.
        let keep = identity.validator.is_some();
        let mode = LoadMode {
            truncated_is_final: true,
            keep,
            key: key_of_file(&self.source.key, &identity),
            start: rdl_model::Nanos::MIN,
        };
        self.generation.change(|state| {
            state.loaded_whole = Some(problem);
            state.validated = Some(Instant::now());
            state.identity = Some(identity);
        });
        load::run(self.shared.clone(), self.source.clone(), self.generation.clone(), mode).await;
    }
}

/// The key of a static source has its validator in it.
pub(crate) fn key_of_file(source: &SourceKey, identity: &FileIdentity) -> SourceKey {
    let bytes = identity.bytes.map_or_else(String::new, |bytes| bytes.to_string());
    let validator = identity.validator.as_ref().map_or_else(String::new, ToString::to_string);
    SourceKeyHasher::new().field(source.0).field(bytes).field(validator).finish()
}

/// A chunk as the summary describes it; what it claims prunes and orders until it is verified.
fn claimed(chunk: &SummaryChunk) -> Chunk {
    let counts = chunk.message_counts.iter().flatten();
    let channels: Vec<ChannelUse> = chunk
        .channels
        .iter()
        .zip(counts)
        .map(|(id, count)| ChannelUse { id: *id, count: *count, times: chunk.times })
        .collect();
    let descriptor = ChunkDescriptor {
        times: chunk.times,
        in_order: false,
        message_count: channels.iter().map(|used| u64::from(used.count)).sum(),
        channels,
        channel_records: Vec::new(),
        schema_records: Vec::new(),
        compression: Compression::from_mcap_name(&chunk.compression).unwrap_or_default(),
        uncompressed_bytes: chunk.uncompressed_bytes,
        crc: 0,
        record_bytes: chunk.record.len(),
        index_bytes: chunk.message_index_bytes,
    };
    Chunk { descriptor: Arc::new(descriptor), place: Place::Claimed(chunk.record) }
}

/// The claim, less channels that have no messages: they have no message index once the chunk is
/// verified.
fn as_it_will_be_kept(claimed: &Chunk) -> Arc<ChunkDescriptor> {
    let has_messages = |used: &ChannelUse| used.count > 0;
    if claimed.descriptor.channels.iter().all(has_messages) {
        return claimed.descriptor.clone();
    }
    let mut descriptor = ChunkDescriptor::clone(&claimed.descriptor);
    let without = descriptor.channels.iter().filter(|used| !has_messages(used)).count();
    descriptor.index_bytes -= without as u64 * rdl_mcap_io::EMPTY_INDEX_BYTES;
    descriptor.channels.retain(has_messages);
    Arc::new(descriptor)
}

fn head_of(found: &SummaryAttachment) -> AttachmentHead {
    AttachmentHead {
        name: found.name.clone(),
        media_type: found.media_type.clone(),
        log_time: found.log_time,
        create_time: found.create_time,
        data_bytes: found.data_bytes,
    }
}

/// A file of which the tail is known.
struct File<'a> {
    source: &'a Source,
    viewer: &'a Viewer,
    reader: &'a RangeReader,
    bytes: u64,
    tail: Bytes,
}

impl File<'_> {
    /// Reads bytes with the viewer's access; a refusal makes it ask the manifest once more.
    async fn read(&self, range: ByteRange) -> Result<Bytes, EngineError> {
        let tail_start = self.bytes - self.tail.len() as u64;
        if range.start >= tail_start && range.end <= self.bytes {
            let from = usize::try_from(range.start - tail_start).unwrap_or(usize::MAX);
            let to = usize::try_from(range.end - tail_start).unwrap_or(usize::MAX);
            return Ok(self.tail.slice(from..to));
        }
        loop {
            let access = self.viewer.access()?;
            let error = match self.reader.read(&access, range).await {
                Ok(bytes) => {
                    self.viewer.answered(&access);
                    return Ok(bytes);
                }
                Err(error) => error,
            };
            let source_name = self.source.name.clone();
            if error.is_changed() {
                return Err(EngineError::Changed { source_name });
            }
            let refused = error.is_refusal();
            let error = EngineError::Fetch { source_name, error: Arc::new(error) };
            if !refused || !self.viewer.renew(&access, &error).await {
                return Err(error);
            }
        }
    }

    /// The summary, or why the file cannot be read by ranges.
    async fn summary(
        &self,
        limits: &Limits,
        ingest: &Pool,
    ) -> Result<Result<Summary, String>, EngineError> {
        let mut tail = self.tail.clone();
        let mut reservation: Option<Reservation> = None;
        loop {
            match read_summary(self.bytes, &tail, limits) {
                Err(error) => return Ok(Err(error.to_string())),
                Ok(SummaryStep::Done(None)) => return Ok(Err("it has no summary".into())),
                Ok(SummaryStep::Done(Some(summary))) => {
                    return Ok(match summary.unfit() {
                        Some(reason) => Err(reason.to_string()),
                        None => Ok(summary),
                    });
                }
                Ok(SummaryStep::NeedBytes(range)) => {
                    // One that holds a reservation waits for none.
                    drop(reservation.take());
                    reservation = Some(ingest.reserve(range.len() * SUMMARY_TAKES).await);
                    let front = self.read(range).await?;
                    if front.is_empty() {
                        return Ok(Err("its summary cannot be read".into()));
                    }
                    tail = [front, tail].concat().into();
                }
            }
        }
    }

    async fn metadata(
        &self,
        summary: &Summary,
    ) -> Result<(Vec<MetadataRecord>, Vec<Problem>), EngineError> {
        let mut records = Vec::new();
        let mut problems = Vec::new();
        let mut bytes = 0;
        for found in &summary.metadata {
            bytes += found.record.len();
            let record = if bytes > MAX_METADATA_BYTES {
                Err("there is too much metadata".to_owned())
            } else {
                let record = self.read(found.record).await?;
                MetadataRecord::from_record_bytes(&record).map_err(|error| error.to_string())
            };
            match record {
                Ok(record) => records.push(record),
                Err(why) => {
                    let message =
                        format!("the metadata record {:?} is left out: {why}", found.name);
                    Problem::new(ProblemCode::MalformedRecord, message)
                        .of_source(&*self.source.name)
                        .add_to(&mut problems);
                }
            }
        }
        Ok((records, problems))
    }
}
