//! The backend's flags among those of `serve`, where they are called `--backend-…`.

use std::net::SocketAddr;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

use super::files::{BACKEND, FilesPlace, FilesPlan, FilesSettings, JWKS_URL, TOKEN, parse_place};
use super::server::parse_address;
use super::{CacheSettings, ServerSettings, SettingsError};

const ADDRESS: &str = "BACKEND_ADDRESS";

/// A backend in the process of the service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Files")]
pub(crate) struct EmbeddedSettings {
    /// Serve these MCAP files: a folder, s3://bucket/prefix, gs://bucket/prefix or
    /// az://container/prefix. They take the place of MANIFEST_ENDPOINT
    #[arg(id = "backend", long, env = BACKEND, value_parser = parse_place)]
    pub(crate) place: Option<FilesPlace>,

    /// With the files: the address of the loopback interface at which the loader asks for them. Port
    /// 0 takes a free one; with a cache take a fixed one, as what is cached is kept under it
    #[arg(long, env = ADDRESS, default_value = "127.0.0.1:0", value_parser = parse_address)]
    pub(crate) backend_address: SocketAddr,

    #[command(flatten)]
    files: Renamed,
}

impl EmbeddedSettings {
    /// What the backend is told; `None` where there is to be none.
    pub(crate) fn plan(
        &self,
        server: &ServerSettings,
        cache: &CacheSettings,
    ) -> Result<Option<FilesPlan>, SettingsError> {
        let Some(place) = &self.place else {
            return self.files.0.check_unused().map(|()| None);
        };
        if !self.backend_address.ip().is_loopback() {
            let accepts = "accepts an address of the loopback interface and a port: 127.0.0.1:8081";
            return Err(SettingsError::new(ADDRESS, accepts));
        }
        let plan = self.files.0.plan(place, &cache.cloud)?;
        if !plan.is_guarded && !server.disable_auth {
            let message = format!(
                "is not set, and users' tokens have to be checked by somebody: set it, or \
                 {JWKS_URL}, or DISABLE_AUTH=true to show every file of {BACKEND} to everyone who \
                 reaches this service"
            );
            return Err(SettingsError::new(TOKEN, message));
        }
        if plan.is_guarded && server.disable_auth {
            let message = format!(
                "is true, and {TOKEN} or {JWKS_URL} is set: requests without a token would reach \
                 this service, and no file; unset one of them"
            );
            return Err(SettingsError::new("DISABLE_AUTH", message));
        }
        Ok(Some(plan))
    }
}

/// [`FilesSettings`] with `backend-` before each flag.
#[derive(Clone, Debug)]
struct Renamed(FilesSettings);

const NAMES: [(&str, &str); 8] = [
    ("token", "backend-token"),
    ("jwks-url", "backend-jwks-url"),
    ("jwt-audience", "backend-jwt-audience"),
    ("jwt-issuer", "backend-jwt-issuer"),
    ("jwt-prefix-claim", "backend-jwt-prefix-claim"),
    ("jwt-prefix", "backend-jwt-prefix"),
    ("signed-urls", "backend-signed-urls"),
    ("signed-url-ms", "backend-signed-url-ms"),
];

impl Args for Renamed {
    fn augment_args(command: Command) -> Command {
        FilesSettings::augment_args(command).mut_args(|arg| {
            let renamed = NAMES.iter().find(|(name, _)| arg.get_long() == Some(*name));
            match renamed {
                Some((_, name)) => arg.long(*name),
                None => arg,
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Renamed::augment_args(command)
    }
}

impl FromArgMatches for Renamed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Renamed, Error> {
        FilesSettings::from_arg_matches(matches).map(Renamed)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
