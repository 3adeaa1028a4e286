//! What comes after the last message: metadata, attachments, and what is missing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use rdl_mcap_io::{AttachmentRecord, ChunkDescriptor, MetadataRecord};
use rdl_merge::{Lookback, Query};
use rdl_model::ProblemCode;
use serde::Serialize;

use super::Response;
use super::participant::Participant;
use crate::EngineError;
use crate::source::{Place, State};

/// The name of the closing metadata record.
const CLOSING_RECORD: &str = "remote-data-loader";

/// Something that a response lacks, as its closing metadata record names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Missing {
    code: ProblemCode,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<String>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Missing {
    fn chunk(source: &str, chunk: usize) -> Missing {
        Missing {
            code: ProblemCode::DamagedChunk,
            source: source.to_owned(),
            chunk: Some(chunk.to_string()),
            count: 1,
            message: None,
        }
    }

    pub(super) fn source(source: &str, error: &EngineError) -> Missing {
        Missing {
            code: ProblemCode::SourceFailed,
            source: source.to_owned(),
            chunk: None,
            count: 1,
            message: Some(error.to_string()),
        }
    }

    pub(super) fn is_late(&self) -> bool {
        self.code == ProblemCode::LateMessages
    }

    fn late(source: &str, count: u64) -> Missing {
        Missing {
            code: ProblemCode::LateMessages,
            source: source.to_owned(),
            chunk: None,
            count,
            message: None,
        }
    }
}

/// The metadata records of all sources, each once, and the closing record where something is
/// missing.
pub(super) fn metadata(response: &mut Response) -> Vec<MetadataRecord> {
    let mut records = std::mem::take(&mut response.metadata);
    let mut missing = std::mem::take(&mut response.missing);
    let late = response.work.as_ref().map(super::work::Work::late).unwrap_or_default();
    for participant in &response.participants {
        if let Some(count) = late.get(&participant.at).filter(|count| **count > 0) {
            missing.push(Missing::late(&participant.name(), *count));
        }
        remember(participant, &response.query, &mut records, &mut missing);
    }
    let mut records: Vec<MetadataRecord> = records.into_iter().collect();
    records.extend(closing_record(&missing));
    records
}

/// What of a source comes after the last message: its metadata, and what is missing of it.
pub(super) fn remember(
    participant: &Participant,
    query: &Query,
    records: &mut BTreeSet<MetadataRecord>,
    missing: &mut Vec<Missing>,
) {
    let Some(generation) = participant.generation() else { return };
    let name = participant.name();
    let state = generation.state();
    records.extend(state.metadata.iter().cloned());
    if state.ranged.is_some() {
        let damaged = (0..).zip(&state.chunks).filter(|(_, chunk)| {
            matches!(chunk.place, Place::Damaged) && is_wanted(query, &state, &chunk.descriptor)
        });
        missing.extend(damaged.map(|(at, _)| Missing::chunk(&name, at)));
    } else {
        // Where in time the damaged chunks of a loaded source belong nobody knows.
        let lost = |code| matches!(code, ProblemCode::DamagedChunk | ProblemCode::TruncatedFile);
        let lost = state.problems.iter().filter(|problem| lost(problem.code));
        missing.extend(lost.map(|problem| Missing {
            code: problem.code,
            source: name.to_string(),
            chunk: None,
            count: problem.count,
            message: Some(problem.message.clone()),
        }));
    }
}

/// Whether the query would have had messages of a chunk, as far as the summary claims.
fn is_wanted(query: &Query, state: &State, claimed: &ChunkDescriptor) -> bool {
    let wanted = |id: u16| state.channels.get(&id).is_none_or(|channel| query.wants(&channel.def));
    let looked_at = Lookback::new(Arc::new(query.clone())).times();
    let is_looked_at = looked_at.is_some_and(|times| times.overlaps(claimed.times));
    (query.times.overlaps(claimed.times) || is_looked_at)
        && claimed.channels.iter().any(|used| wanted(used.id))
}

fn closing_record(missing: &[Missing]) -> Option<MetadataRecord> {
    if missing.is_empty() {
        return None;
    }
    let metadata: BTreeMap<String, String> = (1..)
        .zip(missing)
        .filter_map(|(number, missing)| {
            Some((format!("missing-{number}"), serde_json::to_string(missing).ok()?))
        })
        .collect();
    Some(MetadataRecord { name: CLOSING_RECORD.to_owned(), metadata })
}

/// The attachments of all sources, each once, where the query wants them.
pub(super) async fn attachments(response: &Response) -> Result<Vec<AttachmentRecord>, EngineError> {
    let mut attachments = Vec::new();
    if !response.query.attachments {
        return Ok(attachments);
    }
    let mut seen = HashSet::new();
    for participant in &response.participants {
        for attachment in participant.attachments(&response.recording.shared).await? {
            if seen.insert(attachment.clone()) {
                attachments.push(attachment);
            }
        }
    }
    Ok(attachments)
}
