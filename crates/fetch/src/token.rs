use std::fmt;
use std::sync::Arc;

use url::Url;

/// A caller's bearer token. Never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(Arc<str>);

impl Token {
    /// A token as it stands after `Bearer `.
    pub fn new(secret: impl Into<Arc<str>>) -> Token {
        Token(secret.into())
    }

    /// The secret itself; it belongs in an `Authorization` header or an encrypted cookie alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How one viewer reaches a source: its URL, perhaps signed, and the viewer's token.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Where.
    pub url: Url,
    /// The viewer's token; it is sent only where that is allowed.
    pub token: Option<Token>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("url", &rdl_wire::redacted(&self.url))
            .field("token", &self.token)
            .finish()
    }
}
