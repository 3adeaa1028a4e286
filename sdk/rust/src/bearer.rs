//! Who asks: the bearer token of a request.

use http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq as _;

use crate::ErrorReply;

/// The token in a request's `Authorization: Bearer …` (RFC 6750, section 2.1).
///
/// The loader sends its user's token to the manifest endpoint and to the sources. The manifest
/// endpoint is where access is decided: what it names, the loader may serve from its cache without
/// asking again.
///
/// With the feature `axum` it is an extractor.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
/// use remote_data_loader_backend::Bearer;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
/// let bearer = Bearer::from_headers(&headers)?;
/// assert!(bearer.is("s3cret") && !bearer.is("s3cre"));
/// # Ok::<_, remote_data_loader_backend::NoBearer>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(String);

/// The request has no token; as a response, a 401 that asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has no bearer token: sign in")]
pub struct NoBearer;

impl Bearer {
    /// The token of a request with these headers.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub fn from_headers(headers: &HeaderMap) -> Result<Bearer, NoBearer> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(NoBearer) };
        let text = value.to_str().map_err(|_| NoBearer)?;
        let (scheme, token) = text.split_once(' ').ok_or(NoBearer)?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(NoBearer);
        }
        Ok(Bearer(token.to_owned()))
    }

    /// The token itself: to look it up, or to check its signature.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// Whether it is this token. Takes as long whether or not, so that nobody can guess it piece
    /// by piece.
    pub fn is(&self, token: &str) -> bool {
        self.0.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

/// Without the token.
impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

impl From<NoBearer> for ErrorReply {
    fn from(error: NoBearer) -> ErrorReply {
        ErrorReply::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

#[cfg(feature = "axum")]
mod extractor {
    use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
    use http::request::Parts;

    use super::{Bearer, ErrorReply};

    impl<S: Sync> FromRequestParts<S> for Bearer {
        type Rejection = ErrorReply;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Bearer, ErrorReply> {
            Ok(Bearer::from_headers(&parts.headers)?)
        }
    }

    impl<S: Sync> OptionalFromRequestParts<S> for Bearer {
        type Rejection = std::convert::Infallible;

        async fn from_request_parts(
            parts: &mut Parts,
            _: &S,
        ) -> Result<Option<Bearer>, Self::Rejection> {
            Ok(Bearer::from_headers(&parts.headers).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        Bearer::from_headers(&headers).ok().map(|bearer| bearer.token().to_owned())
    }

    #[test]
    fn only_one_bearer_token_counts() {
        assert_eq!(of(&["Bearer abc.def"]).as_deref(), Some("abc.def"));
        assert_eq!(of(&["bearer  abc"]).as_deref(), Some("abc"));
        for none in [&[][..], &["Basic abc"], &["Bearer"], &["Bearer "], &["Bearer a", "Bearer b"]]
        {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
        let bearer = Bearer::from_headers(&headers).unwrap();
        assert_eq!(format!("{bearer:?}"), "Bearer(…)");
        assert!(bearer.is("s3cret") && !bearer.is("s3cret2") && !bearer.is(""));
    }
}
