//! Tokens that an identity provider signed (RFC 7519), and what they let their bearer see.

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use remote_data_loader_backend::ErrorReply;
use serde_json::{Map, Value};
use url::Url;

use super::Scope;
use super::keys::{Keys, KeysError};
use crate::error::StartError;
use crate::reply::unavailable;

/// What is accepted: signatures whose key can be public. `none` and HMAC are not among them.
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 30;
/// What stands for a claim's value in a prefix.
pub(crate) const PLACE_OF_VALUE: &str = "{}";
/// A token that names more prefixes is refused.
const MAX_PREFIXES: usize = 1000;

/// Which tokens are good.
#[derive(Clone, Debug)]
pub struct JwtRule {
    /// Where the provider publishes its keys (RFC 7517).
    pub jwks_url: Url,
    /// For whom the tokens have to be: `aud` names it.
    pub audience: String,
    /// Who has to have made them, where that matters: `iss`.
    pub issuer: Option<String>,
    /// What they let their bearer see; `None`: everything.
    pub prefix: Option<PrefixRule>,
}

/// Which files a token lets its bearer see: those whose path begins with the pattern, with a value
/// of the claim in the place of `{}`.
#[derive(Clone, Debug)]
pub struct PrefixRule {
    /// The claim: a string, or a list of them.
    pub claim: String,
    /// The pattern, with one `{}`.
    pub pattern: String,
}

impl PrefixRule {
    /// # Errors
    ///
    /// With what is accepted, if the pattern has not exactly one `{}`.
    pub fn new(claim: String, pattern: String) -> Result<PrefixRule, &'static str> {
        match pattern.matches(PLACE_OF_VALUE).count() {
            1 if !claim.is_empty() => Ok(PrefixRule { claim, pattern }),
            _ => Err("accepts text with one {}, in whose place the claim's value comes: '{}/'"),
        }
    }

    /// The prefixes that these claims name. An empty value names none.
    fn prefixes(&self, claims: &Map<String, Value>) -> Option<Vec<String>> {
        let values = match claims.get(&self.claim)? {
            Value::String(value) => vec![value.as_str()],
            Value::Array(values) if values.len() <= MAX_PREFIXES => {
                values.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?
            }
            _ => return None,
        };
        let named = values.into_iter().filter(|value| !value.trim().is_empty());
        let named: Vec<String> =
            named.map(|value| self.pattern.replace(PLACE_OF_VALUE, value)).collect();
        (!named.is_empty()).then_some(named)
    }
}

pub(crate) struct JwtCheck {
    keys: Keys,
    rule: JwtRule,
}

impl JwtCheck {
    pub(super) fn new(rule: JwtRule) -> Result<JwtCheck, StartError> {
        Ok(JwtCheck { keys: Keys::new(rule.jwks_url.clone())?, rule })
    }

    pub(super) async fn prepare(&self) {
        self.keys.prepare().await;
    }

    pub(super) async fn scope(&self, token: &str) -> Result<Scope, ErrorReply> {
        let header =
            decode_header(token).map_err(|_| ErrorReply::unauthorized("the token is not a JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(ErrorReply::unauthorized(
                "the token is signed in a way that is not accepted: RS256, ES256, ES384 and EdDSA are",
            ));
        }
        let key = self.keys.key(header.kid.as_deref(), header.alg).await;
        let key = key.map_err(|error| match error {
            KeysError::Unknown => {
                ErrorReply::unauthorized("the token is signed with a key that its provider has not")
            }
            KeysError::Unavailable => {
                unavailable("tokens cannot be checked now: their keys cannot be had")
            }
        })?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.rule.audience]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        if let Some(issuer) = &self.rule.issuer {
            validation.set_issuer(&[issuer]);
            validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        }
        let claims = decode::<Map<String, Value>>(token, &key, &validation)
            .map_err(|error| ErrorReply::unauthorized(reason(error.kind())))?
            .claims;
        let Some(rule) = &self.rule.prefix else { return Ok(Scope::All) };
        match rule.prefixes(&claims) {
            Some(prefixes) => Ok(Scope::Prefixes(prefixes)),
            None => Err(ErrorReply::forbidden(format!(
                "the token grants no recordings: its claim {} names none",
                rule.claim
            ))),
        }
    }
}

fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired: sign in again",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is for somebody else: its audience is another",
        ErrorKind::InvalidIssuer => "the token is from somebody else: its issuer is another",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks exp, aud or iss",
        _ => "the token is not valid",
    }
}

#[cfg(test)]
mod tests;
