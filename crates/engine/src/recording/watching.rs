//! Waiting for sources to move on.

use std::sync::Arc;

use futures::future::select_all;
use futures::stream::{FuturesUnordered, StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;

use super::{Inner, Recording};
use crate::EngineError;
use crate::readers::Reading;
use crate::source::{Generation, Phase, State};
use crate::viewers::ViewerId;

/// Resolves when any source of the recording changed.
pub(super) async fn changed(recording: &Inner) {
    let mut watches: Vec<watch::Receiver<u64>> =
        recording.sources.iter().map(|recorded| recorded.source.current().watch()).collect();
    if watches.is_empty() {
        return std::future::pending().await;
    }
    let _ = select_all(watches.iter_mut().map(|watch| Box::pin(watch.changed()))).await;
}

/// Wants the source and resolves when as much of it is known as describing it takes.
///
/// A static source that has to be loaded whole counts as settled when that is known: describing a
/// recording starts no load of its own.
pub(crate) async fn settled(recording: &Inner, at: usize, viewer: ViewerId) {
    let settled = |state: &State| match state.phase {
        Phase::Complete | Phase::Failed { .. } => true,
        Phase::Loading { .. } => state.loaded_whole.is_some(),
        Phase::Pending | Phase::Superseded(_) => false,
    };
    wanted_until(recording, at, viewer, settled).await;
}

/// Wants the source until this much of it is known, or it refuses us. Starts it again whenever
/// what was begun turned out to be other data.
async fn wanted_until(
    recording: &Inner,
    at: usize,
    viewer: ViewerId,
    reached: impl Fn(&State) -> bool,
) {
    let mut interest = recording.want(at, viewer);
    let source = &recording.sources[at].source;
    loop {
        let generation = source.current();
        let mut watch = generation.watch();
        let phase = {
            let state = generation.state();
            if reached(&state) || interest.viewer().refusal().is_some() {
                return;
            }
            state.phase.clone()
        };
        if matches!(phase, Phase::Pending | Phase::Superseded(_)) {
            interest = recording.want(at, viewer);
        } else if watch.changed().await.is_err() {
            return;
        }
    }
}

/// Loads everything, as many sources at a time as may be loaded ahead.
pub(super) fn prefetch(recording: Arc<Inner>) {
    let shared = recording.shared.clone();
    let tracker = shared.tasks.clone();
    let viewer = ViewerId::new();
    tracker.spawn(async move {
        let stopping = shared.stopping.clone();
        let all = async {
            let mut running = FuturesUnordered::new();
            for at in 0..recording.sources.len() {
                if running.len() >= shared.config.max_concurrent_loads.max(1) {
                    running.next().await;
                }
                running.push(done(recording.clone(), at, viewer));
            }
            while running.next().await.is_some() {}
        };
        tokio::select! {
            () = all => {}
            // What nobody waits for is loaded elsewhere.
            () = shared.draining.cancelled() => {}
            () = stopping.cancelled() => {}
        }
    });
}

/// Loads and indexes these sources, as many at a time as may be loaded ahead, until all of them
/// are whole or one cannot be. None of them leaves the disk as long as what is returned lives; with
/// a bucket, one that the disk has no room for is there when it is whole.
pub(crate) async fn all_complete(
    recording: &Arc<Inner>,
    members: &[usize],
    viewer: ViewerId,
) -> Result<Vec<Whole>, EngineError> {
    let most = recording.shared.config.max_concurrent_loads.max(1);
    let all: Vec<_> = members.iter().map(|at| complete(recording, *at, viewer)).collect();
    futures::stream::iter(all).buffered(most).try_collect().await
}

/// Of these sources what is whole here or in the bucket, which has to be all; nothing is loaded. What
/// is returned keeps them, as above.
pub(crate) async fn all_kept(
    recording: &Arc<Inner>,
    members: &[usize],
) -> Result<Vec<Whole>, EngineError> {
    Recording::of(recording.clone()).find_stored().await;
    let kept = members.iter().map(|at| {
        let (generation, reading) = recording.sources[*at].source.pin(&Arc::default());
        let is_kept = matches!(generation.state().phase, Phase::Complete);
        is_kept.then_some(Whole { generation, _reading: reading }).ok_or(EngineError::GrantEnded)
    });
    kept.collect()
}

/// A source that is whole, and stays so as long as this lives.
pub(crate) struct Whole {
    pub(crate) generation: Arc<Generation>,
    _reading: Reading,
}

/// Wants the source until it is whole.
async fn complete(recording: &Inner, at: usize, viewer: ViewerId) -> Result<Whole, EngineError> {
    let (source, shared) = (&recording.sources[at].source, &recording.shared);
    loop {
        let interest = recording.want(at, viewer);
        // Else it would stop as soon as others need room.
        if interest.need() {
            shared.queue.touch();
        }
        let (generation, reading) = source.pin(&Arc::default());
        let mut watch = generation.watch();
        loop {
            if let Some(refusal) = interest.viewer().refusal() {
                return Err(refusal);
            }
            let (phase, chunks) = {
                let state = generation.state();
                (state.phase.clone(), state.chunks.len())
            };
            match phase {
                Phase::Complete => return Ok(Whole { generation, _reading: reading }),
                Phase::Failed { error, .. } => return Err(error),
                Phase::Pending | Phase::Superseded(_) => break,
                Phase::Loading { .. } => {}
            }
            if shared.sharing.is_some() {
                // What is in the bucket need not stay here.
                reading.needs_from(u32::try_from(chunks).unwrap_or(u32::MAX));
            }
            let _waits = reading.wait();
            if watch.changed().await.is_err() {
                break;
            }
        }
    }
}

/// Wants the source until it is whole, has failed or refuses us.
async fn done(recording: Arc<Inner>, at: usize, viewer: ViewerId) {
    let done = |state: &State| matches!(state.phase, Phase::Complete | Phase::Failed { .. });
    wanted_until(&recording, at, viewer, done).await;
}
