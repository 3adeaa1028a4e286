//! Refreshing sessions, each once.
//!
//! A provider that rotates refresh tokens ends the whole session when one is used twice. So everyone
//! who asks with the same session gets the same answer: those who ask while the provider is asked,
//! and for a minute those whose answer was lost, or who read the cookie a moment too early. Nobody's
//! leaving stops a refresh that was begun.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::provider::{Provider, ProviderError};
use super::session::SessionId;
use super::{Expiry, Session};

/// For so long a repeat gets the same answer.
const SAME_ANSWER_FOR: Duration = Duration::from_secs(60);

type Flight = Shared<BoxFuture<'static, Result<Session, ProviderError>>>;

/// What is being refreshed, and was lately.
#[derive(Default)]
pub(crate) struct Refreshing(Mutex<HashMap<SessionId, Answer>>);

/// What somebody who asks with a session gets.
enum Answer {
    /// Whatever the provider answers.
    Asked(Flight),
    /// This, until then.
    Given(Session, Instant),
}

impl Refreshing {
    /// The session that comes after this one.
    pub(crate) async fn refresh(
        self: &Arc<Self>,
        provider: &Arc<Provider>,
        session: Session,
    ) -> Result<Session, ProviderError> {
        let flight = {
            let mut answers = self.0.lock();
            answers.retain(|_, answer| match answer {
                Answer::Asked(_) => true,
                Answer::Given(_, until) => *until > Instant::now(),
            });
            match answers.get(&session.id()) {
                Some(Answer::Given(session, _)) => return Ok(session.clone()),
                Some(Answer::Asked(flight)) => flight.clone(),
                None => {
                    let (id, flight) = (session.id(), self.clone().begin(provider, session));
                    answers.insert(id, Answer::Asked(flight.clone()));
                    flight
                }
            }
        };
        flight.await
    }

    /// Forgets what somebody with this session, or with one that it came of, would get. Gives the
    /// sessions that came of it, which have to end too.
    pub(crate) async fn end(&self, session: &Session) -> Vec<Session> {
        let mut came: Vec<Session> = Vec::new();
        loop {
            let newest = came.last().unwrap_or(session).id();
            let flight = match self.0.lock().get(&newest) {
                // One that was asked for too early has itself for an answer.
                Some(Answer::Given(next, _)) if next.id() == newest => break,
                Some(Answer::Given(next, _)) => {
                    came.push(next.clone());
                    continue;
                }
                Some(Answer::Asked(flight)) => flight.clone(),
                None => break,
            };
            match flight.await {
                Ok(next) => came.push(next),
                Err(_) => break,
            }
        }
        let mut ended: HashSet<SessionId> =
            [session].into_iter().chain(&came).map(Session::id).collect();
        let mut answers = self.0.lock();
        loop {
            let before = answers.len();
            answers.retain(|id, answer| {
                if let Answer::Given(given, _) = answer
                    && ended.contains(&given.id())
                {
                    ended.insert(*id);
                }
                !ended.contains(id)
            });
            if answers.len() == before {
                return came;
            }
        }
    }

    fn begin(self: Arc<Self>, provider: &Arc<Provider>, session: Session) -> Flight {
        let provider = provider.clone();
        let task = tokio::spawn(async move {
            let landing = Landing { refreshing: self, session };
            let refreshed = provider.refresh(&landing.session).await;
            if let Ok(new) = &refreshed {
                landing.give(new);
            }
            refreshed
        });
        let died = ProviderError::Away("the task that asked died");
        async move { task.await.unwrap_or(Err(died)) }.boxed().shared()
    }
}

/// Takes a refresh off the list when it is over, however it ended: failures are not kept.
struct Landing {
    refreshing: Arc<Refreshing>,
    session: Session,
}

impl Landing {
    /// Whoever asks with the new session already was a moment late, and needs no newer one.
    fn give(&self, new: &Session) {
        let mut answers = self.refreshing.0.lock();
        if !matches!(answers.get(&self.session.id()), Some(Answer::Asked(_))) {
            return;
        }
        let is_new_for = new.expires.map_or(SAME_ANSWER_FOR, |expires: Expiry| expires.left() / 2);
        let now = Instant::now();
        let given = |lasts| Answer::Given(new.clone(), now + lasts);
        answers.insert(new.id(), given(is_new_for.min(SAME_ANSWER_FOR)));
        answers.insert(self.session.id(), given(SAME_ANSWER_FOR));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut answers = self.refreshing.0.lock();
        if let Some(Answer::Asked(_)) = answers.get(&self.session.id()) {
            answers.remove(&self.session.id());
        }
    }
}
