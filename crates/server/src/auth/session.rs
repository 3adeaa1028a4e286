//! What a user's cookie holds.

use std::fmt;
use std::time::Duration;

use rdl_engine::Token;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::Expiry;
use crate::settings::Secret;

/// For so long a browser keeps a session that can be refreshed; each refresh begins anew.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// A user who signed in: the tokens that the identity provider gave. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// What goes to the data backend.
    pub(crate) access: Token,
    /// What gives the next access token.
    pub(crate) refresh: Option<Secret>,
    /// Until when the access token lasts, where the provider said so.
    pub(crate) expires: Option<Expiry>,
}

/// Tells one session's tokens from another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId([u8; 32]);

impl Session {
    /// Whether the access token has run out.
    pub(crate) fn is_expired(&self) -> bool {
        self.expires.is_some_and(Expiry::is_past)
    }

    /// For how long a browser should keep it.
    pub(crate) fn kept_for(&self) -> Duration {
        match (&self.refresh, self.expires) {
            (None, Some(expires)) => expires.left(),
            _ => KEPT_FOR,
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        let refresh = self.refresh.as_ref().map_or("", Secret::expose);
        let mut hash = Sha256::new();
        hash.update((refresh.len() as u64).to_le_bytes());
        hash.update(refresh);
        hash.update(self.access.expose());
        SessionId(hash.finalize().into())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// As it is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed<A, R> {
    a: A,
    r: Option<R>,
    e: Option<Expiry>,
}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let refresh = self.refresh.as_ref().map(Secret::expose);
        Sealed { a: self.access.expose(), r: refresh, e: self.expires }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Session, D::Error> {
        let Sealed { a, r, e } = Sealed::<String, String>::deserialize(deserializer)?;
        Ok(Session { access: Token::new(a), refresh: r.map(Secret::new), expires: e })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Keys, Purpose};

    #[test]
    fn it_comes_back_as_it_was_and_is_not_printed() {
        let session = Session {
            access: Token::new("access-secret"),
            refresh: Some(Secret::new("refresh-secret")),
            expires: Some(Expiry::after(Duration::from_secs(60))),
        };
        let keys = Keys::random();
        let sealed = keys.seal(Purpose::Session, &session);
        assert_eq!(keys.open(Purpose::Session, &sealed), Some(session.clone()));
        let shown = format!("{session:?}");
        assert!(!shown.contains("secret"), "{shown}");
        let other = Session { refresh: None, ..session.clone() };
        assert!(session.id() != other.id());
        assert!(other.kept_for() <= Duration::from_secs(60));
        assert_eq!(session.kept_for(), KEPT_FOR);
    }
}
