//! `/v1/explain`: what the answer to a query is made of, and what takes its time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{RawQuery, State};
use http::HeaderName;
use http::header::CACHE_CONTROL;
use rdl_engine::{ExplainedSource, Explanation, Reads, SourceUse, Stage, Tier, WhyOpened};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::answers::KindName;
use super::authority::Authority;
use super::request::{StreamQuery, StreamRequest};
use crate::problem::{Problem, ProblemBody};

/// What an answer is made of, and what takes its time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Explanation)]
pub(super) struct ExplainAnswer {
    /// How many messages it has.
    messages: u64,
    /// How long it is, in bytes.
    bytes: u64,
    /// How long the manifest endpoint took, or the cache, in milliseconds.
    manifest_ms: f64,
    /// From then to the first message, or to its absence.
    first_message_ms: f64,
    /// From then to the end.
    total_ms: f64,
    /// What that time went to, in milliseconds: `lookback`, `sources` (waiting for them to be found,
    /// indexed or loaded), `reads` (of chunks that are not here), `merge`, `send` and `room` (on
    /// the disk).
    stages_ms: BTreeMap<&'static str, f64>,
    /// The chunks of all sources together.
    chunks: ChunksAnswer,
    /// What was read for them, by where it was: `memory`, `disk`, `bucket`, `source`.
    reads: BTreeMap<&'static str, ReadsAnswer>,
    /// The sources, in the order of the manifest.
    sources: Vec<ExplainedSourceAnswer>,
}

/// What became of a source.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExplainedSource)]
struct ExplainedSourceAnswer {
    /// Its id, or its URL less query and credentials.
    id: String,
    /// Read once and in order, or by ranges.
    kind: KindName,
    /// Whether anything was asked of it.
    touched: bool,
    /// `merged`, `looked-back`, `other-times`, `other-topics` or `failed`.
    r#use: &'static str,
    /// The same, in words.
    why: &'static str,
    /// Its chunks.
    chunks: ChunksAnswer,
    /// What was read for them, by where it was.
    reads: BTreeMap<&'static str, ReadsAnswer>,
}

/// What became of chunks.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExplainedChunks)]
struct ChunksAnswer {
    /// How many passed through as they are.
    passed: u64,
    /// How many were taken apart and written anew, by the reason: `overlap` (messages of others
    /// lie between theirs), `other-topics`, `other-times`, `out-of-order`, `compression`, `ids`
    /// or `late`.
    rewritten: BTreeMap<&'static str, u64>,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[schema(as = ExplainedReads)]
struct ReadsAnswer {
    /// How many chunks.
    chunks: u64,
    /// How many bytes, as they are stored.
    bytes: u64,
}

/// What the answer to a query is made of: the query is answered, and the answer thrown away.
///
/// Which sources were touched and why, which chunks passed through and why others were rewritten,
/// how much was read from where, and what took its time. What it loads stays loaded.
#[utoipa::path(get, path = "/v1/explain", operation_id = "getExplanation", tag = "recordings",
    params(StreamQuery),
    security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "What it is made of", body = ExplainAnswer),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    authority: Authority,
) -> Result<([(HeaderName, &'static str); 1], Json<ExplainAnswer>), Problem> {
    let request = StreamRequest::from_query(query.as_deref())?;
    let query = request.query()?;
    let asked = Instant::now();
    let recording = app.engine.recording(&request.manifest_params(), authority.token).await?;
    let manifest = asked.elapsed();
    let explanation = recording.explain(query).await?;
    let answer = ExplainAnswer::new(manifest, explanation);
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)))
}

impl ExplainAnswer {
    fn new(manifest: Duration, explanation: Explanation) -> ExplainAnswer {
        let sources: Vec<ExplainedSourceAnswer> =
            explanation.sources.into_iter().map(ExplainedSourceAnswer::from).collect();
        let (mut chunks, mut reads) = (ChunksAnswer::default(), BTreeMap::new());
        for source in &sources {
            chunks.passed += source.chunks.passed;
            for (why, count) in &source.chunks.rewritten {
                *chunks.rewritten.entry(why).or_default() += count;
            }
            for (tier, read) in &source.reads {
                let all: &mut ReadsAnswer = reads.entry(*tier).or_default();
                all.chunks += read.chunks;
                all.bytes += read.bytes;
            }
        }
        let stages = explanation.stages.into_iter();
        ExplainAnswer {
            messages: explanation.messages,
            bytes: explanation.bytes,
            manifest_ms: millis(manifest),
            first_message_ms: millis(explanation.first_message),
            total_ms: millis(explanation.total),
            stages_ms: stages.map(|(stage, spent)| (stage_name(stage), millis(spent))).collect(),
            chunks,
            reads,
            sources,
        }
    }
}

impl From<ExplainedSource> for ExplainedSourceAnswer {
    fn from(source: ExplainedSource) -> Self {
        let (r#use, why) = used(source.why);
        let rewritten = source.taken_apart.into_iter();
        let reads = source.reads.into_iter();
        ExplainedSourceAnswer {
            id: source.name.to_string(),
            kind: source.kind.into(),
            touched: !matches!(source.why, SourceUse::OtherTimes | SourceUse::OtherTopics),
            r#use,
            why,
            chunks: ChunksAnswer {
                passed: source.passed,
                rewritten: rewritten.map(|(why, count)| (reason(why), count)).collect(),
            },
            reads: reads
                .map(|(tier, Reads { chunks, bytes })| {
                    (tier_name(tier), ReadsAnswer { chunks, bytes })
                })
                .collect(),
        }
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn used(why: SourceUse) -> (&'static str, &'static str) {
    match why {
        SourceUse::Merged => ("merged", "it has, or may have, messages in the times of the query"),
        SourceUse::LookedBack => {
            ("looked-back", "it was only searched for the newest messages before the start")
        }
        SourceUse::OtherTimes => ("other-times", "it lies outside the times of the query"),
        SourceUse::OtherTopics => ("other-topics", "it declares none of the wanted topics"),
        SourceUse::Failed => ("failed", "it failed and was left out"),
    }
}

fn reason(why: WhyOpened) -> &'static str {
    match why {
        WhyOpened::OtherTopics => "other-topics",
        WhyOpened::OtherTimes => "other-times",
        WhyOpened::OutOfOrder => "out-of-order",
        WhyOpened::Compression => "compression",
        WhyOpened::Overlap => "overlap",
        WhyOpened::Late => "late",
        WhyOpened::Ids => "ids",
    }
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Memory => "memory",
        Tier::Disk => "disk",
        Tier::Bucket => "bucket",
        Tier::Source => "source",
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Lookback => "lookback",
        Stage::Sources => "sources",
        Stage::Reads => "reads",
        Stage::Merge => "merge",
        Stage::Send => "send",
        Stage::Room => "room",
    }
}
