use serde_json::json;

use super::*;
use crate::http::get;

async fn with_file() -> FakeBackend {
    let backend = FakeBackend::start().await;
    backend.streamed("/s", &b"0123456789"[..]);
    backend.static_file("/f", &b"0123456789"[..]);
    backend
}

#[tokio::test]
async fn a_script_is_played_once_and_in_order() {
    let backend = with_file().await;
    let url = format!("{}/s", backend.url());
    backend.script(
        "/s",
        [
            Fault::CutAfter(4),
            Fault::Status(503, Some("tired".into())),
            Fault::Hangup,
            Fault::EndAfter(3),
            Fault::FlipBit(9),
        ],
    );
    let cut = get(&url, &[]).await.unwrap();
    assert_eq!((cut.body.as_slice(), cut.complete), (&b"0123"[..], false));
    let tired = get(&url, &[]).await.unwrap();
    assert_eq!(tired.header("x-foxglove-error-message"), Some("tired"));
    assert_eq!(tired.status, 503);
    assert!(get(&url, &[]).await.is_err());
    let short = get(&url, &[]).await.unwrap();
    assert_eq!((short.body.as_slice(), short.complete), (&b"012"[..], true));
    assert_eq!(get(&url, &[]).await.unwrap().body, b"0123456788");
    let well = get(&url, &[]).await.unwrap();
    assert_eq!((well.body.as_slice(), well.complete), (&b"0123456789"[..], true));
    assert_eq!(backend.count("/s"), 6);
}

#[tokio::test]
async fn a_length_may_lie() {
    let backend = with_file().await;
    backend.always("/s", Fault::ContentLength(99));
    let answer = get(&format!("{}/s", backend.url()), &[]).await.unwrap();
    assert_eq!((answer.body.len(), answer.complete), (10, false));
}

#[tokio::test]
async fn ranges_follow_the_validator() {
    let backend = with_file().await;
    let url = format!("{}/f", backend.url());
    let tail = get(&url, &[("range", "bytes=-3")]).await.unwrap();
    assert_eq!((tail.status, tail.body.as_slice()), (206, &b"789"[..]));
    assert_eq!(tail.header("content-range"), Some("bytes 7-9/10"));
    assert_eq!(get(&url, &[("range", "bytes=10-")]).await.unwrap().status, 416);
    let etag = tail.header("etag").unwrap().to_owned();
    backend.static_file("/f", &b"abcdefghij"[..]);
    let headers = [("range", "bytes=0-1"), ("if-match", etag.as_str())];
    assert_eq!(get(&url, &headers).await.unwrap().status, 412);
    backend.always("/f", Fault::IgnoreRange);
    assert_eq!(get(&url, &[("range", "bytes=0-1")]).await.unwrap().status, 200);
}

#[tokio::test]
async fn manifests_and_tokens() {
    let backend = FakeBackend::start().await;
    backend.recording("a", &json!({"sources": []}));
    backend.require_token("secret");
    let url = format!("{}?recording=a", backend.manifest_endpoint());
    assert_eq!(get(&url, &[]).await.unwrap().status, 401);
    let headers = [("authorization", "Bearer secret")];
    assert_eq!(get(&url, &headers).await.unwrap().json().unwrap(), json!({"sources": []}));
    let unknown = format!("{}?recording=b", backend.manifest_endpoint());
    assert_eq!(get(&unknown, &headers).await.unwrap().status, 404);
    backend.allow("other");
    backend.refuse("secret", 403);
    let other = [("authorization", "Bearer other")];
    assert_eq!(get(&url, &other).await.unwrap().status, 200);
    assert_eq!(get(&url, &headers).await.unwrap().status, 403);
    let seen = backend.requests();
    assert_eq!(seen[2].query, "recording=b");
    assert_eq!(seen[2].header("authorization"), Some("Bearer secret"));
}

#[tokio::test]
async fn slow_and_stalled_bodies_are_whole_in_the_end() {
    let backend = with_file().await;
    let pause = Duration::from_millis(20);
    backend.script("/s", [Fault::StallAfter(5, pause), Fault::Slow(4, pause)]);
    for least in [1, 3] {
        let before = std::time::Instant::now();
        let answer = get(&format!("{}/s", backend.url()), &[]).await.unwrap();
        assert_eq!((answer.body.len(), answer.complete), (10, true));
        assert!(before.elapsed() >= pause * least);
    }
}
