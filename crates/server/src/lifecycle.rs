//! From the first request to the last: what runs, and how it ends.
//!
//! On SIGTERM `/readiness` turns false and requests are still accepted for a while, until balancers
//! have noticed. Then nobody is accepted any more, answers under way go on, and loads that none of
//! them reads are released, so that other replicas take them over. Some seconds before the grace
//! time is over the rest is cut off and named. A second signal ends the process at once.

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::serve::ListenerExt as _;
use parking_lot::Mutex;
use rdl_engine::Engine;
use rdl_metrics::{Held, table};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::signals::{Signal, Signals};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShutdownPlan {
    /// How long requests are accepted after SIGTERM.
    pub(crate) delay: Duration,
    /// How long all of it may take.
    pub(crate) grace: Duration,
}

impl ShutdownPlan {
    /// What of the grace time is left for letting go of what was cut off.
    pub(crate) const RESERVE: Duration = Duration::from_secs(5);

    /// Where nobody balances: a program that somebody runs by hand.
    pub(crate) const fn by_hand() -> ShutdownPlan {
        ShutdownPlan { delay: Duration::ZERO, grace: Duration::from_secs(30) }
    }
}

/// How far the process is, and what it answers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifecycle {
    /// Cancelled at the signal: whoever asks is to go elsewhere from now on.
    pub(crate) draining: CancellationToken,
    /// Cancelled when nobody is accepted any more: endless answers end then.
    pub(crate) stopping: CancellationToken,
    answers: Arc<Mutex<BTreeMap<Arc<str>, usize>>>,
}

/// An answer under way, until this is dropped.
pub(crate) struct UnderWay {
    answers: Arc<Mutex<BTreeMap<Arc<str>, usize>>>,
    route: Arc<str>,
    _counted: Held,
}

impl Lifecycle {
    /// Notes that a request of this route is being answered.
    pub(crate) fn begin(&self, route: &Arc<str>) -> UnderWay {
        *self.answers.lock().entry(route.clone()).or_default() += 1;
        let counted = table::RESPONSES_ACTIVE.hold([route.clone()]);
        UnderWay { answers: self.answers.clone(), route: route.clone(), _counted: counted }
    }

    /// Whether requests are to be sent here; otherwise why not, in one sentence.
    pub(crate) fn readiness(&self, engine: &Engine) -> Result<(), String> {
        match self.draining.is_cancelled() {
            true => Err("the loader is shutting down".into()),
            false => engine.readiness(),
        }
    }

    /// What is being answered, for people; `None` when nothing is.
    fn told(&self) -> Option<String> {
        let answers = self.answers.lock();
        let told: Vec<String> =
            answers.iter().map(|(route, count)| format!("{count} of {route}")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut answers = self.answers.lock();
        if let Some(count) = answers.get_mut(&self.route) {
            *count -= 1;
            if *count == 0 {
                answers.remove(&self.route);
            }
        }
    }
}

/// Answers requests until the first signal, then drains; a second signal ends the process at once.
/// `greeting` is printed once requests are answered; programs that start us with port 0 read it.
pub(crate) async fn answer(
    listener: TcpListener,
    router: Router,
    lifecycle: Lifecycle,
    plan: ShutdownPlan,
    engine: Option<Arc<Engine>>,
    greeting: impl FnOnce(SocketAddr) -> String,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let address = listener.local_addr().context("cannot tell the address")?;
    // Else the end of an answer waits until the reader says that the rest came: up to 40 ms.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(lifecycle.stopping.clone().cancelled_owned())
        .into_future();
    let mut serving = tokio::spawn(serving);
    // That nobody reads it is no failure.
    let _ = writeln!(std::io::stdout(), "{}", greeting(address));

    let signal = tokio::select! {
        ended = &mut serving => return ended?.context("the service broke down"),
        signal = signals.next() => signal,
    };
    let cut_off = Instant::now() + plan.grace.saturating_sub(ShutdownPlan::RESERVE);
    let delay = if signal == Signal::Interrupt { Duration::ZERO } else { plan.delay };
    let ended = async {
        lifecycle.draining.cancel();
        tracing::info!(
            delay_ms = delay.as_millis(),
            "stopping: /readiness is false, and requests are accepted for this long; a second signal ends at once"
        );
        tokio::time::sleep(delay).await;
        lifecycle.stopping.cancel();
        if let Some(engine) = &engine {
            engine.drain();
        }
        tracing::info!(
            answers = lifecycle.told().unwrap_or_default(),
            "no new requests; answers under way go on"
        );
        let drained = async {
            // What goes wrong with the service now is no reason not to end.
            let _ = (&mut serving).await;
            if let Some(engine) = &engine {
                engine.published().await;
            }
        };
        if tokio::time::timeout_at(cut_off, drained).await.is_err() {
            let answers = lifecycle.told().unwrap_or_else(|| "none".into());
            let loads = engine.as_ref().map_or(0, |engine| engine.running_loads());
            tracing::warn!(answers, loads, "the grace time is over: cut off");
        }
        if let Some(engine) = &engine {
            engine.shutdown().await;
        }
    };
    tokio::select! {
        () = ended => Ok(()),
        _ = signals.next() => anyhow::bail!("ended at once by a second signal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_named_until_it_ends() {
        let lifecycle = Lifecycle::default();
        assert_eq!(lifecycle.told(), None);
        let routes: [Arc<str>; 2] = ["/v1/stream".into(), "/v1/files/{token}/{name}".into()];
        let held = [&routes[0], &routes[1], &routes[0]].map(|route| lifecycle.begin(route));
        let told = "1 of /v1/files/{token}/{name}, 2 of /v1/stream";
        assert_eq!(lifecycle.told().as_deref(), Some(told));
        drop(held);
        assert_eq!(lifecycle.told(), None);
    }
}
