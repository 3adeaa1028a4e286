//! Several replicas over one bucket in a simulation: a clock that runs when nothing else does, a
//! store in memory that is slow, forgets answers, repeats requests or ignores conditions, and
//! replicas that are killed, stopped, frozen and cut off, while others purge what they write.
//!
//! The protocol is the real one: [`Sharing`], [`Publisher`](super::Publisher) and
//! [`Followed`](super::Followed) over a real bucket, disk store and intake. A simulated
//! [`replica`] does in a few lines what `load.rs` does: it joins, leads or follows, succeeds.
//!
//! A run follows from its seed, but for the order in which things that are due at the same moment
//! happen. `RDL_SIMULATE=17` runs one seed, `RDL_SIMULATE=0..5000` many; a failure names its own.

mod fixed;
mod replica;
mod weather;
mod world;

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use self::weather::Weather;
use self::world::{Outcome, World};

/// How many runs there are of each kind.
const RUNS: Range<u64> = 0..60;

/// Nothing may take longer than this, by the simulation's clock, whatever goes wrong.
const LONGEST: Duration = Duration::from_secs(3600);

fn seeds() -> Range<u64> {
    let Ok(wanted) = std::env::var("RDL_SIMULATE") else { return RUNS };
    let number = |text: &str| text.parse::<u64>().expect("RDL_SIMULATE is SEED or FROM..TO");
    match wanted.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&wanted)..number(&wanted) + 1,
    }
}

/// Runs something on a clock that stands still as long as anything can be done.
fn on_a_paused_clock<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(LONGEST, run).await.expect("it ends, by the simulation's clock")
    })
}

/// Runs every seed in this weather, and sums up what came of it.
fn simulate(weather: impl Fn(u64) -> Weather) -> Outcome {
    let mut all = Outcome::default();
    for seed in seeds() {
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            on_a_paused_clock(async {
                let started = Instant::now();
                let outcome = World::new(seed, weather(seed)).run().await;
                Outcome { took: started.elapsed(), ..outcome }
            })
        }));
        match run {
            Ok(outcome) => all += outcome,
            Err(panic) => {
                eprintln!("to run it again: RDL_SIMULATE={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{all:?}");
    let runs = seeds().end - seeds().start;
    assert_eq!(all.complete, runs, "one complete attempt is left of each run");
    assert_eq!(all.left_over, 0, "and nothing beside it");
    all
}

#[test]
fn in_fair_weather_a_source_is_loaded_once() {
    let outcome = simulate(|_| Weather::default());
    assert_eq!(outcome.downloads, seeds().end - seeds().start);
}

#[test]
fn replicas_that_die_stop_or_freeze_lose_and_double_nothing() {
    simulate(|seed| Weather { deaths: seed % 6, freezes: seed % 4, ..Weather::default() });
}

#[test]
fn a_store_that_fails_now_and_then_loses_and_doubles_nothing() {
    simulate(|seed| Weather {
        failing_of_thousand: 10 + 40 * (seed % 8),
        away: seed % 3,
        is_slow: seed % 2 == 0,
        ..Weather::default()
    });
}

#[test]
fn a_store_that_ignores_conditions_loses_and_doubles_nothing() {
    simulate(|seed| Weather {
        ignores_conditions: true,
        deaths: seed % 3,
        freezes: seed % 3,
        failing_of_thousand: 50 * (seed % 3),
        ..Weather::default()
    });
}

#[test]
fn what_vanishes_at_any_moment_is_loaded_again() {
    simulate(|seed| Weather {
        purges: seed % 4,
        vanishing: seed % 9,
        failing_of_thousand: 30 * (seed % 2),
        ..Weather::default()
    });
}

#[test]
fn all_of_it_at_once_loses_and_doubles_nothing() {
    simulate(|seed| Weather {
        deaths: seed % 4,
        freezes: seed % 3,
        away: seed % 2,
        purges: seed % 3,
        vanishing: seed % 5,
        failing_of_thousand: 40 * (seed % 5),
        is_slow: true,
        ignores_conditions: seed % 7 == 0,
        breaks: true,
        ..Weather::default()
    });
}

#[test]
fn bodies_that_differ_are_never_mixed() {
    simulate(|seed| Weather {
        differs: true,
        deaths: 1 + seed % 3,
        freezes: seed % 2,
        purges: seed % 2,
        breaks: seed % 3 == 0,
        ..Weather::default()
    });
}
