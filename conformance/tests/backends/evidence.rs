//! What a pass rests on: nothing that was not looked at passes, and what works does not fail.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use rdl_conformance::{Outcome, Report, Style};
use rdl_testkit::{FileSpec, RawChunk, RawFile, streamed_entry};
use serde_json::{Value, json};

use crate::house::{House, MESSAGE, Ranges, START, TOKEN, check, messages, names, ranged};

/// Chrono's least and greatest dates stand for unknown.
const UNKNOWN: [&str; 2] = ["-262143-01-01T00:00:00Z", "+262142-12-31T23:59:59.999999999Z"];

fn text(report: &Report) -> String {
    report.text(Style { width: 100, colours: false })
}

fn found(report: &Report, rule: &str) -> String {
    let rule = report.rules.iter().find(|it| it.name == rule).unwrap();
    let findings = rule.findings.iter().map(|finding| finding.found.as_str());
    findings.collect::<Vec<_>>().join("; ")
}

/// Two sources with one id, which declare the same and lie at two URLs.
fn one_id_twice() -> [Value; 2] {
    ["/data/0?window=0", "/data/1?window=1"].map(|url| {
        let mut entry = streamed_entry(Some("main"), url, &messages(2));
        (entry["startTime"], entry["endTime"]) = (json!(UNKNOWN[0]), json!(UNKNOWN[1]));
        entry
    })
}

#[tokio::test]
async fn one_id_for_different_data_is_seen_in_the_data() {
    let mut house = House::good();
    *house.at("/sources") = json!(one_id_twice());
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), ["id-unique"], "{}", text(&report));
    assert!(found(&report, "id-unique").contains("it has other messages at another of its URLs"));
    assert_eq!(report.summary.sources, 2, "both are read");
}

#[tokio::test]
async fn one_id_at_two_urls_is_the_same_data_in_two_manifests() {
    let both = |same: bool| async move {
        let mut house = House::good();
        let [one, other] = one_id_twice();
        *house.at("/sources") = json!([one]);
        if same {
            let first = house.streamed["/data/0"].clone();
            house.stream(1, &first);
        }
        house.instead(move |_, asked| {
            let is_other = asked.query == "recording=other" && asked.has_token();
            is_other.then(|| axum::Json(json!({"sources": [other]})).into_response())
        });
        let open = house.open().await;
        let mut options = open.options();
        let mut second = open.manifest();
        second.set_query(Some("recording=other"));
        options.manifests.push(second);
        check(&options).await
    };
    let report = both(true).await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", text(&report));
    assert_eq!(report.outcome("id-unique"), Some(Outcome::Pass), "{}", text(&report));
    let report = both(false).await;
    assert_eq!(names(&report, Outcome::Fail), ["id-unique"], "{}", text(&report));
}

#[tokio::test]
async fn what_stands_twice_in_a_manifest_is_told() {
    let mut house = House::good();
    let first = house.at("/sources/0").clone();
    house.at("/sources").as_array_mut().unwrap().push(first);
    let report = house.open().await.check().await;
    assert_eq!(report.outcome("id-unique"), Some(Outcome::Advice));
    assert!(found(&report, "id-unique").contains("this manifest names it twice"));
}

#[tokio::test]
async fn what_a_damaged_chunk_holds_is_not_observed() {
    let mut house = House::good();
    // An undeclared topic, out of order, out of bounds.
    let records = RawFile::new().channel(9, 0, "/hidden", "json").message(9, 1, 1, b"{}");
    let chunk = RawChunk { crc: 7, ..RawChunk::of(records.into_bytes(), 1, 1) };
    let topic = json!({"name": "/never", "messageEncoding": "json"});
    house.at("/sources/0/topics").as_array_mut().unwrap().push(topic);
    house.stream(0, &small().chunk(&chunk).ended().into_bytes());
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), ["mcap-checksums"], "{}", text(&report));
    for rule in
        ["mcap-valid", "log-time-order", "topics-declared", "times-within-bounds", "topics-seen"]
    {
        assert_eq!(report.outcome(rule), Some(Outcome::NotObserved), "{rule}: {}", text(&report));
    }
    assert!(found(&report, "log-time-order").contains("a damaged record was left out"));
    assert_eq!(report.outcome("mcap-complete"), Some(Outcome::Pass));
}

#[tokio::test]
async fn what_follows_a_broken_record_in_a_chunk_is_not_observed() {
    let mut house = House::good();
    let records = RawFile::new().record(mcap::records::op::MESSAGE, b"short").into_bytes();
    let chunk = RawChunk::of(records, START, START);
    house.stream(0, &small().chunk(&chunk).ended().into_bytes());
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), ["mcap-valid"], "{}", text(&report));
    assert_eq!(report.outcome("log-time-order"), Some(Outcome::NotObserved));
    assert!(found(&report, "log-time-order").contains("what follows it was not looked at"));
}

#[tokio::test]
async fn ranges_that_trickle_end_with_their_source() {
    let mut house = House::good();
    house.instead(|house, asked| {
        let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
        let response = ranged(file, asked, &Ranges::default());
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Some(response);
        }
        let (parts, _) = response.into_parts();
        let bytes = futures::stream::repeat(Bytes::from_static(b"x")).then(async |byte| {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok::<_, std::io::Error>(byte)
        });
        Some(Response::from_parts(parts, Body::from_stream(bytes)))
    });
    let open = house.open().await;
    let mut options = open.options();
    options.max_time = Duration::from_secs(3);
    let started = Instant::now();
    let report = check(&options).await;
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", text(&report));
    assert_eq!(report.outcome("static-ranges"), Some(Outcome::NotObserved));
    assert!(found(&report, "static-ranges").contains("--max-seconds"), "{}", text(&report));
}

fn breaking(mcap: &Bytes, bytes: usize) -> Response {
    let pieces = futures::stream::iter([Ok(mcap.slice(..bytes))]);
    let broken = futures::stream::once(async {
        // What came before has left by then.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(std::io::Error::other("disk"))
    });
    Body::from_stream(pieces.chain(broken)).into_response()
}

#[tokio::test]
async fn one_broken_connection_is_advice() {
    for nth in [1, 3] {
        let mut house = House::good();
        house.instead(move |house, asked| {
            let is_it = asked.path == "/data/0" && asked.nth == nth && asked.has_token();
            is_it.then(|| breaking(&house.streamed["/data/0"], 2000))
        });
        let report = house.open().await.check().await;
        assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", text(&report));
        let rule = if nth == 1 { "mcap-complete" } else { "client-leaves" };
        assert_eq!(report.outcome(rule), Some(Outcome::Advice), "{}", text(&report));
        assert!(found(&report, rule).contains("after 2000 bytes the connection broke"));
        assert_eq!(report.outcome("same-data-twice"), Some(Outcome::Pass));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_further_on_each_time_is_not_observed() {
    let mut house = House::good();
    house.instead(|house, asked| {
        (asked.path == "/data/0" && asked.has_token())
            .then(|| breaking(&house.streamed["/data/0"], 1000 + asked.nth * 100))
    });
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", text(&report));
    assert_eq!(report.outcome("mcap-complete"), Some(Outcome::NotObserved));
}

#[tokio::test]
async fn a_manifest_whose_connection_breaks_once_is_advice() {
    let mut house = House::good();
    house.instead(|house, asked| {
        let is_it = asked.path == "/manifest" && asked.nth == 1 && asked.has_token();
        is_it.then(|| breaking(&Bytes::from(house.manifest.to_string()), 100))
    });
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", text(&report));
    assert_eq!(report.outcome("manifest-answers"), Some(Outcome::Advice));
}

#[tokio::test]
async fn a_file_of_unknown_size_is_no_shorter_for_being_read_in_part() {
    let mut house = House::good();
    house.instead(|house, asked| {
        let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
        let how = Ranges { hides_length: true, ..Ranges::default() };
        let mut response = ranged(file, asked, &how);
        if let Some(told) = response.headers_mut().get_mut(header::CONTENT_RANGE) {
            let text = told.to_str().unwrap().replace("bytes", "Bytes");
            *told = HeaderValue::try_from(text).unwrap();
        }
        Some(response)
    });
    let open = house.open().await;
    let mut options = open.options();
    options.max_bytes = 2000;
    let report = check(&options).await;
    // That there is no length for the whole of it is wrong, and nothing else.
    assert_eq!(names(&report, Outcome::Fail), ["static-content-length"], "{}", text(&report));
    assert_eq!(report.outcome("static-ranges"), Some(Outcome::NotObserved));
}

#[tokio::test]
async fn no_length_is_too_large_to_be_judged() {
    let mut house = House::good();
    house.instead(|house, asked| {
        let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
        let mut response = ranged(file, asked, &Ranges { hides_length: true, ..Ranges::default() });
        if response.status() == StatusCode::OK {
            let length = (u64::MAX - 2).to_string();
            let length = HeaderValue::try_from(length).unwrap();
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        Some(response)
    });
    let open = house.open().await;
    let mut options = open.options();
    options.max_bytes = 2000;
    let report = check(&options).await;
    assert!(names(&report, Outcome::Fail).contains(&"static-ranges"), "{}", text(&report));
}

#[tokio::test]
async fn what_a_backend_echoes_gives_no_secret_away() {
    let mut house = House::good();
    house.instead(|_, asked| {
        let token = asked.header("authorization")?.strip_prefix("Bearer ")?;
        let told = format!(
            "{}{token} cannot read https://user:pw@host/a.mcap?X-Amz-Signature=abc&window=0 or \
             /b?recording=good",
            " ".repeat(290)
        );
        let told = HeaderValue::try_from(told.trim_start().to_owned()).unwrap();
        (asked.path == "/data/0")
            .then(|| (StatusCode::FORBIDDEN, [(MESSAGE, told)]).into_response())
    });
    // That there is neither token nor query in it, `check` sees to.
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), ["source-answers"]);
    let found = found(&report, "source-answers");
    assert!(found.contains("[token] cannot read https://host/a.mcap… or /b…"), "{found}");

    let mut house = House::good();
    *house.at("/sources/0/id") = json!(format!("{}{TOKEN}", "x".repeat(290)));
    let report = house.open().await.check().await;
    assert!(!text(&report).contains(&TOKEN[..8]), "half a token is one, too");
}

#[tokio::test]
async fn a_body_that_comes_at_once_cannot_be_left_in_the_middle() {
    let mut house = House::good();
    house.instead(|house, asked| {
        let is_it = asked.path == "/data/0" && asked.has_token();
        is_it.then(|| house.streamed["/data/0"].slice(..).into_response())
    });
    let small = FileSpec { summary: false, ..FileSpec::default() }.write(&messages(2)[..10]);
    house.stream(0, &small);
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", text(&report));
    assert_eq!(report.outcome("client-leaves"), Some(Outcome::NotObserved));
}

#[tokio::test]
async fn a_token_with_another_end_is_no_token() {
    let front = &TOKEN[..TOKEN.len() / 2];
    let bearer = format!("Bearer {front}");
    let mut house = House::good();
    house.instead(move |house, asked| {
        // As if the signature were not looked at.
        asked.header("authorization")?.starts_with(&bearer).then(|| house.right(asked))
    });
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), ["auth-manifest", "auth-data"], "{}", text(&report));
    assert!(found(&report, "auth-data").contains("with the token and another end"));
}

#[tokio::test]
async fn times_in_the_data_have_to_be_plausible_too() {
    let mut house = House::good();
    let mut all = messages(4);
    all[0].log_time = 5;
    house.file(&FileSpec::default().write(&all));
    let report = house.open().await.check().await;
    assert_eq!(names(&report, Outcome::Fail), ["times-plausible"], "{}", text(&report));
    let found = found(&report, "times-plausible");
    assert!(found.contains("it starts at 1970") && found.contains("and ends at 2026"), "{found}");
}

#[tokio::test]
async fn a_topic_is_seen_in_every_manifest_that_has_its_source() {
    let mut house = House::good();
    let topic = json!({"name": "/never", "messageEncoding": "json"});
    house.at("/sources/0/topics").as_array_mut().unwrap().push(topic);
    let open = house.open().await;
    let mut options = open.options();
    options.manifests.push(open.manifest());
    let report = check(&options).await;
    let rule = report.rules.iter().find(|rule| rule.name == "topics-seen").unwrap();
    assert_eq!(rule.count, 2, "once for each manifest: {rule:?}");
}

#[tokio::test]
async fn chunks_are_measured_by_what_the_loader_takes_as_they_are() {
    let with = |chunk_bytes: u64| async move {
        let mut house = House::good();
        let mut all = messages(4);
        all.iter_mut().for_each(|message| message.data = vec![0; 2000]);
        let spec = FileSpec { chunk_bytes: Some(chunk_bytes), ..FileSpec::default() };
        *house.at("/sources/0") = streamed_entry(Some("drive-0"), "/data/0?window=0", &all);
        house.stream(0, &spec.write(&all));
        house.file(&spec.write(&all));
        house.open().await.check().await
    };
    let report = with(100 << 10).await;
    let rule = report.rules.iter().find(|rule| rule.name == "chunk-size").unwrap();
    assert_eq!(rule.outcome, Outcome::Advice, "{}", text(&report));
    assert_eq!(rule.count, 1, "as a file it is fine");
    // The last chunk has what is left.
    let report = with(700 << 10).await;
    assert_eq!(report.outcome("chunk-size"), Some(Outcome::Pass), "{}", text(&report));
}

#[tokio::test]
async fn an_interrupted_check_tells_what_it_saw() {
    let mut house = House::good();
    house.instead(|house, asked| {
        // It never comes to an end.
        (asked.path == "/data/1" && asked.has_token()).then(|| {
            let first = Ok::<_, std::io::Error>(house.streamed["/data/1"].slice(..1000));
            let pieces = futures::stream::iter([first]).chain(futures::stream::pending());
            Body::from_stream(pieces).into_response()
        })
    });
    let open = house.open().await;
    let stop = tokio::time::sleep(Duration::from_secs(2));
    let report = rdl_conformance::check_until(&open.options(), stop).await.unwrap();
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", text(&report));
    assert_eq!(report.outcome("manifest-valid"), Some(Outcome::Pass));
    assert_eq!(report.outcome("source-answers"), Some(Outcome::NotObserved));
    assert!(found(&report, "source-answers").contains("the check was interrupted"));
    assert_eq!(report.summary.sources, 2);

    let report = rdl_conformance::check_until(&open.options(), std::future::ready(())).await;
    let report = report.unwrap();
    assert!(names(&report, Outcome::Fail).is_empty() && names(&report, Outcome::Pass).is_empty());
}

/// The beginning of a stream of one topic, with a message.
fn small() -> RawFile {
    RawFile::started()
        .schema(1, "test.odom", "jsonschema", br#"{"type":"object"}"#)
        .channel(1, 1, "/odom", "json")
        .message(1, 0, START, b"{}")
}
