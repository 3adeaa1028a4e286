//! Every command of the guide to serving a folder or bucket, as it stands there, but for ports, the
//! addresses of servers and their keys.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use rdl_testkit::servers::{AzureServer, GcsServer, VersityServer};
use rdl_testkit::{Drive, FileSpec, Message, Process, check_all, check_beginning, decode};
use tokio::process::Command;

use crate::running::BINARY;

const GUIDE: &str = include_str!("../../../../docs/guides/serve-a-folder.md");

/// The lines of all blocks of commands.
fn commands() -> Vec<&'static str> {
    let blocks = GUIDE.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).collect()
}

struct Stage {
    folder: tempfile::TempDir,
    runs: [Vec<Message>; 2],
    path: String,
    variables: BTreeMap<String, String>,
    /// What the guide's addresses really are.
    addresses: BTreeMap<&'static str, String>,
    /// What the guide's values really are.
    values: Vec<(&'static str, String)>,
    backend: Option<Process>,
    loader: Option<Process>,
    versity: VersityServer,
    gcs: GcsServer,
    azure: AzureServer,
}

impl Stage {
    async fn set() -> Stage {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let recording = Drive { groups: 1, messages: 300, ..Drive::default() }.generate();
        let runs: [Vec<Message>; 2] = recording.sources.try_into().unwrap();
        let written = runs.each_ref().map(|run| FileSpec::default().write(run));
        let cut = &written[0][..written[0].len() * 2 / 3];
        let files: [(&str, &[u8]); 3] = [
            ("warehouse/run-1.mcap", &written[0]),
            ("warehouse/run-2.mcap", &written[1]),
            ("field/today.mcap", cut),
        ];
        let (versity, gcs, azure) =
            futures::join!(VersityServer::start(), GcsServer::start(), AzureServer::start());
        let (versity, gcs, azure) = (versity.unwrap(), gcs.unwrap(), azure.unwrap());
        versity.create_bucket("recordings").unwrap();
        gcs.create_bucket("recordings").await.unwrap();
        azure.create_container("recordings").await.unwrap();
        for (name, bytes) in files {
            let path = folder.path().join("recordings").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
            for store in stores(&versity, &gcs, &azure) {
                let path = ObjectPath::parse(format!("robots/{name}")).unwrap();
                store.put(&path, bytes.to_vec().into()).await.unwrap();
            }
        }
        let credentials = gcs.credentials_path();
        let values = vec![
            ("https://storage.example.com", versity.url()),
            ("/secrets/credentials.json", credentials.to_str().unwrap().to_owned()),
            // Nobody listens there: a provider that is away is no reason not to start.
            ("https://idp.example.com/jwks", "http://127.0.0.1:1/jwks".to_owned()),
        ];
        let binaries = Path::new(BINARY).parent().unwrap().to_str().unwrap();
        Stage {
            folder,
            runs,
            path: format!("{binaries}:{}", std::env::var("PATH").unwrap()),
            variables: BTreeMap::new(),
            addresses: BTreeMap::new(),
            values,
            backend: None,
            loader: None,
            versity,
            gcs,
            azure,
        }
    }

    fn set_variables(&mut self, line: &str) {
        for assignment in line.split_whitespace().skip(1) {
            let (name, value) = assignment.split_once('=').unwrap();
            let value = match (name, self.real(value)) {
                ("STORAGE_AZURE_STORAGE_ACCOUNT_NAME", _) => AzureServer::ACCOUNT.to_owned(),
                ("AZURE_STORAGE_ACCOUNT_KEY", _) => AzureServer::KEY.to_owned(),
                ("AWS_ACCESS_KEY_ID" | "S3_COMPATIBLE_ACCESS_KEY_ID", _) => {
                    VersityServer::ACCESS_KEY.to_owned()
                }
                ("AWS_SECRET_ACCESS_KEY" | "S3_COMPATIBLE_SECRET_ACCESS_KEY", _) => {
                    VersityServer::SECRET_KEY.to_owned()
                }
                (_, value) => value,
            };
            self.variables.insert(name.to_owned(), value);
        }
        // The real services need no telling where they are.
        if line.contains("AWS_") {
            self.variables.insert("AWS_ENDPOINT_URL".to_owned(), self.versity.url());
        }
        if line.contains("AZURE_") {
            let url = self.azure.service_url();
            self.variables.insert("STORAGE_AZURE_SERVICE_URL".to_owned(), url);
        }
    }

    fn real(&self, text: &str) -> String {
        let known = self.values.iter().map(|(written, real)| (*written, real));
        let known = known.chain(self.addresses.iter().map(|(written, real)| (*written, real)));
        known.fold(text.to_owned(), |text, (written, real)| text.replace(written, real))
    }

    /// Starts what serves, on free ports.
    async fn start(&mut self, line: &str) {
        let is_loader = line.contains(" serve ");
        self.loader = None;
        let mut command = line.to_owned();
        for host in ["127.0.0.1", "0.0.0.0"] {
            for port in [8080, 8081] {
                command = command
                    .replace(&format!("address {host}:{port}"), &format!("address {host}:0"));
            }
        }
        if !is_loader || line.contains("--backend ") {
            self.backend = None;
        }
        let command = self.real(&command);
        let script = format!("cd {} && exec {command}", self.folder.path().display());
        let mut environment: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        environment.extend([("PATH", &*self.path), ("PROMETHEUS_ADDRESS", "127.0.0.1:0")]);
        let process = Process::start(Path::new("/bin/bash"), &["-c", &script], &environment).await;
        let process = process.unwrap_or_else(|error| panic!("{line}: {error:#}"));
        let address = process.url().replace("http://", "").replace("0.0.0.0", "127.0.0.1");
        if is_loader {
            process.is_ready().await.unwrap();
            if line.contains("--backend ") {
                let embedded = embedded_address(&process).await;
                self.addresses.insert("127.0.0.1:8081", embedded);
            }
            self.addresses.insert("127.0.0.1:8080", address);
            self.loader = Some(process);
        } else {
            self.addresses.insert("127.0.0.1:8081", address);
            self.backend = Some(process);
        }
    }

    async fn run(&self, line: &str) -> String {
        let output = Command::new("/bin/bash")
            .args(["-c", &self.real(line)])
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.variables)
            .env("PATH", &self.path)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn check(&self, line: &str, printed: &str) {
        let file = |name: &str| std::fs::read(self.folder.path().join(name)).unwrap();
        if line.contains("-o warehouse.mcap") {
            let messages = decode(&file("warehouse.mcap")).unwrap().messages;
            check_all(&messages, &self.runs.concat()).unwrap();
        } else if line.contains("-o today.mcap") {
            let messages = decode(&file("today.mcap")).unwrap().messages;
            check_beginning(&messages, &self.runs[0]).unwrap();
            assert!(messages.len() > self.runs[0].len() / 3);
        } else if line.contains("/recordings") {
            let listed: serde_json::Value = serde_json::from_str(printed).unwrap();
            assert_eq!(listed.as_array().unwrap().len(), 5, "{listed}");
        } else {
            let answer: serde_json::Value = serde_json::from_str(printed).unwrap();
            assert!(!answer["sources"].as_array().unwrap().is_empty(), "{answer}");
        }
    }
}

/// The address that a loader prints of the backend in its process, on the line after its own.
async fn embedded_address(process: &Process) -> String {
    for _ in 0..500 {
        let printed = process.printed();
        let behind = printed.split_once("curl http://").and_then(|(_, rest)| rest.split_once('/'));
        if let Some((address, _)) = behind {
            return address.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", process.printed());
}

fn stores(
    versity: &VersityServer,
    gcs: &GcsServer,
    azure: &AzureServer,
) -> [Arc<dyn ObjectStore>; 3] {
    let s3 = AmazonS3Builder::new()
        .with_bucket_name("recordings")
        .with_endpoint(versity.url())
        .with_access_key_id(VersityServer::ACCESS_KEY)
        .with_secret_access_key(VersityServer::SECRET_KEY)
        .with_allow_http(true);
    let gcs = GoogleCloudStorageBuilder::new()
        .with_bucket_name("recordings")
        .with_service_account_path(gcs.credentials_path().to_str().unwrap())
        .with_client_options(object_store::ClientOptions::new().with_allow_http(true));
    let azure = MicrosoftAzureBuilder::new()
        .with_account(AzureServer::ACCOUNT)
        .with_access_key(AzureServer::KEY)
        .with_endpoint(azure.service_url())
        .with_container_name("recordings")
        .with_allow_http(true);
    [
        Arc::new(s3.build().unwrap()),
        Arc::new(gcs.build().unwrap()),
        Arc::new(azure.build().unwrap()),
    ]
}

#[tokio::test]
async fn the_guide_to_serving_a_folder_works() {
    let mut stage = Stage::set().await;
    let mut started = 0;
    for line in commands() {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["export", ..] => stage.set_variables(line),
            ["remote-data-loader", "serve" | "backend", ..] => {
                stage.start(line).await;
                started += 1;
                // What was set for one server means another thing to the next.
                if !line.contains("0.0.0.0") && !line.contains("--signed-urls") {
                    stage.variables.clear();
                }
            }
            _ => {
                let printed = stage.run(line).await;
                stage.check(line, &printed);
                stage.variables.clear();
            }
        }
        let _ = &stage.gcs;
    }
    assert_eq!(started, 9);
    // The last one, a bucket, too.
    let listed = stage.run("curl --fail http://127.0.0.1:8081/recordings").await;
    stage.check("/recordings", &listed);
}
