//! A real S3 server, which checks signatures.

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use rdl_files_backend::{AccessRule, FilesBackend, FilesConfig, Place, StartError};
use rdl_store::{BucketConfig, BucketErrorKind, BucketProvider};
use rdl_testkit::servers::VersityServer;
use rdl_testkit::{Drive, FileSpec, Message, check_all, check_beginning, get};

use crate::running::Running;

const BUCKET: &str = "recordings";

struct Bucket {
    server: VersityServer,
    plain: Box<dyn ObjectStore>,
}

impl Bucket {
    async fn start() -> Bucket {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = VersityServer::start().await.unwrap();
        server.create_bucket(BUCKET).unwrap();
        let plain = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_endpoint(server.url())
            .with_access_key_id(VersityServer::ACCESS_KEY)
            .with_secret_access_key(VersityServer::SECRET_KEY)
            .with_allow_http(true)
            .build()
            .unwrap();
        Bucket { server, plain: Box::new(plain) }
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        let path = Path::parse(name).unwrap();
        self.plain.put(&path, Bytes::copy_from_slice(bytes).into()).await.unwrap();
    }

    fn config(&self, name: &str, secret: &str) -> BucketConfig {
        BucketConfig {
            provider: BucketProvider::S3Compatible {
                url: self.server.url(),
                region: None,
                access_key_id: VersityServer::ACCESS_KEY.to_owned(),
                secret_access_key: secret.to_owned(),
            },
            name: name.to_owned(),
            prefix: "team/a".to_owned(),
        }
    }

    fn place(&self) -> Place {
        Place::bucket(&self.config(BUCKET, VersityServer::SECRET_KEY)).unwrap()
    }
}

fn drive() -> Vec<Message> {
    Drive { messages: 2_000, ..Drive::default() }.generate().merged()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_served_below_its_prefix() {
    let bucket = Bucket::start().await;
    let messages = drive();
    let whole = FileSpec::default().write(&messages);
    bucket.put("team/a/odd #1/größe?.mcap", &whole).await;
    bucket.put("team/a/odd #1/cut.mcap", &whole[..whole.len() / 2]).await;
    bucket.put("team/a/empty.mcap", b"").await;
    bucket.put("team/ab/others.mcap", &whole).await;
    bucket.put("secret.mcap", &whole).await;
    let backend = Running::start(FilesConfig::new(bucket.place(), AccessRule::Anyone)).await;
    let listed = backend.recordings().await;
    let names: Vec<&str> = listed.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["empty", "odd #1", "odd #1/cut", "odd #1/größe?"]);
    let sources = backend.sources("odd #1").await;
    check_beginning(&backend.messages(&sources[0]).await, &messages).unwrap();
    check_all(&backend.messages(&sources[1]).await, &messages).unwrap();
    let url = format!("/{}", sources[1]["url"].as_str().unwrap());
    let part = backend.get_with(&url, &[("range", "bytes=5-9")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole[5..10]));
    for path in ["/files/../../secret.mcap", "/files/%2e%2e/%2e%2e/secret.mcap"] {
        assert_eq!(backend.get(path).await.status, 404);
    }

    // An object that is replaced has another tag at once, whatever was listed.
    let etag = part.header("etag").unwrap().to_owned();
    bucket.put("team/a/odd #1/größe?.mcap", &whole[1..]).await;
    let changed = backend.get_with(&url, &[("range", "bytes=5-9")]).await;
    assert_eq!((changed.status, &changed.body[..]), (206, &whole[6..11]));
    assert_ne!(changed.header("etag"), Some(&*etag));
    let stale = backend.get_with(&url, &[("range", "bytes=5-9"), ("if-match", &etag)]).await;
    assert_eq!(stale.status, 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_urls_are_read_by_range_without_credentials() {
    let bucket = Bucket::start().await;
    let messages = drive();
    let whole = FileSpec::default().write(&messages);
    bucket.put("team/a/odd #1/größe?.mcap", &whole).await;
    bucket.put("team/a/odd #1/cut.mcap", &whole[..whole.len() / 2]).await;
    let mut config = FilesConfig::new(bucket.place(), AccessRule::Anyone);
    config.signed_urls = Some(Duration::from_secs(60));
    let backend = Running::start(config).await;
    let sources = backend.sources("odd #1").await;
    // What the bucket cannot serve as it is comes from here.
    assert!(sources[0]["url"].as_str().unwrap().starts_with("intact/"));
    let signed = sources[1]["url"].as_str().unwrap();
    assert!(signed.starts_with(&bucket.server.url()) && signed.contains("X-Amz-Signature="));
    let last = format!("bytes={}-", whole.len() - 8);
    for (range, expected) in [("bytes=0-99", &whole[..100]), (&*last, &whole[whole.len() - 8..])] {
        let part = get(signed, &[("range", range)]).await.unwrap();
        assert_eq!((part.status, &part.body[..]), (206, expected));
    }
    let (unsigned, query) = signed.split_once('?').unwrap();
    assert_eq!(get(unsigned, &[]).await.unwrap().status, 403);
    let other = unsigned.replace("gr%C3%B6%C3%9Fe%3F", "cut");
    assert_ne!(other, unsigned);
    assert_eq!(get(&format!("{other}?{query}"), &[]).await.unwrap().status, 403);
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_stops_the_start() {
    let bucket = Bucket::start().await;
    for (name, secret, expected) in [
        ("missing", VersityServer::SECRET_KEY, BucketErrorKind::NotFound),
        (BUCKET, "wrong secret", BucketErrorKind::Refused),
    ] {
        let place = Place::bucket(&bucket.config(name, secret)).unwrap();
        let started = FilesBackend::start(FilesConfig::new(place, AccessRule::Anyone)).await;
        let Err(StartError::Bucket(error)) = started.map(|_| ()) else { panic!("it started") };
        assert_eq!(error.kind(), expected, "{error}");
        assert!(!error.to_string().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_objects_are_listed_with_few_requests_each() {
    use futures::{StreamExt as _, TryStreamExt as _};

    let bucket = Bucket::start().await;
    let messages = Drive { messages: 20, ..Drive::default() }.generate().merged();
    let whole = Bytes::from(FileSpec::default().write(&messages));
    futures::stream::iter(0..1_000)
        .map(|number| {
            let path = Path::from(format!("team/a/robot-{}/{number:04}.mcap", number % 7));
            let (plain, whole) = (&bucket.plain, whole.clone());
            async move { plain.put(&path, whole.into()).await }
        })
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    let backend = Running::start(FilesConfig::new(bucket.place(), AccessRule::Anyone)).await;
    let started = std::time::Instant::now();
    let listed = backend.recordings().await;
    eprintln!("listed 1000 objects in {:?}", started.elapsed());
    assert_eq!(listed.len(), 1_007);
    assert!(listed.iter().all(|entry| entry["problems"] == serde_json::json!([])), "{listed:?}");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(backend.sources("robot-3").await.len(), 143);
}
