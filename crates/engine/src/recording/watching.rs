//! Waiting for sources to move on.

use std::sync::Arc;

use futures::future::select_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;

use super::Inner;
use crate::source::{Generation, Phase};

/// Resolves when any source of the recording changed.
pub(super) async fn changed(recording: &Inner) {
    let mut watches: Vec<watch::Receiver<u64>> =
        recording.sources.iter().map(|recorded| recorded.source.current().watch()).collect();
    if watches.is_empty() {
        return std::future::pending().await;
    }
    let _ = select_all(watches.iter_mut().map(|watch| Box::pin(watch.changed()))).await;
}

/// Wants the source and resolves when it is neither pending nor loading any more.
///
/// A static source that has to be loaded whole counts as settled when that is known: describing a
/// recording starts no load of its own.
pub(super) async fn settled(recording: &Inner, at: usize) {
    let interest = recording.want(at);
    let source = &recording.sources[at].source;
    loop {
        let generation = source.current();
        let mut watch = generation.watch();
        watch.mark_unchanged();
        if is_settled(&generation) || interest.viewer().refusal().is_some() {
            return;
        }
        if watch.changed().await.is_err() {
            return;
        }
    }
}

fn is_settled(generation: &Generation) -> bool {
    let state = generation.state();
    match state.phase {
        Phase::Complete | Phase::Failed { .. } => true,
        Phase::Loading { .. } => state.loaded_whole.is_some(),
        Phase::Pending | Phase::Superseded(_) => false,
    }
}

/// Loads everything, as many sources at a time as may be loaded ahead.
pub(super) fn prefetch(recording: Arc<Inner>) {
    let shared = recording.shared.clone();
    let tracker = shared.tasks.clone();
    tracker.spawn(async move {
        let stopping = shared.stopping.clone();
        let all = async {
            let mut running = FuturesUnordered::new();
            for at in 0..recording.sources.len() {
                if running.len() >= shared.config.max_concurrent_loads.max(1) {
                    running.next().await;
                }
                running.push(done(recording.clone(), at));
            }
            while running.next().await.is_some() {}
        };
        tokio::select! {
            () = all => {}
            () = stopping.cancelled() => {}
        }
    });
}

/// Wants the source until it is whole, has failed or refuses us.
async fn done(recording: Arc<Inner>, at: usize) {
    let interest = recording.want(at);
    let source = &recording.sources[at].source;
    loop {
        let generation = source.current();
        let mut watch = generation.watch();
        watch.mark_unchanged();
        let phase = generation.state().phase.clone();
        if matches!(phase, Phase::Complete | Phase::Failed { .. })
            || interest.viewer().refusal().is_some()
            || watch.changed().await.is_err()
        {
            return;
        }
    }
}
