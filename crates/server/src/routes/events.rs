//! `GET /v1/events`: how the sources of a recording come along, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use rdl_engine::{EngineError, Recording, SourceStatus, SourcesInfo};
use rdl_model::ErrorKind;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::App;
use super::answers::EventAnswer;
use super::authority::Authority;
use super::params::Params;
use crate::auth::Expiry;
use crate::problem::{Problem, ProblemBody};

/// The least time between two events: at most four a second.
const PACE: Duration = Duration::from_millis(250);
/// The longest time between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long sources that nobody loads are waited for while everything should load: longer than the
/// moment between two loads. A source that refuses this caller's token never loads.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the sources of a recording come along.
///
/// Server-sent events, at most four a second; each `data:` is an `Event`. The last is `done`, when
/// nothing is being loaded any more, or `failed`, when a source failed or the recording is no
/// longer granted; the latter holds a `Problem`.
#[utoipa::path(get, path = "/v1/events", operation_id = "getEvents", tag = "recordings",
    params(
        ("ds.{name}" = Option<String>, Query,
         description = "A manifest parameter; any number of them"),
        ("prefetch" = Option<bool>, Query, description = "Load everything"),
    ),
    security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream",
         body = EventAnswer),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    authority: Authority,
) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref(), &["prefetch"])?;
    let prefetch = params.take_bool("prefetch")?;
    let recording = app.engine.recording(&params.manifest, authority.token).await?;
    if prefetch {
        recording.prefetch();
    }
    let watch = Watch { app, recording, prefetch, expires: authority.expires };
    let events = Sse::new(watch.events()).keep_alive(KeepAlive::default());
    let mut response = events.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One viewer who watches a recording.
struct Watch {
    app: App,
    recording: Recording,
    prefetch: bool,
    /// When the viewer's token runs out, if that is known.
    expires: Option<Expiry>,
}

/// How the watching goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlook {
    /// Something is being loaded.
    Moving,
    /// Nothing is, but sources that should load have not.
    Stuck,
    /// Nothing is, and nothing should.
    Done,
    /// Nothing is, and a source failed.
    Failed,
}

impl Watch {
    /// The events; whoever drops the stream stops the watching.
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        let (send, events) = mpsc::channel(1);
        tokio::spawn(async move {
            let gone = send.clone();
            let stopping = self.app.lifecycle.stopping.clone();
            tokio::select! {
                _ = self.run(send) => {}
                () = gone.closed() => {}
                () = stopping.cancelled() => {}
            }
        });
        ReceiverStream::new(events)
    }

    /// Why the recording is not granted any more, and where to sign in if that helps.
    fn problem(&self, error: EngineError) -> Problem {
        let has_ended = self.expires.is_some_and(Expiry::is_past);
        let problem = match (error.kind(), has_ended) {
            (ErrorKind::Unauthorized, true) => Problem::token_expired(),
            _ => Problem::from(error),
        };
        problem.with_login(self.app.auth.login_url())
    }

    /// Sends events until nothing moves any more. `None`: nobody listens.
    async fn run(mut self, send: mpsc::Sender<Result<Event, Infallible>>) -> Option<()> {
        let mut last: Option<EventAnswer> = None;
        let mut stuck_since: Option<Instant> = None;
        loop {
            match self.recording.still_granted().await {
                Ok(None) => {}
                Ok(Some(recording)) => self.recording = recording,
                Err(error) => {
                    let problem = self.problem(error).body();
                    return send.send(Ok(event("failed", &problem))).await.ok();
                }
            }
            let info = self.recording.sources();
            let mut outlook = outlook(&info, self.recording.is_settled(), self.prefetch);
            let answer = EventAnswer::from(info);
            if last.as_ref() != Some(&answer) {
                stuck_since = None;
            }
            if outlook == Outlook::Stuck {
                let since = *stuck_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    outlook = Outlook::Failed;
                }
            }
            match outlook {
                Outlook::Moving | Outlook::Stuck => {}
                Outlook::Done => return send.send(Ok(event("done", &answer))).await.ok(),
                Outlook::Failed => return send.send(Ok(event("failed", &answer))).await.ok(),
            }
            if last.as_ref() != Some(&answer) {
                send.send(Ok(event("", &answer))).await.ok()?;
                last = Some(answer);
            }
            tokio::time::sleep(PACE).await;
            let _ = tokio::time::timeout(LOOK_AGAIN, self.recording.changed()).await;
        }
    }
}

fn outlook(info: &SourcesInfo, is_settled: bool, prefetch: bool) -> Outlook {
    let any = |status| info.sources.iter().any(|source| source.status == status);
    if !is_settled || any(SourceStatus::Loading) {
        Outlook::Moving
    } else if prefetch && any(SourceStatus::Pending) {
        Outlook::Stuck
    } else if any(SourceStatus::Failed) {
        Outlook::Failed
    } else {
        Outlook::Done
    }
}

/// An event without a name is a `message` to whoever listens.
fn event(name: &str, data: &impl serde::Serialize) -> Event {
    let event = Event::default().data(serde_json::to_string(data).unwrap_or_default());
    if name.is_empty() { event } else { event.event(name) }
}

#[cfg(test)]
mod tests;
