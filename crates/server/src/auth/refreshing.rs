//! Refreshing sessions, each once.
//!
//! A provider that rotates refresh tokens ends the whole session when one is used twice. So everyone
//! who asks with the same session gets the same answer: those who ask while the provider is asked, and
//! for a minute those whose answer was lost, or who read the cookie a moment too early. Nobody's leaving
//! stops a refresh that was begun.

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
struct Answer {
    flight: Flight,
    until: Instant,
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
            answers.retain(|_, answer| {
                answer.until > Instant::now() || answer.flight.peek().is_none()
            });
            match answers.get(&session.id()) {
                Some(answer) => answer.flight.clone(),
                None => {
                    let (id, flight) = (session.id(), self.clone().begin(provider, session));
                    let until = Instant::now() + SAME_ANSWER_FOR;
                    answers.insert(id, Answer { flight: flight.clone(), until });
                    flight
                }
            }
        };
        flight.await
    }

    /// Forgets what somebody with this session, or with one that it came of, would get. Gives the
    /// session that came of it, which has to end too.
    pub(crate) async fn end(&self, session: &Session) -> Option<Session> {
        let flight = self.0.lock().get(&session.id()).map(|answer| answer.flight.clone());
        let next = match flight {
            Some(flight) => flight.await.ok(),
            None => None,
        };
        let mut ended: HashSet<SessionId> =
            [session].into_iter().chain(&next).map(Session::id).collect();
        let mut answers = self.0.lock();
        loop {
            let before = answers.len();
            answers.retain(|id, answer| {
                let gives = answer.flight.peek().and_then(|given| given.as_ref().ok());
                let leads_on = gives.is_some_and(|given| ended.contains(&given.id()));
                if leads_on {
                    ended.insert(*id);
                }
                !ended.contains(id)
            });
            if answers.len() == before {
                return next;
            }
        }
    }

    fn begin(self: Arc<Self>, provider: &Arc<Provider>, session: Session) -> Flight {
        let provider = provider.clone();
        let task = tokio::spawn(async move {
            let refreshed = provider.refresh(&session).await;
            self.landed(&session, &refreshed);
            refreshed
        });
        let died = ProviderError::Away("the task that asked died");
        async move { task.await.unwrap_or(Err(died)) }.boxed().shared()
    }

    /// Failures are not kept. Whoever asks with the new session already was a moment late, and needs
    /// no newer one.
    fn landed(&self, session: &Session, refreshed: &Result<Session, ProviderError>) {
        let mut answers = self.0.lock();
        let Ok(new) = refreshed else {
            answers.remove(&session.id());
            return;
        };
        let now = Instant::now();
        let Some(answer) = answers.get_mut(&session.id()) else { return };
        answer.until = now + SAME_ANSWER_FOR;
        let flight = answer.flight.clone();
        let is_new_for = new.expires.map_or(SAME_ANSWER_FOR, |expires: Expiry| expires.left() / 2);
        let until = now + is_new_for.min(SAME_ANSWER_FOR);
        if new.id() != session.id() {
            answers.insert(new.id(), Answer { flight, until });
        }
    }
}
