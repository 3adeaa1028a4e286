//! The virtual file and cuts, from processes that share a real object store, and for users who may
//! and who may not.

use std::time::{Duration, Instant};

use rdl_testkit::{HttpAnswer, decode, get, send};
use serde_json::{Value, json};

use crate::drive::drive;
use crate::fleet::{QUERY, listed, recording, s3, s3_server, settled};
use crate::running::{BINARY, Running, validate_file};

const PATIENCE: Duration = Duration::from_secs(30);

/// `links.file` of the recording: the exact one once everything is loaded.
async fn link(loader: &Running) -> String {
    let described = loader.describe(QUERY).await;
    described["links"]["file"].as_str().unwrap().to_owned()
}

async fn ask(loader: &Running, path: &str, headers: &[(&str, &str)]) -> HttpAnswer {
    get(&format!("{}{path}", loader.process.url()), headers).await.unwrap()
}

/// The same, which has to be there.
async fn whole(loader: &Running, path: &str) -> HttpAnswer {
    let answer = ask(loader, path, &[]).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), loader.process.printed());
    assert!(answer.complete);
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    answer
}

async fn links(loader: &Running, body: &Value) -> Value {
    let url = format!("{}/v1/links", loader.process.url());
    let headers = [("content-type", "application/json")];
    let answer = send("POST", &url, &headers, body.to_string().as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_over_one_bucket_serve_one_file_and_one_cut() {
    const SOURCES: usize = 6;
    let (backend, recording) = recording(SOURCES).await;
    let server = s3_server().await;
    let url = server.url();
    let environment = s3(&url);
    let endpoint = backend.manifest_endpoint();
    let one = Running::start(&endpoint, &environment).await;
    let other = Running::start(&endpoint, &environment).await;
    // Nothing is loaded yet: the link says what the recording is, and the file is made when it is
    // asked for.
    let unpinned = link(&one).await;
    assert_eq!(one.describe(QUERY).await["fileBytes"], Value::Null);
    let (a, b) = tokio::join!(whole(&one, &unpinned), whole(&other, &unpinned));
    assert_eq!(a.header("etag"), b.header("etag"));
    assert!(a.body == b.body);
    validate_file(&a.body).await.unwrap();
    assert_eq!(decode(&a.body).unwrap().messages.len(), recording.merged().len());
    settled(&environment, SOURCES).await;

    let pinned = link(&other).await;
    assert_ne!(pinned, unpinned);
    assert_eq!(link(&one).await, pinned);
    assert_eq!(other.describe(QUERY).await["fileBytes"], a.body.len());
    let late = Running::start(&endpoint, &environment).await;
    let answer = ask(&late, &pinned, &[("range", "bytes=-100000")]).await;
    assert_eq!((answer.status, answer.header("etag")), (206, a.header("etag")));
    assert!(answer.body == a.body[a.body.len() - 100_000..]);

    let start = recording.merged()[recording.merged().len() / 2].log_time;
    let request = json!({ "manifestParams": { "recording": "drive" }, "start": start,
        "topics": ["/group0/topic1"], "replayPolicy": "lastPerChannel" });
    let cut = links(&one, &request).await;
    let cut = cut["file"].as_str().unwrap();
    let (a, b) = tokio::join!(whole(&one, cut), whole(&other, cut));
    assert_eq!(a.header("etag"), b.header("etag"));
    assert!(a.body == b.body && whole(&late, cut).await.body == a.body);
    let found = decode(&a.body).unwrap();
    found.check_order().unwrap();
    assert!(found.messages[0].log_time < start && found.messages[1].log_time >= start);
    let expected = recording.selected(&["/group0/topic1"], start, u64::MAX);
    assert!(found.messages[1..] == expected);

    // Both may have made it: one is used, and perhaps both lie there.
    let listed = listed(&environment).await;
    let is_cut = |entry: &&Value| entry["id"].as_str().unwrap().starts_with("cut ");
    assert!((1..=2).contains(&listed.as_array().unwrap().iter().filter(is_cut).count()));
    let purge = tokio::process::Command::new(BINARY)
        .args(["cache", "purge", "--all"])
        .env_clear()
        .envs(environment.iter().copied())
        .output();
    assert!(purge.await.unwrap().status.success());
    assert_eq!(crate::fleet::listed(&environment).await, json!([]));
}

#[tokio::test]
async fn a_file_is_for_those_who_get_the_recording() {
    let (backend, _, _) = drive().await;
    backend.require_token("right");
    let loader = Running::start(&backend.manifest_endpoint(), &[("DISABLE_AUTH", "false")]).await;
    let path = {
        let url = format!("{}/v1/recording?{QUERY}", loader.process.url());
        let answer = get(&url, &[("authorization", "Bearer right")]).await.unwrap();
        answer.json().unwrap()["links"]["file"].as_str().unwrap().to_owned()
    };
    let with = async |token: &str| {
        let authorization = format!("Bearer {token}");
        ask(&loader, &path, &[("authorization", authorization.as_str())]).await
    };
    assert_eq!(with("wrong").await.status, 401);
    let bare = ask(&loader, "/v1/files/eyJwIjpbWyJyZWNvcmRpbmciLCJkcml2ZSJdXX0/x.mcap", &[]).await;
    assert_eq!(bare.status, 401, "nothing without a token");
    // The link carries its user's own.
    let whole = ask(&loader, &path, &[]).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    let whole = with("right").await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    // What is kept is nobody's by being kept.
    assert_eq!(with("wrong").await.status, 401);
    let secret = "right";
    assert!(!path.contains(secret) && !loader.process.printed().contains(&path));

    // The right is withdrawn while the file is open.
    backend.require_token("another");
    let started = Instant::now();
    let url = format!("{}{path}", loader.process.url());
    // At just that moment an answer may be aborted before its head has left.
    let is_served = async || {
        let answer = get(&url, &[("authorization", "Bearer right")]).await;
        answer.is_ok_and(|answer| answer.status == 200)
    };
    while is_served().await {
        assert!(started.elapsed() < PATIENCE, "it is still served");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(with("right").await.status, 401);
    assert_eq!(ask(&loader, &path, &[]).await.status, 401);
    assert_eq!(with("another").await.status, 200);
}

#[tokio::test]
async fn a_link_that_is_none_names_nothing_and_a_wrong_request_says_why() {
    let (backend, _, _) = drive().await;
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let path = link(&loader).await;
    let (front, name) = path.rsplit_once('/').unwrap();
    for wrong in [
        format!("{front}x/{name}"),
        format!("/v1/files/nonsense/{name}"),
        format!("{front}/drive.txt"),
        format!("{front}/"),
        front.to_owned(),
    ] {
        let answer = ask(&loader, &wrong, &[]).await;
        assert_eq!(answer.status, 404, "{wrong}: {}", answer.text());
    }
    // Whatever it is called.
    assert_eq!(ask(&loader, &format!("{front}/other.mcap"), &[]).await.status, 200);
    let url = format!("{}/v1/links", loader.process.url());
    let headers = [("content-type", "application/json")];
    for (body, expected) in [
        (json!({ "partial": true }), "partial"),
        (json!({ "start": 2, "end": 1 }), "start"),
        (json!({ "topic": "/a" }), "topic"),
    ] {
        let answer = send("POST", &url, &headers, body.to_string().as_bytes()).await.unwrap();
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
    let unknown = json!({ "manifestParams": { "recording": "no such" } });
    let answer = send("POST", &url, &headers, unknown.to_string().as_bytes()).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text());
}
