//! What works, and could work better: advice, and never a failure.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use futures::StreamExt as _;
use rdl_conformance::{Outcome, RULES, Severity};
use rdl_testkit::{Channel, FileSpec, Message, streamed_entry};
use serde_json::json;

use crate::house::{House, Ranges, START, messages, names, ranged};

type Change = fn(&mut House);

const ADVISED: &[(&str, &str, Change)] = &[
    ("https", "fine on this machine only", |_| {}),
    ("canonical-ids", "have other ids", |_| {}),
    ("url-stable", "its URL is another at each request", |house| {
        *house.at("/sources/0/id") = json!(null);
        house.instead(|house, asked| {
            (asked.path == "/manifest" && asked.nth == 2).then(|| {
                house.manifest.to_string().replace("window=0", "window=00").into_response()
            })
        });
    }),
    ("error-message", "401 Unauthorized without x-foxglove-error-message", |house| {
        house.instead(|_, asked| {
            (!asked.has_token()).then(|| StatusCode::UNAUTHORIZED.into_response())
        });
    }),
    ("error-message", "a 4xx says whose fault it is", |house| {
        house.instead(|_, asked| {
            let is_it = asked.query.contains("no-such-thing") && asked.has_token();
            is_it.then(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        });
    }),
    ("static-validator", "neither ETag nor Last-Modified", |house| {
        house.instead(|house, asked| {
            let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
            Some(ranged(file, asked, &Ranges { etag: None, ..Ranges::default() }))
        });
    }),
    ("static-suffix-range", "readers then need a request more", |house| {
        house.instead(|house, asked| {
            let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
            let status = Some(StatusCode::NOT_IMPLEMENTED);
            Some(ranged(file, asked, &Ranges { suffix_status: status, ..Ranges::default() }))
        });
    }),
    ("static-if-match", "412 is right", |house| {
        house.instead(|house, asked| {
            let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
            let mut asked_less = crate::house::Asked {
                path: asked.path.clone(),
                query: asked.query.clone(),
                headers: asked.headers.clone(),
                nth: asked.nth,
            };
            asked_less.headers.remove("if-match");
            Some(ranged(file, &asked_less, &Ranges::default()))
        });
    }),
    ("static-if-range", "with another file's validator in If-Range it answered 206", |house| {
        house.instead(|house, asked| {
            let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
            Some(ranged(file, asked, &Ranges { ignores_if_range: true, ..Ranges::default() }))
        });
    }),
    ("static-summary", "it has no summary", |house| {
        let spec = FileSpec { summary: false, ..FileSpec::default() };
        house.file(&spec.write(&messages(4)));
    }),
    ("mcap-checksums", "have no checksum", |house| {
        let spec = FileSpec { crcs: false, ..FileSpec::default() };
        house.stream(0, &spec.write(&messages(2)));
    }),
    ("topics-seen", "no source has a message of it", |house| {
        let topic = json!({"name": "/never", "messageEncoding": "json"});
        house.at("/sources/0/topics").as_array_mut().unwrap().push(topic);
    }),
    ("chunk-size", "6.0 KiB in the median", |house| {
        let messages = large(2 << 20, 1, 2_000);
        let spec =
            FileSpec { chunk_bytes: Some(4 << 10), compression: None, ..FileSpec::default() };
        replace(house, &messages, &spec);
    }),
    ("chunk-size", "outside of chunks", |house| {
        let messages = large(2 << 20, 1, 2_000);
        replace(house, &messages, &FileSpec { chunk_bytes: None, ..FileSpec::default() });
    }),
    ("chunk-size", "of which all is fetched for one message", |house| {
        let messages = large(20 << 20, 1, 100_000);
        let spec = FileSpec { chunk_bytes: Some(19 << 20), ..FileSpec::default() };
        replace(house, &messages, &spec);
    }),
    ("split-by-time", "whoever seeks into it waits", |house| {
        let messages = large(34 << 20, 3_000_000_000, 100_000);
        let spec =
            FileSpec { compression: None, chunk_bytes: Some(1 << 20), ..FileSpec::default() };
        replace(house, &messages, &spec);
    }),
    ("split-by-topic", "its largest topic, /points", |house| {
        let mut messages = large(34 << 20, 1_000_000, 100_000);
        for topic in ["/imu", "/odom"] {
            let channel = Arc::new(Channel::json(topic));
            messages.iter_mut().skip(topic.len()).step_by(40).for_each(|message| {
                message.channel = channel.clone();
                message.data.truncate(100);
            });
        }
        let spec =
            FileSpec { compression: None, chunk_bytes: Some(1 << 20), ..FileSpec::default() };
        replace(house, &messages, &spec);
    }),
    ("streams-as-made", "made before any of it is sent", |house| {
        house.wait = Duration::from_millis(2_200);
        let messages = large(300 << 10, 1, 1_000);
        let spec =
            FileSpec { chunk_bytes: Some(1 << 20), compression: None, ..FileSpec::default() };
        replace(house, &messages, &spec);
    }),
    ("flushes", "nothing came for", |house| {
        let messages = large(300 << 10, 1, 1_000);
        let spec =
            FileSpec { chunk_bytes: Some(1 << 20), compression: None, ..FileSpec::default() };
        replace(house, &messages, &spec);
        house.instead(|house, asked| {
            (asked.path == "/data/0" && asked.has_token()).then(|| {
                let mcap = house.streamed["/data/0"].clone();
                let pieces = futures::stream::iter([mcap.slice(..20_000), mcap.slice(20_000..)]);
                let pieces = pieces.enumerate().then(async |(number, piece)| {
                    tokio::time::sleep(Duration::from_millis(2_200 * number as u64)).await;
                    Ok::<_, std::io::Error>(piece)
                });
                Body::from_stream(pieces).into_response()
            })
        });
    }),
];

/// So many bytes of messages, so far apart.
fn large(bytes: usize, apart_nanos: u64, each: usize) -> Vec<Message> {
    let channel = Arc::new(Channel::json("/points"));
    let of = |number: u64| Message {
        channel: channel.clone(),
        log_time: START + number * apart_nanos,
        publish_time: START,
        sequence: 0,
        data: vec![number as u8; each],
    };
    (0..(bytes / each) as u64).map(of).collect()
}

/// Makes them the first source.
fn replace(house: &mut House, messages: &[Message], spec: &FileSpec) {
    *house.at("/sources/0") = streamed_entry(Some("drive-0"), "/data/0?window=0", messages);
    house.stream(0, &spec.write(messages));
}

#[tokio::test]
async fn advice_is_given_and_nothing_fails() {
    let wrong: Vec<Option<String>> = futures::stream::iter(ADVISED)
        .map(|(rule, found, change)| async move {
            let mut house = House::good();
            change(&mut house);
            let report = house.open().await.check().await;
            let told = report.rules.iter().find(|it| it.name == *rule).unwrap();
            let is_found = told.findings.iter().any(|finding| finding.found.contains(found));
            let failed: Vec<_> = report.failed().map(|rule| (rule.name, &rule.found)).collect();
            // The last two are about time, of which a busy machine takes more.
            let always = ["https", "canonical-ids", "mcap-checksums", "streams-as-made", "flushes"];
            let others: Vec<&str> = names(&report, Outcome::Advice)
                .into_iter()
                .filter(|name| name != rule && !always.contains(name))
                .collect();
            let is_right = told.outcome == Outcome::Advice && is_found && failed.is_empty();
            (!is_right || !others.is_empty()).then(|| {
                format!(
                    "{rule}: {:?} {:?}; failed {failed:?}; also {others:?}",
                    told.outcome, told.findings
                )
            })
        })
        .buffer_unordered(4)
        .collect()
        .await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_that_only_advises_is_seen_to_advise() {
    let advised = |name: &str| ADVISED.iter().any(|(rule, ..)| *rule == name);
    let rules = RULES.iter().filter(|rule| rule.severity == Severity::Should);
    let missing: Vec<&str> = rules.map(|rule| rule.name).filter(|name| !advised(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
