//! Twenty-four viewers of three replicas, while replicas are killed or paused and the store has
//! trouble. Only the answers of a replica that is killed may break off.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::{join_all, try_join_all};
use rdl_testkit::servers::{HttpProxy, TcpProxy};
use rdl_testkit::{FakeBackend, Message, Random, arrived, check_all, get};
use tokio::sync::watch;

use crate::fleet::{PATIENCE, QUERY, ask, counts, pause, s3, s3_server, slow_recording, unsettled};
use crate::running::Running;

const SOURCES: usize = 20;
const REPLICAS: usize = 3;
const VIEWERS: usize = 24;
/// A whole answer takes some twenty seconds.
const PACE_BYTES: u64 = 3 << 10;

/// A replica that died is not missed for so long; a busy machine makes nobody late by so much.
const STALE_AGE: (&str, &str) = ("REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS", "3000");

fn environment(url: &str) -> Vec<(&str, &str)> {
    let mut environment = s3(url);
    environment.push(STALE_AGE);
    environment
}

/// How often a replica was killed, and where it listens while it lives.
type Life = (usize, Option<String>);

/// A loader that may be killed and started again.
struct Replica<'a> {
    manifest_endpoint: String,
    environment: &'a [(&'a str, &'a str)],
    running: Option<Running>,
    life: watch::Sender<Life>,
}

impl<'a> Replica<'a> {
    async fn start(backend: &FakeBackend, environment: &'a [(&'a str, &'a str)]) -> Replica<'a> {
        let manifest_endpoint = backend.manifest_endpoint();
        let life = watch::Sender::new((0, None));
        let mut replica = Replica { manifest_endpoint, environment, running: None, life };
        replica.start_again().await;
        replica
    }

    async fn start_again(&mut self) {
        let running = Running::start(&self.manifest_endpoint, self.environment).await;
        let url = running.process.url();
        self.running = Some(running);
        self.life.send_modify(|(_, now)| *now = Some(url));
    }

    async fn kill(&mut self) {
        // Viewers see what broke off and why.
        self.life.send_modify(|(kills, now)| (*kills, *now) = (*kills + 1, None));
        if let Some(mut running) = self.running.take() {
            running.process.kill().await.unwrap();
        }
    }
}

/// Asks for everything until an answer is whole, and compares that. Only the answer of a replica
/// that was killed may be anything else.
async fn view(mut life: watch::Receiver<Life>, truth: &[Message]) -> anyhow::Result<()> {
    loop {
        let (kills, url) = life.wait_for(|(_, url)| url.is_some()).await?.clone();
        let url = url.context("it lives")?;
        let answer = get(&format!("{url}/v1/stream?{QUERY}"), &[]).await;
        match answer {
            Ok(answer) if answer.status == 200 && answer.complete => {
                return check_all(&arrived(&answer.body)?, truth);
            }
            _ if life.borrow().0 > kills => {}
            Ok(answer) if answer.status == 200 => {
                let begun = arrived(&answer.body)?.len();
                anyhow::bail!(
                    "the answer of a replica that lives broke off after {begun} messages"
                );
            }
            Ok(answer) => {
                anyhow::bail!("a replica that lives says {}: {}", answer.status, answer.text());
            }
            Err(error) => return Err(error.context("a replica that lives does not answer")),
        }
    }
}

/// The answers of all viewers; fails as soon as one is wrong.
fn views<'t>(
    replicas: &[Replica<'_>],
    truth: &'t [Message],
) -> impl Future<Output = anyhow::Result<()>> + use<'t> {
    let viewers = (0..VIEWERS).map(|viewer| {
        let life = replicas[viewer % REPLICAS].life.subscribe();
        async move {
            // Those of the first replica come first, so that it leads.
            if viewer % REPLICAS > 0 {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            view(life, truth).await.with_context(|| format!("viewer {viewer}"))
        }
    });
    let viewers: Vec<_> = viewers.collect();
    async { try_join_all(viewers).await.map(drop) }
}

/// Fails if an answer was wrong, or a source was asked for too often; gives how often each was.
fn check(
    answers: anyhow::Result<()>,
    replicas: &[Replica<'_>],
    backend: &FakeBackend,
    most: usize,
) -> Vec<usize> {
    let asked = counts(backend, SOURCES);
    let printed = || {
        let running = replicas.iter().filter_map(|replica| replica.running.as_ref());
        running.map(|running| running.process.printed()).collect::<Vec<_>>().join("\n\n")
    };
    answers.unwrap_or_else(|error| panic!("{error:#}\n{asked:?}\n{}", printed()));
    assert!(asked.iter().all(|count| (1..=most).contains(count)), "{asked:?}\n{}", printed());
    asked
}

/// Waits until the bucket has each source once and nothing else, and whoever comes then needs no
/// backend.
async fn is_left_in_order(backend: &FakeBackend, environment: &[(&str, &str)], truth: &[Message]) {
    let started = Instant::now();
    while let Some(list) = unsettled(environment, SOURCES).await {
        assert!(started.elapsed() < PATIENCE, "the bucket does not settle: {list:#}");
        // What a dead replica left beside a complete source is removed by whoever finds it.
        let visitor = Running::start(&backend.manifest_endpoint(), environment).await;
        ask(&visitor, truth).await.unwrap();
    }
    let asked = counts(backend, SOURCES);
    let late = Running::start(&backend.manifest_endpoint(), environment).await;
    ask(&late, truth).await.unwrap();
    assert_eq!(counts(backend, SOURCES), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_break_off_only_answers_of_the_replica_that_is_killed() {
    const KILLS: usize = 4;
    let (backend, truth) = slow_recording(SOURCES, PACE_BYTES).await;
    let server = s3_server().await;
    let url = server.url();
    let environment = environment(&url);
    let starting = (0..REPLICAS).map(|_| Replica::start(&backend, &environment));
    let mut replicas = join_all(starting).await;
    let views = views(&replicas, &truth);
    let mut random = Random::new(1);
    let fire = async {
        for kill in 0..KILLS {
            let quiet = Duration::from_millis(2500 + random.below(2000));
            tokio::time::sleep(quiet).await;
            let replica = &mut replicas[kill % REPLICAS];
            replica.kill().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            replica.start_again().await;
        }
    };
    let (answers, ()) = tokio::join!(views, fire);
    let asked = check(answers, &replicas, &backend, 1 + KILLS);
    assert!(asked.iter().any(|count| *count > 1), "nobody had to take over: {asked:?}");
    is_left_in_order(&backend, &environment, &truth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_pauses_past_its_time_breaks_off_no_answer() {
    let (backend, truth) = slow_recording(SOURCES, PACE_BYTES).await;
    let server = s3_server().await;
    let url = server.url();
    let environment = environment(&url);
    let starting = (0..REPLICAS).map(|_| Replica::start(&backend, &environment));
    let replicas = join_all(starting).await;
    let process = &replicas[0].running.as_ref().unwrap().process;
    let fire = pause(process, Duration::from_secs(4), Duration::from_secs(8));
    let (answers, ()) = tokio::join!(views(&replicas, &truth), fire);
    let asked = check(answers, &replicas, &backend, 2);
    assert!(asked.iter().any(|count| *count > 1), "nobody had to take over: {asked:?}");
    is_left_in_order(&backend, &environment, &truth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_store_breaks_off_no_answer() {
    let (backend, truth) = slow_recording(SOURCES, PACE_BYTES).await;
    let mut server = s3_server().await;
    let weather = HttpProxy::start(&server.url()).await.unwrap();
    let line = TcpProxy::start(&weather.url()).await.unwrap();
    let (url, line_url) = (weather.url(), line.url());
    let environments = [environment(&url), environment(&url), environment(&line_url)];
    let starting = environments.iter().map(|environment| Replica::start(&backend, environment));
    let replicas = join_all(starting).await;
    let fire = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        weather.set_failing(300, 1);
        tokio::time::sleep(Duration::from_secs(4)).await;
        weather.set_failing(0, 0);
        weather.set_delay(Duration::from_millis(400));
        tokio::time::sleep(Duration::from_secs(4)).await;
        weather.set_delay(Duration::ZERO);
        server.process.kill().await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        server.start_again().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        line.cut().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        line.pass().unwrap();
    };
    let (answers, ()) = tokio::join!(views(&replicas, &truth), fire);
    assert!(weather.failed() > 0);
    // Whoever cannot ask the store whether somebody loads a source loads it.
    check(answers, &replicas, &backend, REPLICAS);
    is_left_in_order(&backend, &environments[0], &truth).await;
}
