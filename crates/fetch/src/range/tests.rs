use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdl_model::ErrorKind;

use super::*;
use crate::testing::{Backend, Reply, Seen, access, assert_discreet, client};

const STRONG: (&str, &str) = ("ETag", "\"v1\"");
const DATED: (&str, &str) = ("Last-Modified", "Mon, 01 Jan 2026 00:00:00 GMT");

fn file(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Answers one range as RFC 9110 says.
fn honest(seen: &Seen, file: &[u8], headers: &[(&str, &str)]) -> Reply {
    let Some(range) = seen.header("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return Reply::new(200, headers, file);
    };
    let (first, last) = range.split_once('-').unwrap();
    let total = file.len();
    let (start, end) = if first.is_empty() {
        (total.saturating_sub(last.parse().unwrap()), total)
    } else {
        (first.parse().unwrap(), (last.parse::<usize>().unwrap() + 1).min(total))
    };
    if start >= end {
        return Reply::new(416, &[("Content-Range", &format!("bytes */{total}"))], b"");
    }
    partial(&format!("bytes {start}-{}/{total}", end - 1), headers, &file[start..end])
}

fn partial(range: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    Reply::new(206, &[&[("Content-Range", range)], headers].concat(), body)
}

async fn open(backend: &Backend, tail_bytes: u64) -> Result<Opening, FetchError> {
    let http = client(backend.config());
    let opening = RangeReader::open(&http, &access(backend.at("/f?k=s3cr3t")), tail_bytes).await;
    if let Err(error) = &opening {
        assert_discreet(error);
    }
    opening
}

async fn ranged(backend: &Backend, tail_bytes: u64) -> Opened {
    match open(backend, tail_bytes).await.unwrap() {
        Opening::Ranged(opened) => opened,
        Opening::Unsupported(_) => panic!("ranges are not supported"),
    }
}

async fn read(
    backend: &Backend,
    reader: &RangeReader,
    range: (u64, u64),
) -> Result<Bytes, FetchError> {
    let range = ByteRange { start: range.0, end: range.1 };
    let bytes = reader.read(&access(backend.at("/f?k=s3cr3t")), range).await;
    if let Err(error) = &bytes {
        assert_discreet(error);
    }
    bytes
}

#[tokio::test]
async fn one_request_opens_a_file() {
    let backend = Backend::start(|seen| honest(seen, &file(1000), &[STRONG, DATED])).await;
    let opened = ranged(&backend, 100).await;
    assert_eq!((opened.total_bytes, opened.tail.as_ref()), (1000, &file(1000)[900..]));
    assert_eq!(opened.reader.validator(), Some(&Validator::StrongEtag("\"v1\"".into())));
    assert_eq!(read(&backend, &opened.reader, (10, 20)).await.unwrap(), file(1000)[10..20]);
    assert_eq!(read(&backend, &opened.reader, (0, 1000)).await.unwrap(), file(1000));
    assert!(read(&backend, &opened.reader, (5, 5)).await.unwrap().is_empty());
    let seen = backend.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| seen.method == "GET"));
    let asked = |at: usize, header: &str| seen[at].header(header).map(str::to_owned);
    assert_eq!(asked(0, "range").as_deref(), Some("bytes=-100"));
    assert_eq!(asked(1, "range").as_deref(), Some("bytes=10-19"));
    assert_eq!((asked(0, "if-match"), asked(1, "if-match").as_deref()), (None, Some("\"v1\"")));
}

#[tokio::test]
async fn only_a_strong_tag_is_a_condition() {
    let weak = ("ETag", "W/\"v1\"");
    for (headers, expected) in [
        (vec![weak, DATED], Some(Validator::LastModified { date: DATED.1.into(), bytes: 50 })),
        (vec![weak], None),
        (vec![], None),
    ] {
        let backend = Backend::start(move |seen| honest(seen, &file(50), &headers)).await;
        let opened = ranged(&backend, 10).await;
        assert_eq!(opened.reader.validator(), expected.as_ref());
        read(&backend, &opened.reader, (0, 5)).await.unwrap();
        assert!(backend.seen().iter().all(|seen| seen.header("if-match").is_none()));
    }
}

#[tokio::test]
async fn small_and_empty_files_open() {
    let backend = Backend::start(|seen| honest(seen, &file(7), &[STRONG])).await;
    let opened = ranged(&backend, 100).await;
    assert_eq!((opened.total_bytes, opened.tail.as_ref()), (7, file(7).as_slice()));
    let backend = Backend::start(|seen| honest(seen, b"", &[STRONG])).await;
    let opened = ranged(&backend, 100).await;
    assert_eq!((opened.total_bytes, opened.tail.len()), (0, 0));
    let bare = Backend::start(|_| Reply::new(416, &[], b"")).await;
    assert_eq!(ranged(&bare, 100).await.total_bytes, 0);
}

#[tokio::test]
async fn a_server_without_ranges_hands_over_the_body() {
    let backend = Backend::start(|_| Reply::new(200, &[STRONG], &file(3000))).await;
    let Opening::Unsupported(mut download) = open(&backend, 10).await.unwrap() else { panic!() };
    let mut body = Vec::new();
    while let Some(bytes) = download.next(Duration::from_secs(30)).await.unwrap() {
        body.extend_from_slice(&bytes);
    }
    assert_eq!(body, file(3000));
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn servers_that_mistake_suffixes_are_asked_otherwise() {
    type Answer = fn(&[u8]) -> Reply;
    let mistakes: [Answer; 6] = [
        // Takes -N for 0-N.
        |file| partial("bytes 0-10/100", &[STRONG], &file[..11]),
        |file| partial("bytes 90-99/*", &[STRONG], &file[90..]),
        |file| Reply::new(206, &[("Content-Type", "multipart/byteranges"), STRONG], file),
        |_| Reply::new(400, &[], b""),
        |_| Reply::new(416, &[], b""),
        |_| Reply::new(416, &[("Content-Range", "bytes */100")], b""),
    ];
    for mistake in mistakes {
        let backend = Backend::start(move |seen| match seen.header("range") {
            Some(range) if range.starts_with("bytes=-") => mistake(&file(100)),
            _ => honest(seen, &file(100), &[STRONG]),
        })
        .await;
        let opened = ranged(&backend, 10).await;
        assert_eq!((opened.total_bytes, opened.tail.as_ref()), (100, &file(100)[90..]));
        let ranges: Vec<_> =
            backend.seen().iter().map(|seen| seen.header("range").unwrap().to_owned()).collect();
        assert_eq!(ranges, ["bytes=-10", "bytes=0-0", "bytes=90-99"]);
    }
}

#[tokio::test]
async fn a_size_that_nobody_tells_is_an_error() {
    let backend = Backend::start(|_| partial("bytes 0-0/*", &[STRONG], b"1")).await;
    let error = open(&backend, 10).await.err().unwrap();
    assert!(matches!(error, FetchError::BadAnswer { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::BadGateway);
}

/// Opens an honest file, then answers the next request with `reply`.
async fn read_answered_with(
    headers: &'static [(&str, &str)],
    reply: Reply,
) -> Result<Bytes, FetchError> {
    let next = Arc::new(Mutex::new(None::<Reply>));
    let scripted = next.clone();
    let backend = Backend::start(move |seen| match &*scripted.lock() {
        Some(reply) => reply.clone(),
        None => honest(seen, &file(100), headers),
    })
    .await;
    let opened = ranged(&backend, 10).await;
    *next.lock() = Some(reply);
    let read = read(&backend, &opened.reader, (0, 10)).await;
    assert_eq!(backend.seen().len(), 2, "answers that are no accident are not asked for again");
    read
}

#[tokio::test]
async fn a_changed_file_is_told() {
    let body = &file(100)[..10];
    let other = ("ETag", "\"v2\"");
    for reply in [
        partial("bytes 0-9/100", &[other], body),
        partial("bytes 0-9/100", &[], body),
        partial("bytes 0-9/101", &[STRONG], body),
        Reply::new(412, &[], b""),
        Reply::new(416, &[("Content-Range", "bytes */5")], b""),
        Reply::new(200, &[other], &file(100)),
        Reply::new(200, &[STRONG], &file(99)),
    ] {
        let error = read_answered_with(&[STRONG], reply).await.unwrap_err();
        assert!(error.is_changed(), "{error:?}");
    }
    let later = ("Last-Modified", "Tue, 02 Jan 2026 00:00:00 GMT");
    let reply = partial("bytes 0-9/100", &[later], body);
    assert!(read_answered_with(&[DATED], reply).await.unwrap_err().is_changed());
}

#[tokio::test]
async fn a_wrong_answer_is_an_error() {
    let body = &file(100)[..10];
    for reply in [
        partial("bytes 1-10/100", &[STRONG], body),
        partial("bytes 0-8/100", &[STRONG], &body[..9]),
        partial("bytes 0-9/100", &[STRONG], &body[..9]),
        partial("bytes 0-9/100", &[STRONG], &file(100)),
        partial("bytes 0-9/100", &[STRONG, ("X-Until-Close", "1")], &file(100)),
        partial("nonsense", &[STRONG], body),
        Reply::new(206, &[STRONG], body),
        Reply::new(200, &[STRONG], &file(100)),
    ] {
        let error = read_answered_with(&[STRONG], reply).await.unwrap_err();
        assert!(matches!(error, FetchError::BadAnswer { .. }), "{error:?}");
    }
    let error = read_answered_with(&[STRONG], Reply::new(403, &[], b"")).await.unwrap_err();
    assert!(error.is_refusal());
}

#[tokio::test]
async fn passing_faults_are_retried() {
    let backend = Backend::start(|seen| match seen.number {
        0 | 3 => Reply::new(503, &[], b""),
        1 | 4 => Reply::nothing(),
        5 => partial("bytes 0-9/100", &[STRONG, ("Content-Length", "10")], b"123"),
        6 => partial("bytes 0-9/100", &[STRONG, ("X-Until-Close", "1")], b"123"),
        _ => honest(seen, &file(100), &[STRONG]),
    })
    .await;
    let opened = ranged(&backend, 10).await;
    assert_eq!(backend.seen().len(), 3);
    assert_eq!(read(&backend, &opened.reader, (0, 10)).await.unwrap(), file(100)[..10]);
    assert_eq!(backend.seen().len(), 8);
}

#[tokio::test]
async fn exhausted_retries_are_final() {
    let backend = Backend::start(|_| Reply::new(503, &[], b"")).await;
    let mut config = backend.config();
    config.range_retry_for = Duration::ZERO;
    let opening = RangeReader::open(&client(config), &access(backend.at("/f")), 10).await;
    assert!(opening.err().unwrap().is_retryable());
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn nothing_outside_the_file_is_asked_for() {
    let backend = Backend::start(|seen| honest(seen, &file(100), &[STRONG])).await;
    let opened = ranged(&backend, 10).await;
    assert!(read(&backend, &opened.reader, (90, 101)).await.is_err());
    assert!(read(&backend, &opened.reader, (0, u64::MAX)).await.is_err());
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_forged_size_allocates_nothing() {
    let huge = u64::MAX - 1;
    let range = format!("bytes {}-{}/{huge}", huge - 10, huge - 1);
    let backend = Backend::start(move |seen| match seen.number {
        0 => partial(&range, &[STRONG], &[0; 10]),
        _ => partial(
            &format!("bytes 0-{}/{huge}", huge - 1),
            &[STRONG, ("Content-Length", "12")],
            &[0; 12],
        ),
    })
    .await;
    let opened = ranged(&backend, 10).await;
    assert_eq!(opened.total_bytes, huge);
    let error = read(&backend, &opened.reader, (0, huge)).await.unwrap_err();
    assert!(matches!(error, FetchError::BadAnswer { .. }), "{error:?}");
}
