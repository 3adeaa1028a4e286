//! A run: a data backend, replicas with viewers, and what goes wrong.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdl_model::{SourceKey, SourceKeyHasher};
use rdl_store::Bucket;
use rdl_testkit::{Channel, FileSpec, FlakyStore, Message, Random};
use tokio_util::task::AbortOnDropHandle;

use super::replica::{LoadFailed, Replica, Seen};
use super::weather::{Event, Weather, up_to};

/// How many replicas there are at a time, and how often each is asked.
const REPLICAS: usize = 3;
const QUESTIONS: usize = 2;

/// Within this time everything is asked, and goes wrong.
const WITHIN: Duration = Duration::from_secs(120);

/// The data backend.
pub(super) struct Backend {
    random: Mutex<Random>,
    /// How many messages there are.
    pub(super) messages: u32,
    is_repeatable: bool,
    breaks: bool,
    /// How long a piece of a download takes at most.
    slowest_piece: Duration,
    pub(super) downloads: AtomicU64,
}

/// What comes of a download.
pub(super) enum Piece {
    Data(Bytes),
    Broken,
}

/// One download.
pub(super) struct Download {
    random: Random,
    rest: Bytes,
    breaks: bool,
    slowest_piece: Duration,
}

impl Backend {
    pub(super) fn new(seed: u64, weather: &Weather) -> Backend {
        let mut random = Random::new(seed);
        Backend {
            messages: 1 + random.below(300) as u32,
            slowest_piece: Duration::from_millis(1 + random.below(3_000)),
            random: Mutex::new(random),
            is_repeatable: !weather.differs,
            breaks: weather.breaks,
            downloads: AtomicU64::new(0),
        }
    }

    pub(super) fn download(&self) -> Download {
        let number = self.downloads.fetch_add(1, Ordering::Relaxed);
        let mut random = Random::new(self.random.lock().next_u64());
        let version = if self.is_repeatable { 0 } else { number };
        let channel = Arc::new(Channel::json("/a"));
        let messages = (0..self.messages).map(|number| Message {
            channel: channel.clone(),
            log_time: u64::from(number) * 1_000_000,
            publish_time: version,
            sequence: number,
            data: vec![number as u8; 20],
        });
        let messages: Vec<Message> = messages.collect();
        // Chunked otherwise each time: that does not count.
        let chunk_bytes = Some(100 + random.below(2000));
        let file = FileSpec { chunk_bytes, ..FileSpec::default() }.write(&messages);
        let breaks = self.breaks && random.below(2) == 0;
        Download { random, rest: file.into(), breaks, slowest_piece: self.slowest_piece }
    }
}

impl Download {
    pub(super) async fn next(&mut self) -> Option<Piece> {
        if self.rest.is_empty() {
            return None;
        }
        tokio::time::sleep(up_to(&mut self.random, self.slowest_piece)).await;
        if self.breaks && self.random.below(8) == 0 {
            return Some(Piece::Broken);
        }
        let most = self.rest.len().min(4000) as u64;
        Some(Piece::Data(self.rest.split_to(1 + self.random.below(most) as usize)))
    }
}

/// What came of one run, or of several.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How many answers were right.
    pub(super) right: u64,
    /// How often the data backend was asked.
    pub(super) downloads: u64,
    /// How many complete attempts there are in the end.
    pub(super) complete: u64,
    /// How many other attempts, and claims.
    pub(super) left_over: u64,
    /// By the simulation's clock.
    pub(super) took: Duration,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Outcome) {
        self.right += other.right;
        self.downloads += other.downloads;
        self.complete += other.complete;
        self.left_over += other.left_over;
        self.took += other.took;
    }
}

pub(super) struct World {
    seed: u64,
    weather: Weather,
    random: Random,
    store: FlakyStore,
    backend: Arc<Backend>,
    key: SourceKey,
    folders: tempfile::TempDir,
    slots: Vec<Slot>,
    started: u64,
}

/// The place of a replica.
struct Slot {
    replica: Arc<Replica>,
    viewer: AbortOnDropHandle<()>,
    /// How many questions are still to be answered.
    open: Arc<Mutex<usize>>,
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather) -> World {
        World {
            backend: Arc::new(Backend::new(seed, &weather)),
            seed,
            weather,
            random: Random::new(!seed),
            store: FlakyStore::new(),
            key: SourceKeyHasher::new().field("source").finish(),
            folders: tempfile::tempdir().unwrap(),
            slots: Vec::new(),
            started: 0,
        }
    }

    /// Runs it to its end, and checks everything.
    pub(super) async fn run(mut self) -> Outcome {
        for _ in 0..REPLICAS {
            let slot = self.slot(Arc::new(Mutex::new(QUESTIONS)));
            self.slots.push(slot);
        }
        let events = self.weather.events(&mut self.random, REPLICAS, WITHIN);
        let began = tokio::time::Instant::now();
        for (at, event) in &events {
            tokio::time::sleep_until(began + *at).await;
            self.happens(*event).await;
        }
        for slot in &mut self.slots {
            (&mut slot.viewer)
                .await
                .unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
        }
        self.settled(events.len() as u64).await
    }

    fn slot(&mut self, open: Arc<Mutex<usize>>) -> Slot {
        let replica = Arc::new(self.replica());
        let viewer = view(
            replica.clone(),
            Random::new(self.random.next_u64()),
            open.clone(),
            self.backend.messages,
            !self.weather.differs,
        );
        Slot { replica, viewer: AbortOnDropHandle::new(tokio::spawn(viewer)), open }
    }

    fn replica(&mut self) -> Replica {
        self.started += 1;
        let store = self.store.another();
        let seed = self.seed.wrapping_mul(1000) + self.started;
        let slowest = [10, 100, 300, 3000];
        let kinds = if self.weather.is_slow { 4 } else { 3 };
        let slowest = slowest[self.random.below(kinds) as usize];
        store.set_ways(Duration::from_millis(slowest), seed);
        store.set_failing(self.weather.failing_of_thousand, seed);
        store.set_ignores_conditions(self.weather.ignores_conditions);
        Replica::start(store, self.folders.path(), self.key, self.backend.clone(), seed)
    }

    async fn happens(&mut self, event: Event) {
        match event {
            Event::Killed { replica } => {
                let open = self.slots[replica].open.clone();
                self.slots[replica].replica.store.set_frozen(true);
                let new = self.slot(open);
                let _killed = std::mem::replace(&mut self.slots[replica], new);
            }
            Event::Stopped { replica } => {
                let open = self.slots[replica].open.clone();
                self.slots[replica].replica.stopping.cancel();
                let new = self.slot(open);
                let _stopped = std::mem::replace(&mut self.slots[replica], new);
            }
            Event::Frozen { replica, lasts } => {
                let store = self.slots[replica].replica.store.clone();
                store.set_frozen(true);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    store.set_frozen(false);
                });
            }
            Event::Away { replica, lasts } => {
                let wanted = |at: usize| replica.is_none_or(|replica| replica == at);
                let slots = self.slots.iter().enumerate().filter(|(at, _)| wanted(*at));
                let stores: Vec<_> = slots.map(|(_, slot)| slot.replica.store.clone()).collect();
                for store in stores {
                    store.set_away(true);
                    tokio::spawn(async move {
                        tokio::time::sleep(lasts).await;
                        store.set_away(false);
                    });
                }
            }
            Event::Purged => {
                let bucket = self.bucket();
                for entry in bucket.list().await.unwrap() {
                    bucket.give_up(&entry.attempt).await.unwrap();
                }
            }
            Event::Vanished => {
                let names = self.store.names().await;
                if !names.is_empty() {
                    let name = &names[self.random.below(names.len() as u64) as usize];
                    self.store.damage(name, false).await;
                }
            }
        }
    }

    /// The bucket without faults.
    fn bucket(&self) -> Bucket {
        Bucket::over(Arc::new(self.store.another()), "b", "p")
    }

    /// When everything has calmed down: whoever comes now gets the source, and from the bucket
    /// if it is there.
    async fn settled(mut self, events: u64) -> Outcome {
        for slot in &self.slots {
            slot.replica.store.set_failing(0, 0);
            slot.replica.store.set_away(false);
            slot.replica.store.set_frozen(false);
            slot.replica.tasks.close();
            slot.replica.tasks.wait().await;
        }
        let complete = async |world: &World| {
            let entries = world.bucket().list().await.unwrap();
            entries.iter().filter(|entry| entry.completed_at.is_some()).count() as u64
        };
        let known = complete(&self).await;
        let downloads = self.backend.downloads.load(Ordering::Relaxed);
        let questions = (REPLICAS * QUESTIONS) as u64;
        let is_smooth = !self.weather.breaks && !self.weather.differs;
        let is_smooth = is_smooth && !self.weather.is_slow && !self.weather.ignores_conditions;
        if self.weather.failing_of_thousand == 0 && is_smooth {
            // Everything that goes wrong costs every replica a download at most.
            let most = 1 + events * REPLICAS as u64;
            assert!(downloads <= most, "{downloads} downloads");
        }
        self.weather = Weather { differs: self.weather.differs, ..Weather::default() };
        self.ask_late().await;
        let asked_again = self.backend.downloads.load(Ordering::Relaxed) - downloads;
        if known > 0 && events == 0 {
            assert_eq!(asked_again, 0, "it was in the bucket");
        }
        let names = self.store.names().await;
        let count = |end: &str| names.iter().filter(|name| name.ends_with(end)).count() as u64;
        let complete = complete(&self).await;
        assert!(complete > 0, "nothing is kept: {names:#?}");
        let left_over = (count("running.json") + count(".claim")).saturating_sub(complete);
        let downloads = self.backend.downloads.load(Ordering::Relaxed);
        Outcome { right: questions, downloads, complete, left_over, took: Duration::ZERO }
    }
}

impl World {
    /// Whoever comes now gets it.
    async fn ask_late(&mut self) {
        loop {
            let late = self.replica();
            let loaded = late.load().await;
            late.tasks.close();
            late.tasks.wait().await;
            let is_repeatable = !self.weather.differs;
            match loaded {
                Ok(seen) => return check(&seen, self.backend.messages, is_repeatable),
                Err(failed) => assert!(!is_repeatable, "{failed:?}"),
            }
        }
    }
}

/// Asks now and then, and checks every answer.
async fn view(
    replica: Arc<Replica>,
    mut random: Random,
    open: Arc<Mutex<usize>>,
    messages: u32,
    is_repeatable: bool,
) {
    while *open.lock() > 0 {
        tokio::time::sleep(up_to(&mut random, WITHIN / QUESTIONS as u32)).await;
        match replica.load().await {
            Ok(seen) => check(&seen, messages, is_repeatable),
            Err(LoadFailed::Stopping) => return,
            Err(LoadFailed::NotRepeatable) => assert!(!is_repeatable, "they are all the same"),
        }
        *open.lock() -= 1;
    }
}

/// Every message once, in order, and all of one download.
pub(super) fn check(seen: &[Seen], messages: u32, is_repeatable: bool) {
    let version = seen.first().map_or(0, |first| first.0);
    assert!(!is_repeatable || version == 0);
    let expected: Vec<Seen> = (0..messages).map(|number| (version, number)).collect();
    assert!(seen == expected, "{seen:?} and not {messages} messages of one download");
}
