//! The virtual file: every range of it is a slice of one whole, which has everything.

mod cuts;
mod faults;
mod kept;
mod replicas;

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rdl_engine::{
    Engine, EngineConfig, EngineError, FileRequest, FileVersion, ManifestParams, OpenFile, Query,
};
use rdl_model::ByteRange;

use crate::backend::{Backend, recording};
use crate::drive::{self, Message, Source};
use crate::output;

const PATIENCE: Duration = Duration::from_secs(30);

fn request() -> FileRequest {
    FileRequest {
        params: ManifestParams::default(),
        token: None,
        cut: None,
        version: None,
        kept_only: false,
    }
}

async fn open(engine: &Arc<Engine>) -> Result<OpenFile, EngineError> {
    engine.open_file(&request(), PATIENCE).await
}

/// Exactly this version.
async fn open_pinned(engine: &Arc<Engine>, version: FileVersion) -> Result<OpenFile, EngineError> {
    engine.open_file(&FileRequest { version: Some(version), ..request() }, PATIENCE).await
}

async fn read(file: &OpenFile, range: ByteRange) -> Result<Vec<u8>, EngineError> {
    let slices: Vec<_> = file.read(range).await?.try_collect().await?;
    Ok(slices.concat())
}

async fn read_whole(file: &OpenFile) -> Vec<u8> {
    let slices: Vec<_> = file.read_whole().await.unwrap().try_collect().await.unwrap();
    slices.concat()
}

/// As a reader sees them that follows the index: by time, and then as they lie in the file.
fn in_order_of_time(file: &[u8]) -> Vec<Message> {
    let mut messages = output::messages_as_they_lie(file);
    messages.sort_by_key(|message| message.log_time);
    messages
}

/// Names each message, so that none can stand for another.
fn name_messages(sources: &mut [Source]) {
    for (at, source) in (0..).zip(sources) {
        for (number, message) in (0..).zip(&mut source.messages) {
            message.sequence = at * 10_000 + number;
        }
    }
}

fn assert_same_messages(file: &[u8], sources: &[Source]) {
    let found = in_order_of_time(file);
    let sorted = |mut messages: Vec<Message>| {
        messages.sort_by_key(|message| (message.log_time, message.sequence));
        messages
    };
    assert_eq!(sorted(found.clone()), sorted(drive::merged(sources)));
    // What is loaded lies in order; a static file may have its chunks in any order.
    for (at, source) in (0..).zip(sources).filter(|(_, source)| !source.shape.is_static) {
        let of_source =
            |message: &&Message| (at * 10_000..(at + 1) * 10_000).contains(&message.sequence);
        let found: Vec<Message> = found.iter().filter(of_source).cloned().collect();
        assert_eq!(found, drive::merged(std::slice::from_ref(source)));
    }
}

fn config() -> Config {
    Config {
        cases: 64,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_sources_make_one_file_and_every_range_is_a_slice_of_it(
        sources in drive::sources(),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), 1_u64..100_000), 20),
        memory_limit_bytes in prop_oneof![Just(160 << 20), Just(16 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut sources = sources;
            name_messages(&mut sources);
            let folder = tempfile::tempdir().unwrap();
            let backend = Backend::of(&sources).await;
            let limit = |config: &mut EngineConfig| config.memory_limit_bytes = memory_limit_bytes;
            let engine = backend.engine_with(folder.path(), limit).await;
            let file = open(&engine).await.unwrap();
            let start = |at: &prop::sample::Index| at.index(file.bytes() as usize + 10) as u64;
            // Ranges first: nothing of a static source was verified then.
            let mut slices = Vec::new();
            for (at, len) in &ranges {
                let range = ByteRange::at(start(at), *len);
                slices.push((range, read(&file, range).await.unwrap()));
            }
            let whole = read_whole(&file).await;
            assert_eq!(whole.len() as u64, file.bytes());
            for (range, slice) in slices {
                let [from, to] = [range.start, range.end].map(|at| whole.len().min(at as usize));
                assert!(slice == whole[from..to], "{range:?}");
            }
            rdl_testkit::decode(&whole).unwrap();
            assert_same_messages(&whole, &sources);
            let stream = output::collect(&recording(&engine).await, Query::default()).await.unwrap();
            assert_eq!(output::messages(&stream), drive::merged(&sources));
            // Once more, now that everything is known; and by another process.
            let again = open(&engine).await.unwrap();
            assert_eq!(again.version(), file.version());
            assert!(read_whole(&again).await == whole);
            engine.shutdown().await;
            let other = tempfile::tempdir().unwrap();
            let engine = backend.engine_with(other.path(), limit).await;
            let file = open(&engine).await.unwrap();
            if file.version() == again.version() {
                assert!(read_whole(&file).await == whole, "one version, one file");
            }
            engine.shutdown().await;
        });
    }
}
