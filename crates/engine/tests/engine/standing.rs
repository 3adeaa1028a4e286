//! Answers that last longer than what the manifest endpoint granted when they began.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{Stream, StreamExt as _};
use parking_lot::Mutex;
use rdl_engine::{
    Engine, EngineConfig, EngineError, FileRequest, ManifestParams, Query, Recording, Token,
};
use rdl_model::{ErrorKind, Nanos, TimeRange};
use serde_json::{Value, json};

use crate::backend::{declare, ranged};
use crate::drive::Source;
use crate::output;
use crate::setting::{self, engine_at, source};

/// For so long a grant is believed here.
const LASTS: Duration = Duration::from_secs(3);
/// What a machine under load may take to notice.
const SLACK: Duration = Duration::from_secs(8);
/// For so long a slow reader reads, who takes this many pieces by and by, and then the rest.
const SLOWLY: Duration = LASTS.saturating_mul(2);
const PIECES: u32 = 8;

/// A data backend that grants and refuses each user as it is told.
struct Backend {
    address: std::net::SocketAddr,
    house: Arc<House>,
    server: tokio::task::JoinHandle<()>,
}

struct House {
    bodies: Vec<Vec<u8>>,
    /// The sources that it names.
    named: Mutex<Vec<Value>>,
    /// What each user gets instead of a manifest, by token.
    refused: Mutex<HashMap<String, u16>>,
    /// When each user's manifest was asked for.
    asked: Mutex<Vec<(String, Instant)>>,
}

impl Backend {
    async fn of(sources: &[Source]) -> Backend {
        let house = Arc::new(House {
            bodies: sources.iter().map(Source::mcap).collect(),
            named: Mutex::new(sources.iter().enumerate().map(declare).collect()),
            refused: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .route("/manifest", get(manifest))
            .route("/s/{source}", get(serve))
            .with_state(house.clone());
        let (address, server) = setting::serve(router).await;
        Backend { address, house, server }
    }

    async fn engine(&self) -> (Arc<Engine>, tempfile::TempDir) {
        let impatient = |config: &mut EngineConfig| {
            config.grant_lasts = LASTS;
            config.fetch.manifest_retry_for = Duration::ZERO;
        };
        engine_at(self.address, impatient).await
    }

    /// What this user is answered from now on.
    fn refuse(&self, user: &str, status: u16) {
        self.house.refused.lock().insert(user.to_owned(), status);
    }

    fn grant(&self, user: &str) {
        self.house.refused.lock().remove(user);
    }

    /// The source of this number is not named from now on.
    fn withdraw(&self, number: usize) {
        let url = format!("/s/{number}");
        self.house.named.lock().retain(|source| source["url"] != url);
    }

    fn asked(&self, user: &str) -> Vec<Instant> {
        let asked = self.house.asked.lock();
        asked.iter().filter(|(by, _)| by == user).map(|(_, at)| *at).collect()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn manifest(State(house): State<Arc<House>>, headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).map(|token| token.to_str().unwrap());
    let user = token.map_or("", |token| token.strip_prefix("Bearer ").unwrap());
    house.asked.lock().push((user.to_owned(), Instant::now()));
    let refused = house.refused.lock().get(user).copied();
    match refused {
        Some(status) => StatusCode::from_u16(status).unwrap().into_response(),
        None => axum::Json(json!({ "sources": *house.named.lock() })).into_response(),
    }
}

async fn serve(
    State(house): State<Arc<House>>,
    Path(source): Path<usize>,
    headers: HeaderMap,
) -> Response {
    ranged(source, &house.bodies[source], &headers)
}

/// Some six megabytes.
fn large() -> Source {
    source(6_000)
}

async fn recording(engine: &Arc<Engine>, user: &str) -> Recording {
    engine.recording(&ManifestParams::default(), token(user)).await.unwrap()
}

fn token(user: &str) -> Option<Token> {
    (!user.is_empty()).then(|| Token::new(user.to_owned()))
}

/// Takes the pieces slowly; what failed, and when.
async fn read_slowly<T>(
    pieces: impl Stream<Item = Result<T, EngineError>>,
) -> Result<(), (EngineError, Instant)> {
    let mut pieces = std::pin::pin!(pieces);
    let mut taken = 0;
    while let Some(piece) = pieces.next().await {
        piece.map_err(|error| (error, Instant::now()))?;
        taken += 1;
        if taken <= PIECES {
            tokio::time::sleep(SLOWLY / PIECES).await;
        }
    }
    assert!(taken > PIECES, "it is over after {taken} pieces");
    Ok(())
}

/// The whole file, or the cut of all of it.
async fn file(engine: &Arc<Engine>, user: &str, cut: Option<Query>) -> rdl_engine::FileBody {
    let params = ManifestParams::default();
    let request = FileRequest { params, token: token(user), cut, version: None, kept_only: false };
    let file = engine.open_file(&request, Duration::from_secs(30)).await.unwrap();
    file.read(rdl_model::ByteRange { start: 0, end: file.bytes() }).await.unwrap()
}

#[tokio::test]
async fn a_slow_reader_whose_right_is_withdrawn_gets_no_more() {
    let is_refused = async |status, kind| {
        let backend = Backend::of(&[large()]).await;
        let (engine, _folder) = backend.engine().await;
        let mut stream = recording(&engine, "ann").await.stream(Query::default()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        let withdrawn = Instant::now();
        backend.refuse("ann", status);
        let (error, at) = read_slowly(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(at - withdrawn < LASTS + SLACK, "{:?}", at - withdrawn);
        assert!(stream.next().await.is_none());
    };
    futures::join!(
        is_refused(401, ErrorKind::Unauthorized),
        is_refused(403, ErrorKind::Forbidden),
        is_refused(404, ErrorKind::NotFound),
    );
}

#[tokio::test]
async fn who_comes_back_after_the_time_of_the_grant_gets_nothing_before_it_is_renewed() {
    let backend = Backend::of(&[large()]).await;
    let (engine, _folder) = backend.engine().await;
    let mut stream = recording(&engine, "ann").await.stream(Query::default()).await.unwrap();
    let mut other = recording(&engine, "bob").await.stream(Query::default()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    other.next().await.unwrap().unwrap();
    let curious = recording(&engine, "cyd").await;
    backend.refuse("ann", 403);
    backend.refuse("cyd", 403);
    tokio::time::sleep(LASTS).await;
    // Nor is anybody told what an answer is made of.
    let refused = curious.explain(Query::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    assert_eq!((backend.asked("ann").len(), backend.asked("bob").len()), (1, 1));
    let refused = stream.next().await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    other.next().await.unwrap().unwrap();
    assert_eq!((backend.asked("ann").len(), backend.asked("bob").len()), (2, 2));
}

#[tokio::test]
async fn an_answer_goes_on_while_the_manifest_endpoint_is_away_for_a_moment() {
    let backend = Backend::of(&[large()]).await;
    let (engine, _folder) = backend.engine().await;
    let stream = recording(&engine, "ann").await.stream(Query::default()).await.unwrap();
    backend.refuse("ann", 503);
    let away = async {
        // It is asked, and more than once.
        while backend.asked("ann").len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        backend.grant("ann");
    };
    let (read, ()) = futures::join!(read_slowly(stream), away);
    read.unwrap();
}

#[tokio::test]
async fn an_answer_ends_when_the_manifest_endpoint_stays_away() {
    let backend = Backend::of(&[large()]).await;
    let (engine, _folder) = backend.engine().await;
    let granted = Instant::now();
    let stream = recording(&engine, "ann").await.stream(Query::default()).await.unwrap();
    backend.refuse("ann", 503);
    let (error, at) = read_slowly(stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway, "{error}");
    assert!(at - granted >= LASTS && at - granted < LASTS + SLACK, "{:?}", at - granted);
}

#[tokio::test]
async fn who_has_no_token_is_not_asked_for_again() {
    let backend = Backend::of(&[large()]).await;
    let (engine, _folder) = backend.engine().await;
    let stream = recording(&engine, "").await.stream(Query::default()).await.unwrap();
    backend.refuse("", 403);
    read_slowly(stream).await.unwrap();
    assert_eq!(backend.asked("").len(), 1);
}

#[tokio::test]
async fn a_source_that_is_withdrawn_ends_the_answers_that_it_is_part_of() {
    let mut other = large();
    for message in &mut other.messages {
        message.topic = "/b".into();
    }
    let backend = Backend::of(&[large(), other]).await;
    let (engine, _folder) = backend.engine().await;
    let only = |topic: &str| Query { topics: Some([topic.to_owned()].into()), ..Query::default() };
    let ann = recording(&engine, "ann").await;
    let (all, a, b) =
        (ann.stream(Query::default()), ann.stream(only("/a")), ann.stream(only("/b")));
    let (all, a, b) = (all.await.unwrap(), a.await.unwrap(), b.await.unwrap());
    backend.withdraw(1);
    let (all, a, b) = futures::join!(read_slowly(all), read_slowly(a), read_slowly(b));
    a.unwrap();
    for withdrawn in [all, b] {
        let (error, _) = withdrawn.unwrap_err();
        assert!(matches!(error, EngineError::Withdrawn { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Forbidden);
    }
}

#[tokio::test]
async fn of_two_users_of_one_recording_the_one_who_is_refused_gets_no_more() {
    let source = large();
    let backend = Backend::of(std::slice::from_ref(&source)).await;
    let (engine, _folder) = backend.engine().await;
    let [ann, bob] = [recording(&engine, "ann").await, recording(&engine, "bob").await];
    output::collect(&ann, Query::default()).await.unwrap();
    let streams = [ann.stream(Query::default()).await, bob.stream(Query::default()).await];
    let files = [file(&engine, "ann", None).await, file(&engine, "bob", None).await];
    backend.refuse("ann", 403);
    let [of_ann, of_bob] = streams.map(|stream| read_slowly(stream.unwrap()));
    let [file_of_ann, file_of_bob] = files.map(read_slowly);
    let (of_ann, of_bob, file_of_ann, file_of_bob) =
        futures::join!(of_ann, of_bob, file_of_ann, file_of_bob);
    for refused in [of_ann, file_of_ann] {
        assert_eq!(refused.unwrap_err().0.kind(), ErrorKind::Forbidden);
    }
    of_bob.unwrap();
    file_of_bob.unwrap();
}

#[tokio::test]
async fn a_file_that_is_read_for_long_ends_with_the_right_to_it() {
    read_for_long(None).await;
}

#[tokio::test]
async fn a_cut_that_is_read_for_long_ends_with_the_right_to_it() {
    let times = TimeRange { start: Nanos(1), end: Nanos::MAX };
    read_for_long(Some(Query { times, has_start: true, ..Query::default() })).await;
}

async fn read_for_long(cut: Option<Query>) {
    let backend = Backend::of(&[large()]).await;
    let (engine, _folder) = backend.engine().await;
    let refused = file(&engine, "ann", cut.clone()).await;
    let goes_on = file(&engine, "bob", cut.clone()).await;
    let anyone = file(&engine, "", cut.clone()).await;
    backend.refuse("ann", 401);
    backend.refuse("bob", 503);
    let asked = backend.asked("").len();
    let back = async {
        while backend.asked("bob").len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        backend.grant("bob");
    };
    let (refused, goes_on, anyone, ()) =
        futures::join!(read_slowly(refused), read_slowly(goes_on), read_slowly(anyone), back);
    assert_eq!(refused.unwrap_err().0.kind(), ErrorKind::Unauthorized);
    goes_on.unwrap();
    anyone.unwrap();
    assert_eq!(backend.asked("").len(), asked);
    // A source that is not granted any more makes it another file, which is not this one.
    let gone = file(&engine, "bob", cut).await;
    backend.withdraw(0);
    let (gone, _) = read_slowly(gone).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Gone, "{gone}");
}

#[tokio::test]
async fn whoever_watches_a_recording_sees_what_is_granted_now() {
    let backend = Backend::of(&[large(), large()]).await;
    let second = backend.house.named.lock().pop().unwrap();
    let (engine, _folder) = backend.engine().await;
    let ann = recording(&engine, "ann").await;
    assert!(ann.still_granted().await.unwrap().is_none());
    backend.house.named.lock().push(second);
    tokio::time::sleep(LASTS).await;
    let now = ann.still_granted().await.unwrap().expect("there is another manifest");
    assert_eq!((ann.sources().sources.len(), now.sources().sources.len()), (1, 2));
    assert!(now.still_granted().await.unwrap().is_none());
    backend.refuse("ann", 403);
    tokio::time::sleep(LASTS).await;
    assert_eq!(now.still_granted().await.map(drop).unwrap_err().kind(), ErrorKind::Forbidden);
    backend.grant("ann");
    // Who was refused has to ask anew.
    assert!(ann.still_granted().await.is_err());
    assert!(recording(&engine, "ann").await.still_granted().await.is_ok());
}
