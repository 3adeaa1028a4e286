use std::path::PathBuf;

use clap::Args;
use rdl_engine::{BucketFolder, StoreConfig};

use super::SettingsError;
use super::values::parse_number;

const PROVIDER: &str = "REQUEST_CACHE_STORAGE_PROVIDER";
const BUCKET: &str = "REQUEST_CACHE_BUCKET_NAME";

/// Where loaded sources are kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheSettings {
    /// Where loaded sources outlive the process: local (a folder). Unset or in_memory: nowhere.
    /// aws, azure, google_cloud and s3_compatible are refused: this version has no such provider
    #[arg(long, env = PROVIDER, value_parser = parse_provider)]
    pub(crate) request_cache_storage_provider: Option<Provider>,

    /// The bucket; for the provider local the path of its folder, which is created
    #[arg(long, env = BUCKET)]
    pub(crate) request_cache_bucket_name: Option<PathBuf>,

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

/// The providers that this version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Local,
    InMemory,
}

fn parse_provider(text: &str) -> Result<Provider, String> {
    match text {
        "local" => Ok(Provider::Local),
        "in_memory" => Ok(Provider::InMemory),
        "aws" | "azure" | "google_cloud" | "s3_compatible" => Err(
            "this version has no such provider yet; it accepts local and in_memory, or leave the \
             variable unset"
                .into(),
        ),
        _ => Err("accepts local and in_memory".into()),
    }
}

impl CacheSettings {
    /// The folder where loaded sources outlive processes, which must be set.
    pub(crate) fn bucket_folder(&self) -> Result<BucketFolder, SettingsError> {
        BucketFolder::of(&self.store_config()?).ok_or_else(|| {
            let found = match self.request_cache_storage_provider {
                Some(_) => "in_memory, which leaves nothing to look at",
                None => "not set",
            };
            let wanted = format!("is {found}; set it to local, and {BUCKET} to the folder");
            SettingsError::new(PROVIDER, wanted)
        })
    }

    pub(super) fn store_config(&self) -> Result<StoreConfig, SettingsError> {
        let bucket = match (self.request_cache_storage_provider, &self.request_cache_bucket_name) {
            (Some(Provider::Local), None) => {
                return Err(SettingsError::new(
                    BUCKET,
                    format!("is not set; with {PROVIDER}=local it is the path of a folder"),
                ));
            }
            (Some(Provider::Local), Some(folder)) => Some(folder.clone()),
            (Some(Provider::InMemory) | None, None) => None,
            // An existing deployment that switches its cache off leaves the name standing.
            (Some(Provider::InMemory), Some(_)) => None,
            (None, Some(_)) => {
                return Err(SettingsError::new(
                    BUCKET,
                    format!("is set and {PROVIDER} is not; set that to local, or unset this"),
                ));
            }
        };
        Ok(StoreConfig {
            folder: self.request_cache_disk_folder.clone(),
            bucket,
            max_bytes: self.request_cache_max_bytes,
        })
    }
}
