use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rdl_testkit::servers::{IdentityProvider, ProviderOptions, Sites, TokenFormat, VersityServer};
use rdl_testkit::{
    Drive, FakeBackend, FileSpec, Process, Recording, manifest_json, static_entry, streamed_entry,
};
use serde_json::Value;

use crate::fleet::{BUCKET, s3};
use crate::running::{BINARY, needed};

const LOADER: &str = "loader.robots.test";
const SAME_SITE: &str = "app.robots.test";
const VIEWER: &str = "viewer.cameras.test";
const NEIGHBOUR: &str = "viewer.lidars.test";
/// Another loader, without users.
const PAGE: &str = "loader.cameras.test";
const STRANGER: &str = "viewer.strangers.test";
const PROVIDER: &str = "id.accounts.test";

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A loader on a site of its own, with everyone who is around it.
pub(crate) struct Stage {
    pub(crate) provider: IdentityProvider,
    sites: Sites,
    bucket: VersityServer,
    /// The log, and the loader's disk.
    folder: tempfile::TempDir,
    _backend: FakeBackend,
    _loader: Process,
    _other: Process,
}

impl Stage {
    /// Access tokens last so long.
    pub(crate) async fn set(access_token_seconds: u32) -> Stage {
        let names = [LOADER, SAME_SITE, VIEWER, NEIGHBOUR, PAGE, STRANGER, PROVIDER];
        let mut sites = Sites::open(&names).await.unwrap();
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/viewer");
        for viewer in [SAME_SITE, VIEWER, NEIGHBOUR, STRANGER] {
            sites.serve(viewer, &pages).await.unwrap();
        }
        let origin = sites.origin(LOADER);
        let options = ProviderOptions {
            issuer: &sites.origin(PROVIDER),
            redirect_uri: &format!("{origin}/oauth/callback"),
            post_logout_redirect_uri: &format!("{origin}/login"),
            access_token_seconds,
            access_token_format: TokenFormat::Jwt,
        };
        let provider = IdentityProvider::start(options).await.unwrap();
        sites.lead_to(PROVIDER, &provider.url()).await.unwrap();
        let backend = backend().await;
        let bucket = VersityServer::start().await.unwrap();
        bucket.create_bucket(BUCKET).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let loader = loader(&sites, &backend, &bucket, folder.path()).await;
        sites.lead_to(LOADER, &loader.url()).await.unwrap();
        let other = Process::start(BINARY.as_ref(), &["demo"], &[("ADDRESS", "127.0.0.1:0")]);
        let other = other.await.unwrap();
        sites.lead_to(PAGE, &other.url()).await.unwrap();
        Stage { provider, sites, bucket, folder, _backend: backend, _loader: loader, _other: other }
    }

    /// What was seen in these scenarios.
    pub(crate) async fn play(&self, scenarios: &[&str]) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/sign_in.mjs");
        let origin = |name: &str| self.sites.origin(name);
        let output = tokio::process::Command::new("node")
            .arg(script)
            .args(scenarios)
            .env("RDL_TEST_NODE_MODULES", needed("RDL_TEST_NODE_MODULES").unwrap())
            .env("RDL_TEST_CHROMIUM", needed("RDL_TEST_CHROMIUM").unwrap())
            .env("SPKI_HASH", self.sites.spki_hash())
            .env("LOADER", origin(LOADER))
            .env("SAME_SITE", origin(SAME_SITE))
            .env("VIEWER", origin(VIEWER))
            .env("NEIGHBOUR", origin(NEIGHBOUR))
            .env("STRANGER", origin(STRANGER))
            .env("PAGE", origin(PAGE))
            .env("PROVIDER", origin(PROVIDER))
            .env("PROVIDER_HOOKS", self.provider.url())
            .env("RECORDING", "ds.recording=drive")
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let provider = self.provider.process.printed();
        assert!(output.status.success(), "{told}\n{provider}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What programs need in their environment to reach the sites; curl has a variable of its own.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let authority = self.sites.authority_file().display().to_string();
        let own = ("CURL_CA_BUNDLE", authority);
        self.sites.environment().into_iter().chain([own]).collect()
    }

    /// Of all that was secret in what was played nothing stands in the log, in the bucket, on the
    /// disk, or in what was seen.
    pub(crate) async fn assert_no_secret_is_left(&self, seen: &Value) {
        let mut secrets = self.provider.secrets().await.unwrap();
        let of_browsers: Vec<String> = serde_json::from_value(seen["secrets"].clone()).unwrap();
        assert!(secrets.len() >= 10 && of_browsers.len() >= 10, "{secrets:?} {of_browsers:?}");
        secrets.extend(of_browsers);
        secrets.extend(["secret-ticket", "secret-signature"].map(str::to_owned));
        secrets.extend([IdentityProvider::CLIENT_SECRET, KEY].map(str::to_owned));
        let mut scenarios = seen.clone();
        scenarios["secrets"] = Value::Null;
        let log = self.folder.path().join("log");
        let mut places = vec![("what was seen".to_owned(), scenarios.to_string().into_bytes())];
        let mut folders = vec![self.bucket.folder().to_owned(), self.folder.path().join("disk")];
        let mut files = vec![log.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let list =
                    if entry.file_type().unwrap().is_dir() { &mut folders } else { &mut files };
                list.push(entry.path());
            }
        }
        assert!(files.len() > 10, "the recording is kept: {files:?}");
        for file in files {
            let name = file.display().to_string();
            // What is being written may be gone by now.
            if let Ok(bytes) = std::fs::read(&file) {
                places.extend([
                    (format!("the name of {name}"), name.clone().into_bytes()),
                    (name, bytes),
                ]);
            }
        }
        let logged = std::fs::read_to_string(log).unwrap();
        assert!(logged.contains("TRACE") && logged.lines().count() > 500, "it is the whole log");
        // The one secret that viewers have to see.
        let links = links(&scenarios);
        for (place, bytes) in places {
            let text = String::from_utf8_lossy(&bytes);
            let links = links.iter().filter(|_| place != "what was seen");
            for secret in secrets.iter().chain(links) {
                assert!(!text.contains(secret.as_str()), "{secret} stands in {place}");
            }
        }
    }
}

/// A recording of streamed and static sources whose URLs have what nobody shall see, for whoever is
/// called anna.
async fn backend() -> FakeBackend {
    let recording: Recording = Drive { payload_bytes: 1_000, ..Drive::default() }.generate();
    let backend = FakeBackend::start().await;
    let mut entries = Vec::new();
    for (number, messages) in recording.sources.iter().enumerate() {
        let path = format!("/data/{number}");
        let file = Bytes::from(FileSpec::default().write(messages));
        if number % 2 == 0 {
            backend.streamed(&path, file);
            let url = format!("{path}?ticket=secret-ticket");
            entries.push(streamed_entry(Some(&format!("source-{number}")), &url, messages));
        } else {
            backend.static_file(&path, file);
            let url = format!("{path}?X-Amz-Date=1&X-Amz-Signature=secret-signature");
            entries.push(static_entry(&url));
        }
    }
    backend.recording("drive", &manifest_json(Some("a drive"), &entries));
    let minutes = Drive {
        duration_nanos: 600_000_000_000,
        windows: 1,
        groups: 1,
        topics: 1,
        messages: 6000,
        ..Drive::default()
    };
    let messages = minutes.generate().sources.remove(0);
    backend.streamed("/long", FileSpec::default().write(&messages));
    let entry = streamed_entry(Some("long"), "/long?ticket=secret-ticket", &messages);
    backend.recording("long", &manifest_json(Some("ten minutes"), &[entry]));
    backend.judge_tokens(|token| match claims(token) {
        Some(claims) if claims["sub"] == "anna" && is_in_time(&claims) => 200,
        Some(claims) if is_in_time(&claims) => 403,
        _ => 401,
    });
    backend
}

/// The tokens of the links to files that stand in this.
fn links(seen: &Value) -> Vec<String> {
    match seen {
        Value::Object(fields) => fields.values().flat_map(links).collect(),
        Value::Array(items) => items.iter().flat_map(links).collect(),
        Value::String(text) => {
            let token = text.strip_prefix("/v1/files/").and_then(|rest| rest.split('/').next());
            token.map(str::to_owned).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// What a token says. That it is signed by the right one is not the loader's business.
fn claims(token: &str) -> Option<Value> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn is_in_time(claims: &Value) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    claims["exp"].as_u64().is_some_and(|exp| now.as_secs() < exp)
}

/// It logs all that it can, into the folder.
async fn loader(
    sites: &Sites,
    backend: &FakeBackend,
    bucket: &VersityServer,
    folder: &Path,
) -> Process {
    let origin = |name: &str| sites.origin(name);
    let allowed = [SAME_SITE, VIEWER, NEIGHBOUR, PAGE].map(origin).join(",");
    let (endpoint, callback) =
        (backend.manifest_endpoint(), format!("{}/oauth/callback", origin(LOADER)));
    let (issuer, log, disk, url) =
        (origin(PROVIDER), folder.join("log"), folder.join("disk"), bucket.url());
    // Where users go on afterwards is registered there, and nothing that the loader knows of.
    let logout = format!("{issuer}/session/end?post_logout_redirect_uri={}/login", origin(LOADER));
    let mut environment = vec![
        ("BINARY", BINARY),
        ("LOG", log.to_str().unwrap()),
        ("RUST_LOG", "trace"),
        ("ADDRESS", "127.0.0.1:0"),
        ("PROMETHEUS_ADDRESS", "127.0.0.1:0"),
        ("MANIFEST_ENDPOINT", &endpoint),
        ("ALLOW_HTTP_SOURCES", "true"),
        ("OAUTH_ISSUER_URL", &issuer),
        ("OAUTH_LOGOUT_URL", &logout),
        ("OAUTH_CLIENT_ID", IdentityProvider::CLIENT_ID),
        ("OAUTH_CLIENT_SECRET", IdentityProvider::CLIENT_SECRET),
        ("OAUTH_CALLBACK_URL", &callback),
        ("COOKIE_ENCRYPTION_KEY", KEY),
        ("CORS_ALLOWED_ORIGINS", &allowed),
        ("REQUEST_CACHE_DISK_FOLDER", disk.to_str().unwrap()),
    ];
    let tls = sites.environment();
    environment.extend(tls.iter().map(|(name, value)| (*name, value.as_str())));
    environment.extend(s3(&url));
    let arguments = ["-c", r#"exec "$BINARY" serve 2>"$LOG""#];
    let loader = Process::start("/bin/sh".as_ref(), &arguments, &environment).await.unwrap();
    loader.is_ready().await.unwrap();
    loader
}
