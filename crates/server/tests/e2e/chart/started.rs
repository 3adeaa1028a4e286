//! The real binary, started with exactly the arguments and the environment that the chart renders.
//!
//! A secret has the values of a store that runs beside the test, a mount is a folder of the test's
//! own, and of an address the port alone becomes a free one. Then every probe of the container is
//! answered.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rdl_testkit::servers::{AzureServer, GcsServer, VersityServer};
use rdl_testkit::{Drive, FileSpec, Process, check_all, decode, get};
use serde_json::Value;
use tempfile::TempDir;

use super::rendered::{BACKEND, LOADER, Rendered, case};
use crate::backend::put;
use crate::running::BINARY;

const KEY: &str = "COOKIE_ENCRYPTION_KEY";
/// 32 bytes.
const A_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The secrets of the namespace: what is in each.
type Secrets = BTreeMap<&'static str, Vec<(&'static str, String)>>;

/// A container that runs.
struct Started {
    process: Process,
    /// What is mounted.
    _folders: Vec<TempDir>,
}

impl Started {
    /// The container of this Deployment, when all its probes are answered. `other` is what the test
    /// has at another address than the cluster.
    async fn of(
        rendered: &Rendered,
        deployment: &str,
        secrets: &Secrets,
        other: &[(&str, &str)],
    ) -> Started {
        let container = rendered.container(deployment);
        let pod = &rendered.find("Deployment", deployment)["spec"]["template"]["spec"];
        let mut folders = Vec::new();
        let mut places = Vec::new();
        for mount in container["volumeMounts"].as_array().unwrap() {
            let folder = tempfile::tempdir().unwrap();
            let volumes = pod["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            for (name, content) in secret(secrets, &volume["secret"]["secretName"], true) {
                std::fs::write(folder.path().join(name), content).unwrap();
            }
            let path = folder.path().to_str().unwrap().to_owned();
            places.push((mount["mountPath"].as_str().unwrap(), path));
            folders.push(folder);
        }
        let mut environment: Vec<(&str, String)> = Vec::new();
        for entry in container["envFrom"].as_array().unwrap() {
            let reference = &entry["secretRef"];
            let is_optional = reference["optional"] == true;
            environment.extend(secret(secrets, &reference["name"], is_optional).iter().cloned());
        }
        for variable in container["env"].as_array().unwrap() {
            let name = variable["name"].as_str().unwrap();
            let given = match variable["value"].as_str() {
                Some(value) => value.to_owned(),
                None => {
                    let reference = &variable["valueFrom"]["secretKeyRef"];
                    let all = secret(secrets, &reference["name"], false);
                    let found = all.iter().find(|(key, _)| reference["key"] == *key);
                    found.unwrap_or_else(|| panic!("{reference}")).1.clone()
                }
            };
            let moved =
                other.iter().find(|(from, _)| *from == given).map(|(_, to)| (*to).to_owned());
            let mounted = places.iter().find_map(|(path, folder)| {
                given.strip_prefix(path).map(|rest| format!("{folder}{rest}"))
            });
            let value = moved.or(mounted).unwrap_or(given);
            environment.push((name, with_free_port(container, name, value)));
        }
        let arguments = container["args"].as_array().unwrap();
        let arguments: Vec<&str> = arguments.iter().flat_map(Value::as_str).collect();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let process = Process::start(Path::new(BINARY), &arguments, &environment).await.unwrap();
        let started = Started { process, _folders: folders };
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            started.answers(container[probe]["httpGet"]["path"].as_str().unwrap()).await;
        }
        started
    }

    /// It listens at every interface; tests ask at one.
    fn url(&self) -> String {
        self.process.url().replace("0.0.0.0", "127.0.0.1")
    }

    async fn answers(&self, path: &str) {
        let url = format!("{}{path}", self.url());
        let answers = async {
            while !get(&url, &[]).await.is_ok_and(|answer| answer.status == 200) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), answers).await;
        waited.unwrap_or_else(|_| panic!("{path} is not answered:\n{}", self.process.printed()));
    }
}

/// What is in the secret of this name.
fn secret<'a>(
    secrets: &'a Secrets,
    name: &Value,
    is_optional: bool,
) -> &'a [(&'static str, String)] {
    match name.as_str().and_then(|name| secrets.get(name)) {
        Some(entries) => entries,
        None if is_optional => &[],
        None => panic!("there is no secret {name}, and the pod does not start without it"),
    }
}

/// An address has the port that the container says; a test takes a free one.
fn with_free_port(container: &Value, name: &str, value: String) -> String {
    let port = match name {
        "ADDRESS" => "http",
        "PROMETHEUS_ADDRESS" => "metrics",
        _ => return value,
    };
    let ports = container["ports"].as_array().unwrap();
    let port = &ports.iter().find(|known| known["name"] == port).unwrap()["containerPort"];
    let host = value.strip_suffix(&format!(":{port}"));
    format!("{}:0", host.unwrap_or_else(|| panic!("{name} is {value}, not of port {port}")))
}

/// The credentials of a versitygw, as those of a store that speaks S3.
fn s3_compatible(server: &VersityServer) -> Vec<(&'static str, String)> {
    vec![
        ("S3_COMPATIBLE_ACCESS_KEY_ID", VersityServer::ACCESS_KEY.to_owned()),
        ("S3_COMPATIBLE_SECRET_ACCESS_KEY", VersityServer::SECRET_KEY.to_owned()),
        ("S3_COMPATIBLE_SERVICE_REGION", "us-east-1".to_owned()),
        ("S3_COMPATIBLE_SERVICE_URL", server.url()),
    ]
}

async fn versity(buckets: &[&str]) -> VersityServer {
    let server = VersityServer::start().await.unwrap();
    for bucket in buckets {
        server.create_bucket(bucket).unwrap();
    }
    server
}

#[tokio::test]
async fn what_the_known_chart_is_tried_with_starts() {
    let server = versity(&[]).await;
    let secrets = Secrets::from([("cloud-credentials", s3_compatible(&server))]);
    Started::of(&case("known-test").render().await, LOADER, &secrets, &[]).await;
}

#[tokio::test]
async fn every_value_of_the_known_chart_starts() {
    let server = versity(&["recordings"]).await;
    let secrets = Secrets::from([
        ("cloud-credentials", s3_compatible(&server)),
        ("more-settings", vec![("FILE_WAIT_MS", "1000".to_owned())]),
        ("yet-more", Vec::new()),
    ]);
    // Neither that proxy nor a bucket of AWS is here.
    let values = [
        ("globals.cache.storageProvider", "s3_compatible"),
        ("globals.proxy.httpProxy", ""),
        ("globals.proxy.httpsProxy", ""),
    ];
    Started::of(&case("known").render_with(&values).await, LOADER, &secrets, &[]).await;
}

#[tokio::test]
async fn a_cache_in_a_store_that_speaks_s3_starts_with_sign_in() {
    let server = versity(&["recordings"]).await;
    let sign_in = [
        (KEY, A_KEY),
        ("OAUTH_CLIENT_ID", "loader"),
        ("OAUTH_CLIENT_SECRET", "topsecret"),
        ("OAUTH_AUTHORIZE_URL", "https://idp.example.com/authorize"),
        ("OAUTH_TOKEN_URL", "https://idp.example.com/token"),
        ("OAUTH_CALLBACK_URL", "https://loader.example.com/oauth/callback"),
    ];
    let sign_in = sign_in.map(|(name, value)| (name, value.to_owned())).to_vec();
    let secrets = Secrets::from([
        ("cloud-credentials", s3_compatible(&server)),
        ("auth-credentials", sign_in),
    ]);
    let rendered = case("s3-compatible").render().await;
    let started = Started::of(&rendered, LOADER, &secrets, &[]).await;
    let url = format!("{}/v1/recording?ds.recording=drive", started.url());
    let answer = get(&url, &[]).await.unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.text().contains("https://loader.example.com/login"), "{}", answer.text());
}

#[tokio::test]
async fn a_cache_in_aws_starts() {
    let server = versity(&["recordings"]).await;
    let credentials = vec![
        ("AWS_ACCESS_KEY_ID", VersityServer::ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", VersityServer::SECRET_KEY.to_owned()),
        ("AWS_ENDPOINT_URL", server.url()),
    ];
    let secrets = Secrets::from([("cloud-credentials", credentials)]);
    // The server signs for this one.
    let rendered = case("aws").render_with(&[("globals.aws.region", "us-east-1")]).await;
    Started::of(&rendered, LOADER, &secrets, &[]).await;
}

#[tokio::test]
async fn a_cache_in_google_cloud_starts() {
    let server = GcsServer::start().await.unwrap();
    server.create_bucket("recordings").await.unwrap();
    let key = std::fs::read_to_string(server.credentials_path()).unwrap();
    let secrets = Secrets::from([("gcp-cloud-credential", vec![("credentials.json", key)])]);
    Started::of(&case("google-cloud").render().await, LOADER, &secrets, &[]).await;
}

#[tokio::test]
async fn a_cache_in_azure_starts() {
    let server = AzureServer::start().await.unwrap();
    server.create_container("recordings").await.unwrap();
    let key = vec![("AZURE_STORAGE_ACCOUNT_KEY", AzureServer::KEY.to_owned())];
    let secrets = Secrets::from([("cloud-credentials", key)]);
    let values = [
        ("globals.azure.storageAccountName", AzureServer::ACCOUNT),
        ("globals.azure.serviceUrl", &server.service_url()),
    ];
    Started::of(&case("azure").render_with(&values).await, LOADER, &secrets, &[]).await;
}

/// What one command renders plays a recording that lies in a bucket.
#[tokio::test]
async fn the_backend_of_the_release_serves_the_loader() {
    let server = versity(&["recordings", "cache"]).await;
    let recording = Drive { groups: 1, messages: 300, ..Drive::default() }.generate();
    let file = FileSpec::default().write(&recording.sources[0]);
    put(&server.url(), "robots/drive.mcap", file).await;
    let secrets = Secrets::from([("cloud-credentials", s3_compatible(&server))]);
    let rendered = case("backend").render().await;
    let backend = Started::of(&rendered, BACKEND, &secrets, &[]).await;
    let endpoint = rendered.variable(LOADER, "MANIFEST_ENDPOINT").unwrap();
    let here = format!("{}/manifest", backend.url());
    let loader = Started::of(&rendered, LOADER, &secrets, &[(endpoint, &here)]).await;
    let answer = get(&format!("{}/v1/stream?ds.recording=drive", loader.url()), &[]).await.unwrap();
    assert!(answer.status == 200 && answer.complete, "{}", loader.process.printed());
    check_all(&decode(&answer.body).unwrap().messages, &recording.sources[0]).unwrap();
}

#[tokio::test]
async fn everything_of_ours_starts() {
    let server = versity(&["recordings", "cache"]).await;
    let token = vec![("token", "long-and-random".to_owned())];
    let secrets = Secrets::from([
        ("bucket", s3_compatible(&server)),
        ("more-settings", Vec::new()),
        ("backend-settings", Vec::new()),
        ("cookies", vec![("encryption-key", A_KEY.to_owned())]),
        ("token", token),
    ]);
    let provider = ("globals.cache.storageProvider", "s3_compatible");
    let everything = case("everything");
    let rendered = everything.render_with(&[provider]).await;
    let backend = Started::of(&rendered, BACKEND, &secrets, &[]).await;
    let endpoint = rendered.variable(LOADER, "MANIFEST_ENDPOINT").unwrap();
    let here = format!("{}/manifest", backend.url());
    Started::of(&rendered, LOADER, &secrets, &[(endpoint, &here)]).await;
    let url = format!("{}/recordings", backend.url());
    assert_eq!(get(&url, &[]).await.unwrap().status, 401);

    // The other way to guard the backend.
    let values =
        [("backend.auth.mode", "token"), ("backend.auth.tokenSecret.name", "token"), provider];
    let rendered = everything.render_with(&values).await;
    let backend = Started::of(&rendered, BACKEND, &secrets, &[]).await;
    let url = format!("{}/recordings", backend.url());
    let bearer = [("authorization", "Bearer long-and-random")];
    assert_eq!(get(&url, &bearer).await.unwrap().status, 200);
    assert_eq!(get(&url, &[]).await.unwrap().status, 401);
}
