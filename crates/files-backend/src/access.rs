//! Who may see what: everyone everything, whoever has one token everything, or whoever has a token
//! of an identity provider what that token's claim names.

mod jwt;
mod keys;

use http::HeaderMap;
use remote_data_loader_backend::{Bearer, ErrorReply};

use self::jwt::JwtCheck;
pub use self::jwt::{JwtRule, PrefixRule};
use crate::error::StartError;

/// How requests are checked.
#[derive(Clone)]
pub enum AccessRule {
    /// Not at all.
    Anyone,
    /// They carry this bearer token.
    Token(String),
    /// They carry a token that an identity provider signed.
    Jwt(JwtRule),
}

/// Secrets are not shown.
impl std::fmt::Debug for AccessRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AccessRule::Anyone => "Anyone",
            AccessRule::Token(_) => "Token(…)",
            AccessRule::Jwt(_) => "Jwt(…)",
        })
    }
}

/// What a request may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    All,
    /// What lies under one of these.
    Prefixes(Vec<String>),
}

impl Scope {
    /// Whether it covers a file's path, or a folder's with a slash at its end.
    pub(crate) fn covers(&self, path: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Prefixes(prefixes) => prefixes.iter().any(|prefix| path.starts_with(prefix)),
        }
    }
}

pub(crate) enum Access {
    Anyone,
    Token(String),
    Jwt(Box<JwtCheck>),
}

impl Access {
    pub(crate) fn new(rule: AccessRule) -> Result<Access, StartError> {
        Ok(match rule {
            AccessRule::Anyone => Access::Anyone,
            AccessRule::Token(token) => Access::Token(token),
            AccessRule::Jwt(rule) => Access::Jwt(Box::new(JwtCheck::new(rule)?)),
        })
    }

    /// Asks for keys, so that the first request need not wait for them.
    pub(crate) async fn prepare(&self) {
        if let Access::Jwt(check) = self {
            check.prepare().await;
        }
    }

    /// What the request may see.
    pub(crate) async fn scope(&self, headers: &HeaderMap) -> Result<Scope, ErrorReply> {
        match self {
            Access::Anyone => Ok(Scope::All),
            Access::Token(expected) => match Bearer::from_headers(headers)?.is(expected) {
                true => Ok(Scope::All),
                false => Err(ErrorReply::unauthorized("this token is not the backend's")),
            },
            Access::Jwt(check) => check.scope(Bearer::from_headers(headers)?.token()).await,
        }
    }
}
