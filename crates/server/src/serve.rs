//! `serve`: the service, from start to drained.

use std::future::IntoFuture as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use clap::Args;
use rdl_engine::{Engine, EngineConfig, EngineError};
use tokio::net::TcpListener;

use crate::auth::Auth;
use crate::routes::{self, App};
use crate::settings::{
    AuthConfig, AuthSettings, EngineSettings, Reserved, ServerSettings, SettingsError,
    unheeded_variables,
};
use crate::signals::Signals;

/// How long answers that have begun may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(25);

/// The flags of `serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) server: ServerSettings,
    #[command(flatten)]
    pub(crate) auth: AuthSettings,
    #[command(flatten)]
    pub(crate) engine: EngineSettings,
}

/// What `serve` is told, checked.
pub(crate) struct ServeConfig {
    engine: EngineConfig,
    auth: AuthConfig,
}

impl ServeArgs {
    /// Checks everything that can be checked before anything starts.
    pub(crate) fn check(&self) -> Result<ServeConfig, SettingsError> {
        let auth = self.auth.auth_config(&self.server)?;
        Ok(ServeConfig { engine: self.engine.engine_config()?, auth })
    }

    /// Says what works and yet may not be what was meant.
    fn warn(&self, auth: &AuthConfig) {
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
        if self.engine.backend.auth_token_origins.is_none() {
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
    for Reserved { variable, purpose } in unheeded_variables() {
        tracing::info!(variable, purpose, "accepted, and without effect in this version");
    }
    args.warn(&config.auth);
    let auth = Auth::new(config.auth)?;
    let listener = bind(&args.server).await?;
    let engine = Engine::start(config.engine).await.map_err(|error| args.cannot_start(error))?;
    let app = App::new(engine, auth, &args.server);
    serve(listener, app, &args.server, |address| format!("listening on http://{address}")).await
}

/// Listens where the settings say.
pub(crate) async fn bind(settings: &ServerSettings) -> anyhow::Result<TcpListener> {
    TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen at {} (ADDRESS)", settings.address))
}

/// Answers requests until the first signal, then drains; a second signal ends the process at once.
/// `greeting` is printed once requests are answered; programs that start us with port 0 read it.
pub(crate) async fn serve(
    listener: TcpListener,
    app: App,
    settings: &ServerSettings,
    greeting: impl FnOnce(SocketAddr) -> String,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let App { engine, stopping, .. } = app.clone();
    // Else the end of an answer waits until the reader says that the rest came: up to 40 ms.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let serving = axum::serve(listener, routes::router(app, settings))
        .with_graceful_shutdown(stopping.clone().cancelled_owned())
        .into_future();
    let mut serving = tokio::spawn(serving);
    // That nobody reads it is no failure.
    let _ = writeln!(std::io::stdout(), "{}", greeting(address));

    tokio::select! {
        ended = &mut serving => return ended?.context("the service broke down"),
        () = signals.next() => {}
    }
    tracing::info!("stopping: no new requests; a second signal ends at once");
    stopping.cancel();
    let drained = async {
        if tokio::time::timeout(DRAIN, &mut serving).await.is_err() {
            tracing::warn!("some answers did not end in time and are cut off");
        }
        engine.shutdown().await;
    };
    tokio::select! {
        () = drained => Ok(()),
        () = signals.next() => anyhow::bail!("ended at once by a second signal"),
    }
}
