//! The settings of a bucket in an object store.

use std::time::Duration;

use rdl_engine::BucketProvider;

use super::*;

const NAME: &str = "--request-cache-bucket-name=recordings";
const SECRET: &str = "hunter2hunter2";

fn provider(name: &str) -> String {
    format!("--request-cache-storage-provider={name}")
}

/// Flags of the provider `s3_compatible`, the last of which may be left out.
fn s3_flags() -> Vec<String> {
    vec![
        ENDPOINT.to_owned(),
        NAME.to_owned(),
        provider("s3_compatible"),
        "--s3-compatible-service-url=http://127.0.0.1:9000/".to_owned(),
        format!("--s3-compatible-access-key-id={SECRET}id"),
        format!("--s3-compatible-secret-access-key={SECRET}"),
    ]
}

fn config(flags: &[String]) -> Result<EngineConfig, SettingsError> {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    parse(&flags).unwrap().engine.engine_config()
}

fn error(flags: &[String]) -> String {
    config(flags).unwrap_err().to_string()
}

#[test]
fn a_bucket_is_beside_a_disk_of_the_process_own() {
    let mut flags = s3_flags();
    flags.push("--request-cache-prefix=loader/a".to_owned());
    flags.push("--s3-compatible-service-region=garage".to_owned());
    let config = config(&flags).unwrap();
    assert_eq!(config.store.bucket, None);
    let bucket = config.bucket.unwrap();
    assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("recordings", "loader/a"));
    let BucketProvider::S3Compatible { url, region, access_key_id, secret_access_key } =
        bucket.provider
    else {
        panic!("another provider");
    };
    assert_eq!((url.as_str(), region.as_deref()), ("http://127.0.0.1:9000", Some("garage")));
    assert_eq!((access_key_id, secret_access_key), (format!("{SECRET}id"), SECRET.to_owned()));
}

#[test]
fn every_provider_is_read() {
    let base = [ENDPOINT.to_owned(), NAME.to_owned()];
    let bucket = |more: &[&str]| {
        let more = more.iter().map(|flag| (*flag).to_owned());
        let flags: Vec<String> = base.iter().cloned().chain(more).collect();
        config(&flags).unwrap().bucket.unwrap().provider
    };
    let aws = bucket(&[&provider("aws"), "--aws-region=eu-west-1"]);
    let BucketProvider::Aws { region } = aws else { panic!("another provider") };
    assert_eq!(region.as_deref(), Some("eu-west-1"));
    let google = bucket(&[&provider("google_cloud")]);
    assert!(matches!(google, BucketProvider::GoogleCloud { credentials: None }));
    let azure = bucket(&[
        &provider("azure"),
        "--storage-azure-storage-account-name=recordings",
        "--storage-azure-service-url=http://127.0.0.1:10000/recordings",
    ]);
    let BucketProvider::Azure { account, url } = azure else { panic!("another provider") };
    assert_eq!(account, "recordings");
    assert_eq!(url.as_deref(), Some("http://127.0.0.1:10000/recordings"));
}

#[test]
fn what_a_provider_needs_is_asked_for_by_name() {
    for (left_out, variable) in [
        (NAME, "REQUEST_CACHE_BUCKET_NAME"),
        ("--s3-compatible-service-url", "S3_COMPATIBLE_SERVICE_URL"),
        ("--s3-compatible-access-key-id", "S3_COMPATIBLE_ACCESS_KEY_ID"),
        ("--s3-compatible-secret-access-key", "S3_COMPATIBLE_SECRET_ACCESS_KEY"),
    ] {
        let mut flags = s3_flags();
        flags.retain(|flag| !flag.starts_with(left_out));
        let error = error(&flags);
        assert!(error.starts_with(&format!("{variable} is not set")), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    let azure = error(&[ENDPOINT.to_owned(), NAME.to_owned(), provider("azure")]);
    assert!(azure.starts_with("STORAGE_AZURE_STORAGE_ACCOUNT_NAME is not set"), "{azure}");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let azure = ["--storage-azure-storage-account-name=a".to_owned(), provider("azure")];
    let secret_url = format!("https://me:{SECRET}@storage.example.com");
    let broken = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(broken.path(), SECRET).unwrap();
    let broken = broken.path().display();
    for (flags, variable, accepts) in [
        (
            vec!["--s3-compatible-service-url=minio:9000".to_owned()],
            "S3_COMPATIBLE_SERVICE_URL",
            "http or https URL",
        ),
        (
            vec![format!("--s3-compatible-service-url={secret_url}")],
            "S3_COMPATIBLE_SERVICE_URL",
            "without user",
        ),
        (
            vec!["--request-cache-bucket-name=a/b".to_owned()],
            "REQUEST_CACHE_BUCKET_NAME",
            "REQUEST_CACHE_PREFIX",
        ),
        (
            vec!["--request-cache-bucket-name=s3://a".to_owned()],
            "REQUEST_CACHE_BUCKET_NAME",
            "a bucket alone",
        ),
        (
            [&azure[..], &["--storage-azure-service-url=ftp://a".to_owned()]].concat(),
            "STORAGE_AZURE_SERVICE_URL",
            "http or https URL",
        ),
        (
            vec![
                provider("google_cloud"),
                "--google-application-credentials=/missing.json".to_owned(),
            ],
            "GOOGLE_APPLICATION_CREDENTIALS",
            "/missing.json",
        ),
        (
            vec![provider("google_cloud"), format!("--google-application-credentials={broken}")],
            "GOOGLE_APPLICATION_CREDENTIALS",
            "no JSON",
        ),
    ] {
        let is_replaced = |flag: &String| {
            let name = |flag: &str| flag.split('=').next().map(str::to_owned);
            flags.iter().any(|by| name(by) == name(flag))
        };
        let mut all = s3_flags();
        all.retain(|flag| !is_replaced(flag));
        all.extend(flags.clone());
        let error = error(&all);
        assert!(error.starts_with(variable) && error.contains(accepts), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}

#[test]
fn loads_say_that_they_go_on_before_they_count_as_dead() {
    let flags = [
        ENDPOINT,
        "--request-cache-part-list-write-min-interval-ms=1",
        "--request-cache-max-incomplete-part-list-age-ms=20",
        "--request-cache-part-list-touch-interval-ms=5",
        "--request-cache-slow-part-list-update-threshold-ms=2",
        "--request-cache-slow-part-upload-threshold-ms=10",
        "--request-cache-slow-bytes-threshold-ms=3",
    ];
    let sharing = parse(&flags).unwrap().engine.engine_config().unwrap().sharing;
    let ms = |ms| Duration::from_millis(ms);
    assert_eq!((sharing.write_min_interval, sharing.stale_age), (ms(1), ms(20)));
    assert_eq!((sharing.touch_interval, sharing.slow_update), (ms(5), ms(2)));
    assert_eq!((sharing.slow_upload, sharing.slow_bytes), (ms(10), ms(3)));
    for (flag, variable) in [
        ("touch-interval", "REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS"),
        ("write-min-interval", "REQUEST_CACHE_PART_LIST_WRITE_MIN_INTERVAL_MS"),
    ] {
        let error =
            engine_error(&[ENDPOINT, &format!("--request-cache-part-list-{flag}-ms=20000")]);
        assert!(error.starts_with(&format!("{variable} is 20000")), "{error}");
        assert!(error.contains("REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS (20000)"), "{error}");
    }
}

#[test]
fn nothing_prints_the_key_of_a_bucket() {
    let flags = s3_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let parsed = parse(&flags).unwrap();
    assert!(!format!("{parsed:?}").contains(SECRET), "{parsed:?}");
    let config = parsed.engine.engine_config().unwrap();
    assert!(!format!("{config:?}").contains(SECRET), "{config:?}");
}
