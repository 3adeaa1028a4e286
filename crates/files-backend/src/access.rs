//! Who may see what: everyone everything, whoever has one token everything, or whoever has a token
//! of an identity provider what that token's claim names.

mod bearer;
mod jwt;
mod keys;

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use self::bearer::bearer_token;
use self::jwt::JwtCheck;
pub use self::jwt::{JwtRule, PrefixRule};
use crate::error::StartError;
use crate::reply::Refusal;

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
    /// The hash of the token: two of one length take the same time to compare.
    Token([u8; 32]),
    Jwt(Box<JwtCheck>),
}

impl Access {
    pub(crate) fn new(rule: AccessRule) -> Result<Access, StartError> {
        Ok(match rule {
            AccessRule::Anyone => Access::Anyone,
            AccessRule::Token(token) => Access::Token(Sha256::digest(token).into()),
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
    pub(crate) async fn scope(&self, headers: &HeaderMap) -> Result<Scope, Refusal> {
        match self {
            Access::Anyone => Ok(Scope::All),
            Access::Token(expected) => {
                let given: [u8; 32] = Sha256::digest(bearer_token(headers)?).into();
                match bool::from(given.ct_eq(expected)) {
                    true => Ok(Scope::All),
                    false => Err(Refusal::unauthorized("this token is not the backend's")),
                }
            }
            Access::Jwt(check) => check.scope(bearer_token(headers)?).await,
        }
    }
}
