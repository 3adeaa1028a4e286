//! Any set of sources, in any shape, gives exactly the stable merge.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rdl_engine::{Compression, EngineConfig, Query, ReplayPolicy};
use rdl_model::{Nanos, ProblemCode, TimeRange};
use serde_json::{Value, json};

use crate::backend::{Backend, declare, recording, time};
use crate::drive::{self, Message, Source};
use crate::output;

fn config() -> Config {
    Config {
        cases: 96,
        rng_seed: RngSeed::Fixed(20),
        failure_persistence: None,
        ..Config::default()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn queries() -> impl Strategy<Value = Query> {
    let topics = prop_oneof![
        3 => Just(None),
        1 => Just(Some(vec!["/t0"])),
        1 => Just(Some(vec!["/t1", "/t2"])),
        1 => Just(Some(vec!["/none"])),
    ];
    let times = prop_oneof![
        3 => Just((0, u64::MAX)),
        1 => Just((0, 0)),
        1 => Just((u64::MAX, u64::MAX)),
        3 => (0_u64..45, 0_u64..45).prop_map(|(a, b)| (a.min(b), a.max(b))),
    ];
    let accepts = prop_oneof![
        2 => Just(None),
        1 => Just(Some(vec![Compression::None])),
        1 => Just(Some(vec![Compression::Zstd])),
    ];
    (topics, times, accepts).prop_map(|(topics, (start, end), accepts)| Query {
        topics: topics.map(|topics| topics.into_iter().map(str::to_owned).collect()),
        times: TimeRange { start: Nanos(start), end: Nanos(end) },
        has_start: true,
        accepts,
        ..Query::default()
    })
}

fn selected(sources: &[Source], query: &Query) -> Vec<Message> {
    let mut all = drive::merged(sources);
    all.retain(|message| {
        query.times.contains(Nanos(message.log_time)) && query.wants_topic(&message.topic)
    });
    all
}

/// For each channel the newest message before the start, as the merge orders them.
fn latched(sources: &[Source], query: &Query) -> Vec<Message> {
    let mut seen = BTreeSet::new();
    let mut newest: Vec<Message> = drive::merged(sources)
        .into_iter()
        .filter(|message| Nanos(message.log_time) < query.times.start)
        .filter(|message| query.wants_topic(&message.topic))
        .rev()
        .filter(|message| {
            let schema = message.schema.clone();
            seen.insert((message.topic.clone(), schema, message.metadata.clone()))
        })
        .collect();
    newest.reverse();
    newest
}

proptest! {
    #![proptest_config(config())]

    /// Twice: while the sources load, and from what is kept afterwards. With so little memory that
    /// every open chunk is spilled, too.
    #[test]
    fn any_sources_give_the_stable_merge(
        sources in drive::sources(),
        query in queries(),
        memory_limit_bytes in prop_oneof![Just(160 << 20), Just(1 << 10)],
    ) {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let backend = Backend::of(&sources).await;
            let limit = |config: &mut EngineConfig| config.memory_limit_bytes = memory_limit_bytes;
            let engine = backend.engine_with(folder.path(), limit).await;
            let recording = recording(&engine).await;
            let expected = selected(&sources, &query);
            for _ in 0..2 {
                let bytes = output::collect(&recording, query.clone()).await.unwrap();
                assert_eq!(output::messages(&bytes), expected);
                assert_eq!(output::metadata(&bytes), []);
            }
            engine.shutdown().await;
        });
    }

    /// What lies outside the declared bounds is served; what the first answer had already passed
    /// when it came is counted there, and in its place in the second.
    #[test]
    fn wrong_declared_bounds_cost_nothing_that_is_not_named(
        sources in drive::sources(),
        declared in prop::collection::vec((0_u64..1020, 0_u64..1020), 5),
    ) {
        run(async {
            let mut sources = sources;
            for source in &mut sources {
                source.shape.is_static = false;
            }
            let entries: Vec<Value> = sources
                .iter()
                .enumerate()
                .zip(&declared)
                .map(|(source, (a, b))| {
                    let mut entry = declare(source);
                    entry["startTime"] = time(*a.min(b)).into();
                    entry["endTime"] = time(*a.max(b)).into();
                    entry
                })
                .collect();
            let bodies = sources.iter().map(Source::mcap).collect();
            let backend = Backend::start(json!({ "sources": entries }), bodies).await;
            let folder = tempfile::tempdir().unwrap();
            let engine = backend.engine(folder.path()).await;
            let recording = recording(&engine).await;
            let expected = drive::merged(&sources);

            let first = output::collect(&recording, Query::default()).await.unwrap();
            let got = output::messages(&first);
            let named: usize = output::metadata(&first)
                .iter()
                .flat_map(|record| record.metadata.values())
                .map(|missing| serde_json::from_str::<Value>(missing).unwrap())
                .map(|missing| missing["count"].as_u64().unwrap() as usize)
                .sum();
            assert_eq!(got.len() + named, expected.len());
            let mut rest = expected.iter();
            assert!(got.iter().all(|message| rest.any(|other| other == message)), "in order");

            let second = output::collect(&recording, Query::default()).await.unwrap();
            assert_eq!(output::messages(&second), expected);
            assert_eq!(output::metadata(&second), []);

            let lies = sources.iter().zip(&declared).filter(|(source, (a, b))| {
                let (declared, real) = ((*a.min(b), *a.max(b)), source.bounds());
                real.is_some_and(|(start, end)| start < declared.0 || end > declared.1)
            });
            let problems = recording.sources().problems;
            let told = problems.iter().filter(|one| one.code == ProblemCode::OutsideDeclaredBounds);
            assert_eq!(told.count(), lies.count());
            engine.shutdown().await;
        });
    }

    /// In sources that are loaded already: what would have to be loaded is searched by topic, not
    /// by channel.
    #[test]
    fn a_lookback_puts_the_newest_of_each_channel_first(
        sources in drive::sources(),
        start in 1_u64..1005,
    ) {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let backend = Backend::of(&sources).await;
            let engine = backend.engine(folder.path()).await;
            let recording = recording(&engine).await;
            let query = Query {
                times: TimeRange { start: Nanos(start), end: Nanos::MAX },
                has_start: true,
                replay: ReplayPolicy::LastPerChannel,
                ..Query::default()
            };
            output::collect(&recording, Query::default()).await.unwrap();
            let mut expected = latched(&sources, &query);
            expected.extend(selected(&sources, &query));
            let bytes = output::collect(&recording, query).await.unwrap();
            assert_eq!(output::messages(&bytes), expected);
            engine.shutdown().await;
        });
    }
}

#[test]
fn each_source_is_downloaded_once() {
    run(async {
        let source = Source {
            messages: (0..50)
                .map(|at| Message {
                    topic: "/a".into(),
                    schema: None,
                    metadata: Default::default(),
                    log_time: at,
                    publish_time: at,
                    sequence: at as u32,
                    data: vec![1; 100],
                })
                .collect(),
            shape: drive::Shape {
                chunk_bytes: Some(500),
                compression: None,
                first_id: 1,
                is_static: false,
            },
        };
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::of(std::slice::from_ref(&source)).await;
        let engine = backend.engine(folder.path()).await;
        let answers = (0..8).map(|_| async {
            let recording = recording(&engine).await;
            output::collect(&recording, Query::default()).await.unwrap()
        });
        for bytes in futures::future::join_all(answers).await {
            assert_eq!(output::messages(&bytes), source.messages);
        }
        assert_eq!(backend.downloads(), 1);
        engine.shutdown().await;
    });
}
