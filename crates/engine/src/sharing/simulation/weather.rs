//! What goes wrong in a run, and when.

use std::time::Duration;

use rdl_testkit::Random;

/// How bad a run is.
#[derive(Clone, Debug, Default)]
pub(super) struct Weather {
    /// How often a replica is killed or stopped, and another comes in its place.
    pub(super) deaths: u64,
    /// How often what a replica asks of the bucket hangs, and goes on later.
    pub(super) freezes: u64,
    /// How often the bucket cannot be reached.
    pub(super) away: u64,
    /// How often everything in the bucket is purged.
    pub(super) purges: u64,
    /// How many single objects vanish.
    pub(super) vanishing: u64,
    /// How many of a thousand requests to the store fail.
    pub(super) failing_of_thousand: u64,
    /// Whether the bucket is so far away at times that it does not answer in time.
    pub(super) is_slow: bool,
    /// Whether the store overwrites what must not exist.
    pub(super) ignores_conditions: bool,
    /// Whether downloads break.
    pub(super) breaks: bool,
    /// Whether no two downloads have the same messages.
    pub(super) differs: bool,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A replica is gone in the middle of whatever it does.
    Killed {
        replica: usize,
    },
    /// A replica stops as it should.
    Stopped {
        replica: usize,
    },
    Frozen {
        replica: usize,
        lasts: Duration,
    },
    /// For all replicas, or for one.
    Away {
        replica: Option<usize>,
        lasts: Duration,
    },
    Purged,
    Vanished,
}

impl Weather {
    /// What happens when, in order.
    pub(super) fn events(
        &self,
        random: &mut Random,
        replicas: usize,
        within: Duration,
    ) -> Vec<(Duration, Event)> {
        let mut events = Vec::new();
        let pick = |random: &mut Random| random.below(replicas as u64) as usize;
        let mut add = |random: &mut Random, event: Event| {
            events.push((up_to(random, within), event));
        };
        for _ in 0..self.deaths {
            let replica = pick(random);
            let event = match random.below(3) {
                0 => Event::Stopped { replica },
                _ => Event::Killed { replica },
            };
            add(random, event);
        }
        for _ in 0..self.freezes {
            let (replica, lasts) = (pick(random), up_to(random, Duration::from_secs(60)));
            add(random, Event::Frozen { replica, lasts });
        }
        for _ in 0..self.away {
            let replica = (random.below(2) == 0).then(|| pick(random));
            let lasts = up_to(random, Duration::from_secs(60));
            add(random, Event::Away { replica, lasts });
        }
        for _ in 0..self.purges {
            add(random, Event::Purged);
        }
        for _ in 0..self.vanishing {
            add(random, Event::Vanished);
        }
        events.sort_by_key(|(at, _)| *at);
        events
    }
}

pub(super) fn up_to(random: &mut Random, most: Duration) -> Duration {
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.below(millis + 1))
}
