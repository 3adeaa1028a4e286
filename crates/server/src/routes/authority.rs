//! With whose authority a request comes.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use rdl_engine::Token;
use rdl_model::ErrorKind;

use super::App;
use crate::problem::Problem;

/// The caller's bearer token (RFC 6750 section 2.1). Absent only where auth is disabled.
pub(super) struct Authority(pub(super) Option<Token>);

impl FromRequestParts<App> for Authority {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        match bearer(&parts.headers)? {
            None if !app.auth_disabled => Err(Problem::new(
                ErrorKind::Unauthorized,
                "this loader wants a token: send it as `Authorization: Bearer <token>`",
            )),
            token => Ok(Authority(token)),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
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
