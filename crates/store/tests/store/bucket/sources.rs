//! Sources on the disk, to be put into a bucket.

use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{ChunkBuilder, Compression, MessageView, MetadataRecord, Position, StoredChunk};
use rdl_model::{ByteRange, Nanos};
use rdl_store::{AttemptName, Bucket, ClosedPart, DiskStore, Look, RemoteSource, SourceFiles};
use rdl_testkit::Random;
use tempfile::TempDir;

use crate::sample::{Load, key, store};

/// The largest part that is written in one piece.
pub(crate) const PIECE_BYTES: usize = 8 << 20;

/// A source that is whole on the disk, and its parts.
pub(crate) struct Local {
    pub(crate) load: Load,
    pub(crate) parts: Vec<ClosedPart>,
    /// What is on the disk goes with these.
    _store: (DiskStore, TempDir),
}

impl Local {
    /// One part of each length (and somewhat more): one chunk of bytes that repeat nowhere.
    pub(crate) fn of(name: &str, part_bytes: &[usize]) -> Local {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), 1 << 30);
        let mut load = Load::begin(&store, name);
        load.index.profile = "ros2".to_owned();
        let metadata = [("robot".to_owned(), "number 5".to_owned())].into();
        load.index.metadata = vec![MetadataRecord { name: "about".to_owned(), metadata }];
        for (number, bytes) in (1..).zip(part_bytes) {
            load.append(&chunk(number, *bytes)).unwrap();
            load.attempt.close_part().unwrap();
        }
        let parts: Vec<_> = load.attempt.closed_parts(0).collect();
        assert_eq!(parts.len(), part_bytes.len());
        Local { load, parts, _store: (store, folder) }
    }

    pub(crate) fn files(&self) -> Arc<SourceFiles> {
        self.load.attempt.files()
    }

    /// All of a part, as it lies on the disk.
    pub(crate) fn bytes_of(&self, part: &ClosedPart) -> Bytes {
        let range = ByteRange::at(0, part.bytes);
        self.files().read(Position { part: part.number, range }).unwrap()
    }

    /// What `complete.json` lists.
    pub(crate) fn listed(&self) -> Vec<(String, u64)> {
        self.parts.iter().map(|part| (part.name.clone(), part.bytes)).collect()
    }

    pub(crate) fn complete_text(&self) -> Bytes {
        self.load.attempt.complete_text(&self.load.index).unwrap()
    }

    /// Writes all parts.
    pub(crate) async fn put_parts(&self, bucket: &Bucket, attempt: &AttemptName) {
        for part in &self.parts {
            let checksums = bucket.put_part(attempt, part, &self.files()).await.unwrap();
            assert_eq!(checksums.crc, crc32fast::hash(&self.bytes_of(part)), "{}", part.name);
        }
    }

    /// Claims an epoch for a new attempt and brings it to its end.
    pub(crate) async fn put(&self, bucket: &Bucket, name: &str, epoch: u32) -> AttemptName {
        let attempt = AttemptName::new(key(name), epoch);
        assert!(bucket.claim(&attempt).await.unwrap());
        self.put_parts(bucket, &attempt).await;
        let complete = bucket.complete(&attempt, &self.listed(), self.complete_text()).await;
        assert!(complete.unwrap());
        attempt
    }
}

fn chunk(number: u64, bytes: usize) -> StoredChunk {
    let mut builder = ChunkBuilder::new(Compression::None);
    let data = Random::new(number).bytes(bytes);
    let time = Nanos(number);
    builder.message(
        1,
        &MessageView { channel: 1, sequence: 0, log_time: time, publish_time: time, data: &data },
    );
    builder.build().unwrap().unwrap()
}

/// What a look at a source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Complete(AttemptName),
    Foreign,
    Claimed(AttemptName),
    Free(u32),
}

pub(crate) async fn look(bucket: &Bucket, name: &str) -> Seen {
    match bucket.look(&key(name)).await.unwrap() {
        Look::Complete(source) => Seen::Complete(source.parts.attempt().clone()),
        Look::Foreign => Seen::Foreign,
        Look::Claimed(attempt) => Seen::Claimed(attempt),
        Look::Free { epoch } => Seen::Free(epoch),
    }
}

/// A source that is complete in the bucket.
pub(crate) async fn remote(bucket: &Bucket, name: &str) -> RemoteSource {
    match bucket.look(&key(name)).await.unwrap() {
        Look::Complete(source) => *source,
        Look::Foreign => panic!("another version wrote it"),
        Look::Claimed(attempt) => panic!("it is only claimed, by {attempt}"),
        Look::Free { epoch } => panic!("epoch {epoch} is free"),
    }
}
