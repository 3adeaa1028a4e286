//! More than fits: more sources than may load at a time, more open chunks than memory holds, and
//! recordings that are larger than the disk store.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use mcap::records::MessageHeader;
use rdl_testkit::{
    Drive, FakeBackend, FileSpec, Message, Recording, Viewer, check_all, decode, manifest_json,
    static_entry,
};
use tokio::task::JoinSet;

use crate::loader::{Loader, serve, within};

/// What a container may give the process.
const MEMORY_BYTES: u64 = 250 << 20;

async fn whole_and_right(loader: &Loader, viewers: usize, query: &str, truth: &Arc<Vec<Message>>) {
    let mut running = JoinSet::new();
    for _ in 0..viewers {
        let url = loader.stream(query);
        let truth = truth.clone();
        running.spawn(async move {
            let answer = Viewer::open(&url).await?.rest().await?;
            anyhow::ensure!(answer.status == 200, "{}", answer.text());
            anyhow::ensure!(answer.complete, "it broke off after {} bytes", answer.body.len());
            check_all(&decode(&answer.body)?.messages, &truth)
        });
    }
    let what = format!("{viewers} whole answers to {query}");
    for answer in within(60, &what, loader, running.join_all()).await {
        assert!(answer.is_ok(), "{answer:?}\n{}", loader.printed());
    }
}

fn memory_held(loader: &Loader) {
    let (_, peak_bytes) = loader.observed().resident_bytes().unwrap();
    eprintln!("peak {} MiB", peak_bytes >> 20);
    assert!(peak_bytes < MEMORY_BYTES, "{} MiB at the peak", peak_bytes >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_overlapping_sources_become_one() {
    let drive = Drive {
        windows: 1,
        groups: 600,
        messages: 60,
        payload_bytes: 500,
        tick_nanos: 1,
        ..Drive::default()
    };
    let recording = drive.generate();
    let truth = Arc::new(recording.merged());
    let backend = FakeBackend::start().await;
    let files = serve(&backend, "wide", &recording);
    let loader = Loader::start(&backend, &[]).await;
    for viewers in [1, 6] {
        whole_and_right(&loader, viewers, "ds.recording=wide", &truth).await;
    }
    for (path, _) in &files {
        assert_eq!(backend.count(path), 1, "{path} was loaded once");
    }
    memory_held(&loader);
}

/// How many chunks lie over each other, and what each holds.
const CHUNKS: u64 = 413;
const MESSAGES: u64 = 1_000;
const MESSAGE_BYTES: usize = 1_000;
const STEP_NANOS: u64 = 1_000_000;

/// A file of one chunk for each topic, each over the whole time.
fn one_chunk_a_topic() -> Vec<u8> {
    let chunk_bytes = Some(MESSAGES * MESSAGE_BYTES as u64);
    let options =
        mcap::WriteOptions::new().chunk_size(chunk_bytes).compression(Some(mcap::Compression::Lz4));
    let mut writer = options.create(Cursor::new(Vec::new())).unwrap();
    for topic in 0..CHUNKS {
        let name = format!("/topic{topic}");
        let channel_id = writer.add_channel(0, &name, "raw", &BTreeMap::new()).unwrap();
        for number in 0..MESSAGES {
            let log_time = number * STEP_NANOS + topic;
            let (sequence, publish_time) = (u32::try_from(number).unwrap(), log_time);
            let header = MessageHeader { channel_id, sequence, log_time, publish_time };
            writer.write_to_known_channel(&header, &[7; MESSAGE_BYTES]).unwrap();
        }
        writer.flush().unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_all_overlap_need_not_fit_into_memory() {
    let file = tokio::task::spawn_blocking(one_chunk_a_topic).await.unwrap();
    let backend = FakeBackend::start().await;
    backend.static_file("/file", file);
    backend.recording("deep", &manifest_json(None, &[static_entry("/file")]));
    let loader = Loader::start(&backend, &[]).await;
    let mut viewers = JoinSet::new();
    for viewer in 0..12 {
        // Each looks at another twentieth of the time.
        let (first, last) = (viewer * 80, viewer * 80 + 49);
        let (start, end) = (first * STEP_NANOS, (last + 1) * STEP_NANOS - 1);
        let url = loader.stream(&format!("ds.recording=deep&start={start}&end={end}"));
        viewers.spawn(async move {
            let answer = Viewer::open(&url).await.unwrap().rest().await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.complete, "an answer broke off after {} bytes", answer.body.len());
            let messages = decode(&answer.body).unwrap().messages;
            let mut expected =
                (first..=last).flat_map(|number| (0..CHUNKS).map(move |topic| (number, topic)));
            for message in &messages {
                let (number, topic) = expected.next().expect("there are no more");
                assert_eq!(message.log_time, number * STEP_NANOS + topic);
                assert_eq!(message.channel.topic, format!("/topic{topic}"));
                assert_eq!(message.data, [7; MESSAGE_BYTES]);
            }
            assert!(expected.next().is_none(), "{} messages", messages.len());
        });
    }
    within(90, "twelve windows on 413 overlapping chunks", &loader, viewers.join_all()).await;
    memory_held(&loader);
}

/// The disk store of the tests that follow, in bytes.
const DISK_BYTES: &str = "8388608";

async fn larger_than_the_disk(drive: Drive, environment: &[(&str, &str)]) {
    let recording = drive.generate();
    let truth = Arc::new(recording.merged());
    let backend = FakeBackend::start().await;
    serve(&backend, "large", &recording);
    let loader = Loader::start(&backend, environment).await;
    for viewers in [1, 2] {
        whole_and_right(&loader, viewers, "ds.recording=large", &truth).await;
    }
    memory_held(&loader);
}

/// About `megabytes` in all, random and so incompressible.
fn drive(windows: usize, groups: usize, megabytes: usize) -> Drive {
    let payload_bytes = 4_000;
    let messages = (megabytes << 20) / (3_000 * windows * groups);
    let tick_nanos = 1_000;
    Drive { windows, groups, messages, payload_bytes, tick_nanos, ..Drive::default() }
}

const SMALL: &[(&str, &str)] = &[("REQUEST_CACHE_MAX_BYTES", DISK_BYTES)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consecutive_sources_need_not_fit_on_the_disk() {
    larger_than_the_disk(drive(12, 1, 24), SMALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_sources_need_not_fit_on_the_disk() {
    larger_than_the_disk(drive(1, 6, 24), SMALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_source_need_not_fit_on_the_disk() {
    larger_than_the_disk(drive(1, 1, 32), SMALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_file_need_not_fit_on_the_disk() {
    let recording: Recording = drive(1, 1, 32).generate();
    let truth = Arc::new(recording.merged());
    let backend = FakeBackend::start().await;
    let spec = FileSpec { compression: None, chunk_bytes: Some(1 << 20), ..FileSpec::default() };
    backend.static_file("/file", spec.write(&recording.sources[0]));
    backend.recording("large", &manifest_json(None, &[static_entry("/file")]));
    let loader = Loader::start(&backend, SMALL).await;
    for viewers in [1, 2] {
        whole_and_right(&loader, viewers, "ds.recording=large", &truth).await;
    }
    memory_held(&loader);
}
