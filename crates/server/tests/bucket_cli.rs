//! The command line of the real binary over a bucket in an object store that is not there, or not
//! as it should be.

#![expect(clippy::unwrap_used, reason = "tests, and what they share")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

const ACCESS_KEY_ID: &str = "AKIAHUNTER1";
const SECRET_ACCESS_KEY: &str = "hunter2hunter2";

/// The variables of a bucket at this URL.
fn bucket(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("MANIFEST_ENDPOINT", "https://data.example.com/manifest".to_owned()),
        ("REQUEST_CACHE_STORAGE_PROVIDER", "s3_compatible".to_owned()),
        ("REQUEST_CACHE_BUCKET_NAME", "recordings".to_owned()),
        ("S3_COMPATIBLE_SERVICE_URL", url.to_owned()),
        ("S3_COMPATIBLE_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
        ("S3_COMPATIBLE_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
    ]
}

/// The exit status, and the one line on standard error; neither shows a secret.
fn run(args: &[&str], environment: &[(&str, String)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remote-data-loader"));
    command.args(args).env_clear().env("PROMETHEUS_ADDRESS", "127.0.0.1:0");
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    let Output { status, stderr, stdout } = command.output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    assert!(!text.contains(SECRET_ACCESS_KEY) && !text.contains(ACCESS_KEY_ID), "{text}");
    assert_eq!(String::from_utf8(stdout).unwrap(), "");
    (status.code(), text)
}

/// A store that answers everything with this status and document. Its URL.
fn store_that_says(status: &'static str, document: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let lines = BufReader::new(socket.try_clone().unwrap()).lines();
            let _ = lines.map_while(Result::ok).find(String::is_empty);
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                document.len()
            );
            let _ = socket.write_all(head.as_bytes());
            let _ = socket.write_all(document.as_bytes());
        }
    });
    url
}

#[test]
fn a_wrong_or_missing_value_of_a_bucket_ends_with_2_by_its_name() {
    for (name, value) in [
        ("REQUEST_CACHE_BUCKET_NAME", ""),
        ("REQUEST_CACHE_BUCKET_NAME", "a/b"),
        ("S3_COMPATIBLE_SERVICE_URL", ""),
        ("S3_COMPATIBLE_SERVICE_URL", "storage.example.com"),
        ("S3_COMPATIBLE_ACCESS_KEY_ID", ""),
        ("S3_COMPATIBLE_SECRET_ACCESS_KEY", ""),
        ("STORAGE_AZURE_STORAGE_ACCOUNT_NAME", ""),
        ("STORAGE_AZURE_SERVICE_URL", "storage.example.com"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/missing.json"),
    ] {
        let mut environment = bucket("http://127.0.0.1:9");
        match name.split('_').next().unwrap() {
            "STORAGE" => {
                environment.push(("REQUEST_CACHE_STORAGE_PROVIDER", "azure".to_owned()));
                environment.push(("STORAGE_AZURE_STORAGE_ACCOUNT_NAME", "account".to_owned()));
            }
            "GOOGLE" => {
                environment.push(("REQUEST_CACHE_STORAGE_PROVIDER", "google_cloud".to_owned()));
            }
            _ => {}
        }
        environment.push((name, value.to_owned()));
        for args in [&["serve"][..], &["cache", "list"], &["cache", "purge", "--all"]] {
            let (status, text) = run(args, &environment);
            assert_eq!(status, Some(2), "{args:?}: {text}");
            assert!(text.starts_with(&format!("remote-data-loader: {name} ")), "{text}");
        }
    }
}

#[test]
fn a_bucket_that_cannot_be_reached_is_a_failure_in_one_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for args in [&["cache", "list"][..], &["cache", "purge", "--older-than", "7d"]] {
        let (status, text) = run(args, &bucket(&format!("http://{free}")));
        assert_eq!(status, Some(1), "{text}");
        let says = "the bucket recordings cannot be reached: check S3_COMPATIBLE_SERVICE_URL";
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn what_the_store_refuses_is_told_with_what_to_do() {
    for (status, code, says) in [
        ("404 Not Found", "NoSuchBucket", "there is no bucket recordings: create it, or correct"),
        ("403 Forbidden", "InvalidAccessKeyId", "refuses these credentials: correct S3_COMPATIBLE"),
    ] {
        let document = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>It is so.</Message>\
             <AWSAccessKeyId>{ACCESS_KEY_ID}</AWSAccessKeyId></Error>"
        );
        let environment = bucket(&store_that_says(status, document));
        for args in [&["cache", "list"][..], &["cache", "purge", "--all"]] {
            let (status, text) = run(args, &environment);
            assert_eq!(status, Some(1), "{text}");
            assert!(text.contains(says) && text.contains(code), "{text}");
        }
    }
}

#[test]
fn an_empty_bucket_is_listed_and_the_manifest_endpoint_is_asked_first() {
    let list = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let mut environment = bucket(&store_that_says("200 OK", list.to_owned()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_remote-data-loader"));
    command.args(["cache", "list", "--json"]).env_clear();
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "[]\n");
    assert_eq!(output.status.code(), Some(0));

    let purge = ["cache", "purge", "-p", "recording=x", "--token", SECRET_ACCESS_KEY];
    environment.push(("MANIFEST_ENDPOINT", String::new()));
    let (status, text) = run(&purge, &environment);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("MANIFEST_ENDPOINT is not set"), "{text}");
    let refusing = store_that_says("403 Forbidden", String::new());
    environment.push(("MANIFEST_ENDPOINT", refusing));
    environment.push(("ALLOW_HTTP_SOURCES", "true".to_owned()));
    let (status, text) = run(&purge, &environment);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("403"), "{text}");
}
