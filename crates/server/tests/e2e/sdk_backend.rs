//! A data backend that was written with Foxglove's SDK, with its zstd and without.

use rdl_testkit::{Process, decode, get};

use crate::running::{Running, needed, validate};

const TOKEN: &str = "secret-of-the-sdk";

#[tokio::test]
async fn without_zstd() {
    everything_is_merged("plain", "").await;
}

#[tokio::test]
async fn with_zstd() {
    everything_is_merged("zstd", "zstd").await;
}

async fn everything_is_merged(build: &str, compression: &str) {
    let binary = needed("RDL_TEST_SDK_BACKENDS").unwrap().join(build);
    let backend = Process::start(&binary, &[TOKEN], &[]).await.unwrap();
    let endpoint = format!("{}/manifest", backend.url());
    let loader = Running::start(&endpoint, &[("DISABLE_AUTH", "false")]).await;
    let bearer = format!("Bearer {TOKEN}");
    let token = [("authorization", bearer.as_str())];

    let source = format!("{}/data?topic=3&second=5", backend.url());
    let source = decode(&get(&source, &token).await.unwrap().body).unwrap();
    assert_eq!(source.compressions, [compression], "the build is the one that is meant");

    let expected = get(&format!("{}/expected", backend.url()), &token).await.unwrap();
    let expected = expected.json().unwrap();
    assert_eq!(expected["messages"], 4 * 60 * 20);
    let answer = loader.ask("ds.recording=sdk", &token).await;
    assert!(answer.status == 200 && answer.complete, "{}", loader.process.printed());
    let report = validate(&answer.body).await.unwrap();
    assert_eq!(report["messages"], expected["messages"]);
    assert_eq!(report["digest"], expected["digest"]);

    let wrong = loader.ask("ds.recording=sdk", &[("authorization", "Bearer wrong")]).await;
    assert_eq!(wrong.status, 401, "what is loaded is not for everybody: {}", wrong.text());
    assert_eq!(loader.ask("ds.recording=sdk", &[]).await.status, 401);
    let unknown = loader.ask("ds.recording=other", &token).await;
    assert_eq!(unknown.status, 404);
    let message = "there is no such recording";
    assert_eq!(unknown.header("x-foxglove-error-message"), Some(message));
    assert_eq!(unknown.json().unwrap()["detail"], message);
    assert!(!loader.process.printed().contains(TOKEN), "no token is in the log");
}
