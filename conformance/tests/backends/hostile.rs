//! Backends that are out to harm: the check ends, in bounded memory, and gives nothing away.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rdl_conformance::{CheckOptions, Outcome, Report};
use rdl_testkit::{RawChunk, RawFile};
use serde_json::json;

use crate::house::{House, START, TOKEN, check, names};

/// How long any of this may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn first_found(report: &Report, rule: &str) -> String {
    report.rules.iter().find(|it| it.name == rule).unwrap().found.clone()
}

async fn in_time(options: &CheckOptions) -> Report {
    let started = Instant::now();
    let report = tokio::time::timeout(PATIENCE, check(options)).await.unwrap();
    assert!(started.elapsed() < PATIENCE);
    report
}

fn endless(front: Vec<u8>, again: Vec<u8>) -> Response {
    let again = Bytes::from(again);
    let pieces = futures::stream::unfold(Some(Bytes::from(front)), move |front| {
        let piece = front.unwrap_or_else(|| again.clone());
        async move { Some((Ok::<_, std::io::Error>(piece), None)) }
    });
    Body::from_stream(pieces).into_response()
}

#[tokio::test]
async fn nobody_listens() {
    let report =
        in_time(&CheckOptions::new(vec!["http://127.0.0.1:1/m?a=b".parse().unwrap()])).await;
    assert_eq!(names(&report, Outcome::Fail), ["manifest-answers"]);
    assert_eq!(
        first_found(&report, "manifest-answers"),
        "http://127.0.0.1:1/m: the connection was refused: nothing listens there"
    );
    assert!(names(&report, Outcome::Pass).is_empty(), "nothing was seen, so nothing passes");
}

#[tokio::test]
async fn there_is_no_such_host() {
    let url = "https://no-such-host.invalid/manifest".parse().unwrap();
    let report = in_time(&CheckOptions::new(vec![url])).await;
    assert_eq!(names(&report, Outcome::Fail), ["manifest-answers"]);
    let found = first_found(&report, "manifest-answers");
    assert!(found.contains("the host's name cannot be resolved"), "{found}");
}

#[tokio::test]
async fn plain_http_elsewhere_is_not_even_asked() {
    let url = "http://198.51.100.7/manifest".parse().unwrap();
    let report = in_time(&CheckOptions::new(vec![url])).await;
    assert_eq!(names(&report, Outcome::Fail), ["https"]);
}

#[tokio::test]
async fn a_missing_token_is_one_clear_line() {
    let open = House::good().open().await;
    let mut options = open.options();
    options.token = None;
    let report = in_time(&options).await;
    assert_eq!(names(&report, Outcome::Fail), ["manifest-answers"]);
    let found = first_found(&report, "manifest-answers");
    assert!(found.contains("401 Unauthorized (\"please log in\"); give a token"), "{found}");
    assert_eq!(report.outcome("auth-manifest"), Some(Outcome::Pass));
}

#[tokio::test]
async fn a_silent_server_is_waited_for_only_so_long() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/manifest", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let mut options = CheckOptions::new(vec![url.parse().unwrap()]);
    options.timeout = Duration::from_millis(300);
    let report = in_time(&options).await;
    assert_eq!(names(&report, Outcome::Fail), ["manifest-answers"]);
    let found = first_found(&report, "manifest-answers");
    assert!(found.ends_with("no answer within 0.3 s"), "{found}");
    silent.abort();
}

#[tokio::test]
async fn a_source_that_stalls_is_incomplete() {
    let mut house = House::good();
    house.instead(|house, asked| {
        (asked.path == "/data/0" && asked.has_token()).then(|| {
            let first = Ok::<_, std::io::Error>(house.streamed["/data/0"].slice(..1000));
            let pieces = futures::stream::iter([first]);
            let pieces = futures::StreamExt::chain(pieces, futures::stream::pending());
            Body::from_stream(pieces).into_response()
        })
    });
    let open = house.open().await;
    let mut options = open.options();
    options.timeout = Duration::from_secs(2);
    let report = in_time(&options).await;
    assert_eq!(names(&report, Outcome::Fail), ["mcap-complete"]);
    let found = first_found(&report, "mcap-complete");
    assert_eq!(found, "after 1000 bytes no further bytes within 2 s");
}

#[tokio::test]
async fn an_endless_manifest_ends() {
    let mut house = House::good();
    house.instead(|_, asked| {
        let is_it = asked.path == "/manifest" && asked.has_token();
        is_it.then(|| endless(b"{\"sources\": [".to_vec(), vec![b' '; 64 << 10]))
    });
    let report = in_time(&house.open().await.options()).await;
    assert_eq!(names(&report, Outcome::Fail), ["manifest-answers"]);
    let found = first_found(&report, "manifest-answers");
    assert!(found.contains("larger than 16.0 MiB"), "{found}");
}

#[tokio::test]
async fn an_endless_source_is_read_to_the_limit_and_never_passes() {
    let mut house = House::good();
    house.instead(|_, asked| {
        (asked.path == "/data/0" && asked.has_token()).then(|| {
            let front = RawFile::started()
                .schema(1, "test.odom", "jsonschema", br#"{"type":"object"}"#)
                .channel(1, 1, "/odom", "json")
                .into_bytes();
            let again = RawFile::new().message(1, 0, START, &[b' '; 60_000]).into_bytes();
            endless(front, again)
        })
    });
    let open = house.open().await;
    let mut options = open.options();
    options.max_bytes = 8 << 20;
    let report = in_time(&options).await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0]);
    assert_eq!(report.outcome("mcap-complete"), Some(Outcome::NotObserved));
    assert_eq!(report.outcome("log-time-order"), Some(Outcome::NotObserved));

    options.max_bytes = u64::MAX;
    options.max_time = Duration::from_millis(500);
    let report = in_time(&options).await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0]);
    let found = first_found(&report, "mcap-complete");
    assert_eq!(found, "only 0.5 s of it were read: --max-seconds");
}

#[tokio::test]
async fn forged_lengths_are_refused_before_anything_is_waited_for() {
    let forged = [
        RawFile::started().forged_record(6, 1 << 60, &[0; 100]).into_bytes(),
        RawFile::started().forged_record(5, 1 << 50, &[0; 100]).into_bytes(),
        RawFile::started()
            .chunk(&RawChunk {
                uncompressed_bytes: 1 << 50,
                compression: "zstd".into(),
                ..RawChunk::of(vec![0; 100], START, START)
            })
            .ended()
            .into_bytes(),
    ];
    for forged in forged {
        let mut house = House::good();
        house.stream(0, &forged);
        let report = in_time(&house.open().await.options()).await;
        assert_eq!(names(&report, Outcome::Fail), ["mcap-valid"]);
        let found = first_found(&report, "mcap-valid");
        assert!(found.contains("the limit is"), "{found}");
    }
}

#[tokio::test]
async fn redirects_end() {
    let mut house = House::good();
    house.instead(|_, asked| {
        let is_it = asked.path == "/data/0" && asked.has_token();
        is_it.then(|| (StatusCode::FOUND, [(header::LOCATION, "/data/0?window=1")]).into_response())
    });
    let report = in_time(&house.open().await.options()).await;
    assert_eq!(names(&report, Outcome::Fail), ["source-answers"]);
    let found = first_found(&report, "source-answers");
    assert!(found.starts_with("more than 5 redirects, the last to http://127.0.0.1"), "{found}");
}

#[tokio::test]
async fn the_token_does_not_follow_to_another_origin() {
    let other = House::good().open().await;
    let target = format!("http://{}/data/0?window=0", other.address);
    let mut house = House::good();
    house.instead(move |_, asked| {
        let is_it = asked.path == "/data/0" && asked.has_token();
        is_it.then(|| (StatusCode::FOUND, [(header::LOCATION, target.clone())]).into_response())
    });
    let report = in_time(&house.open().await.options()).await;
    assert_eq!(names(&report, Outcome::Fail), ["source-answers"]);
    let found = first_found(&report, "source-answers");
    assert!(found.contains("redirects to another origin, where no token is sent"), "{found}");
    let asked = other.asked();
    assert!(!asked.is_empty() && asked.iter().all(|(_, bearer)| bearer.is_none()), "{asked:?}");
}

#[tokio::test]
async fn user_info_of_the_manifest_gives_way_to_the_token() {
    let mut house = House::good();
    house.instead(|house, asked| {
        let is_basic = asked.header("authorization").is_some_and(|it| it.starts_with("Basic "));
        (asked.path == "/manifest" && is_basic).then(|| house.right(asked))
    });
    let open = house.open().await;
    let mut options = open.options();
    options.manifests[0].set_username("user").unwrap();
    options.manifests[0].set_password(Some("X-Amz-password")).unwrap();
    let report = in_time(&options).await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "a stranger has no user info either");
    let asked = open.asked();
    let basic = |bearer: &Option<String>| bearer.as_ref().is_some_and(|it| it.starts_with("Basic"));
    assert!(!asked.iter().any(|(_, bearer)| basic(bearer)), "{asked:?}");

    options.token = None;
    let report = in_time(&options).await;
    assert_eq!(
        report.outcome("manifest-answers"),
        Some(Outcome::Pass),
        "without, it is all there is"
    );
}

#[tokio::test]
async fn a_redirect_to_plain_http_elsewhere_is_not_followed() {
    let mut house = House::good();
    house.instead(|_, asked| {
        let target = "http://198.51.100.7/data/0";
        let is_it = asked.path == "/data/0" && asked.has_token();
        is_it.then(|| (StatusCode::FOUND, [(header::LOCATION, target)]).into_response())
    });
    let report = in_time(&house.open().await.options()).await;
    assert_eq!(names(&report, Outcome::Fail), ["https"]);
}

#[tokio::test]
async fn a_manifest_that_redirects_to_plain_http_elsewhere_is_not_followed() {
    let mut house = House::good();
    house.instead(|_, asked| {
        let target = "http://198.51.100.7/manifest";
        let is_it = asked.path == "/manifest" && asked.has_token();
        is_it.then(|| (StatusCode::FOUND, [(header::LOCATION, target)]).into_response())
    });
    let report = in_time(&house.open().await.options()).await;
    assert_eq!(names(&report, Outcome::Fail), ["https"]);
    let found = first_found(&report, "https");
    assert!(found.contains("it redirects: http://198.51.100.7/manifest is plain http"), "{found}");
}

#[tokio::test]
async fn nothing_is_asked_of_a_metadata_service() {
    let mut house = House::good();
    *house.at("/sources/0/url") = json!("http://169.254.169.254/latest/meta-data");
    house.instead(|_, asked| {
        let target = "http://169.254.169.254/latest/meta-data";
        let is_it = asked.path == "/data/1" && asked.has_token();
        is_it.then(|| (StatusCode::FOUND, [(header::LOCATION, target)]).into_response())
    });
    let open = house.open().await;
    let mut options = open.options();
    options.allow_http = true;
    let report = in_time(&options).await;
    assert_eq!(names(&report, Outcome::Fail), ["source-answers"]);
    let rule = report.failed().next().unwrap();
    assert_eq!(rule.count, 2);
    let found = &rule.found;
    assert!(found.contains("169.254.169.254 is a link-local, metadata"), "{found}");
}

#[tokio::test]
async fn nothing_that_a_backend_says_steers_a_terminal() {
    let mut house = House::good();
    *house.at("/sources/0/id") = json!("drive\u{1b}[2J\u{202e}");
    *house.at("/sources/0/endTime") = json!("2026-01-31T09:30:00Z");
    let report = in_time(&house.open().await.options()).await;
    assert_eq!(names(&report, Outcome::Fail), ["times-within-bounds"]);
    let text = report.text(rdl_conformance::Style { width: 80, colours: false });
    assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
    assert!(!text.contains(TOKEN));
}
