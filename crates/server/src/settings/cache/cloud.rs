use std::path::{Path, PathBuf};

use clap::Args;
use rdl_engine::{BucketErrorKind, BucketProvider};
use url::Url;

use crate::settings::files::Scheme;
use crate::settings::{Secret, SettingsError};

const URL: &str = "S3_COMPATIBLE_SERVICE_URL";
const ACCESS_KEY_ID: &str = "S3_COMPATIBLE_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "S3_COMPATIBLE_SECRET_ACCESS_KEY";
const GOOGLE_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const AZURE_ACCOUNT: &str = "STORAGE_AZURE_STORAGE_ACCOUNT_NAME";
const AZURE_URL: &str = "STORAGE_AZURE_SERVICE_URL";

/// How the object stores are reached. Each provider heeds its own; those of others may be set.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Object stores")]
pub(crate) struct CloudSettings {
    /// With the provider aws: the bucket's region. Unset: us-east-1
    #[arg(long, env = "AWS_REGION")]
    aws_region: Option<String>,

    /// With the provider s3_compatible, and for s3:// where it is set: the http or https URL of the store, without the bucket,
    /// which is addressed in the path. Required
    // Read by `s3_compatible`: what clap says about a wrong value shows it.
    #[arg(long, env = URL)]
    s3_compatible_service_url: Option<String>,

    /// With the provider s3_compatible: the region that requests are signed for. Unset: us-east-1
    #[arg(long, env = "S3_COMPATIBLE_SERVICE_REGION")]
    s3_compatible_service_region: Option<String>,

    /// With the provider s3_compatible: whose key. Required
    #[arg(long, env = ACCESS_KEY_ID, hide_env_values = true)]
    s3_compatible_access_key_id: Option<Secret>,

    /// With the provider s3_compatible: the key; better set by the variable, which other users
    /// cannot see. Required
    #[arg(long, env = SECRET_ACCESS_KEY, hide_env_values = true)]
    s3_compatible_secret_access_key: Option<Secret>,

    /// With the provider google_cloud: the file with the credentials. Unset: those of the machine,
    /// from its metadata server
    #[arg(long, env = GOOGLE_CREDENTIALS)]
    google_application_credentials: Option<PathBuf>,

    /// With the provider azure: the storage account. Required
    #[arg(long, env = AZURE_ACCOUNT)]
    storage_azure_storage_account_name: Option<String>,

    /// With the provider azure: the http or https URL of the account, where that is not
    /// https://ACCOUNT.blob.core.windows.net
    #[arg(long, env = AZURE_URL)]
    storage_azure_service_url: Option<String>,
}

/// The object stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloud {
    Aws,
    S3Compatible,
    Google,
    Azure,
}

impl Cloud {
    /// What tells its address.
    fn address(self) -> &'static str {
        match self {
            Self::Aws => "AWS_REGION",
            Self::S3Compatible => URL,
            Self::Google => GOOGLE_CREDENTIALS,
            Self::Azure => "STORAGE_AZURE_STORAGE_ACCOUNT_NAME, STORAGE_AZURE_SERVICE_URL",
        }
    }

    /// What tells the credentials.
    fn credentials(self) -> &'static str {
        match self {
            Self::Aws => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role",
            Self::S3Compatible => "S3_COMPATIBLE_ACCESS_KEY_ID, S3_COMPATIBLE_SECRET_ACCESS_KEY",
            Self::Google => "GOOGLE_APPLICATION_CREDENTIALS, or the service account",
            Self::Azure => "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
        }
    }

    /// What is wrong with the cache's bucket of this name, and what to do about it.
    pub(crate) fn advice(self, name: &str, trouble: BucketErrorKind) -> String {
        let (named_by, rights) = ("REQUEST_CACHE_BUCKET_NAME", "list, get, put and delete");
        self.advice_for(name, trouble, named_by, rights)
    }

    /// The same of a bucket that `named_by` names and in which we do as `rights` say.
    pub(crate) fn advice_for(
        self,
        name: &str,
        trouble: BucketErrorKind,
        named_by: &str,
        rights: &str,
    ) -> String {
        match trouble {
            BucketErrorKind::NotFound => format!(
                "there is no bucket {name}: create it, or correct {named_by} ({})",
                self.address()
            ),
            BucketErrorKind::Refused => format!(
                "the bucket {name} refuses these credentials: correct {}, or allow them to {rights}",
                self.credentials()
            ),
            BucketErrorKind::Unavailable => format!(
                "the bucket {name} cannot be reached: check {}, the credentials and the network, \
                 or ask again",
                self.address()
            ),
            _ => format!("the bucket {name} cannot be used"),
        }
    }
}

impl CloudSettings {
    pub(super) fn provider(&self, cloud: Cloud) -> Result<BucketProvider, SettingsError> {
        match cloud {
            Cloud::Aws => Ok(BucketProvider::Aws { region: self.aws_region.clone() }),
            Cloud::S3Compatible => {
                self.s3_compatible("REQUEST_CACHE_STORAGE_PROVIDER=s3_compatible")
            }
            Cloud::Google => self.google_cloud(),
            Cloud::Azure => self.azure("REQUEST_CACHE_STORAGE_PROVIDER=azure"),
        }
    }

    /// The provider that a URL means. With the URL of a store that speaks S3 it is that store.
    pub(in crate::settings) fn of_scheme(
        &self,
        scheme: Scheme,
    ) -> Result<(Cloud, BucketProvider), SettingsError> {
        Ok(match scheme {
            Scheme::S3 if self.s3_compatible_service_url.is_some() => {
                (Cloud::S3Compatible, self.s3_compatible("a bucket of s3:// at this URL")?)
            }
            Scheme::S3 => (Cloud::Aws, self.provider(Cloud::Aws)?),
            Scheme::Gs => (Cloud::Google, self.google_cloud()?),
            Scheme::Az => (Cloud::Azure, self.azure("a container of az://")?),
        })
    }

    fn s3_compatible(&self, needed_by: &str) -> Result<BucketProvider, SettingsError> {
        let secret = |variable, value: &Option<Secret>| {
            let value = required(needed_by, variable, value.as_ref().map(Secret::expose))?;
            Ok::<_, SettingsError>(value.to_owned())
        };
        let url = self.s3_compatible_service_url.as_deref();
        Ok(BucketProvider::S3Compatible {
            url: service_url(URL, required(needed_by, URL, url)?)?,
            region: self.s3_compatible_service_region.clone(),
            access_key_id: secret(ACCESS_KEY_ID, &self.s3_compatible_access_key_id)?,
            secret_access_key: secret(SECRET_ACCESS_KEY, &self.s3_compatible_secret_access_key)?,
        })
    }

    fn google_cloud(&self) -> Result<BucketProvider, SettingsError> {
        let credentials = self.google_application_credentials.as_deref();
        let credentials = credentials.map(readable).transpose()?;
        Ok(BucketProvider::GoogleCloud { credentials })
    }

    fn azure(&self, needed_by: &str) -> Result<BucketProvider, SettingsError> {
        let account = self.storage_azure_storage_account_name.as_deref();
        let account = required(needed_by, AZURE_ACCOUNT, account)?;
        let url = self.storage_azure_service_url.as_deref();
        let url = url.map(|url| service_url(AZURE_URL, url)).transpose()?;
        Ok(BucketProvider::Azure { account: account.to_owned(), url })
    }
}

fn required<'a>(
    needed_by: &str,
    variable: &'static str,
    value: Option<&'a str>,
) -> Result<&'a str, SettingsError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        let wanted = format!("is not set; {needed_by} needs it");
        SettingsError::new(variable, wanted)
    })
}

/// The URL without its last slash. It is not shown: somebody may have put a secret into it.
fn service_url(variable: &'static str, text: &str) -> Result<String, SettingsError> {
    let url = Url::parse(text.trim()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let url = url.ok_or_else(|| {
        let accepts = "accepts an http or https URL without user, query or fragment, \
                       https://storage.example.com";
        SettingsError::new(variable, accepts)
    })?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn readable(path: &Path) -> Result<String, SettingsError> {
    let refuse = |what: String| {
        let message = format!("is {}: {what}; it accepts the path of a JSON file", path.display());
        SettingsError::new(GOOGLE_CREDENTIALS, message)
    };
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    // What a parser says could show a part of the key.
    if serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_err() {
        return Err(refuse("the file is no JSON".to_owned()));
    }
    let path = path.to_str().map(str::to_owned);
    path.ok_or_else(|| refuse("the path is not UTF-8".to_owned()))
}
