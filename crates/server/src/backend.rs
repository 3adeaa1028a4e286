//! `backend`: a ready data backend over MCAP files in a folder or a bucket.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::middleware::from_fn_with_state;
use clap::{ArgAction, Args};
use rdl_files_backend::FilesBackend;

use crate::lifecycle::{self, Lifecycle, ShutdownPlan};
use crate::settings::{
    BACKEND, CloudSettings, FilesPlace, FilesPlan, FilesSettings, JWKS_URL, SettingsError,
    ShutdownSettings, TOKEN, parse_address, parse_bool, parse_place,
};
use crate::telemetry;

/// The flags of `backend`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BackendArgs {
    /// Where the MCAP files lie: a folder, s3://bucket/prefix, gs://bucket/prefix or
    /// az://container/prefix
    #[arg(env = BACKEND, value_name = "WHERE", value_parser = parse_place)]
    place: FilesPlace,

    /// The address to listen at; port 0 takes a free one
    #[arg(long, env = "ADDRESS", default_value = "127.0.0.1:8081", value_parser = parse_address)]
    address: SocketAddr,

    /// Listen at an address that other machines reach although nothing checks who asks: true,
    /// false, 1 or 0. Everyone who reaches it sees every file
    #[arg(long, env = "DISABLE_AUTH", value_parser = parse_bool, action = ArgAction::Set,
          num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    disable_auth: bool,

    #[command(flatten)]
    files: FilesSettings,
    #[command(flatten)]
    clouds: CloudSettings,
    #[command(flatten)]
    shutdown: ShutdownSettings,
}

/// What `backend` is told, checked.
pub(crate) struct BackendPlan {
    address: SocketAddr,
    shown: String,
    files: FilesPlan,
    shutdown: ShutdownPlan,
}

impl BackendArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(&self) -> Result<BackendPlan, SettingsError> {
        let files = self.files.plan(&self.place, &self.clouds)?;
        if files.is_guarded && self.disable_auth {
            let message = format!("is true, and {TOKEN} or {JWKS_URL} is set; unset one of them");
            return Err(SettingsError::new("DISABLE_AUTH", message));
        }
        let is_open = !files.is_guarded && !self.disable_auth;
        if is_open && !self.address.ip().is_loopback() {
            let message = format!(
                "is not set, and other machines reach {}: set it, or {JWKS_URL}, or \
                 DISABLE_AUTH=true to show every file to everyone who reaches this address",
                self.address
            );
            return Err(SettingsError::new(TOKEN, message));
        }
        let shown = self.place.shown();
        let shutdown = self.shutdown.plan()?;
        Ok(BackendPlan { address: self.address, shown, files, shutdown })
    }
}

/// Serves until a signal comes; a second one ends the process at once.
pub(crate) async fn run(plan: BackendPlan) -> anyhow::Result<()> {
    let BackendPlan { address, shown, files, shutdown } = plan;
    let FilesPlan { config, cloud, is_guarded } = files;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen at {address} (ADDRESS)"))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let backend = FilesBackend::start(config).await;
    let backend = backend.map_err(|error| FilesPlan::cannot_start(cloud.as_ref(), error))?;
    if !is_guarded && !address.ip().is_loopback() {
        tracing::warn!(%address, "nothing checks who asks: everyone who reaches it sees every file");
    }
    let lifecycle = Lifecycle::default();
    let log = from_fn_with_state(lifecycle.clone(), telemetry::log_request);
    let router = backend.router().layer(log);
    let greeting = |address| greeting(address, &shown);
    lifecycle::answer(listener, router, lifecycle, shutdown, None, greeting).await
}

fn greeting(address: SocketAddr, shown: &str) -> String {
    format!(
        "\
serving {shown}, listening on http://{address}

What there is:
  curl http://{address}/recordings

A loader in front of it:
  remote-data-loader serve --manifest-endpoint http://{address}/manifest --allow-http-sources
"
    )
}
