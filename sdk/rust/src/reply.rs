//! What went wrong, in words for the user.

use http::{HeaderValue, Response, StatusCode, header};
use rdl_model::one_line;

/// The response header whose text the viewer shows to its user.
pub const ERROR_MESSAGE_HEADER: &str = "x-foxglove-error-message";

/// As much of a message as the loader passes on.
const MAX_MESSAGE_BYTES: usize = 1024;

/// An error as a data backend answers it: a status, and a text for the user in
/// [`ERROR_MESSAGE_HEADER`] and in the body.
///
/// The loader keeps 401 (the user is sent to sign in), 403 and 404 of a manifest endpoint; any
/// other is a failure of the backend. 5xx and 429 are tried again.
///
/// ```
/// use http::{Response, StatusCode};
/// use remote_data_loader_backend::ErrorReply;
///
/// let reply: Response<String> = ErrorReply::not_found("there is no drive 7").into();
/// assert_eq!(reply.status(), StatusCode::NOT_FOUND);
/// assert_eq!(reply.headers()["x-foxglove-error-message"], "there is no drive 7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct ErrorReply {
    status: StatusCode,
    message: String,
    /// In seconds.
    retry_after: Option<u32>,
}

impl ErrorReply {
    /// An error with this status. Of the message one line of at most 1 KiB is sent.
    pub fn new(status: StatusCode, message: impl Into<String>) -> ErrorReply {
        ErrorReply {
            status,
            message: one_line(&message.into(), MAX_MESSAGE_BYTES),
            retry_after: None,
        }
    }

    /// 400: a parameter is missing or wrong; say which.
    pub fn bad_request(message: impl Into<String>) -> ErrorReply {
        ErrorReply::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401: nobody is signed in, or the token is not valid any more.
    pub fn unauthorized(message: impl Into<String>) -> ErrorReply {
        ErrorReply::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 403: this user may not see that.
    pub fn forbidden(message: impl Into<String>) -> ErrorReply {
        ErrorReply::new(StatusCode::FORBIDDEN, message)
    }

    /// 404: there is no such recording.
    pub fn not_found(message: impl Into<String>) -> ErrorReply {
        ErrorReply::new(StatusCode::NOT_FOUND, message)
    }

    /// 503: it cannot be told now, and may pass.
    pub fn unavailable(message: impl Into<String>) -> ErrorReply {
        ErrorReply::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// The same, and that it is worth asking again after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> ErrorReply {
        ErrorReply { retry_after: Some(seconds), ..self }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the user reads.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<B: From<String>> From<ErrorReply> for Response<B> {
    fn from(reply: ErrorReply) -> Response<B> {
        let header = HeaderValue::from_bytes(reply.message.as_bytes());
        let mut response = Response::new(B::from(reply.message));
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Ok(message) = header {
            headers.insert(ERROR_MESSAGE_HEADER, message);
        }
        if reply.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = reply.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for ErrorReply {
    fn into_response(self) -> axum_core::response::Response {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_header() {
        let reply: Response<String> =
            ErrorReply::forbidden("gesperrt\r\nset-cookie: x für dich").into();
        let header = reply.headers()[ERROR_MESSAGE_HEADER].as_bytes();
        assert_eq!(header, "gesperrt  set-cookie: x für dich".as_bytes());
        assert_eq!(reply.body().as_bytes(), header);
        let lines: Response<String> = ErrorReply::bad_request("\n no such table: x\n").into();
        assert_eq!(lines.headers()[ERROR_MESSAGE_HEADER], "no such table: x");
        let long: Response<String> = ErrorReply::bad_request("é".repeat(4000)).into();
        assert_eq!(long.body(), &"é".repeat(512));
    }

    #[test]
    fn a_401_says_how_to_sign_in() {
        let reply: Response<String> = ErrorReply::from(crate::NoBearer).into();
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(reply.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let reply: Response<String> = ErrorReply::not_found("no").into();
        assert!(!reply.headers().contains_key(header::WWW_AUTHENTICATE));
    }

    #[test]
    fn what_may_pass_says_when() {
        let reply: Response<String> = ErrorReply::unavailable("later").retry_after(2).into();
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers()[header::RETRY_AFTER], "2");
        let reply: Response<String> = ErrorReply::unavailable("later").into();
        assert!(!reply.headers().contains_key(header::RETRY_AFTER));
    }
}
