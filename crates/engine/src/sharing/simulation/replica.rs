//! A replica that loads one source for one viewer at a time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdl_mcap_io::{
    Index, IndexedChunk, Intake, IntakeError, IntakeEvent, IntakeOptions, Limits, OpenChunk,
};
use rdl_model::SourceKey;
use rdl_store::{
    Attempt, Bucket, BucketErrorKind, DiskStore, RemoteSource, RunningEnd, SourceFiles, StoreConfig,
};
use rdl_testkit::{FlakyStore, Random};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::{
    Claim, CompleteText, FollowEnded, Followed, FollowedPiece, Joined, Publisher, Role, Sharing,
};
use super::world::{Backend, Piece};
use crate::SharingConfig;

/// A message: which download it came with, and its number.
pub(super) type Seen = (u64, u32);

/// Why a viewer got nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LoadFailed {
    /// The downloads differ too often.
    NotRepeatable,
    /// The replica stops.
    Stopping,
}

pub(super) struct Replica {
    pub(super) store: FlakyStore,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    pub(super) sharing: Sharing,
    disk: DiskStore,
    key: SourceKey,
    backend: Arc<Backend>,
    random: Mutex<Random>,
    kept: Mutex<Vec<Arc<SourceFiles>>>,
}

/// How a body ended.
enum Ended {
    Complete,
    Broken,
    LeaderGone,
    LeaderSilent,
    Differs,
}

impl Replica {
    pub(super) fn start(
        store: FlakyStore,
        folder: &std::path::Path,
        key: SourceKey,
        backend: Arc<Backend>,
        seed: u64,
    ) -> Replica {
        let bucket = Bucket::simulated(Arc::new(store.clone()), "b", "p", seed);
        let silence = Duration::from_secs(60);
        let folder = folder.join(bucket.replica().to_string());
        let config = StoreConfig { folder: Some(folder), bucket: None, max_bytes: Some(1 << 30) };
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let sharing = SharingConfig::default();
        Replica {
            sharing: Sharing::new(bucket, sharing, silence, tasks.clone(), stopping.clone()),
            disk: DiskStore::open(&config).unwrap(),
            store,
            tasks,
            stopping,
            key,
            backend,
            random: Mutex::new(Random::new(seed)),
            kept: Mutex::default(),
        }
    }

    /// What a viewer gets who asks for the whole source.
    pub(super) async fn load(&self) -> Result<Vec<Seen>, LoadFailed> {
        tokio::select! {
            loaded = self.load_to_its_end() => loaded,
            () = self.stopping.cancelled() => Err(LoadFailed::Stopping),
        }
    }

    async fn load_to_its_end(&self) -> Result<Vec<Seen>, LoadFailed> {
        let mut differences = 0;
        loop {
            let role = match self.sharing.join(&self.key).await {
                Joined::Load(role) => role,
                Joined::Complete(found) => match self.read(found).await {
                    Some(seen) => return Ok(seen),
                    None => continue,
                },
            };
            match self.one_body(role).await {
                Some(seen) => return Ok(seen),
                None if differences + 1 < crate::load::DIFFERENCES => differences += 1,
                None => return Err(LoadFailed::NotRepeatable),
            }
        }
    }

    /// Reads a complete source; one that is not there any more is forgotten.
    async fn read(&self, found: RemoteSource) -> Option<Vec<Seen>> {
        let mut seen = Vec::new();
        for chunk in &found.index.chunks {
            let place = found.parts.place(chunk.position).expect("it lies within its part");
            match found.parts.read(place).await {
                Ok(bytes) => {
                    seen.extend(messages(&OpenChunk::open(&bytes, &Limits::default()).unwrap()));
                }
                Err(error) => {
                    self.sharing.avoid(found.parts.attempt());
                    if matches!(error.kind(), BucketErrorKind::NotFound | BucketErrorKind::Damaged)
                    {
                        let _ = found.parts.forget().await;
                    }
                    return None;
                }
            }
        }
        Some(seen)
    }

    /// What `Load::one_body` does; `None` when the bodies differ.
    async fn one_body(&self, mut role: Role) -> Option<Vec<Seen>> {
        let mut work = Work::begin(&self.disk, &self.key);
        loop {
            if let Role::Leads(claim) = &mut role
                && work.publisher.is_none()
            {
                self.publish(&mut work, std::mem::replace(claim, Claim::Later));
            }
            let ended = match &role {
                Role::Follows(attempt) => {
                    self.follow(Followed::open(&self.sharing, attempt.clone()), &mut work).await
                }
                Role::Leads(_) => self.download(&mut work).await,
            };
            match ended {
                Ended::Complete => {
                    if let Role::Follows(attempt) = role {
                        self.publish(&mut work, Claim::After(attempt));
                    }
                    return Some(work.complete());
                }
                Ended::Differs => return None,
                Ended::Broken => tokio::time::sleep(Duration::from_millis(100)).await,
                Ended::LeaderSilent => role = Role::Leads(Claim::Later),
                Ended::LeaderGone => {
                    if let Role::Follows(attempt) = &role {
                        role = self.sharing.succeed(attempt).await;
                    }
                }
            }
            work.intake.restart();
        }
    }

    fn publish(&self, work: &mut Work, claim: Claim) {
        let files = work.attempt.files();
        let publisher = Publisher::start(&self.sharing, self.key, claim, &files);
        // What was loaded stays here for as long as there is room.
        self.kept.lock().push(files);
        work.publisher = Some(publisher);
        work.told = 0;
        work.tell_parts();
    }

    async fn follow(&self, mut followed: Followed, work: &mut Work) -> Ended {
        loop {
            let taken = match followed.next().await {
                Ok(FollowedPiece::Data(bytes)) => work.take(bytes),
                Ok(FollowedPiece::PartEnd) => {
                    work.close_part();
                    Ok(())
                }
                Ok(FollowedPiece::Problems(_)) => Ok(()),
                Ok(FollowedPiece::End) => return work.finish(),
                Err(FollowEnded::Dead) => return Ended::LeaderGone,
                Err(FollowEnded::Silent | FollowEnded::Away(_)) => return Ended::LeaderSilent,
            };
            if let Err(ended) = taken {
                return ended;
            }
        }
    }

    async fn download(&self, work: &mut Work) -> Ended {
        let mut download = self.backend.download();
        while let Some(piece) = download.next().await {
            let Piece::Data(bytes) = piece else { return Ended::Broken };
            if let Err(ended) = work.take(bytes) {
                return ended;
            }
            if self.random.lock().below(2) == 0 {
                work.close_part();
            }
        }
        work.finish()
    }
}

/// What `LoadWork` does, less everything about room.
struct Work {
    intake: Intake,
    attempt: Attempt,
    index: Index,
    seen: Vec<Seen>,
    publisher: Option<Publisher>,
    told: usize,
}

impl Work {
    fn begin(disk: &DiskStore, key: &SourceKey) -> Work {
        Work {
            intake: Intake::new(IntakeOptions::default()),
            attempt: disk.begin(key, "source", false).unwrap(),
            index: Index::default(),
            seen: Vec::new(),
            publisher: None,
            told: 0,
        }
    }

    fn take(&mut self, bytes: bytes::Bytes) -> Result<(), Ended> {
        let pushed = self.intake.push(bytes);
        self.intake.flush_early();
        self.store();
        pushed.map_err(|error| ended_by(&error))
    }

    fn finish(&mut self) -> Ended {
        let finished = self.intake.finish();
        self.store();
        finished.map_or_else(|error| ended_by(&error), |()| Ended::Complete)
    }

    fn store(&mut self) {
        while let Some(event) = self.intake.next_event() {
            match event {
                IntakeEvent::Profile(profile) => self.attempt.set_profile(&profile),
                IntakeEvent::Channel(channel) => {
                    self.index.channels.insert(channel.id, channel);
                }
                IntakeEvent::Chunk { chunk, .. } => {
                    let channels = self.index.channels_of(&chunk.descriptor);
                    let position = self.attempt.append_chunk(&chunk, &channels).unwrap();
                    self.seen.extend(messages(
                        &OpenChunk::open(&chunk.bytes, &Limits::default()).unwrap(),
                    ));
                    let descriptor = Arc::new(chunk.descriptor);
                    self.index.chunks.push(IndexedChunk { descriptor, position });
                }
                other => panic!("{other:?}"),
            }
        }
        self.tell_parts();
    }

    fn close_part(&mut self) {
        self.attempt.close_part().unwrap();
        self.tell_parts();
    }

    fn tell_parts(&mut self) {
        let Some(publisher) = &mut self.publisher else { return };
        for part in self.attempt.closed_parts(self.told) {
            publisher.part(part);
            self.told += 1;
        }
    }

    fn complete(mut self) -> Vec<Seen> {
        self.attempt.complete(&self.index).unwrap();
        self.tell_parts();
        if let Some(publisher) = self.publisher.take() {
            let text = self.attempt.complete_text(&self.index).unwrap();
            let text = CompleteText::Held { text, _files: self.attempt.files() };
            let end =
                RunningEnd { profile: String::new(), metadata: Vec::new(), problems: Vec::new() };
            publisher.complete(end, text);
        }
        self.seen
    }
}

fn ended_by(error: &IntakeError) -> Ended {
    match error {
        IntakeError::NotRepeatable => Ended::Differs,
        error if error.is_retryable() => Ended::Broken,
        error => panic!("{error}"),
    }
}

fn messages(chunk: &OpenChunk) -> Vec<Seen> {
    let messages = (0..chunk.len()).map(|at| chunk.message(at));
    messages.map(|message| (message.publish_time.0, message.sequence)).collect()
}
