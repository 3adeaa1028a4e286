//! A login under way: from the page that begins it, over the provider, to the session.
//!
//! Nothing of it is kept here, so that each step may reach another replica. What the browser brings
//! back is sealed: the login in a cookie that only the browser that began it has; what the provider
//! said in a *one-time code*, which is bound to the origin of the page that began and to that page's
//! own state. The provider itself sees to it that it is good only once: what it holds is the
//! provider's code.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use oauth2::CsrfToken;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use url::Url;

use super::provider::{Provider, ProviderError};
use super::{Expiry, Keys, Purpose, Session, cookies};
use crate::settings::Secret;

/// How long a user may take to sign in.
const LOGIN_LASTS: Duration = Duration::from_secs(600);
/// How long a page may take to redeem its code.
const CODE_LASTS: Duration = Duration::from_secs(60);
/// How many logins a browser may have under way: each has a cookie.
const MOST_LOGINS: usize = 4;
/// Of how many codes it is remembered that they were redeemed: the provider knows of all.
const MOST_SPENT: usize = 10_000;

/// A login under way, in its cookie.
#[derive(Serialize, Deserialize)]
struct Pending {
    /// The secret part of the state that the provider gives back.
    s: String,
    /// The verifier.
    v: String,
    /// Where the user comes from, and goes back to.
    r: Url,
    /// The page's own state.
    p: Option<String>,
    e: Expiry,
}

/// What a one-time code holds.
#[derive(Serialize, Deserialize)]
struct Code {
    /// The provider's code.
    c: String,
    /// The verifier.
    v: String,
    /// The origin of the page that it is for.
    o: String,
    /// That page's own state.
    p: Option<String>,
    e: Expiry,
}

/// What a provider's answer comes to, in the browser.
pub(crate) struct Returned {
    /// Where the user came from.
    pub(crate) return_to: Url,
    /// The state of the page that began.
    pub(crate) state: Option<String>,
    /// A one-time code, or why there is none: the provider's error code.
    pub(crate) code: Result<String, String>,
    /// Takes the login's cookie away.
    pub(crate) cookie: HeaderValue,
}

/// Why there is no session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LoginError {
    /// The code is no good: not ours, too old, redeemed before, or another page's.
    BadCode,
    Provider(ProviderError),
}

impl From<ProviderError> for LoginError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::InvalidGrant => LoginError::BadCode,
            error => LoginError::Provider(error),
        }
    }
}

/// Logins at one provider.
pub(crate) struct Logins {
    /// Codes that were redeemed here: the provider would end the session at a second try.
    spent: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Logins {
    pub(crate) fn new() -> Logins {
        Logins { spent: Mutex::default() }
    }

    /// Begins one for a page that wants its user back at `return_to`. Gives where the browser goes,
    /// and its cookies.
    pub(crate) async fn begin(
        &self,
        keys: &Keys,
        provider: &Provider,
        headers: &HeaderMap,
        return_to: Url,
        page_state: Option<String>,
    ) -> Result<(Url, Vec<HeaderValue>), ProviderError> {
        let (id, secret) = (random(), random());
        let authorization = provider.authorization(&format!("{id}.{secret}")).await?;
        let verifier = authorization.verifier.expose().to_owned();
        let e = Expiry::after(LOGIN_LASTS);
        let pending = Pending { s: secret, v: verifier, r: return_to, p: page_state, e };
        let sealed = keys.seal(Purpose::Login, &pending);
        let before = cookies::logins(headers);
        let too_many = (before.len() + 1).saturating_sub(MOST_LOGINS);
        let mut set: Vec<_> =
            before.iter().take(too_many).map(|id| cookies::remove_login(id)).collect();
        set.push(cookies::put_login(&id, sealed, LOGIN_LASTS));
        Ok((authorization.url, set))
    }

    /// Takes the provider's answer: `state`, and a code or an error code. `None` where it belongs to no
    /// login that this browser has under way.
    pub(crate) fn returned(
        &self,
        keys: &Keys,
        headers: &HeaderMap,
        state: &str,
        answer: Result<Secret, String>,
    ) -> Option<Returned> {
        let (id, secret) = state.split_once('.')?;
        let pending = cookies::login(headers, id)
            .and_then(|sealed| keys.open::<Pending>(Purpose::Login, &sealed))
            .filter(|pending| is_same(&pending.s, secret) && !pending.e.is_past())?;
        let code = answer.map(|code| {
            let code = Code {
                c: code.expose().to_owned(),
                v: pending.v,
                o: pending.r.origin().ascii_serialization(),
                p: pending.p.clone(),
                e: Expiry::after(CODE_LASTS),
            };
            keys.seal(Purpose::Code, &code)
        });
        let cookie = cookies::remove_login(id);
        Some(Returned { return_to: pending.r, state: pending.p, code, cookie })
    }

    /// The session that a code is good for, on the page of this origin and state.
    pub(crate) async fn redeem(
        &self,
        keys: &Keys,
        provider: &Provider,
        code: &str,
        origin: &str,
        page_state: Option<&str>,
    ) -> Result<Session, LoginError> {
        let found = keys.open::<Code>(Purpose::Code, code).filter(|found| {
            let is_for_page = match (&found.p, page_state) {
                (Some(expected), Some(state)) => is_same(expected, state),
                (None, None) => true,
                _ => false,
            };
            found.o == origin && is_for_page && !found.e.is_past()
        });
        let Code { c, v, .. } = found.ok_or(LoginError::BadCode)?;
        let (code, verifier) = (Secret::new(c), Secret::new(v));
        let hash: [u8; 32] = Sha256::digest(code.expose()).into();
        if !self.spend(hash) {
            return Err(LoginError::BadCode);
        }
        match provider.exchange(&code, &verifier).await {
            Ok(session) => Ok(session),
            Err(error) => {
                // There is no session that a second try could end.
                self.spent.lock().remove(&hash);
                Err(error.into())
            }
        }
    }

    /// `false` where it was redeemed before.
    fn spend(&self, code: [u8; 32]) -> bool {
        let mut spent = self.spent.lock();
        spent.retain(|_, at| at.elapsed() <= CODE_LASTS);
        spent.len() >= MOST_SPENT || spent.insert(code, Instant::now()).is_none()
    }
}

/// 128 bits that nobody guesses.
fn random() -> String {
    CsrfToken::new_random().into_secret()
}

/// Compares secrets in a time that tells nothing of where they differ.
fn is_same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
