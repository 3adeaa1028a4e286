use std::time::Duration;

use tokio::time::Instant;

/// One observer's opinion of whether an attempt is alive.
///
/// It is dead when its counter was the same at two reads that lie at least the stale age apart, by
/// this observer's own monotonic clock, from the end of the first to the start of the second: so a
/// pause of the observer itself is never taken for one of the attempt.
#[derive(Clone, Debug)]
pub struct Pulse {
    stale_age: Duration,
    /// The counter, and when it was first known.
    seen: Option<(u64, Instant)>,
}

/// What a read says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The counter has changed, or has not been the same for long.
    Alive,
    /// It was the same for too long.
    Dead,
}

impl Pulse {
    /// An observer that has read nothing yet.
    pub fn new(stale_age: Duration) -> Pulse {
        Pulse { stale_age, seen: None }
    }

    /// A read failed: the attempt may have had the same trouble with the store.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Takes in a read that started at `start` and ended just now.
    pub fn read(&mut self, counter: u64, start: Instant) -> Sign {
        match self.seen {
            Some((known, since)) if known == counter => {
                if start.saturating_duration_since(since) >= self.stale_age {
                    return Sign::Dead;
                }
            }
            _ => self.seen = Some((counter, Instant::now())),
        }
        Sign::Alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn only_a_counter_that_stood_still_is_dead() {
        let mut pulse = Pulse::new(AGE);
        assert_eq!(pulse.read(1, Instant::now()), Sign::Alive);
        tokio::time::advance(Duration::from_secs(19)).await;
        assert_eq!(pulse.read(1, Instant::now()), Sign::Alive);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pulse.read(2, Instant::now()), Sign::Alive);
        tokio::time::advance(AGE).await;
        assert_eq!(pulse.read(2, Instant::now()), Sign::Dead);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_from_before_a_pause_does_not_count() {
        let mut pulse = Pulse::new(AGE);
        pulse.read(1, Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        let start = Instant::now();
        // The observer was stopped while the answer was on its way.
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pulse.read(1, start), Sign::Alive);
        assert_eq!(pulse.read(1, Instant::now()), Sign::Dead, "a fresh read tells");
    }
}
