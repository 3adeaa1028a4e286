//! `demo`: the loader in front of the generated drive of [`crate::demo`], in one process.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use rdl_engine::{Engine, EngineConfig, FetchConfig};

use crate::auth::Auth;
use crate::demo;
use crate::lifecycle::{self, ShutdownPlan};
use crate::routes::{self, App};
use crate::serve;
use crate::settings::{AuthConfig, ServerSettings, parse_address};

/// The flags of `demo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// The address to listen at; port 0 takes a free one
    #[arg(long, env = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = parse_address)]
    address: SocketAddr,
}

/// Plays the drive until a signal comes.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    // The drive is nobody's secret: every viewer may see it.
    let settings = ServerSettings {
        address: args.address,
        disable_auth: true,
        file_wait_ms: 30_000,
        cors_allowed_origins: Vec::new(),
    };
    let listener = serve::bind(&settings).await?;
    let backend = demo::start_backend().await.context("cannot start the demo's data backend")?;
    let mut fetch = FetchConfig::new(backend.manifest_endpoint().clone());
    fetch.allow_http_sources = true;
    fetch.use_system_proxy = false;
    let engine = Engine::start(EngineConfig::new(fetch)).await.context("cannot start")?;
    let app = App::new(engine.clone(), Auth::new(AuthConfig::disabled())?, &settings);
    let (lifecycle, router) = (app.lifecycle.clone(), routes::router(app, &settings));
    let (plan, engine) = (ShutdownPlan::by_hand(), Some(engine));
    lifecycle::answer(listener, router, lifecycle, plan, engine, demo::introduction).await
}
