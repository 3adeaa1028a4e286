//! The session of a user's browser: made of a one-time code, told, refreshed, ended.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use rdl_model::ErrorKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::request::whole_body;
use crate::auth::{Auth, Expiry, Found, Home, Login, LoginError, ProviderError, Session};
use crate::problem::{Problem, ProblemBody};

/// Whether somebody is signed in. Never the tokens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub(super) struct SessionAnswer {
    /// Whether requests with the cookie are answered now.
    signed_in: bool,
    /// Until when, RFC 3339; null where that is not known, and without a session.
    #[schema(required, format = DateTime)]
    expires: Option<String>,
    /// Whether `POST /v1/session/refresh` may make it longer.
    refreshable: bool,
}

/// Redeems a one-time code.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewSession {
    /// What the page got from the callback.
    code: String,
    /// The state that the page gave to `/login`.
    #[serde(default)]
    state: Option<String>,
    /// Whether the page, though of this loader's own site, is shown in a frame of another.
    #[serde(default)]
    embedded: bool,
}

/// Where a user ends the session at the provider.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignedOut)]
pub(super) struct SignedOut {
    /// The provider's own page for it, where there is one.
    #[schema(required)]
    logout_url: Option<String>,
}

impl SessionAnswer {
    fn of(session: Option<&Session>) -> SessionAnswer {
        SessionAnswer {
            signed_in: session.is_some_and(|session| !session.is_expired()),
            expires: session.and_then(|session| session.expires).as_ref().map(Expiry::to_string),
            refreshable: session.is_some_and(|session| session.refresh.is_some()),
        }
    }
}

/// Whether somebody is signed in with a cookie.
#[utoipa::path(get, path = "/v1/session", operation_id = "getSession", tag = "signing in",
    security((), ("cookie" = [])),
    responses((status = 200, description = "Signed in or not", body = SessionAnswer)))]
pub(super) async fn get(State(app): State<App>, headers: HeaderMap) -> Response {
    let session = match app.auth.session(&headers) {
        Found::Session(session, _) => Some(session),
        Found::Unreadable | Found::Nothing => None,
    };
    told(&SessionAnswer::of(session.as_ref()), Vec::new())
}

/// Makes a session of a one-time code, in a cookie.
///
/// The code is good once, for a minute, for pages of the origin to which `/login` was to return.
#[utoipa::path(post, path = "/v1/session", operation_id = "postSession", tag = "signing in",
    request_body = NewSession,
    responses(
        (status = 200, description = "Signed in", body = SessionAnswer),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn post(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let login = login(&app.auth)?;
    let body = whole_body(&headers, body)?;
    // What stands there may be secret: it is not repeated.
    let wanted = serde_json::from_slice(&body).map_err(|_| {
        Problem::bad_request("the body accepts {\"code\": …, \"state\": …, \"embedded\": …}")
    });
    let NewSession { code, state, embedded } = wanted?;
    let origin = origin(&headers)?;
    let redeemed = login.redeem(&app.auth, &code, origin, state.as_deref()).await;
    let session = redeemed.map_err(|error| match error {
        LoginError::Provider(error) => {
            tracing::warn!(%error, "a login fails");
            error.into()
        }
        LoginError::BadCode => Problem::invalid_login_code(),
    })?;
    let home = match embedded || is_of_other_site(&headers, login) {
        true => Home::OtherSite,
        false => Home::OwnSite,
    };
    kept(&app.auth, &headers, home, &session)
}

/// Refreshes the session of the cookie, whether it has run out or not.
///
/// Nothing else does. A repeat within a minute, also with the cookie from before, gets the same
/// answer, so that nothing is lost when an answer is.
#[utoipa::path(post, path = "/v1/session/refresh", operation_id = "postSessionRefresh",
    tag = "signing in", security(("cookie" = [])),
    responses(
        (status = 200, description = "Refreshed", body = SessionAnswer),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let login = login(&app.auth)?;
    origin(&headers)?;
    let ended = |detail: &str| {
        let problem = Problem::new(ErrorKind::Unauthorized, detail);
        Ok(with(problem.into_response(), app.auth.remove(&headers)))
    };
    let Found::Session(session, home) = app.auth.session(&headers) else {
        return ended("nobody is signed in");
    };
    match login.refresh(session).await {
        Ok(session) => kept(&app.auth, &headers, home, &session),
        Err(ProviderError::InvalidGrant) => ended("the session has ended; sign in again"),
        Err(error) => {
            tracing::warn!(%error, "a session cannot be refreshed");
            Err(error.into())
        }
    }
}

/// Ends the session of the cookie: here, and where its tokens can be revoked, everywhere.
#[utoipa::path(post, path = "/logout", operation_id = "postLogout", tag = "signing in",
    security((), ("cookie" = [])),
    responses(
        (status = 200, description = "Nobody is signed in any more", body = SignedOut),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let login = login(&app.auth)?;
    origin(&headers)?;
    let logout_url = match app.auth.session(&headers) {
        Found::Session(session, _) => login.end(session).await,
        Found::Unreadable | Found::Nothing => None,
    };
    let answer = SignedOut { logout_url: logout_url.map(String::from) };
    Ok(told(&answer, app.auth.remove(&headers)))
}

fn login(auth: &Auth) -> Result<&Login, Problem> {
    auth.login().ok_or_else(|| {
        let detail = "this loader has no login, and so no sessions; send a token as \
                      `Authorization: Bearer <token>`";
        Problem::new(ErrorKind::NotFound, detail)
    })
}

/// The origin of the asking page: one that is known, when it is there at all.
fn origin(headers: &HeaderMap) -> Result<&str, Problem> {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.ok_or_else(|| Problem::origin_not_allowed("sessions are for pages: send an `Origin`"))
}

/// Whether the page is on another site than we are. Browsers say so; the older ones, which do not,
/// take a cookie of another site for one of their own.
fn is_of_other_site(headers: &HeaderMap, login: &Login) -> bool {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(site) => site == b"cross-site",
        None => !headers
            .get(ORIGIN)
            .and_then(|origin| origin.to_str().ok()?.parse().ok())
            .is_some_and(|origin| login.is_own(&origin)),
    }
}

/// The answer that puts a session into the browser.
fn kept(
    auth: &Auth,
    headers: &HeaderMap,
    home: Home,
    session: &Session,
) -> Result<Response, Problem> {
    let cookies = auth.put(headers, home, session).ok_or_else(|| {
        let detail =
            "the provider's tokens are too long for cookies: its operator leaves claims out";
        Problem::new(ErrorKind::BadGateway, detail)
    })?;
    Ok(told(&SessionAnswer::of(Some(session)), cookies))
}

fn told(answer: &impl Serialize, cookies: Vec<HeaderValue>) -> Response {
    with(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response(), cookies)
}

fn with(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    response.headers_mut().extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
    response
}
