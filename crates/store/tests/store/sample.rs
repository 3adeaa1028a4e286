//! Stores, and sources to put into them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rdl_mcap_io::{
    ChannelDef, ChannelRecord, ChunkBuilder, Compression, Index, IndexedChunk, MessageView,
    StoredChunk,
};
use rdl_model::{Nanos, SourceKey, SourceKeyHasher};
use rdl_store::{Attempt, DiskStore, FoundSource, StoreConfig, StoreError};

/// A store in `folder` without a bucket.
pub(crate) fn store(folder: &Path, max_bytes: u64) -> DiskStore {
    open(&StoreConfig { folder: Some(folder.to_owned()), bucket: None, max_bytes: Some(max_bytes) })
}

/// A store over a bucket folder.
pub(crate) fn bucket_store(bucket: &Path, max_bytes: u64) -> DiskStore {
    open(&StoreConfig { folder: None, bucket: Some(bucket.to_owned()), max_bytes: Some(max_bytes) })
}

fn open(config: &StoreConfig) -> DiskStore {
    DiskStore::open(config).unwrap()
}

pub(crate) fn key(name: &str) -> SourceKey {
    SourceKeyHasher::new().field(name).finish()
}

/// A chunk of somewhat more than `bytes`, whose message says `number` over and over.
pub(crate) fn chunk(number: u64, bytes: usize) -> StoredChunk {
    let mut builder = ChunkBuilder::new(Compression::None);
    let data = number.to_le_bytes().repeat(bytes.div_ceil(8));
    let time = Nanos(number);
    builder.message(
        1,
        &MessageView { channel: 1, sequence: 0, log_time: time, publish_time: time, data: &data },
    );
    builder.build().unwrap().unwrap()
}

pub(crate) fn channels() -> Vec<Arc<ChannelRecord>> {
    let def = ChannelDef {
        topic: "/sample".into(),
        message_encoding: "raw".into(),
        schema: None,
        metadata: std::collections::BTreeMap::new(),
    };
    vec![Arc::new(ChannelRecord { id: 1, schema_id: 0, def: Arc::new(def) })]
}

/// An attempt and what it stored so far.
pub(crate) struct Load {
    pub(crate) attempt: Attempt,
    pub(crate) index: Index,
    pub(crate) chunks: Vec<StoredChunk>,
}

impl Load {
    pub(crate) fn begin(store: &DiskStore, name: &str) -> Load {
        Self::of(store.begin(&key(name), name, true).unwrap())
    }

    pub(crate) fn of(attempt: Attempt) -> Load {
        let channels = channels();
        let mut index = Index::default();
        index.channels.insert(1, channels[0].clone());
        Load { attempt, index, chunks: Vec::new() }
    }

    pub(crate) fn append(&mut self, chunk: &StoredChunk) -> Result<(), StoreError> {
        let position = self.attempt.append_chunk(chunk, &channels())?;
        let descriptor = Arc::new(chunk.descriptor.clone());
        self.index.chunks.push(IndexedChunk { descriptor, position });
        self.chunks.push(chunk.clone());
        Ok(())
    }

    pub(crate) fn complete(&mut self) -> Result<(), StoreError> {
        self.attempt.complete(&self.index)
    }

    /// That everything that was appended, from this chunk on, can be read.
    pub(crate) fn check_from(&self, first: usize) {
        let files = self.attempt.files();
        for (indexed, chunk) in self.index.chunks.iter().zip(&self.chunks).skip(first) {
            assert!(files.read(indexed.position).unwrap() == chunk.bytes);
        }
    }
}

/// Stores a complete source of one chunk.
pub(crate) fn put(store: &DiskStore, name: &str, bytes: usize) -> Result<(), StoreError> {
    let mut load = Load::begin(store, name);
    load.append(&chunk(7, bytes))?;
    load.complete()
}

/// That the source is there and reads as [`put`] stored it.
pub(crate) fn check(found: &FoundSource, bytes: usize) {
    let read = found.files.read(found.index.chunks[0].position).unwrap();
    assert!(read == chunk(7, bytes).bytes);
}

pub(crate) fn is_there(store: &DiskStore, name: &str) -> bool {
    store.find(&key(name)).is_some()
}

/// The folders of a source's attempts in a bucket folder.
pub(crate) fn attempts(bucket: &Path, name: &str) -> Vec<PathBuf> {
    let folder = bucket.join("v1/sources").join(key(name).to_string());
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Makes it look as if the source had last been used so long ago.
pub(crate) fn age(bucket: &Path, name: &str, age: Duration) {
    for attempt in attempts(bucket, name) {
        let used = fs::File::options().write(true).open(attempt.join("used")).unwrap();
        used.set_modified(SystemTime::now() - age).unwrap();
    }
}

/// The lengths of all files below a folder, counted independently.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
