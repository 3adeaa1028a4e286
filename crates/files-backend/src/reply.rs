//! Answers that are not data: refusals with words for people.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

/// Where the contract puts the text that a viewer shows.
const MESSAGE: HeaderName = HeaderName::from_static("x-foxglove-error-message");
/// How much of a request's own words is repeated, in characters.
const SHOWN_CHARS: usize = 100;

/// Why a request gets no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// In seconds.
    retry_after: Option<u32>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Refusal {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message);
        Refusal { retry_after: Some(2), ..refusal }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // A header holds what can be printed in ASCII; the body has it all.
        let printable = |letter: char| match letter {
            ' '..='~' => letter,
            _ => '?',
        };
        let header: String = self.message.chars().map(printable).collect();
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(message) = HeaderValue::from_str(&header) {
            headers.insert(MESSAGE, message);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6750 section 3.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// What a request named, shortened and on one line, for repeating it.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_viewer_and_a_401_says_what_it_wants() {
        let response = Refusal::unauthorized("größer\r\nset-cookie: x").into_response();
        assert_eq!(response.headers()["x-foxglove-error-message"], "gr??er??set-cookie: x");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let response = Refusal::not_found("no").into_response();
        assert!(response.headers().get("www-authenticate").is_none());
        assert_eq!(Refusal::unavailable("x").into_response().headers()["retry-after"], "2");
        assert_eq!(shown(&"x\n".repeat(200)).chars().count(), 101);
    }
}
