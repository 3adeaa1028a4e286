//! The servers, and how each is reached.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use rdl_store::{Bucket, BucketConfig, BucketProvider};
use rdl_testkit::servers::{AzureServer, GcsServer, S3Server, TcpProxy, VersityServer};

const BUCKET: &str = "cache";
const PREFIX: &str = "team/a";

/// One provider's server with an empty bucket.
pub(crate) struct Served {
    server: Server,
    /// A client of the bucket that knows nothing of ours.
    pub(crate) plain: Arc<dyn ObjectStore>,
}

enum Server {
    /// It checks signatures.
    Versity(VersityServer),
    /// It does not.
    Moto(S3Server),
    Azure(AzureServer),
    Gcs(GcsServer),
}

/// One of each.
pub(crate) async fn stores() -> Vec<Served> {
    // The clients need to know of TLS even where they do not use it; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let versity = async {
        let server = VersityServer::start().await.unwrap();
        server.create_bucket(BUCKET).unwrap();
        let plain = plain_s3(server.url());
        Served { plain, server: Server::Versity(server) }
    };
    let moto = async {
        let server = S3Server::start().await.unwrap();
        server.create_bucket(BUCKET).await.unwrap();
        let plain = plain_s3(server.url());
        Served { plain, server: Server::Moto(server) }
    };
    let azure = async {
        let server = AzureServer::start().await.unwrap();
        server.create_container(BUCKET).await.unwrap();
        let plain = azure(&server.service_url(), BUCKET, AzureServer::KEY);
        Served { plain, server: Server::Azure(server) }
    };
    let gcs = async {
        let server = GcsServer::start().await.unwrap();
        server.create_bucket(BUCKET).await.unwrap();
        let plain = GoogleCloudStorageBuilder::new()
            .with_bucket_name(BUCKET)
            .with_service_account_path(path(&server.credentials_path()))
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .build();
        Served { plain: Arc::new(plain.unwrap()), server: Server::Gcs(server) }
    };
    let (versity, moto, azure, gcs) = futures::join!(versity, moto, azure, gcs);
    vec![versity, moto, azure, gcs]
}

impl Served {
    /// For messages.
    pub(crate) fn name(&self) -> &'static str {
        match self.server {
            Server::Versity(_) => "versitygw",
            Server::Moto(_) => "moto",
            Server::Azure(_) => "azure",
            Server::Gcs(_) => "gcs",
        }
    }

    /// The bucket, as a further replica sees it.
    pub(crate) fn bucket(&self) -> Bucket {
        self.below(PREFIX)
    }

    /// The same below another prefix.
    pub(crate) fn below(&self, prefix: &str) -> Bucket {
        open(BUCKET, prefix, self.provider(BUCKET))
    }

    /// A bucket that does not exist.
    pub(crate) fn missing(&self) -> Bucket {
        open("missing", PREFIX, self.provider("missing"))
    }

    /// The bucket with credentials that are not its owner's; `None` where the server takes any.
    pub(crate) fn with_wrong_credentials(&self) -> Option<Bucket> {
        match &self.server {
            // moto checks no signature, and our fake nothing at all.
            Server::Moto(_) | Server::Gcs(_) => None,
            Server::Versity(server) => {
                Some(open(BUCKET, PREFIX, s3(server.url(), "another secret")))
            }
            Server::Azure(server) => {
                let store = azure(&server.service_url(), BUCKET, "d3Jvbmc=");
                Some(open(BUCKET, PREFIX, BucketProvider::Other(store)))
            }
        }
    }

    /// The bucket where nobody listens.
    pub(crate) async fn out_of_reach(&self) -> Bucket {
        let url = match &self.server {
            Server::Versity(server) => server.url(),
            Server::Moto(server) => server.url(),
            Server::Azure(server) => server.service_url(),
            Server::Gcs(server) => server.url(),
        };
        let proxy = TcpProxy::start(&url).await.unwrap();
        proxy.cut().await;
        let provider = match &self.server {
            Server::Versity(_) | Server::Moto(_) => s3(proxy.url(), VersityServer::SECRET_KEY),
            Server::Azure(_) => {
                BucketProvider::Other(azure(&proxy.url(), BUCKET, AzureServer::KEY))
            }
            Server::Gcs(server) => google(&server.credentials_through(&proxy).unwrap()),
        };
        open(BUCKET, PREFIX, provider)
    }

    fn provider(&self, bucket: &str) -> BucketProvider {
        match &self.server {
            Server::Versity(server) => s3(server.url(), VersityServer::SECRET_KEY),
            Server::Moto(server) => s3(server.url(), VersityServer::SECRET_KEY),
            // The account's key comes from the environment, which a test cannot change for itself.
            Server::Azure(server) => {
                BucketProvider::Other(azure(&server.service_url(), bucket, AzureServer::KEY))
            }
            Server::Gcs(server) => google(&server.credentials_path()),
        }
    }

    /// The names of all objects, in order.
    pub(crate) async fn names(&self) -> Vec<String> {
        let objects: Vec<_> = self.plain.list(None).try_collect().await.unwrap();
        let mut names: Vec<_> =
            objects.into_iter().map(|object| object.location.to_string()).collect();
        names.sort();
        names
    }
}

fn open(name: &str, prefix: &str, provider: BucketProvider) -> Bucket {
    Bucket::open(&BucketConfig { provider, name: name.to_owned(), prefix: prefix.to_owned() })
        .unwrap()
}

/// moto takes any key.
fn s3(url: String, secret: &str) -> BucketProvider {
    BucketProvider::S3Compatible {
        url,
        region: None,
        access_key_id: VersityServer::ACCESS_KEY.to_owned(),
        secret_access_key: secret.to_owned(),
    }
}

fn plain_s3(url: String) -> Arc<dyn ObjectStore> {
    let store = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_endpoint(url)
        .with_access_key_id(VersityServer::ACCESS_KEY)
        .with_secret_access_key(VersityServer::SECRET_KEY)
        .with_allow_http(true)
        .build();
    Arc::new(store.unwrap())
}

fn google(credentials: &Path) -> BucketProvider {
    BucketProvider::GoogleCloud { credentials: Some(path(credentials).to_owned()) }
}

fn azure(url: &str, container: &str, key: &str) -> Arc<dyn ObjectStore> {
    let store = MicrosoftAzureBuilder::new()
        .with_account(AzureServer::ACCOUNT)
        .with_access_key(key)
        .with_endpoint(url.to_owned())
        .with_container_name(container)
        .with_allow_http(true)
        // As many as a bucket makes that is named by its account.
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: 4,
            retry_timeout: Duration::from_secs(5),
        })
        .build();
    Arc::new(store.unwrap())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
