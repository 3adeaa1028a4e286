/// What an error means to whoever asked. Each crate's error has a `kind()`; the server alone turns
/// a kind into an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself is wrong.
    BadRequest,
    /// No token, or one that the data backend refused.
    Unauthorized,
    /// The data backend knows the caller and refuses.
    Forbidden,
    /// The data backend has no such recording.
    NotFound,
    /// These bytes existed and are gone.
    Gone,
    /// Something is over a limit.
    TooLarge,
    /// The data backend or a source failed or answered nonsense.
    BadGateway,
    /// Not ready; asking again later may help.
    Unavailable,
    /// The data backend or a source is too slow.
    GatewayTimeout,
    /// A fault of the loader's own: its disk, its bucket, a bug.
    Internal,
}

impl ErrorKind {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::BadRequest => "bad_request",
            ErrorKind::Unauthorized => "unauthorized",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Gone => "gone",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::BadGateway => "bad_gateway",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::GatewayTimeout => "gateway_timeout",
            ErrorKind::Internal => "internal",
        }
    }
}
