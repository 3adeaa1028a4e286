//! Where the credentials of a bucket come from, and by which way it is reached.

use std::sync::{Arc, Mutex};

use rdl_testkit::servers::S3Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::running::BINARY;

const BUCKET: &str = "recordings";

/// What a role's credentials look like, in the documents of AWS.
const ROLE: &str = r#"{"AccessKeyId": "ASIAROLE", "SecretAccessKey": "topsecret", "Token": "t",
    "RoleArn": "arn:aws:iam::123456789012:role/loader", "Code": "Success", "Type": "AWS-HMAC",
    "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z"}"#;

/// A server in the place of one that a cloud has on every machine: what it was asked for, and what
/// it says to it.
struct Nearby {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Nearby {
    async fn start(says: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> Nearby {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Some((line, _)) = head(&mut client).await else { continue };
                let body = says(&line);
                seen.lock().unwrap().push(line);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = client.write_all(answer.as_bytes()).await;
            }
        });
        Nearby { url, asked }
    }

    /// A proxy to one server, whatever it is asked for.
    async fn proxy(target: &str) -> Nearby {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, target) = (asked.clone(), target.replace("http://", ""));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Some((line, rest)) = head(&mut client).await else { continue };
                let mut server = TcpStream::connect(&target).await.unwrap();
                // `GET http://host/path HTTP/1.1` becomes `GET /path HTTP/1.1`.
                let mut words = line.split(' ');
                let (method, absolute) = (words.next().unwrap(), words.next().unwrap());
                let path = absolute.splitn(4, '/').nth(3).unwrap_or_default();
                // A proxy leaves the host; moto takes every other than its own for a bucket.
                let rest: Vec<&str> =
                    rest.split("\r\n").filter(|line| !line.starts_with("host:")).collect();
                let rest = rest.join("\r\n");
                let begin = format!(
                    "{method} /{path} HTTP/1.1\r\nhost: {target}\r\nconnection: close\r\n{rest}"
                );
                seen.lock().unwrap().push(line.clone());
                server.write_all(begin.as_bytes()).await.unwrap();
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Nearby { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The first line of a request, and what follows it up to the end of the headers.
async fn head(client: &mut TcpStream) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let (line, rest) = head.split_once("\r\n")?;
    Some((line.to_owned(), rest.to_owned()))
}

/// Lists the bucket with these variables.
async fn list(environment: &[(&str, &str)]) {
    let output = tokio::process::Command::new(BINARY)
        .args(["cache", "list", "--json"])
        .env_clear()
        .env("REQUEST_CACHE_BUCKET_NAME", BUCKET)
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]");
    assert!(!said.contains("topsecret"), "{said}");
}

async fn s3() -> S3Server {
    let server = S3Server::start().await.unwrap();
    server.create_bucket(BUCKET).await.unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_takes_the_credentials_of_a_pod_and_of_a_machine() {
    let server = s3().await;
    let url = server.url();
    let aws = [
        ("REQUEST_CACHE_STORAGE_PROVIDER", "aws"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", &url),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a token").unwrap();
    let token_file = file.path().to_str().unwrap();

    // A pod with an identity: an agent on its machine knows.
    let agent = Nearby::start(|_| ROLE).await;
    let credentials = format!("{}/v1/credentials", agent.url);
    let mut environment = aws.to_vec();
    environment.extend([
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*credentials),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file),
    ]);
    list(&environment).await;
    assert_eq!(agent.asked(), ["GET /v1/credentials HTTP/1.1"]);

    // A machine with a role: its metadata tells.
    let metadata = Nearby::start(|line| match line.split(' ').nth(1) {
        Some("/latest/api/token") => "session",
        Some(path) if path.ends_with("/loader") => ROLE,
        _ => "loader",
    })
    .await;
    let mut environment = aws.to_vec();
    environment.push(("AWS_METADATA_ENDPOINT", &metadata.url));
    list(&environment).await;
    let asked = metadata.asked();
    assert!(asked.iter().any(|line| line.ends_with("/loader HTTP/1.1")), "{asked:?}");
}

/// The exchange itself is always encrypted, and moto does not do that: that it is tried has to do.
#[tokio::test(flavor = "multi_thread")]
async fn aws_exchanges_the_token_of_a_service_account() {
    let server = s3().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a token").unwrap();
    let output = tokio::process::Command::new(BINARY)
        .args(["cache", "list"])
        .env_clear()
        .env("REQUEST_CACHE_STORAGE_PROVIDER", "aws")
        .env("REQUEST_CACHE_BUCKET_NAME", BUCKET)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL", server.url())
        .env("AWS_ENDPOINT_URL_STS", "https://127.0.0.1:9")
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/loader")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", file.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("POST"), "{said}");
    assert!(!said.contains("a token"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_reached_through_a_proxy() {
    let server = s3().await;
    let proxy = Nearby::proxy(&server.url()).await;
    list(&[
        ("REQUEST_CACHE_STORAGE_PROVIDER", "s3_compatible"),
        ("S3_COMPATIBLE_SERVICE_URL", "http://storage.invalid:9000"),
        ("S3_COMPATIBLE_ACCESS_KEY_ID", "key"),
        ("S3_COMPATIBLE_SECRET_ACCESS_KEY", "topsecret"),
        ("HTTP_PROXY", &proxy.url),
    ])
    .await;
    let asked = proxy.asked();
    assert!(asked.iter().all(|line| line.contains(" http://storage.invalid:9000/")), "{asked:?}");
    assert!(!asked.is_empty());
}
