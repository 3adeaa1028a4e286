use std::error::Error;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use rdl_model::{ErrorKind, one_line};
use rdl_wire::ManifestError;

use crate::address::RefusedAddress;
use crate::client::Answer;

/// The header in which a backend tells the user something.
const USER_MESSAGE_HEADER: &str = "x-foxglove-error-message";
/// What is kept of it.
const USER_MESSAGE_BYTES: usize = 1024;

/// Why something could not be fetched. `url` is always without query, user info and fragment.
/// Cheap enough to clone: everyone who shares a fetch shares its error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The server answered, with a status that is of no use.
    #[error("{url} answered {status}")]
    Status {
        /// Who.
        url: String,
        /// What.
        status: StatusCode,
        /// What the backend says to the user.
        user_message: Option<String>,
        /// Whether the URL that was answered so, which a redirect may have named, was signed.
        was_signed: bool,
    },
    /// Something took too long.
    #[error("{url}: {what} within {} s", after.as_secs_f32())]
    Timeout {
        /// Who.
        url: String,
        /// What did not come.
        what: TimedOut,
        /// After how long.
        after: Duration,
    },
    /// There was no connection, or it broke.
    #[error("{url}: {what}")]
    Broken {
        /// Who.
        url: String,
        /// How.
        what: String,
    },
    /// A manifest's body is larger than it may be.
    #[error("{url}: the manifest is larger than {limit_bytes} bytes; split the recording")]
    TooLarge {
        /// Who.
        url: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// What came is not a manifest.
    #[error("{url}: {error}")]
    Manifest {
        /// Who.
        url: String,
        /// Where in the manifest, and what.
        error: ManifestError,
    },
    /// A request may not go there.
    #[error("{url} is refused: {what}")]
    NotAllowed {
        /// Where.
        url: String,
        /// Why, and what to do.
        what: String,
    },
    /// The answer breaks HTTP's rules, or redirects without end.
    #[error("{url}: {what}")]
    BadAnswer {
        /// Who.
        url: String,
        /// How.
        what: String,
    },
    /// A file is not the one that was opened.
    #[error("{url} changed while it was read")]
    Changed {
        /// Which.
        url: String,
    },
    /// The caller's token cannot be sent.
    #[error("the bearer token has characters that no header can hold")]
    UnusableToken,
    /// The client cannot be made.
    #[error("the HTTP client cannot be set up: {what}")]
    Setup {
        /// Why.
        what: String,
    },
}

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimedOut {
    /// The connection.
    #[error("no connection")]
    Connection,
    /// The headers of the answer.
    #[error("no answer")]
    FirstByte,
    /// More of the body.
    #[error("no further bytes")]
    Body,
    /// The end of the body.
    #[error("no complete answer")]
    End,
}

impl FetchError {
    /// What it means to whoever asked for the manifest or the source.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Status { status, .. } => match status.as_u16() {
                401 => ErrorKind::Unauthorized,
                403 => ErrorKind::Forbidden,
                404 => ErrorKind::NotFound,
                408 | 504 => ErrorKind::GatewayTimeout,
                _ => ErrorKind::BadGateway,
            },
            Self::Timeout { .. } => ErrorKind::GatewayTimeout,
            Self::Manifest { error, .. } => error.kind(),
            Self::Broken { .. }
            | Self::TooLarge { .. }
            | Self::NotAllowed { .. }
            | Self::BadAnswer { .. } => ErrorKind::BadGateway,
            Self::Changed { .. } => ErrorKind::Unavailable,
            Self::UnusableToken => ErrorKind::Unauthorized,
            Self::Setup { .. } => ErrorKind::Internal,
        }
    }

    /// Whether asking again may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                matches!(status.as_u16(), 408 | 429)
                    || (status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED)
            }
            Self::Timeout { .. } | Self::Broken { .. } => true,
            _ => false,
        }
    }

    /// Whether the server was reached and then silent for as long as it may be. A connection that
    /// did not stand in time, or a 504, is no such silence.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { what, .. } if *what != TimedOut::Connection)
    }

    /// Whether it belongs to the token (or the signature) that was used.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Status { status, was_signed, .. } => match status.as_u16() {
                401 | 403 => true,
                // Google answers an expired signature so, and S3 an expired session.
                400 => *was_signed,
                _ => false,
            },
            Self::UnusableToken => true,
            _ => false,
        }
    }

    /// Whether there is nothing there any more.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Status { status, .. } if matches!(status.as_u16(), 404 | 410))
    }

    /// Whether a file is not the one that was opened.
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    /// What the backend says to the user in `x-foxglove-error-message`: at most 1 KiB of text
    /// without control characters.
    pub fn user_message(&self) -> Option<&str> {
        match self {
            Self::Status { user_message, .. } => user_message.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn status(answer: &Answer) -> FetchError {
        FetchError::Status {
            url: answer.url.clone(),
            status: answer.response.status(),
            user_message: user_message(answer.response.headers()),
            was_signed: answer.was_signed,
        }
    }

    pub(crate) fn bad_answer(url: &str, what: impl Into<String>) -> FetchError {
        FetchError::BadAnswer { url: url.into(), what: what.into() }
    }

    /// What the HTTP client says, less any URL.
    pub(crate) fn from_client(
        url: &str,
        error: &reqwest::Error,
        connect_timeout: Duration,
    ) -> FetchError {
        let url = url.to_owned();
        let mut innermost: &(dyn Error + 'static) = error;
        while let Some(source) = innermost.source() {
            innermost = source;
            if let Some(refused) = innermost.downcast_ref::<RefusedAddress>() {
                return FetchError::NotAllowed { url, what: refused.to_string() };
            }
        }
        if error.is_connect() && error.is_timeout() {
            return FetchError::Timeout { url, what: TimedOut::Connection, after: connect_timeout };
        }
        // The outermost error is the one that shows a URL.
        let why =
            if innermost.is::<reqwest::Error>() { String::new() } else { format!(": {innermost}") };
        let what = if error.is_connect() { "no connection" } else { "the connection broke" };
        FetchError::Broken { url, what: format!("{what}{why}") }
    }
}

/// Decodes the header leniently: what is not UTF-8 or not printable is replaced.
fn user_message(headers: &HeaderMap) -> Option<String> {
    let bytes = headers.get(USER_MESSAGE_HEADER)?.as_bytes();
    let message = one_line(&String::from_utf8_lossy(bytes), USER_MESSAGE_BYTES);
    (!message.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn user_messages_are_tamed() {
        let with = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_MESSAGE_HEADER, HeaderValue::from_bytes(bytes).unwrap());
            user_message(&headers)
        };
        assert_eq!(with("gesperrt für dich".as_bytes()).unwrap(), "gesperrt für dich");
        assert_eq!(with(b"a\tb\xffc").unwrap(), "a b\u{fffd}c");
        assert_eq!(with(b"  "), None);
        let long = "é".repeat(4000);
        assert_eq!(with(long.as_bytes()).unwrap(), "é".repeat(512));
        assert_eq!(user_message(&HeaderMap::new()), None);
    }

    #[test]
    fn statuses_become_kinds() {
        let error = |status: u16, was_signed| {
            let status = StatusCode::from_u16(status).unwrap();
            let (url, user_message) = ("https://h/p".into(), None);
            FetchError::Status { url, status, user_message, was_signed }
        };
        for (status, kind, retryable, refusal) in [
            (400, ErrorKind::BadGateway, false, false),
            (401, ErrorKind::Unauthorized, false, true),
            (403, ErrorKind::Forbidden, false, true),
            (404, ErrorKind::NotFound, false, false),
            (408, ErrorKind::GatewayTimeout, true, false),
            (410, ErrorKind::BadGateway, false, false),
            (418, ErrorKind::BadGateway, false, false),
            (429, ErrorKind::BadGateway, true, false),
            (500, ErrorKind::BadGateway, true, false),
            (501, ErrorKind::BadGateway, false, false),
            (503, ErrorKind::BadGateway, true, false),
            (504, ErrorKind::GatewayTimeout, true, false),
        ] {
            let error = |was_signed| error(status, was_signed);
            let got = (error(false).kind(), error(false).is_retryable(), error(false).is_refusal());
            assert_eq!(got, (kind, retryable, refusal), "{status}");
            assert!(!error(false).is_timeout());
            assert_eq!(error(true).kind(), kind);
            assert_eq!(error(true).is_refusal(), refusal || status == 400, "{status}");
        }
    }
}
