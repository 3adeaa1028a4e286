//! The ready data backend: where its files lie, and who may see them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use rdl_engine::BucketConfig;
use rdl_files_backend::{AccessRule, FilesConfig, JwtRule, Place, PrefixRule};
use url::Url;

use super::auth::parse_provider_url;
use super::cache::{Cloud, CloudSettings};
use super::values::{parse_bool, parse_number};
use super::{Secret, SettingsError};

pub(crate) const BACKEND: &str = "BACKEND";
pub(crate) const TOKEN: &str = "BACKEND_TOKEN";
pub(crate) const JWKS_URL: &str = "BACKEND_JWKS_URL";
const AUDIENCE: &str = "BACKEND_JWT_AUDIENCE";
const ISSUER: &str = "BACKEND_JWT_ISSUER";
const PREFIX_CLAIM: &str = "BACKEND_JWT_PREFIX_CLAIM";
const PREFIX: &str = "BACKEND_JWT_PREFIX";
const SIGNED_URLS: &str = "BACKEND_SIGNED_URLS";

/// 7 days, in milliseconds: no provider signs for longer.
const WEEK_MS: u64 = 7 * 24 * 3_600_000;

/// Who may see the files, and how their bytes are reached.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Files")]
pub(crate) struct FilesSettings {
    /// The bearer token that requests have to carry; better set by the variable, which other users
    /// cannot see. Whoever has it sees everything
    #[arg(id = "backend_token", long = "token", env = TOKEN, hide_env_values = true)]
    token: Option<Secret>,

    /// Where an identity provider publishes its keys: requests have to carry a JWT that it signed
    /// (RS256, ES256, ES384 or EdDSA) and that has not expired
    #[arg(id = "backend_jwks_url", long = "jwks-url", env = JWKS_URL,
          value_parser = parse_provider_url)]
    jwks_url: Option<Url>,

    /// With the keys: the audience that tokens must be for. Required
    #[arg(id = "backend_jwt_audience", long = "jwt-audience", env = AUDIENCE)]
    jwt_audience: Option<String>,

    /// With the keys: the issuer that tokens must be from. Unset: any that these keys are of
    #[arg(id = "backend_jwt_issuer", long = "jwt-issuer", env = ISSUER)]
    jwt_issuer: Option<String>,

    /// With the keys: the claim, a string or a list of them, that says what a token's bearer may
    /// see. Unset: everything
    #[arg(id = "backend_jwt_prefix_claim", long = "jwt-prefix-claim", env = PREFIX_CLAIM)]
    jwt_prefix_claim: Option<String>,

    /// With the claim: what the path of a file has to begin with, a value of the claim in the place
    /// of {}. Unset: '{}/', the folder of that name
    #[arg(id = "backend_jwt_prefix", long = "jwt-prefix", env = PREFIX)]
    jwt_prefix: Option<String>,

    /// With a bucket: manifests name signed URLs of its objects, so that their bytes do not pass
    /// through this process: true, false, 1 or 0
    #[arg(id = "backend_signed_urls", long = "signed-urls", env = SIGNED_URLS,
          value_parser = parse_bool, action = ArgAction::Set, num_args = 0..=1,
          default_value = "false", default_missing_value = "true")]
    signed_urls: bool,

    /// For how many milliseconds a signed URL lasts, from 60000 to 604800000
    #[arg(id = "backend_signed_url_ms", long = "signed-url-ms", env = "BACKEND_SIGNED_URL_MS",
          default_value = "3600000", value_parser = parse_number::<60_000, WEEK_MS>)]
    signed_url_ms: u64,
}

/// Where files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilesPlace {
    Folder(PathBuf),
    Bucket { scheme: Scheme, name: String, prefix: String },
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    S3,
    Gs,
    Az,
}

/// A folder's path, or the URL of a bucket and what its objects' names begin with.
pub(crate) fn parse_place(text: &str) -> Result<FilesPlace, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(FilesPlace::Folder(text.into()));
    };
    let accepts = || {
        "accepts the path of a folder, s3://bucket/prefix, gs://bucket/prefix or \
         az://container/prefix"
            .to_owned()
    };
    let scheme = match scheme {
        "s3" => Scheme::S3,
        "gs" => Scheme::Gs,
        "az" => Scheme::Az,
        _ => return Err(accepts()),
    };
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if !super::cache::is_bucket_name(name) {
        return Err(accepts());
    }
    let prefix = prefix.trim_matches('/').to_owned();
    Ok(FilesPlace::Bucket { scheme, name: name.to_owned(), prefix })
}

impl FilesPlace {
    /// As it is told to people.
    pub(crate) fn shown(&self) -> String {
        match self {
            FilesPlace::Folder(path) => format!("the folder {}", path.display()),
            FilesPlace::Bucket { name, prefix, .. } if prefix.is_empty() => {
                format!("the bucket {name}")
            }
            FilesPlace::Bucket { name, prefix, .. } => format!("{prefix} in the bucket {name}"),
        }
    }
}

/// What the backend is told, checked, and whose bucket it is.
#[derive(Debug)]
pub(crate) struct FilesPlan {
    pub(crate) config: FilesConfig,
    pub(crate) cloud: Option<(Cloud, String)>,
    /// Whether requests are checked.
    pub(crate) is_guarded: bool,
}

impl FilesPlan {
    /// What to do about a bucket that cannot be used.
    pub(crate) fn cannot_start(
        cloud: Option<&(Cloud, String)>,
        error: rdl_files_backend::StartError,
    ) -> anyhow::Error {
        let why = match (&error, cloud) {
            (rdl_files_backend::StartError::Bucket(trouble), Some((cloud, name))) => {
                cloud.advice_for(name, trouble.kind(), BACKEND, "list and get")
            }
            _ => "cannot start".to_owned(),
        };
        anyhow::Error::new(error).context(why)
    }
}

impl FilesSettings {
    /// Checks what clap cannot check alone, and puts it together. Nothing is asked of a bucket.
    pub(crate) fn plan(
        &self,
        place: &FilesPlace,
        clouds: &CloudSettings,
    ) -> Result<FilesPlan, SettingsError> {
        let rule = self.rule()?;
        let is_guarded = rule.is_some();
        let (place, cloud) = match place {
            FilesPlace::Folder(_) if self.signed_urls => {
                let message =
                    "is true, and a folder has no URLs to sign; unset it, or serve a bucket";
                return Err(SettingsError::new(SIGNED_URLS, message));
            }
            FilesPlace::Folder(path) => (Place::folder(path), None),
            FilesPlace::Bucket { scheme, name, prefix } => {
                let (cloud, provider) = clouds.of_scheme(*scheme)?;
                let (name, prefix) = (name.clone(), prefix.clone());
                let config = BucketConfig { provider, name: name.clone(), prefix };
                (Place::bucket(&config), Some((cloud, name)))
            }
        };
        let place =
            place.map_err(|error| SettingsError::new(BACKEND, format!("is wrong: {error}")))?;
        let mut config = FilesConfig::new(place, rule.unwrap_or(AccessRule::Anyone));
        config.signed_urls = self.signed_urls.then(|| Duration::from_millis(self.signed_url_ms));
        Ok(FilesPlan { config, cloud, is_guarded })
    }

    /// How requests are checked; `None`: nothing is configured.
    fn rule(&self) -> Result<Option<AccessRule>, SettingsError> {
        match (&self.token, &self.jwks_url) {
            (Some(_), Some(_)) => {
                let message = format!("is set, and {JWKS_URL} is too; unset one of them");
                Err(SettingsError::new(TOKEN, message))
            }
            (Some(token), None) => {
                self.without_keys()?;
                let token = token.expose();
                if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let accepts = "accepts letters, digits and signs of ASCII without spaces";
                    return Err(SettingsError::new(TOKEN, accepts));
                }
                Ok(Some(AccessRule::Token(token.to_owned())))
            }
            (None, Some(url)) => self.jwt(url).map(|rule| Some(AccessRule::Jwt(rule))),
            (None, None) => self.without_keys().map(|()| None),
        }
    }

    fn without_keys(&self) -> Result<(), SettingsError> {
        let given = [
            (AUDIENCE, &self.jwt_audience),
            (ISSUER, &self.jwt_issuer),
            (PREFIX_CLAIM, &self.jwt_prefix_claim),
            (PREFIX, &self.jwt_prefix),
        ];
        match given.into_iter().find(|(_, value)| value.is_some()) {
            Some((variable, _)) => {
                let message = format!("is set, and {JWKS_URL} is not: no token can be checked");
                Err(SettingsError::new(variable, message))
            }
            None => Ok(()),
        }
    }

    fn jwt(&self, url: &Url) -> Result<JwtRule, SettingsError> {
        let audience = self.jwt_audience.clone().ok_or_else(|| {
            let message = format!(
                "is not set, and {JWKS_URL} is: without it tokens for anybody else would be \
                 accepted; it accepts what the provider calls this backend"
            );
            SettingsError::new(AUDIENCE, message)
        })?;
        let prefix = match (&self.jwt_prefix_claim, &self.jwt_prefix) {
            (None, Some(_)) => {
                let message = format!("is set, and {PREFIX_CLAIM} is not");
                return Err(SettingsError::new(PREFIX, message));
            }
            (None, None) => None,
            (Some(claim), pattern) => {
                let pattern = pattern.clone().unwrap_or_else(|| "{}/".to_owned());
                let rule = PrefixRule::new(claim.clone(), pattern);
                Some(rule.map_err(|accepts| SettingsError::new(PREFIX, accepts))?)
            }
        };
        let issuer = self.jwt_issuer.clone();
        Ok(JwtRule { jwks_url: url.clone(), audience, issuer, prefix })
    }

    /// What is set although there is no backend that it could be for.
    pub(crate) fn check_unused(&self) -> Result<(), SettingsError> {
        let set = [
            (TOKEN, self.token.is_some()),
            (JWKS_URL, self.jwks_url.is_some()),
            (SIGNED_URLS, self.signed_urls),
        ];
        match set.into_iter().find(|(_, is_set)| *is_set) {
            Some((variable, _)) => {
                let message = format!("is set, and {BACKEND} is not: there is no backend of ours");
                Err(SettingsError::new(variable, message))
            }
            None => self.without_keys(),
        }
    }
}

#[cfg(test)]
mod tests;
