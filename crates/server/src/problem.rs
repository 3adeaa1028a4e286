//! What a request that cannot be answered gets: problem+json (RFC 9457).
//!
//! The one place where a kind of error becomes an HTTP status. Details go to whoever asked, so
//! they name what to do; a fault of the loader's own is told to the log alone.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use rdl_engine::EngineError;
use rdl_model::ErrorKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::telemetry::RequestId;

/// The header in which a data backend speaks to the user.
pub(crate) const USER_MESSAGE: HeaderName = HeaderName::from_static("x-foxglove-error-message");

/// The longest message of a backend that is sent on, in characters.
const MAX_USER_MESSAGE_CHARS: usize = 1024;

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: ErrorKind,
    /// Status and code, where they say more than the kind.
    finer: Option<(StatusCode, &'static str)>,
    detail: String,
    user_message: Option<Box<str>>,
    /// Where to sign in.
    login_url: Option<Box<str>>,
    retry_after: Option<Duration>,
    /// What only the log is told.
    cause: Option<Box<str>>,
}

/// The body of a problem.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `about:blank`: the status says it; `code` is for programs.
    #[schema(example = "about:blank")]
    pub(crate) r#type: String,
    /// The phrase of the status.
    #[schema(example = "Bad Gateway")]
    pub(crate) title: String,
    /// The HTTP status.
    #[schema(example = 502)]
    pub(crate) status: u16,
    /// What is wrong, where, and what to do; or what the data backend says to the user.
    pub(crate) detail: String,
    /// Stable, for programs.
    #[schema(example = "bad-gateway")]
    pub(crate) code: String,
    /// With a 401: where a user signs in; a path or a URL.
    #[serde(default, rename = "loginUrl", skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://loader.example.com/login")]
    pub(crate) login_url: Option<String>,
    /// What the request is called in the loader's log; the header `x-request-id` too.
    #[serde(default, rename = "requestId", skip_serializing_if = "Option::is_none")]
    #[schema(example = "0f8fad5b-d9cb-469f-a165-70867728950e")]
    pub(crate) request_id: Option<String>,
}

/// What the log says of a problem; an extension of its response.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) String);

impl Problem {
    /// A problem of this kind; `detail` says what is wrong and what to do.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Problem {
        Problem {
            kind,
            finer: None,
            detail: detail.into(),
            user_message: None,
            login_url: None,
            retry_after: None,
            cause: None,
        }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(ErrorKind::BadRequest, detail)
    }

    /// The path exists and the method does not.
    pub(crate) fn method_not_allowed() -> Problem {
        let detail = "this path does not know that method; /openapi.json lists what there is";
        Problem::bad_request(detail).finer(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
    }

    /// A condition of the request does not hold (RFC 9110 section 15.5.13).
    pub(crate) fn precondition_failed() -> Problem {
        let detail = "the file is another one than the request expects; open the recording anew";
        Problem::bad_request(detail).finer(StatusCode::PRECONDITION_FAILED, "precondition-failed")
    }

    /// A file has nothing of the range that is asked for (RFC 9110 section 15.5.17).
    pub(crate) fn range_not_satisfiable(bytes: u64) -> Problem {
        let detail = format!("the file has {bytes} bytes, and none of that range");
        Problem::bad_request(detail)
            .finer(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable")
    }

    /// The session's access token has run out; a refresh may give another.
    pub(crate) fn token_expired() -> Problem {
        let detail = "the session's access token has run out: POST /v1/session/refresh";
        Problem::new(ErrorKind::Unauthorized, detail)
            .finer(StatusCode::UNAUTHORIZED, "token-expired")
    }

    /// The access token in a link has run out.
    pub(crate) fn link_expired() -> Problem {
        let detail = "the link has expired: sign in and ask /v1/recording or /v1/links for another";
        Problem::new(ErrorKind::Unauthorized, detail)
            .finer(StatusCode::UNAUTHORIZED, "token-expired")
    }

    /// A one-time code does not give a session.
    pub(crate) fn invalid_login_code() -> Problem {
        let detail = "this code is damaged, used, more than a minute old, or for another page; \
                      sign in again";
        Problem::bad_request(detail).finer(StatusCode::BAD_REQUEST, "invalid-login-code")
    }

    /// The page that asks may not.
    pub(crate) fn origin_not_allowed(detail: &str) -> Problem {
        let problem = Problem::new(ErrorKind::Forbidden, detail);
        problem.finer(StatusCode::FORBIDDEN, "origin-not-allowed")
    }

    /// The same; if it is that nobody is signed in, with the place to do that.
    pub(crate) fn with_login(self, url: String) -> Problem {
        let login_url = (self.kind == ErrorKind::Unauthorized).then(|| url.into());
        Problem { login_url, ..self }
    }

    fn finer(self, status: StatusCode, code: &'static str) -> Problem {
        Problem { finer: Some((status, code)), ..self }
    }

    fn status(&self) -> StatusCode {
        self.finer.map_or_else(|| status_of(self.kind), |(status, _)| status)
    }

    /// The problem as it goes over the wire.
    pub(crate) fn body(&self) -> ProblemBody {
        let status = self.status();
        ProblemBody {
            r#type: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: self.code().into(),
            login_url: self.login_url.as_deref().map(str::to_owned),
            request_id: None,
        }
    }

    fn code(&self) -> &'static str {
        self.finer.map_or_else(|| code_of(self.kind), |(_, code)| code)
    }
}

/// The same answer; if it is a problem, as `tell` tells it. What else was said stays: cookies that
/// end a session.
pub(crate) fn retold(mut response: Response, tell: impl FnOnce(Problem) -> Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let (parts, body) = tell(problem).into_parts();
    let (mut before, _) = response.into_parts();
    before.headers.extend(parts.headers);
    before.headers.remove(CONTENT_LENGTH);
    before.extensions.extend(parts.extensions);
    Response::from_parts(before, body)
}

/// The same answer; if it is a problem, with what the request is called.
pub(crate) fn with_request_id(response: Response, id: &RequestId) -> Response {
    retold(response, |problem| {
        let request_id = Some(id.as_str().to_owned());
        let body = ProblemBody { request_id, ..problem.body() };
        problem.answer(&body)
    })
}

/// The HTTP status of each kind of error.
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::BadRequest => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::BadGateway => StatusCode::BAD_GATEWAY,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code that programs see; a status has one, but for the finer ones above.
fn code_of(kind: ErrorKind) -> &'static str {
    match status_of(kind).as_u16() {
        400 => "bad-request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not-found",
        410 => "gone",
        413 => "too-large",
        502 => "bad-gateway",
        503 => "unavailable",
        504 => "gateway-timeout",
        _ => "internal",
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let kind = error.kind();
        let cause = error.to_string();
        let user_message = error.user_message().map(for_header);
        let detail = match (&user_message, kind) {
            (Some(message), _) => message.to_string(),
            (None, ErrorKind::Internal) => "the loader itself failed; its log says why".to_owned(),
            (None, _) => cause.clone(),
        };
        Problem {
            user_message,
            retry_after: error.retry_after(),
            cause: Some(cause.into()),
            ..Problem::new(kind, detail)
        }
    }
}

/// Without what a header cannot hold.
fn for_header(message: &str) -> Box<str> {
    let printable = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(MAX_USER_MESSAGE_CHARS).collect::<String>().trim().into()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.body();
        self.answer(&body)
    }
}

impl Problem {
    fn answer(self, body: &ProblemBody) -> Response {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind == ErrorKind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.kind == ErrorKind::Unavailable {
            let wait = self.retry_after.unwrap_or(Duration::from_secs(1));
            // Whole seconds, at least one: zero would mean at once.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(message) = &self.user_message
            && let Ok(value) = HeaderValue::from_bytes(message.as_bytes())
        {
            headers.insert(USER_MESSAGE, value);
        }
        let cause = self.cause.as_deref().unwrap_or(&self.detail).to_owned();
        response.extensions_mut().insert(Cause(cause));
        // Whoever knows where to sign in, or what the request is called, adds it.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests;
