//! How a loader ends: for whoever it answers, for the replicas beside it, and behind a balancer.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;
use rdl_testkit::servers::Haproxy;
use rdl_testkit::{Message, Viewer, arrived, check_all, get};

use crate::fleet::{PATIENCE, QUERY, ask, counts, s3, s3_server, slow_recording};
use crate::running::Running;

/// 80 kB a second: each source takes some seconds.
const SLOW_BYTES: u64 = 8 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_loader_that_is_to_end_answers_for_a_while_and_ends_what_it_began() {
    let (backend, truth) = slow_recording(4, SLOW_BYTES).await;
    let environment = [("SHUTDOWN_DELAY_MS", "4000")];
    let mut loader = Running::start(&backend.manifest_endpoint(), &environment).await;
    let url = loader.process.url();
    let began = tokio::spawn({
        let url = format!("{url}/v1/stream?{QUERY}");
        async move { get(&url, &[]).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    loader.process.terminate().unwrap();
    let told = Instant::now();
    let status = async |path: &str| get(&format!("{url}{path}"), &[]).await;
    let turned = async {
        while status("/readiness").await.unwrap().status != 503 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), turned).await.unwrap();
    assert!(status("/readiness").await.unwrap().text().contains("shutting down"));
    assert_eq!(status("/liveness").await.unwrap().status, 200);
    let late = status("/v1/recording?ds.recording=drive").await.unwrap();
    assert_eq!((late.status, late.header("connection")), (200, Some("close")));
    let late = tokio::spawn({
        let url = format!("{url}/v1/stream?{QUERY}");
        async move { get(&url, &[]).await }
    });
    while status("/liveness").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(told.elapsed() >= Duration::from_millis(3900), "{:?}", told.elapsed());
    for answer in [began, late] {
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.status == 200 && answer.complete, "{}", loader.process.printed());
        check_all(&arrived(&answer.body).unwrap(), &truth).unwrap();
    }
    let ended = tokio::time::timeout(PATIENCE, loader.process.ended()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", loader.process.printed());
    assert!(!loader.process.printed().contains("cut off"), "{}", loader.process.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_within_the_grace_time_is_cut_off_and_named() {
    let (backend, _) = slow_recording(4, 2 << 10).await;
    let environment = [("SHUTDOWN_DELAY_MS", "0"), ("SHUTDOWN_GRACE_MS", "6500")];
    let mut loader = Running::start(&backend.manifest_endpoint(), &environment).await;
    let url = format!("{}/v1/stream?{QUERY}", loader.process.url());
    let watching = Viewer::open(&url).await.unwrap();
    loader.process.terminate().unwrap();
    let told = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, loader.process.ended()).await.unwrap().unwrap();
    let took = told.elapsed();
    let printed = loader.process.printed();
    assert_eq!(ended.code(), Some(0), "{printed}");
    // 5 s before the grace time is over, and well before that.
    assert!(took >= Duration::from_millis(1400) && took < Duration::from_millis(6400), "{took:?}");
    let named = printed.lines().find(|line| line.contains("the grace time is over")).unwrap();
    assert!(named.contains(r#"answers="1 of /v1/stream""#) && named.contains("loads="), "{named}");
    // Cut off is never whole.
    let answer = watching.rest().await.unwrap();
    assert!(answer.status == 200 && !answer.complete, "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_no_draining_answer_reads_goes_to_another_replica_at_once() {
    const SOURCES: usize = 2;
    let (backend, truth) = slow_recording(SOURCES, SLOW_BYTES).await;
    let server = s3_server().await;
    let url = server.url();
    // Nobody is taken for dead here within the time of this test.
    let mut environment = s3(&url);
    environment.retain(|(name, _)| *name != "REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS");
    environment.push(("SHUTDOWN_DELAY_MS", "0"));
    let mut leader = Running::start(&backend.manifest_endpoint(), &environment).await;
    let follower = Running::start(&backend.manifest_endpoint(), &environment).await;
    let stream = format!("{}/v1/stream?{QUERY}", leader.process.url());
    // Leads, and is left by whoever watched; the follower's viewer keeps the load going.
    let left = Viewer::open(&stream).await.unwrap();
    let following = ask(&follower, &truth);
    let ending = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        drop(left);
        tokio::time::sleep(Duration::from_millis(500)).await;
        leader.process.terminate().unwrap();
        let told = Instant::now();
        let ended = tokio::time::timeout(PATIENCE, leader.process.ended()).await.unwrap().unwrap();
        (ended.code(), told.elapsed())
    };
    let began = Instant::now();
    let (followed, (code, took)) = tokio::join!(following, ending);
    followed.unwrap();
    let printed = format!("{}\n\n{}", leader.process.printed(), follower.process.printed());
    assert_eq!(code, Some(0), "{printed}");
    // A load lingers for a minute otherwise.
    assert!(took < Duration::from_secs(20), "nobody watches there: {took:?}\n{printed}");
    // The stale age is 20 s.
    assert!(began.elapsed() < Duration::from_secs(18), "{:?}\n{printed}", began.elapsed());
    assert!(counts(&backend, SOURCES).iter().all(|count| *count <= 2), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let (backend, _) = slow_recording(2, 256).await;
    let mut loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let url = format!("{}/v1/stream?{QUERY}", loader.process.url());
    let _watching = tokio::spawn(async move { get(&url, &[]).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    loader.process.terminate().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    loader.process.terminate().unwrap();
    let told = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, loader.process.ended()).await.unwrap().unwrap();
    assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    assert_eq!(ended.code(), Some(1));
    assert!(loader.process.printed().contains("ended at once by a second signal"));
}

const REPLICAS: usize = 3;
const VIEWERS: usize = 16;

/// Three replicas behind a balancer, and room for those that come after them.
struct Fleet<'a> {
    proxy: Haproxy,
    endpoint: String,
    environment: Vec<(&'a str, &'a str)>,
    running: Vec<(usize, Running)>,
    next: usize,
}

impl<'a> Fleet<'a> {
    async fn start(endpoint: String, environment: Vec<(&'a str, &'a str)>) -> Fleet<'a> {
        let proxy = Haproxy::start(2 * REPLICAS).await.unwrap();
        let mut fleet = Fleet { proxy, endpoint, environment, running: Vec::new(), next: 0 };
        for _ in 0..REPLICAS {
            fleet.add().await;
        }
        fleet
    }

    /// One more replica, which gets requests from now on.
    async fn add(&mut self) {
        let address: SocketAddr = self.proxy.servers()[self.next];
        let address = address.to_string();
        let mut environment = self.environment.clone();
        environment.push(("ADDRESS", &address));
        self.running.push((self.next, Running::start(&self.endpoint, &environment).await));
        self.next += 1;
        // The balancer looks every 100 ms.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What viewers do until they are told to stop: ask, read slowly, and look at what came.
struct Playing {
    url: String,
    truth: Arc<Vec<Message>>,
    /// The servers of which an answer has begun.
    begun: Mutex<HashSet<String>>,
    /// The servers that were killed: only their answers may break off.
    killed: Mutex<HashSet<String>>,
    stopped: Mutex<bool>,
    /// How many answers were whole, and how many broke off.
    answers: Mutex<(usize, usize)>,
}

impl Playing {
    fn start(fleet: &Fleet<'_>, truth: Vec<Message>) -> Arc<Playing> {
        Arc::new(Playing {
            url: format!("{}/v1/stream?{QUERY}", fleet.proxy.url()),
            truth: Arc::new(truth),
            begun: Mutex::default(),
            killed: Mutex::default(),
            stopped: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    async fn play(&self) -> anyhow::Result<()> {
        while !*self.stopped.lock() {
            let mut viewer = Viewer::open_narrow(&self.url).await?;
            let head = viewer.so_far()?;
            self.begun.lock().insert(head.header("x-server").unwrap_or("none").to_owned());
            viewer.read_slowly(400_000, Duration::from_millis(1500)).await;
            let answer = viewer.rest().await?;
            let from = answer.header("x-server").unwrap_or("none").to_owned();
            if answer.status == 200 && answer.complete {
                check_all(&arrived(&answer.body)?, &self.truth)?;
                self.answers.lock().0 += 1;
                continue;
            }
            let excused = self.killed.lock().contains(&from);
            ensure!(excused, "an answer of server {from}: {} {}", answer.status, answer.complete);
            self.answers.lock().1 += 1;
        }
        Ok(())
    }

    /// Lets them play while `happens` does, and until each has ended its answer.
    async fn during(self: &Arc<Self>, happens: impl Future<Output = ()>) -> (usize, usize) {
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|number| {
                let playing = self.clone();
                tokio::spawn(async move { playing.play().await.context(number) })
            })
            .collect();
        happens.await;
        *self.stopped.lock() = true;
        for viewer in viewers {
            viewer.await.unwrap().unwrap();
        }
        *self.answers.lock()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_replaced_one_after_another_and_no_answer_fails() {
    let (backend, truth) = slow_recording(6, 4 * SLOW_BYTES).await;
    let server = s3_server().await;
    let url = server.url();
    let mut environment = s3(&url);
    environment.push(("SHUTDOWN_DELAY_MS", "700"));
    let mut fleet = Fleet::start(backend.manifest_endpoint(), environment).await;
    let playing = Playing::start(&fleet, truth);
    let (whole, broken) = playing
        .during(async {
            for _ in 0..REPLICAS {
                tokio::time::sleep(Duration::from_millis(500)).await;
                fleet.add().await;
                let (_, mut old) = fleet.running.remove(0);
                old.process.terminate().unwrap();
                let ended = tokio::time::timeout(PATIENCE, old.process.ended()).await.unwrap();
                assert_eq!(ended.unwrap().code(), Some(0), "{}", old.process.printed());
                assert!(!old.process.printed().contains("cut off"), "{}", old.process.printed());
            }
        })
        .await;
    println!("{whole} answers were whole while {REPLICAS} replicas were replaced");
    assert!(whole >= VIEWERS && broken == 0, "{whole} {broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_takes_only_its_own_answers_with_it() {
    // Nobody has seen all of it when it happens.
    let (backend, truth) = slow_recording(6, SLOW_BYTES).await;
    let server = s3_server().await;
    let url = server.url();
    let mut fleet = Fleet::start(backend.manifest_endpoint(), s3(&url)).await;
    let playing = Playing::start(&fleet, truth);
    let (whole, broken) = playing
        .during(async {
            let (number, mut victim) = fleet.running.remove(0);
            while !playing.begun.lock().contains(&number.to_string()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            playing.killed.lock().insert(number.to_string());
            victim.process.kill().await.unwrap();
            fleet.add().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        })
        .await;
    println!("{whole} answers were whole, {broken} broke off with their replica");
    // Whoever lost an answer has asked again.
    assert!(whole >= VIEWERS && (1..VIEWERS).contains(&broken), "{whole} {broken}");
}
