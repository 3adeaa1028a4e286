//! `serve`: the service, from start to drained.

use anyhow::Context as _;
use clap::Args;
use rdl_engine::{Engine, EngineConfig, EngineError};
use rdl_files_backend::FilesBackend;
use tokio::net::TcpListener;
use url::Url;

use crate::auth::Auth;
use crate::embedded::EmbeddedBackend;
use crate::lifecycle::{self, ShutdownPlan};
use crate::metrics::Metrics;
use crate::routes::{self, App};
use crate::settings::{
    AuthConfig, AuthSettings, EmbeddedSettings, EngineSettings, FilesPlan, MetricsSettings,
    ServerSettings, SettingsError, ShutdownSettings, TraceSettings,
};
use crate::telemetry;

/// The flags of `serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) server: ServerSettings,
    #[command(flatten)]
    pub(crate) auth: AuthSettings,
    #[command(flatten)]
    pub(crate) engine: EngineSettings,
    #[command(flatten)]
    pub(crate) embedded: EmbeddedSettings,
    #[command(flatten)]
    pub(crate) metrics: MetricsSettings,
    #[command(flatten)]
    pub(crate) shutdown: ShutdownSettings,
    #[command(flatten)]
    pub(crate) traces: TraceSettings,
}

/// What `serve` is told, checked.
pub(crate) struct ServeConfig {
    engine: EngineConfig,
    auth: AuthConfig,
    shutdown: ShutdownPlan,
    /// The backend in this process, if there is to be one.
    files: Option<FilesPlan>,
}

impl ServeArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(&self) -> Result<ServeConfig, SettingsError> {
        let auth = self.auth.auth_config(&self.server)?;
        let shutdown = self.shutdown.plan()?;
        let files = self.embedded.plan(&self.server, &self.engine.cache)?;
        let engine = match &files {
            None => self.engine.engine_config()?,
            Some(files) => {
                let address = self.embedded.backend_address;
                let endpoint = Url::parse(&format!("http://{address}/manifest"));
                let endpoint = endpoint.map_err(|error| {
                    SettingsError::new("BACKEND_ADDRESS", format!("is wrong: {error}"))
                })?;
                let mut fetch = self.engine.backend.embedded_config(endpoint)?;
                // Signed URLs lead out of this machine; nothing else does.
                fetch.use_system_proxy = files.config.signed_urls.is_some();
                self.engine.engine_config_over(fetch)?
            }
        };
        Ok(ServeConfig { engine, auth, shutdown, files })
    }

    /// Says what works and yet may not be what was meant.
    fn warn(&self, auth: &AuthConfig) {
        let is_cached = self.engine.cache.cloud().is_some();
        if self.embedded.place.is_some() && is_cached && self.embedded.backend_address.port() == 0 {
            tracing::warn!(
                "BACKEND_ADDRESS takes a free port: nothing that is cached will be found again after \
                 a restart, or by another replica"
            );
        }
        if auth.is_disabled {
            return;
        }
        if auth.login.is_none() {
            tracing::info!("no login: OAUTH_CLIENT_ID is not set; requests need a bearer token");
        }
        if auth.keys.is_none() {
            tracing::warn!(
                "COOKIE_ENCRYPTION_KEY is not set: sessions and links are encrypted with a random \
                 key, which other replicas do not have and which ends with this process"
            );
        }
        if self.engine.backend.auth_token_origins.is_none() && self.embedded.place.is_none() {
            tracing::warn!(
                "AUTH_TOKEN_ORIGINS is not set: users' access tokens go to every source that a \
                 manifest names, unless its URL is signed"
            );
        }
    }

    fn cannot_start(&self, error: EngineError) -> anyhow::Error {
        let cache = &self.engine.cache;
        let name = cache.request_cache_bucket_name.clone().unwrap_or_default();
        let why = match (&error, cache.cloud()) {
            (EngineError::Misconfigured(trouble), Some(cloud)) => {
                cloud.advice(&name.to_string_lossy(), trouble.kind())
            }
            _ => "cannot start".to_owned(),
        };
        anyhow::Error::new(error).context(why)
    }
}

/// Serves until a signal comes.
pub(crate) async fn run(args: ServeArgs, config: ServeConfig) -> anyhow::Result<()> {
    args.warn(&config.auth);
    let auth = Auth::new(config.auth)?;
    let listener = bind(&args.server).await?;
    let metrics = Metrics::start(&args.metrics).await?;
    let mut engine = config.engine;
    engine.fetch.trace = Some(telemetry::inject);
    let backend = match config.files {
        Some(files) => Some(start_backend(&args, files).await?),
        None => None,
    };
    if let Some(backend) = &backend {
        engine.fetch.manifest_endpoint = backend.manifest_endpoint().clone();
    }
    let engine = Engine::start(engine).await.map_err(|error| args.cannot_start(error))?;
    let app = App::new(engine.clone(), auth, &args.server);
    let (lifecycle, router) = (app.lifecycle.clone(), routes::router(app, &args.server));
    let metrics = metrics.map(|metrics| metrics.serve(&engine, &lifecycle)).transpose()?;
    let greeting = |address| {
        let mut greeting = format!("listening on http://{address}");
        if let Some(backend) = &backend {
            greeting.push_str(&format!("\nwhat there is: curl {}", backend.recordings()));
        }
        if let Some(metrics) = &metrics {
            greeting.push_str(&format!("\nmetrics: http://{}/metrics", metrics.address));
        }
        greeting
    };
    lifecycle::answer(listener, router, lifecycle, config.shutdown, Some(engine), greeting).await
}

async fn start_backend(args: &ServeArgs, files: FilesPlan) -> anyhow::Result<EmbeddedBackend> {
    let backend = FilesBackend::start(files.config).await;
    let backend = backend.map_err(|error| FilesPlan::cannot_start(files.cloud.as_ref(), error))?;
    let address = args.embedded.backend_address;
    EmbeddedBackend::start(address, backend.router())
        .await
        .with_context(|| format!("cannot listen at {address} (BACKEND_ADDRESS)"))
}

/// Listens where the settings say.
pub(crate) async fn bind(settings: &ServerSettings) -> anyhow::Result<TcpListener> {
    TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen at {} (ADDRESS)", settings.address))
}
