use futures::FutureExt as _;
use rdl_model::ErrorKind;

use super::*;
use crate::testing::{Backend, Reply, access, assert_discreet, client};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

async fn open(backend: &Backend) -> Result<Download, FetchError> {
    Download::open(&client(backend.config()), &access(backend.at("/data?k=s3cr3t"))).await
}

async fn all(download: &mut Download, stall: Duration) -> (Vec<u8>, Result<(), FetchError>) {
    let mut body = Vec::new();
    loop {
        match download.next(stall).await {
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => return (body, Ok(())),
            Err(error) => {
                assert_discreet(&error);
                return (body, Err(error));
            }
        }
    }
}

#[tokio::test]
async fn yields_the_body() {
    let backend = Backend::start(|_| Reply::new(200, &[], &[7; 100_000])).await;
    let mut download = open(&backend).await.unwrap();
    assert_eq!(download.content_length(), Some(100_000));
    let (body, end) = all(&mut download, LONG).await;
    assert!(end.is_ok() && body == [7; 100_000]);
    assert!(download.next(LONG).await.unwrap().is_none());
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_broken() {
    let short = [("Content-Length", "10")];
    let chunked = [("Transfer-Encoding", "chunked")];
    for reply in [Reply::new(200, &short, b"12345"), Reply::new(200, &chunked, b"5\r\n12345\r\n")] {
        let backend = Backend::start(move |_| reply.clone()).await;
        let (body, end) = all(&mut open(&backend).await.unwrap(), LONG).await;
        let error = end.unwrap_err();
        assert_eq!(body, b"12345");
        assert!(matches!(error, FetchError::Broken { .. }) && error.is_retryable(), "{error:?}");
    }
}

#[tokio::test]
async fn a_body_without_length_ends_with_its_connection() {
    let backend = Backend::start(|_| Reply::new(200, &[("X-Until-Close", "1")], b"123")).await;
    let mut download = open(&backend).await.unwrap();
    assert_eq!(download.content_length(), None);
    let (body, end) = all(&mut download, LONG).await;
    assert!(end.is_ok() && body == b"123");
}

#[tokio::test]
async fn silence_in_the_body_is_a_timeout() {
    let backend =
        Backend::start(|_| Reply::new(200, &[("Content-Length", "9")], b"123").then_hang()).await;
    let mut download = open(&backend).await.unwrap();
    assert_eq!(download.next(LONG).await.unwrap().unwrap(), &b"123"[..]);
    let (_, end) = all(&mut download, SHORT).await;
    let error = end.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::GatewayTimeout);
}

#[tokio::test]
async fn silence_is_counted_across_dropped_futures() {
    let backend =
        Backend::start(|_| Reply::new(200, &[("Content-Length", "9")], b"123").then_hang()).await;
    let mut download = open(&backend).await.unwrap();
    assert!(download.next(LONG).await.unwrap().is_some());
    let started = Instant::now();
    let error = loop {
        match download.next(SHORT).now_or_never() {
            None => tokio::time::sleep(Duration::from_millis(5)).await,
            Some(result) => break result.unwrap_err(),
        }
    };
    assert!(error.is_timeout() && started.elapsed() >= SHORT, "{error:?}");
}

#[tokio::test]
async fn statuses_are_told_apart() {
    for (status, retryable, refusal) in [
        (401, false, true),
        (403, false, true),
        (404, false, false),
        (410, false, false),
        (500, true, false),
        (204, false, false),
        (206, false, false),
    ] {
        let message = [("x-foxglove-error-message", "no more")];
        let backend = Backend::start(move |_| Reply::new(status, &message, b"")).await;
        let error = open(&backend).await.err().unwrap();
        assert_discreet(&error);
        assert_eq!((error.is_retryable(), error.is_refusal()), (retryable, refusal), "{status}");
        assert_eq!(error.user_message(), Some("no more"));
        // A download is asked for once; whoever owns it decides about the next try.
        assert_eq!(backend.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_400_to_a_signed_url_is_a_refusal_at_whatever_hop() {
    const SIGNED: &str = "/data?X-Amz-Signature=s3cr3t";
    let backend = Backend::start(|seen| match seen.target.as_str() {
        "/signs" => Reply::redirect(SIGNED),
        "/redirects?X-Amz-Signature=s3cr3t" => Reply::redirect("/data"),
        _ => Reply::new(400, &[], b"<Code>ExpiredToken</Code>"),
    })
    .await;
    let http = client(backend.config());
    for (path, refusal) in [
        (SIGNED, true),
        ("/signs", true),
        ("/data", false),
        ("/data?X-Amz-Date=s3cr3t", false),
        ("/redirects?X-Amz-Signature=s3cr3t", false),
    ] {
        let access = access(backend.at(path));
        let streamed = Download::open(&http, &access).await.err().unwrap();
        let by_ranges = crate::RangeReader::open(&http, &access, 10).await.err().unwrap();
        for error in [streamed, by_ranges] {
            assert_discreet(&error);
            assert_eq!((error.is_refusal(), error.is_retryable()), (refusal, false), "{path}");
            assert_eq!(error.kind(), ErrorKind::BadGateway);
        }
    }
}
