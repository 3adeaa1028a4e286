//! An identity provider that fails on demand. What a real one does is tried elsewhere, with a real
//! one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the token endpoint does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Well,
    /// Answers with this status and nothing.
    Status(u16),
    /// Refuses with this error code.
    Refuses(&'static str),
    /// Answers with something else.
    Talks,
    /// Answers after a while.
    Slow,
}

#[derive(Default)]
pub(super) struct Said {
    pub(super) mood: Mood,
    /// Codes that are good, with the challenge of each.
    pub(super) codes: HashMap<String, String>,
    /// Refresh tokens that are good.
    pub(super) refresh: Vec<String>,
    /// How often the token endpoint was asked for what.
    pub(super) exchanges: usize,
    pub(super) refreshes: usize,
    pub(super) revoked: Vec<String>,
    /// In seconds; absent: not told.
    pub(super) expires_in: Option<u64>,
    pub(super) token_bytes: usize,
    /// Whether the client's secret has to come in the body.
    pub(super) wants_body: bool,
    issuer: String,
}

/// It runs until it is dropped.
pub(super) struct Provider {
    pub(super) url: String,
    pub(super) said: Arc<Mutex<Said>>,
    serving: JoinHandle<()>,
}

impl Provider {
    pub(super) async fn start() -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let said = Said { expires_in: Some(60), issuer: url.clone(), ..Said::default() };
        let said = Arc::new(Mutex::new(said));
        let router = Router::new()
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .route("/.well-known/openid-configuration", get(discovery))
            .with_state(said.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Provider { url, said, serving }
    }

    /// As if a user had agreed: the code for this challenge.
    pub(super) fn agree(&self, code: &str, challenge: &str) {
        self.said.lock().codes.insert(code.into(), challenge.into());
    }
}

impl Said {
    fn is_client(&self, headers: &HeaderMap, form: &HashMap<String, String>) -> bool {
        // loader:hunter2
        let in_header =
            headers.get("authorization").is_some_and(|it| it == "Basic bG9hZGVyOmh1bnRlcjI=");
        let in_body = form.get("client_secret").is_some_and(|it| it == "hunter2");
        if self.wants_body { in_body && !in_header } else { in_header && !in_body }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn token(State(said): State<Arc<Mutex<Said>>>, headers: HeaderMap, body: Bytes) -> Response {
    let (form, mood) = (form(&body), said.lock().mood);
    match mood {
        Mood::Well => {}
        Mood::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Mood::Refuses(code) => return refuse(code),
        Mood::Talks => return "hello, secret-of-the-provider".into_response(),
        Mood::Slow => tokio::time::sleep(Duration::from_millis(300)).await,
    }
    let mut said = said.lock();
    if !said.is_client(&headers, &form) {
        return refuse("invalid_client");
    }
    let is_good = match form["grant_type"].as_str() {
        "authorization_code" => {
            said.exchanges += 1;
            let verifier = Sha256::digest(&form["code_verifier"]);
            said.codes.remove(&form["code"]) == Some(URL_SAFE_NO_PAD.encode(verifier))
        }
        _ => {
            said.refreshes += 1;
            let token = &form["refresh_token"];
            let known = said.refresh.iter().position(|good| good == token);
            known.map(|at| said.refresh.remove(at)).is_some()
        }
    };
    if !is_good {
        // Whoever uses one twice loses all.
        said.refresh.clear();
        return refuse("invalid_grant");
    }
    let number = said.exchanges + said.refreshes;
    let refresh = format!("refresh-{number}-secret");
    said.refresh.push(refresh.clone());
    let access = format!("access-{number}-secret{}", "x".repeat(said.token_bytes));
    let mut answer =
        json!({ "access_token": access, "refresh_token": refresh, "token_type": "Bearer" });
    if let Some(seconds) = said.expires_in {
        answer["expires_in"] = seconds.into();
    }
    Json(answer).into_response()
}

fn form(body: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn refuse(code: &str) -> Response {
    let said = json!({ "error": code, "error_description": "secret-of-the-provider" });
    (StatusCode::BAD_REQUEST, Json(said)).into_response()
}

async fn revoke(
    State(said): State<Arc<Mutex<Said>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let (mut said, form) = (said.lock(), form(&body));
    if !said.is_client(&headers, &form) {
        return StatusCode::UNAUTHORIZED;
    }
    said.revoked.push(form["token"].clone());
    StatusCode::OK
}

async fn discovery(State(said): State<Arc<Mutex<Said>>>) -> Response {
    let said = said.lock();
    if let Mood::Status(status) = said.mood {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let issuer = &said.issuer;
    Json(json!({
        "issuer": if said.mood == Mood::Talks { "https://other.example.com" } else { issuer },
        "authorization_endpoint": format!("{issuer}/authorize?prompt=x"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "end_session_endpoint": format!("{issuer}/end"),
        "token_endpoint_auth_methods_supported":
            [if said.wants_body { "client_secret_post" } else { "client_secret_basic" }],
    }))
    .into_response()
}
