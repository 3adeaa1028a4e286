mod cloud;

use std::path::{Path, PathBuf};

use clap::Args;
use rdl_engine::{Bucket, BucketConfig, BucketFolder, StoreConfig};

pub(crate) use self::cloud::{Cloud, CloudSettings};
use super::SettingsError;
use super::values::parse_number;

const PROVIDER: &str = "REQUEST_CACHE_STORAGE_PROVIDER";
const BUCKET: &str = "REQUEST_CACHE_BUCKET_NAME";
const PREFIX: &str = "REQUEST_CACHE_PREFIX";

/// Where loaded sources are kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheSettings {
    /// Where loaded sources outlive the process: aws, s3_compatible, google_cloud or azure (an
    /// object store, which replicas share), or local (a folder). Unset or in_memory: nowhere
    #[arg(long, env = PROVIDER, value_parser = parse_provider)]
    pub(crate) request_cache_storage_provider: Option<Provider>,

    /// The name of the bucket, in Azure of the container, which has to exist; for the provider
    /// local the path of its folder, which is created
    #[arg(long, env = BUCKET)]
    pub(crate) request_cache_bucket_name: Option<PathBuf>,

    /// What comes before the name of every object in an object store; may be empty
    #[arg(long, env = PREFIX)]
    pub(crate) request_cache_prefix: Option<String>,

    #[command(flatten)]
    pub(crate) cloud: CloudSettings,

    /// The folder in which the process keeps what it is loading, in a folder of its own that goes
    /// with it. Unset: .scratch in the bucket's folder, or else remote-data-loader in the system's
    /// folder for temporary files
    #[arg(long, env = "REQUEST_CACHE_DISK_FOLDER")]
    pub(crate) request_cache_disk_folder: Option<PathBuf>,

    /// How many bytes may lie on the disk: what is being loaded, and with the provider local
    /// everything in the bucket's folder. What was used longest ago makes room. Unset: 10737418240
    /// (10 GiB), and at most half of what the disk has free at the start, the cache counted as free
    #[arg(long, env = "REQUEST_CACHE_MAX_BYTES",
          value_parser = parse_number::<1, { i64::MAX as u64 }>)]
    pub(crate) request_cache_max_bytes: Option<u64>,
}

/// Where loaded sources outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Cloud(Cloud),
    Local,
    InMemory,
}

fn parse_provider(text: &str) -> Result<Provider, String> {
    match text {
        "aws" => Ok(Provider::Cloud(Cloud::Aws)),
        "s3_compatible" => Ok(Provider::Cloud(Cloud::S3Compatible)),
        "google_cloud" => Ok(Provider::Cloud(Cloud::Google)),
        "azure" => Ok(Provider::Cloud(Cloud::Azure)),
        "local" => Ok(Provider::Local),
        "in_memory" => Ok(Provider::InMemory),
        _ => Err("accepts aws, s3_compatible, google_cloud, azure, local and in_memory".into()),
    }
}

impl CacheSettings {
    /// The folder where loaded sources outlive processes. With an object store, or with nothing,
    /// there is none.
    pub(crate) fn bucket_folder(&self) -> Result<BucketFolder, SettingsError> {
        BucketFolder::of(&self.store_config()?).ok_or_else(|| {
            let found = match self.request_cache_storage_provider {
                Some(_) => "in_memory, which leaves nothing to look at",
                None => "not set",
            };
            let wanted = format!(
                "is {found}; set it to aws, s3_compatible, google_cloud or azure, and {BUCKET} to \
                 the bucket, or to local, and {BUCKET} to the folder"
            );
            SettingsError::new(PROVIDER, wanted)
        })
    }

    /// The object store that is configured, if one is.
    pub(crate) fn cloud(&self) -> Option<Cloud> {
        match self.request_cache_storage_provider {
            Some(Provider::Cloud(cloud)) => Some(cloud),
            _ => None,
        }
    }

    /// The bucket in an object store, if one is configured. Nothing is asked of it.
    pub(crate) fn open_bucket(&self) -> Result<Option<(Bucket, BucketConfig)>, SettingsError> {
        let Some(cloud) = self.cloud() else { return Ok(None) };
        let name = self.bucket_name("with an object store it is the name of the bucket")?;
        let name = name.to_str().filter(|name| is_bucket_name(name)).ok_or_else(|| {
            let accepts =
                format!("accepts the name of a bucket alone; what comes after it is {PREFIX}");
            SettingsError::new(BUCKET, accepts)
        })?;
        let config = BucketConfig {
            provider: self.cloud.provider(cloud)?,
            name: name.to_owned(),
            prefix: self.request_cache_prefix.clone().unwrap_or_default(),
        };
        // What cannot be, the client of the store knows best.
        let bucket = Bucket::open(&config)
            .map_err(|error| SettingsError::new(PROVIDER, format!("does not work: {error}")))?;
        Ok(Some((bucket, config)))
    }

    pub(super) fn store_config(&self) -> Result<StoreConfig, SettingsError> {
        let is_named = self.request_cache_bucket_name.is_some();
        let bucket = match self.request_cache_storage_provider {
            Some(Provider::Local) => {
                if self.request_cache_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
                    let message = format!("is set, and has no meaning with {PROVIDER}=local");
                    return Err(SettingsError::new(PREFIX, message));
                }
                let folder =
                    self.bucket_name("with the provider local it is the path of a folder")?;
                Some(folder.to_owned())
            }
            // An existing deployment that switches its cache off leaves the name standing.
            Some(Provider::InMemory) => None,
            // The disk is the process's own.
            Some(Provider::Cloud(_)) => None,
            None if is_named => {
                let message = format!(
                    "is set and {PROVIDER} is not; set that to aws, s3_compatible, google_cloud, \
                     azure or local, or unset this"
                );
                return Err(SettingsError::new(BUCKET, message));
            }
            None => None,
        };
        Ok(StoreConfig {
            folder: self.request_cache_disk_folder.clone(),
            bucket,
            max_bytes: self.request_cache_max_bytes,
        })
    }

    fn bucket_name(&self, meaning: &str) -> Result<&Path, SettingsError> {
        let name = self.request_cache_bucket_name.as_deref();
        name.filter(|name| !name.as_os_str().is_empty())
            .ok_or_else(|| SettingsError::new(BUCKET, format!("is not set; {meaning}")))
    }
}

/// Letters, digits and what the providers allow between them.
pub(super) fn is_bucket_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:$".contains(&byte))
}
