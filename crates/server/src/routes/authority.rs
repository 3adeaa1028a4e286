//! With whose authority a request comes.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use rdl_engine::Token;
use rdl_model::ErrorKind;

use super::App;
use crate::auth::{Asker, Auth, Expiry, Found};
use crate::problem::{Problem, retold};

/// The access token that a request carries: as a bearer token (RFC 6750 section 2.1), else in the
/// cookie of a session. Absent only where auth is disabled.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) token: Option<Token>,
    /// Until when it lasts, where that is known.
    pub(super) expires: Option<Expiry>,
}

impl FromRequestParts<App> for Authority {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Authority::of(&app.auth, &parts.headers)
    }
}

impl Authority {
    fn of(auth: &Auth, headers: &HeaderMap) -> Result<Authority, Problem> {
        if let Some(token) = bearer(headers)? {
            let expires = Expiry::of_token(token.expose());
            return Ok(Authority { token: Some(token), expires });
        }
        Authority::of_session(auth, headers)
    }

    /// That of a request without a bearer token.
    pub(super) fn of_session(auth: &Auth, headers: &HeaderMap) -> Result<Authority, Problem> {
        if auth.is_disabled() {
            return Ok(Authority { token: None, expires: None });
        }
        let unauthorized = |detail: &str| Err(Problem::new(ErrorKind::Unauthorized, detail));
        match auth.session(headers) {
            Found::Session(session, _) if session.is_expired() => Err(Problem::token_expired()),
            Found::Session(session, _) => {
                Ok(Authority { token: Some(session.access), expires: session.expires })
            }
            Found::Unreadable => unauthorized(
                "the session's cookie is damaged, or from before the keys changed; sign in again",
            ),
            Found::Nothing => unauthorized(match auth.login() {
                Some(_) => "sign in, or send a token as `Authorization: Bearer <token>`",
                None => "this loader wants a token: send it as `Authorization: Bearer <token>`",
            }),
        }
    }
}

/// Refuses what a page of a strange origin posts, and what somebody's cookies are sent along with and
/// nobody says from where: it may be forged (CSRF).
pub(super) async fn check_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_checked = request.method() == Method::POST && !app.auth.is_disabled();
    let headers = request.headers();
    let refused = is_checked.then(|| match app.auth.origins().asker(headers) {
        Asker::Known => None,
        Asker::Stranger => {
            Some("pages of this origin may not ask; CORS_ALLOWED_ORIGINS names those that may")
        }
        Asker::Unsaid if app.auth.has_cookies(headers) && !headers.contains_key(AUTHORIZATION) => {
            Some("a POST with a session's cookie needs an `Origin`")
        }
        Asker::Unsaid => None,
    });
    match refused.flatten() {
        Some(why) => Problem::origin_not_allowed(why).into_response(),
        None => next.run(request).await,
    }
}

/// Tells everyone who is not signed in where to do that.
pub(super) async fn show_login(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != StatusCode::UNAUTHORIZED {
        return response;
    }
    retold(response, |problem| problem.with_login(app.auth.login_url()).into_response())
}

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Problem::bad_request("the request has several Authorization headers"));
    }
    let token = first
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().split_once(' '))
        // Another scheme may belong to a proxy in front.
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty());
    Ok(token.map(Token::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).unwrap().map(|token| token.expose().to_owned())
    }

    #[test]
    fn reads_a_bearer_token_in_any_case() {
        assert_eq!(token_of(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(token_of(&["bearer  a.b-c="]).as_deref(), Some("a.b-c="));
    }

    #[test]
    fn anything_else_is_no_token() {
        for value in ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "abc"] {
            assert_eq!(token_of(&[value]), None, "{value:?}");
        }
        assert_eq!(token_of(&[]), None);
    }

    #[test]
    fn two_tokens_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, "Bearer a".parse().unwrap());
        headers.append(AUTHORIZATION, "Bearer b".parse().unwrap());
        assert!(bearer(&headers).is_err());
    }
}
