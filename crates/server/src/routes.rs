//! The HTTP API, one file a path.
//!
//! A handler parses ([`params`]), asks the engine, and puts the answer into the shapes of
//! [`answers`]. Everything that fails becomes a [`Problem`].

mod answers;
mod authority;
mod cors;
mod events;
mod explain;
mod file_link;
mod file_name;
mod files;
mod health;
mod links;
mod login;
mod openapi;
mod pages;
mod params;
mod recording;
mod request;
mod session;
mod stream;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use rdl_engine::{Engine, ManifestParams};
use rdl_model::ErrorKind;

use self::file_link::FileLink;
pub(crate) use self::links::LinksAnswer;
pub(crate) use self::request::{
    CompressionName, OrderedParams, ReplayPolicyName, StreamRequest, TimeText, parse_compression,
    parse_replay_policy,
};
use crate::auth::Auth;
use crate::lifecycle::Lifecycle;
use crate::problem::Problem;
use crate::settings::ServerSettings;
use crate::telemetry;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    /// Gives the recordings.
    pub(crate) engine: Arc<Engine>,
    /// Tells whose a request is.
    pub(crate) auth: Arc<Auth>,
    /// How long a request for a file waits until all of it is loaded.
    pub(crate) file_wait: Duration,
    /// How far the process is.
    pub(crate) lifecycle: Lifecycle,
}

impl App {
    /// An app over this engine.
    pub(crate) fn new(engine: Arc<Engine>, auth: Auth, settings: &ServerSettings) -> App {
        App {
            engine,
            auth: Arc::new(auth),
            file_wait: Duration::from_millis(settings.file_wait_ms),
            lifecycle: Lifecycle::default(),
        }
    }
}

/// The path of the file of a recording.
pub(crate) fn file_path(params: ManifestParams, name: &str) -> String {
    FileLink { params, cut: None, version: None, authority: None }.bare_path(Some(name))
}

/// Every route.
pub(crate) fn router(app: App, settings: &ServerSettings) -> Router {
    let get_only = |route: MethodRouter<App>| route.fallback(method_not_allowed);
    let mut api = Router::new()
        .route("/v1/recording", get_only(get(recording::get)))
        .route("/v1/stream", get_only(get(stream::get).post(stream::post)))
        .route("/v1/explain", get_only(get(explain::get)))
        .route("/v1/events", get_only(get(events::get)))
        .route("/v1/files/{token}/{name}", get_only(get(files::get)))
        .route("/v1/links", get_only(post(links::post)))
        .route("/v1/session", get_only(get(session::get).post(session::post)))
        .route("/v1/session/refresh", get_only(post(session::refresh)))
        .route("/logout", get_only(post(session::logout)))
        .route("/login", get_only(get(login::login)))
        .route("/login/login.js", get_only(get(pages::login_script)))
        .route("/login/callback.js", get_only(get(pages::callback_script)))
        .route("/login/style.css", get_only(get(pages::style)))
        .route("/oauth/start", get_only(get(login::start)))
        .route("/oauth/callback", get_only(get(login::callback)))
        .route("/view", get_only(get(view::page)))
        .route("/view/assets/{name}", get_only(get(view::asset)))
        .route("/openapi.json", get_only(get(openapi::get)));
    if let Some(path) = app.auth.callback_path() {
        api = api.route(path, get_only(get(login::callback)));
    }
    let api = api
        .fallback(not_found)
        .layer(from_fn_with_state(app.clone(), authority::check_origin))
        .layer(from_fn_with_state(app.clone(), authority::show_login))
        .layer(cors::layer(settings))
        .layer(from_fn_with_state(app.lifecycle.clone(), telemetry::log_request));
    let health = Router::new()
        .route("/liveness", get_only(get(health::liveness)))
        .route("/readiness", get_only(get(health::readiness)));
    api.merge(health).with_state(app)
}

async fn not_found() -> Problem {
    Problem::new(ErrorKind::NotFound, "there is no such path; /openapi.json lists what there is")
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

#[cfg(test)]
mod tests;
