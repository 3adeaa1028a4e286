//! What outlives a process, and what does not.

use std::path::Path;
use std::sync::Arc;

use rdl_engine::{Engine, EngineConfig, Query, SourceStatus, StoreConfig};

use crate::backend::{Backend, recording};
use crate::drive::{Message, Shape, Source};
use crate::output;

fn source() -> Source {
    Source {
        messages: (0..500)
            .map(|at| Message {
                topic: format!("/t{}", at % 3),
                schema: Some(("S".into(), vec![1, 2, 3])),
                metadata: Default::default(),
                log_time: at * 1000,
                publish_time: at,
                sequence: at as u32,
                data: vec![at as u8; 200],
            })
            .collect(),
        shape: Shape { chunk_bytes: Some(4096), compression: None, first_id: 1, is_static: false },
    }
}

async fn engine(backend: &Backend, bucket: &Path) -> Arc<Engine> {
    let store = StoreConfig { folder: None, bucket: Some(bucket.to_owned()), max_bytes: None };
    Engine::start(EngineConfig { store, ..backend.config() }).await.unwrap()
}

#[tokio::test]
async fn a_complete_source_outlives_the_process_in_the_bucket_folder() {
    let bucket = tempfile::tempdir().unwrap();
    let source = source();
    let backend = Backend::of(std::slice::from_ref(&source)).await;
    for run in 0..3 {
        let engine = engine(&backend, bucket.path()).await;
        let recording = recording(&engine).await;
        if run > 0 {
            let info = recording.describe().await.unwrap();
            assert_eq!(info.sources[0].status, SourceStatus::Cached);
            assert_eq!(info.sources[0].message_count, Some(500));
        }
        let bytes = output::collect(&recording, Query::default()).await.unwrap();
        assert_eq!(output::messages(&bytes), source.messages);
        engine.shutdown().await;
    }
    assert_eq!(backend.downloads(), 1);
}

/// Every part is a whole MCAP file by itself.
#[tokio::test]
async fn parts_are_mcap_files() {
    let bucket = tempfile::tempdir().unwrap();
    let source = source();
    let backend = Backend::of(std::slice::from_ref(&source)).await;
    let engine = engine(&backend, bucket.path()).await;
    output::collect(&recording(&engine).await, Query::default()).await.unwrap();
    engine.shutdown().await;
    let mut messages = Vec::new();
    for path in parts(bucket.path()) {
        messages.extend(output::messages(&std::fs::read(path).unwrap()));
    }
    assert_eq!(messages, source.messages);
}

#[tokio::test]
async fn a_damaged_copy_is_loaded_again() {
    let bucket = tempfile::tempdir().unwrap();
    let source = source();
    let backend = Backend::of(std::slice::from_ref(&source)).await;
    let first = engine(&backend, bucket.path()).await;
    output::collect(&recording(&first).await, Query::default()).await.unwrap();
    first.shutdown().await;
    for path in parts(bucket.path()) {
        std::fs::write(path, "no longer").unwrap();
    }
    let second = engine(&backend, bucket.path()).await;
    let bytes = output::collect(&recording(&second).await, Query::default()).await.unwrap();
    assert_eq!(output::messages(&bytes), source.messages);
    assert_eq!(backend.downloads(), 2);
}

#[tokio::test]
async fn without_a_bucket_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let source = source();
    let backend = Backend::of(std::slice::from_ref(&source)).await;
    let engine = backend.engine(folder.path()).await;
    output::collect(&recording(&engine).await, Query::default()).await.unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().count() > 0);
    engine.shutdown().await;
    drop(engine);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn parts(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mcap") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
