//! Who computes next.
//!
//! A load takes in all that arrives, and four of them can keep every core busy with what nobody
//! needs yet. So what a viewer waits for now has the first turn; that others get one in between
//! keeps them from waiting for ever.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// So many turns in a row go to what is urgent while other work waits.
const MOST_URGENT_IN_A_ROW: u32 = 8;

/// How soon a piece of work is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A viewer waits for it now.
    Now,
    /// It will be needed.
    Later,
}

/// A fixed number of turns. Within one urgency, who comes first has the first.
#[derive(Debug)]
pub(super) struct Turns {
    count: usize,
    state: Mutex<State>,
    all_free: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    now: VecDeque<oneshot::Sender<Turn>>,
    later: VecDeque<oneshot::Sender<Turn>>,
    urgent_in_a_row: u32,
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let others_wait = !self.later.is_empty();
        let urgent = !self.now.is_empty();
        if urgent && (!others_wait || self.urgent_in_a_row < MOST_URGENT_IN_A_ROW) {
            self.urgent_in_a_row += u32::from(others_wait);
            return self.now.pop_front();
        }
        self.urgent_in_a_row = 0;
        self.later.pop_front()
    }
}

/// A turn; dropped, it goes to whoever is next.
#[derive(Debug)]
pub(super) struct Turn {
    /// There until it is handed on.
    turns: Option<Arc<Turns>>,
}

impl Turns {
    pub(super) fn new(count: usize) -> Arc<Turns> {
        let (now, later, urgent_in_a_row) = (VecDeque::new(), VecDeque::new(), 0);
        let state = Mutex::new(State { free: count, now, later, urgent_in_a_row });
        Arc::new(Turns { count, state, all_free: Notify::new() })
    }

    /// Waits for a turn. A dropped future waits no more.
    pub(super) async fn take(self: &Arc<Self>, urgency: Urgency) -> Turn {
        let turn = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                return Turn { turns: Some(self.clone()) };
            }
            let (turn_in, turn) = oneshot::channel();
            match urgency {
                Urgency::Now => state.now.push_back(turn_in),
                Urgency::Later => state.later.push_back(turn_in),
            }
            turn
        };
        match turn.await {
            Ok(turn) => turn,
            // Nobody drops a sender that waits in line: the line lives as long as `self`.
            Err(_) => std::future::pending().await,
        }
    }

    /// Resolves when nobody has a turn.
    pub(super) async fn are_all_free(&self) {
        loop {
            let freed = self.all_free.notified();
            if self.state.lock().free == self.count {
                return;
            }
            freed.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        loop {
            let mut state = turns.state.lock();
            let Some(next) = state.next() else {
                state.free += 1;
                if state.free == turns.count {
                    turns.all_free.notify_waiters();
                }
                return;
            };
            drop(state);
            match next.send(Turn { turns: Some(turns.clone()) }) {
                Ok(()) => return,
                // It waits no more: the turn goes on without it.
                Err(mut refused) => refused.turns = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    fn wait(turns: &Arc<Turns>, urgency: Urgency) -> BoxFuture<'static, Turn> {
        let turns = turns.clone();
        let mut waiting = async move { turns.take(urgency).await }.boxed();
        assert!((&mut waiting).now_or_never().is_none());
        waiting
    }

    #[test]
    fn what_is_urgent_goes_first_and_the_rest_gets_its_share() {
        let turns = Turns::new(1);
        let mut turn = turns.take(Urgency::Later).now_or_never().unwrap();
        let mut later = vec![wait(&turns, Urgency::Later), wait(&turns, Urgency::Later)];
        let mut order = String::new();
        let mut now: VecDeque<_> = (0..20).map(|_| wait(&turns, Urgency::Now)).collect();
        while order.len() < 22 {
            drop(turn);
            turn = match now.front_mut().and_then(FutureExt::now_or_never) {
                Some(turn) => {
                    now.pop_front();
                    order.push('n');
                    turn
                }
                None => {
                    order.push('l');
                    later.remove(0).now_or_never().unwrap()
                }
            };
        }
        assert_eq!(order, "nnnnnnnnlnnnnnnnnlnnnn");
    }

    #[test]
    fn who_waits_no_more_holds_nobody_up() {
        let turns = Turns::new(1);
        let turn = turns.take(Urgency::Now).now_or_never().unwrap();
        let (gone, late) = (wait(&turns, Urgency::Now), wait(&turns, Urgency::Now));
        let stays = wait(&turns, Urgency::Later);
        drop(gone);
        drop(turn);
        // It was given the turn, and never took it.
        drop(late);
        let turn = stays.now_or_never().unwrap();
        assert!(turns.are_all_free().now_or_never().is_none());
        drop(turn);
        assert!(turns.are_all_free().now_or_never().is_some());
    }
}
