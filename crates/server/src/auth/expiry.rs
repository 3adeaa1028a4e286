use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdl_model::Nanos;
use serde::{Deserialize, Serialize};

/// The last second that nanoseconds since the Unix epoch have room for.
const MOST_SECONDS: f64 = 18_446_744_073.0;

/// When something ends, in whole seconds since the Unix epoch: replicas and restarts share it.
/// Shown as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Expiry(u64);

impl Expiry {
    /// What a token that is a JWT says of itself (RFC 7519 section 4.1.4). Nothing is proved by that:
    /// whether the token is any good the data backend decides.
    pub(crate) fn of_token(token: &str) -> Option<Expiry> {
        #[derive(Deserialize)]
        struct Claims {
            exp: f64,
        }
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let Claims { exp } = serde_json::from_slice(&claims).ok()?;
        (1.0..=MOST_SECONDS).contains(&exp).then_some(Expiry(exp as u64))
    }

    /// The end of what lasts this long from now.
    pub(crate) fn after(lasts: Duration) -> Expiry {
        Expiry(now_seconds().saturating_add(lasts.as_secs()))
    }

    /// Whether that is over.
    pub(crate) fn is_past(self) -> bool {
        self.is_past_by(Duration::ZERO)
    }

    /// Whether that is over for longer than this.
    pub(crate) fn is_past_by(self, longer: Duration) -> bool {
        self.0.saturating_add(longer.as_secs()) <= now_seconds()
    }

    /// For how long it lasts yet.
    pub(crate) fn left(self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(now_seconds()))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Nanos(self.0.saturating_mul(1_000_000_000)).fmt(f)
    }
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_say_when_it_ends() {
        let token = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        let of = |claims: &str| Expiry::of_token(&token(claims));
        assert_eq!(of(r#"{"sub":"a","exp":1769851800}"#), Some(Expiry(1_769_851_800)));
        assert_eq!(of(r#"{"exp":1769851800.7}"#), Some(Expiry(1_769_851_800)));
        for nothing in ["{}", r#"{"exp":"soon"}"#, r#"{"exp":-1}"#, r#"{"exp":1e300}"#, "exp"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        for opaque in ["", "opaque", "a.b.c", "..", "a.!.c"] {
            assert_eq!(Expiry::of_token(opaque), None, "{opaque}");
        }
    }

    #[test]
    fn it_ends_and_is_shown_as_a_time() {
        let now = Expiry::after(Duration::ZERO);
        assert!(now.is_past() && now.is_past_by(Duration::ZERO));
        assert!(!now.is_past_by(Duration::from_secs(60)) && !now.is_past_by(Duration::MAX));
        let later = Expiry::after(Duration::from_secs(100));
        assert!(!later.is_past() && later.left() > Duration::from_secs(90));
        assert_eq!(Expiry(1_769_851_800).to_string(), "2026-01-31T09:30:00.000000000Z");
    }
}
