//! What a recording looks like from outside.

mod topics;

use std::sync::Arc;

use rdl_model::{Nanos, Problem, ProblemCode, TimeRange};
use rdl_wire::{Source as Declared, StreamedSource};

use super::Inner;
use crate::source::{Phase, State};
use crate::{RecordingInfo, SourceInfo, SourceKind, SourceStatus, SourcesInfo};

pub(super) fn describe(recording: &Inner) -> RecordingInfo {
    let SourcesInfo { sources, problems } = sources(recording);
    let start = sources.iter().map(|source| source.start).reduce(least_known).flatten();
    let end = sources.iter().map(|source| source.end).reduce(greatest_known).flatten();
    let times = start.zip(end).map(|(start, end)| TimeRange { start, end });
    RecordingInfo {
        name: recording.manifest.name.clone(),
        start,
        end,
        topics: topics::topics(recording, times),
        sources,
        problems,
    }
}

pub(super) fn sources(recording: &Inner) -> SourcesInfo {
    let mut problems = recording.manifest.problems.clone();
    let mut sources = Vec::with_capacity(recording.sources.len());
    for (at, recorded) in recording.sources.iter().enumerate() {
        let declared = recording.declared(at);
        let generation = recorded.source.current();
        let state = generation.state();
        for problem in &state.problems {
            problem.clone().of_source(&*recorded.source.name).add_to(&mut problems);
        }
        if let Some(problem) = &state.loaded_whole {
            problem.clone().add_to(&mut problems);
        }
        if let Declared::Streamed(declared) = declared {
            contradictions(&recorded.source.name, declared, &state, &mut problems);
        }
        sources.push(describe_source(&recorded.source.name, declared, &state));
    }
    SourcesInfo { sources, problems }
}

/// A source of unknown time says nothing about where the recording starts or ends.
fn least_known(a: Option<Nanos>, b: Option<Nanos>) -> Option<Nanos> {
    a.into_iter().chain(b).min()
}

fn greatest_known(a: Option<Nanos>, b: Option<Nanos>) -> Option<Nanos> {
    a.into_iter().chain(b).max()
}

fn describe_source(name: &Arc<str>, declared: &Declared, state: &State) -> SourceInfo {
    let (kind, declared_start, declared_end) = match declared {
        Declared::Streamed(source) => (SourceKind::Streamed, source.start, source.end),
        Declared::Static(_) => (SourceKind::Static, None, None),
    };
    let times = state.times();
    let complete = matches!(state.phase, Phase::Complete);
    let (status, error) = match &state.phase {
        Phase::Pending | Phase::Superseded(_) => (SourceStatus::Pending, None),
        // A static source that is being looked at, and not loaded, has not begun to load.
        Phase::Loading { .. } if kind == SourceKind::Static && state.loaded_whole.is_none() => {
            (SourceStatus::Pending, None)
        }
        Phase::Loading { .. } => (SourceStatus::Loading, None),
        Phase::Complete if state.identity.is_some() && state.ranged.is_some() => {
            (SourceStatus::Indexed, None)
        }
        Phase::Complete => (SourceStatus::Cached, None),
        Phase::Failed { error, .. } => (SourceStatus::Failed, Some(error.to_string())),
    };
    let loaded_until = match (&state.phase, status, times) {
        (Phase::Loading { frontier }, SourceStatus::Loading, Some(_)) => Some(*frontier),
        _ => None,
    };
    let stored = state.chunks.iter().map(|chunk| chunk.descriptor.stored_bytes()).sum();
    let file_bytes = state.identity.as_ref().and_then(|identity| identity.bytes);
    // The real times count once all of them are known; a source without messages has none.
    let (start, end) = match (complete, times) {
        (true, times) => (times.map(|times| times.start), times.map(|times| times.end)),
        (false, Some(seen)) => (
            Some(declared_start.map_or(seen.start, |start| start.min(seen.start))),
            Some(declared_end.map_or(seen.end, |end| end.max(seen.end))),
        ),
        (false, None) => (declared_start, declared_end),
    };
    SourceInfo {
        id: name.to_string(),
        kind,
        start,
        end,
        status,
        loaded_until,
        bytes: file_bytes.or((status != SourceStatus::Pending).then_some(stored)),
        message_count: if complete { state.message_count() } else { None },
        error,
    }
}

/// Where a source's data is not what the manifest declares.
fn contradictions(
    name: &Arc<str>,
    declared: &StreamedSource,
    state: &State,
    problems: &mut Vec<Problem>,
) {
    let bounds = TimeRange {
        start: declared.start.unwrap_or(Nanos::MIN),
        end: declared.end.unwrap_or(Nanos::MAX),
    };
    if let Some(real) = state.times().filter(|real| !bounds.covers(*real)) {
        let message = format!(
            "{name} has messages from {} to {}, and the manifest declares {} to {}",
            real.start, real.end, bounds.start, bounds.end
        );
        Problem::new(ProblemCode::OutsideDeclaredBounds, message)
            .of_source(&**name)
            .add_to(problems);
    }
    for channel in state.channels.values() {
        let topic = &channel.def.topic;
        if !declared.topics.iter().any(|declared| declared.name == *topic) {
            let message =
                format!("{name} has the topic {topic}, which the manifest does not declare");
            Problem::new(ProblemCode::UndeclaredTopic, message)
                .of_source(&**name)
                .of_topic(topic)
                .add_to(problems);
        }
    }
}
