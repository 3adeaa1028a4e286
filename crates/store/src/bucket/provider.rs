use std::sync::{Arc, Once};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::BucketError;

/// Which bucket, and how to reach it.
#[derive(Clone)]
pub struct BucketConfig {
    /// Whose.
    pub provider: BucketProvider,
    /// The bucket's (container's) name.
    pub name: String,
    /// What comes before every object's name; may be empty.
    pub prefix: String,
}

/// Whose bucket it is, with what the environment of that provider does not tell.
///
/// The providers' own variables are heeded too: `AWS_*` with web identity and the instance's
/// metadata, `GOOGLE_APPLICATION_CREDENTIALS` or the metadata server, `AZURE_*` with workload
/// identity.
#[derive(Clone)]
pub enum BucketProvider {
    /// Amazon S3.
    Aws {
        /// The region; `None` takes it from the environment.
        region: Option<String>,
    },
    /// Any store that speaks S3.
    S3Compatible {
        /// Its URL; buckets are addressed in the path.
        url: String,
        /// The region that requests are signed for.
        region: Option<String>,
        /// Whose key.
        access_key_id: String,
        /// The key.
        secret_access_key: String,
    },
    /// Google Cloud Storage.
    GoogleCloud {
        /// The credentials file; `None` asks the metadata server.
        credentials: Option<String>,
    },
    /// Azure Blob Storage.
    Azure {
        /// The storage account.
        account: String,
        /// Its URL, where that is not the usual one.
        url: Option<String>,
    },
    /// Whatever store the caller brings.
    Other(Arc<dyn ObjectStore>),
}

/// Secrets are not shown.
impl std::fmt::Debug for BucketConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let provider = match self.provider {
            BucketProvider::Aws { .. } => "aws",
            BucketProvider::S3Compatible { .. } => "s3_compatible",
            BucketProvider::GoogleCloud { .. } => "google_cloud",
            BucketProvider::Azure { .. } => "azure",
            BucketProvider::Other(_) => "other",
        };
        f.debug_struct("BucketConfig")
            .field("provider", &provider)
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A request is tried again for this long; above that whoever asked decides.
const TRIES_FOR: Duration = Duration::from_secs(5);
const TRIES: usize = 4;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A part of 8 MiB has to get through a slow line within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A bucket's client, as it is and to sign URLs with.
#[derive(Clone)]
pub struct OpenedBucket {
    /// Its objects, by their whole names: the prefix is not heeded.
    pub store: Arc<dyn ObjectStore>,
    /// Signs URLs of its objects; a store that the caller brought has none.
    pub signer: Option<Arc<dyn Signer>>,
}

impl OpenedBucket {
    fn of<S: ObjectStore + Signer>(store: S) -> OpenedBucket {
        let store = Arc::new(store);
        OpenedBucket { store: store.clone(), signer: Some(store) }
    }
}

/// The client of the bucket that the configuration names. Nothing is asked of it.
///
/// # Errors
///
/// If the configuration cannot be.
pub fn open_bucket(config: &BucketConfig) -> Result<OpenedBucket, BucketError> {
    static TLS: Once = Once::new();
    TLS.call_once(|| {
        // Fails when the process has installed one itself, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let wrong = |error: object_store::Error| BucketError::misconfigured(error);
    let opened = match &config.provider {
        BucketProvider::Aws { region } => {
            let mut builder = AmazonS3Builder::new();
            let mut allow_http = false;
            for (variable, value) in environment("AWS_") {
                // Whoever names a plain server, as those for tests are, means it.
                allow_http |= variable.starts_with("aws_endpoint_url") && is_plain(&value);
                if let Ok(variable) = variable.parse() {
                    builder = builder.with_config(variable, value);
                }
            }
            builder = builder
                .with_bucket_name(&config.name)
                .with_client_options(client(allow_http))
                .with_retry(retries());
            if let Some(region) = region {
                builder = builder.with_region(region);
            }
            OpenedBucket::of(builder.build().map_err(wrong)?)
        }
        BucketProvider::S3Compatible { url, region, access_key_id, secret_access_key } => {
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(&config.name)
                .with_endpoint(url)
                .with_access_key_id(access_key_id)
                .with_secret_access_key(secret_access_key)
                .with_client_options(client(is_plain(url)))
                .with_retry(retries());
            if let Some(region) = region {
                builder = builder.with_region(region);
            }
            OpenedBucket::of(builder.build().map_err(wrong)?)
        }
        BucketProvider::GoogleCloud { credentials } => {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(&config.name)
                .with_client_options(client(false))
                .with_retry(retries());
            if let Some(path) = credentials {
                builder = with_credentials(builder, path)?;
            }
            OpenedBucket::of(builder.build().map_err(wrong)?)
        }
        BucketProvider::Azure { account, url } => {
            let mut builder = MicrosoftAzureBuilder::new();
            for (variable, value) in environment("AZURE_") {
                if let Ok(variable) = variable.parse() {
                    builder = builder.with_config(variable, value);
                }
            }
            if let Some((_, endpoint)) = environment("IDENTITY_ENDPOINT").next() {
                builder = builder.with_msi_endpoint(endpoint);
            }
            builder = builder
                .with_account(account)
                .with_container_name(&config.name)
                .with_client_options(client(url.as_deref().is_some_and(is_plain)))
                .with_retry(retries());
            if let Some(url) = url {
                builder = builder.with_endpoint(url.clone());
            }
            OpenedBucket::of(builder.build().map_err(wrong)?)
        }
        BucketProvider::Other(store) => OpenedBucket { store: store.clone(), signer: None },
    };
    Ok(opened)
}

/// The variables that begin so, in lower case, as a builder's `from_env` reads them; but an empty
/// one counts as unset.
fn environment(prefix: &'static str) -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(move |(variable, value)| {
        let variable = variable.to_str().filter(|variable| variable.starts_with(prefix))?;
        let value = value.to_str().filter(|value| !value.is_empty())?;
        Some((variable.to_ascii_lowercase(), value.to_owned()))
    })
}

/// A service account's key, or what `gcloud auth application-default login` wrote.
fn with_credentials(
    builder: GoogleCloudStorageBuilder,
    path: &str,
) -> Result<GoogleCloudStorageBuilder, BucketError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        BucketError::misconfigured(format!("GOOGLE_APPLICATION_CREDENTIALS: {path}: {error}"))
    };
    let text = std::fs::read(path).map_err(|error| unreadable(&error))?;
    let key: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
    if key.get("type").is_some_and(|kind| kind == "authorized_user") {
        return Ok(builder.with_application_credentials(path));
    }
    // A key that names another server, as those for emulators do, may name a plain one.
    let server = key.get("gcs_base_url").and_then(serde_json::Value::as_str);
    let builder = builder.with_service_account_path(path);
    Ok(match server {
        Some(server) if is_plain(server) => builder.with_client_options(client(true)),
        _ => builder,
    })
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// Proxies come from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
fn client(allow_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(allow_http)
        .with_connect_timeout(CONNECT_WITHIN)
        .with_timeout(ANSWER_WITHIN)
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: TRIES,
        retry_timeout: TRIES_FOR,
    }
}
