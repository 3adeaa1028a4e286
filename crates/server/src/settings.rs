//! What the process is told at start, by flags or environment: one struct a concern.
//!
//! Clap fills them in. A wrong value is refused before anything starts, with the name of its
//! variable and what that accepts; an empty variable counts as unset. `docs/CONFIG.md` is
//! generated from these definitions.

mod auth;
mod backend;
mod cache;
#[cfg(test)]
mod document;
mod embedded;
mod files;
mod loading;
mod log;
mod metrics;
mod secret;
mod server;
mod sharing;
mod shutdown;
mod traces;
mod values;

use clap::{Args, Command};
use rdl_engine::{EngineConfig, FetchConfig};

pub(crate) use self::auth::{AuthConfig, AuthSettings, ProviderConfig};
pub(crate) use self::backend::BackendSettings;
pub(crate) use self::cache::{CacheSettings, Cloud, CloudSettings};
pub(crate) use self::embedded::EmbeddedSettings;
pub(crate) use self::files::{
    BACKEND, FilesPlace, FilesPlan, FilesSettings, JWKS_URL, TOKEN, parse_place,
};
pub(crate) use self::loading::LoadingSettings;
pub(crate) use self::log::{LogFormat, LogSettings};
pub(crate) use self::metrics::MetricsSettings;
pub(crate) use self::secret::Secret;
pub(crate) use self::server::{ServerSettings, parse_address};
pub(crate) use self::sharing::{SharingSettings, StaleSettings};
pub(crate) use self::shutdown::ShutdownSettings;
pub(crate) use self::traces::TraceSettings;
pub(crate) use self::values::{parse_bool, parse_number, parse_param};

/// A value that cannot be used: which variable, why, and what it accepts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {message}")]
pub(crate) struct SettingsError {
    variable: &'static str,
    message: String,
}

impl SettingsError {
    pub(crate) fn new(variable: &'static str, message: impl Into<String>) -> SettingsError {
        SettingsError { variable, message: message.into() }
    }
}

/// Everything that the engine is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct EngineSettings {
    #[command(flatten)]
    pub(crate) backend: BackendSettings,
    #[command(flatten)]
    pub(crate) loading: LoadingSettings,
    #[command(flatten)]
    pub(crate) cache: CacheSettings,
    #[command(flatten)]
    pub(crate) sharing: SharingSettings,
}

impl EngineSettings {
    /// Checks what clap cannot check alone, and puts it together.
    pub(crate) fn engine_config(&self) -> Result<EngineConfig, SettingsError> {
        self.engine_config_over(self.backend.fetch_config()?)
    }

    /// The same over a backend that is not configured as the others are.
    pub(crate) fn engine_config_over(
        &self,
        fetch: FetchConfig,
    ) -> Result<EngineConfig, SettingsError> {
        let mut config = EngineConfig::new(fetch);
        config.store = self.cache.store_config()?;
        config.bucket = self.cache.open_bucket()?.map(|(_, config)| config);
        config.sharing = self.sharing.sharing_config()?;
        self.loading.apply(&mut config);
        Ok(config)
    }
}

/// Makes every empty variable count as unset, and keeps values of variables out of the help.
pub(crate) fn read_environment(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let Some(variable) = arg.get_env() else { return arg };
        let is_empty = std::env::var_os(variable).is_some_and(|value| value.is_empty());
        let arg = arg.hide_env_values(true);
        if is_empty { arg.env(clap::builder::Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(read_environment)
}

#[cfg(test)]
mod tests;
