use clap::Parser;

use super::*;

mod bucket;

#[derive(Parser, Debug)]
struct Flags {
    #[command(flatten)]
    engine: EngineSettings,
    #[command(flatten)]
    server: ServerSettings,
    #[command(flatten)]
    log: LogSettings,
    #[command(flatten)]
    metrics: MetricsSettings,
    #[command(flatten)]
    shutdown: ShutdownSettings,
}

/// Without the variables of whoever runs the tests.
fn parse(flags: &[&str]) -> Result<Flags, clap::Error> {
    use clap::{CommandFactory as _, FromArgMatches as _};
    let command = Flags::command().mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    let matches = command.try_get_matches_from(["loader"].iter().chain(flags))?;
    Flags::from_arg_matches(&matches)
}

fn engine_error(flags: &[&str]) -> String {
    parse(flags).unwrap().engine.engine_config().unwrap_err().to_string()
}

const ENDPOINT: &str = "--manifest-endpoint=https://data.example.com/manifest";

#[test]
fn defaults_are_those_of_the_engine() {
    let config = parse(&[ENDPOINT]).unwrap().engine.engine_config().unwrap();
    let defaults =
        EngineConfig::new(FetchConfig::new("https://data.example.com/manifest".parse().unwrap()));
    assert_eq!(format!("{config:?}"), format!("{defaults:?}"));
    assert_eq!(config.fetch.manifest_cache_ttl, defaults.fetch.manifest_cache_ttl);
    assert_eq!(config.fetch.manifest_cache_capacity, defaults.fetch.manifest_cache_capacity);
}

#[test]
fn the_service_has_defaults() {
    let settings = parse(&[ENDPOINT]).unwrap().server;
    assert_eq!(settings.address.to_string(), "0.0.0.0:8080");
    assert!(!settings.disable_auth);
    let origins: Vec<&str> = settings.cors_allowed_origins.iter().map(url::Url::as_str).collect();
    assert_eq!(origins, ["https://app.foxglove.dev/", "https://embed.foxglove.dev/"]);
}

#[test]
fn every_setting_arrives() {
    let flags = parse(&[
        "--manifest-endpoint=http://backend:1234/m?x=1",
        "--allow-http-sources",
        "--manifest-cache-ttl-ms=30000",
        "--manifest-cache-max-capacity=7",
        "--auth-token-origins=https://a.example.com,https://b.example.com:8443",
        "--deny-source-cidrs=10.0.0.0/8,fd00::/8",
        "--request-cache-max-bytes-wait-ms=1500",
        "--load-linger-ms=0",
        "--max-concurrent-loads=3",
        "--static-revalidate-ms=9",
        "--max-chunk-bytes=1000",
        "--max-message-bytes=999",
        "--request-cache-storage-provider=local",
        "--request-cache-bucket-name=/tmp/bucket",
        "--request-cache-disk-folder=/tmp/disk",
        "--request-cache-max-bytes=16777216",
    ])
    .unwrap();
    let config = flags.engine.engine_config().unwrap();
    assert_eq!(config.fetch.manifest_endpoint.as_str(), "http://backend:1234/m?x=1");
    assert!(config.fetch.allow_http_sources);
    assert_eq!(config.fetch.manifest_cache_ttl.as_millis(), 30_000);
    assert_eq!(config.fetch.manifest_cache_capacity, 7);
    let origins = ["https://a.example.com", "https://b.example.com:8443"];
    let origins: Vec<url::Url> = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    assert_eq!(config.fetch.token_policy, rdl_engine::TokenPolicy::only(&origins));
    let networks: Vec<String> =
        config.fetch.denied_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(config.source_silence.as_millis(), 1500);
    assert_eq!(config.load_linger.as_millis(), 0);
    assert_eq!(config.max_concurrent_loads, 3);
    assert_eq!(config.static_revalidate.as_millis(), 9);
    assert_eq!(config.max_chunk_bytes, 1000);
    assert_eq!(config.max_message_bytes, 999);
    assert_eq!(config.store.bucket.unwrap().to_str(), Some("/tmp/bucket"));
    assert_eq!(config.store.folder.unwrap().to_str(), Some("/tmp/disk"));
    assert_eq!(config.store.max_bytes, Some(16 << 20));
}

#[test]
fn the_grace_time_has_room_for_the_delay_and_for_letting_go() {
    let plan = |flags: &[&str]| parse(&[&[ENDPOINT], flags].concat()).unwrap().shutdown.plan();
    assert_eq!(plan(&[]).unwrap().grace.as_secs(), 30);
    assert!(plan(&["--shutdown-delay-ms=0", "--shutdown-grace-ms=5000"]).is_ok());
    let error = plan(&["--shutdown-grace-ms=9999"]).unwrap_err().to_string();
    let expected = "SHUTDOWN_GRACE_MS is 9999: accepts SHUTDOWN_DELAY_MS, which is 5000, and 5000 more, or above";
    assert_eq!(error, expected);
}

#[test]
fn a_wrong_value_names_its_variable_and_what_it_accepts() {
    for (flag, variable, accepts) in [
        ("--disable-auth=yes", "DISABLE_AUTH", "true, false, 1 or 0"),
        ("--allow-http-sources=TRUE", "ALLOW_HTTP_SOURCES", "true, false, 1 or 0"),
        ("--manifest-cache-ttl-ms=30001", "MANIFEST_CACHE_TTL_MS", "from 0 to 30000"),
        ("--manifest-cache-ttl-ms=-1", "MANIFEST_CACHE_TTL_MS", "from 0 to 30000"),
        ("--manifest-cache-ttl-ms=1s", "MANIFEST_CACHE_TTL_MS", "whole number"),
        ("--max-concurrent-loads=0", "MAX_CONCURRENT_LOADS", "from 1 to 256"),
        ("--max-chunk-bytes=99999999999999999999", "MAX_CHUNK_BYTES", "whole number"),
        ("--address=localhost", "ADDRESS", "0.0.0.0:8080"),
        (
            "--request-cache-storage-provider=floppy",
            "REQUEST_CACHE_STORAGE_PROVIDER",
            "aws, s3_compatible, google_cloud, azure, local and in_memory",
        ),
        (
            "--request-cache-part-list-touch-interval-ms=anything",
            "REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS",
            "whole number from 1",
        ),
        ("--request-cache-max-bytes=0", "REQUEST_CACHE_MAX_BYTES", "whole number from 1"),
        ("--request-cache-max-bytes=10GiB", "REQUEST_CACHE_MAX_BYTES", "whole number from 1"),
        ("--cors-allowed-origins=*", "CORS_ALLOWED_ORIGINS", "origins"),
        ("--cors-allowed-origins=https://a.example/path", "CORS_ALLOWED_ORIGINS", "origins"),
        ("--auth-token-origins=ftp://a.example", "AUTH_TOKEN_ORIGINS", "origins"),
        ("--deny-source-cidrs=10.0.0.0", "DENY_SOURCE_CIDRS", "10.0.0.0/8,fd00::/8"),
        ("--deny-source-cidrs=10.0.0.0/8,internal", "DENY_SOURCE_CIDRS", "10.0.0.0/8,fd00::/8"),
        ("--deny-source-cidrs=10.0.0.0/33", "DENY_SOURCE_CIDRS", "10.0.0.0/8,fd00::/8"),
        ("--prometheus-address=6001", "PROMETHEUS_ADDRESS", "0.0.0.0:6001"),
        ("--prometheus-metrics-namespace=a-b", "PROMETHEUS_METRICS_NAMESPACE", "underscores"),
        ("--prometheus-metrics-subsystem=1a", "PROMETHEUS_METRICS_SUBSYSTEM", "underscores"),
        ("--shutdown-delay-ms=5s", "SHUTDOWN_DELAY_MS", "whole number from 0"),
        ("--log=rdl=noisy", "RUST_LOG", "level"),
        ("--log-format=xml", "LOG_FORMAT", "text and json"),
    ] {
        let error = parse(&[ENDPOINT, flag]).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{flag}");
        let text = error.to_string();
        let line = text.lines().next().unwrap();
        assert!(line.contains(variable), "{line}");
        assert!(line.contains(accepts), "{line}");
    }
}

#[test]
fn booleans_are_read() {
    for (flag, expected) in [
        ("--disable-auth", true),
        ("--disable-auth=true", true),
        ("--disable-auth=1", true),
        ("--disable-auth=false", false),
        ("--disable-auth=0", false),
    ] {
        assert_eq!(parse(&[ENDPOINT, flag]).unwrap().server.disable_auth, expected, "{flag}");
    }
}

#[test]
fn the_manifest_endpoint_is_an_https_url() {
    assert!(engine_error(&[]).starts_with("MANIFEST_ENDPOINT is not set"));
    let plain = engine_error(&["--manifest-endpoint=http://backend/manifest"]);
    assert!(
        plain.starts_with("MANIFEST_ENDPOINT is plain http")
            && plain.contains("ALLOW_HTTP_SOURCES")
    );
    for text in ["backend/manifest", "/manifest", "ftp://backend/", "file:///etc/passwd", "https:"]
    {
        let error = engine_error(&[&format!("--manifest-endpoint={text}")]);
        assert!(error.contains("accepts an absolute https URL"), "{text}: {error}");
    }
    // A URL may hold secrets.
    assert!(!engine_error(&["--manifest-endpoint=ftp://me:secret@backend/"]).contains("secret"));
}

#[test]
fn a_bucket_needs_its_provider_and_the_other_way_round() {
    let provider = "--request-cache-storage-provider=local";
    let error = engine_error(&[ENDPOINT, provider]);
    assert!(error.starts_with("REQUEST_CACHE_BUCKET_NAME is not set"), "{error}");
    let error = engine_error(&[ENDPOINT, "--request-cache-bucket-name=b"]);
    assert!(error.contains("REQUEST_CACHE_STORAGE_PROVIDER is not"), "{error}");
    let in_memory = "--request-cache-storage-provider=in_memory";
    let flags = parse(&[ENDPOINT, in_memory, "--request-cache-bucket-name=b"]).unwrap();
    assert_eq!(flags.engine.engine_config().unwrap().store.bucket, None);
}

#[test]
fn the_folder_of_the_provider_local_has_no_prefix() {
    let flags = ["--request-cache-storage-provider=local", "--request-cache-bucket-name=/b"];
    let error = engine_error(&[ENDPOINT, flags[0], flags[1], "--request-cache-prefix=p"]);
    assert!(error.starts_with("REQUEST_CACHE_PREFIX is set"), "{error}");
    let empty = [ENDPOINT, flags[0], flags[1], "--request-cache-prefix="];
    assert!(parse(&empty).unwrap().engine.engine_config().is_ok());
}

#[test]
fn secrets_are_not_printed() {
    let secret: Secret = "hunter2".parse().unwrap();
    assert_eq!(secret.expose(), "hunter2");
    assert!(!format!("{secret:?}").contains("hunter2"));
}
