//! Who a request comes from: sessions, logins at an OAuth provider, and links that carry their own
//! authority.
//!
//! Nothing is kept here of a user: a session lies sealed in the user's own cookie ([`cookies`]), a
//! login under way in a cookie of its own ([`login`]), the authority of a link in its URL. So replicas
//! need to share nothing but the keys ([`sealing`]). Only [`refreshing`] remembers for a minute what
//! it answered.
//!
//! Invariants: what was not sealed here, or for another purpose, opens nothing; no type that holds a
//! secret can be printed; a secret goes to the provider, to the data backend, or sealed into the
//! browser, and nowhere else.

mod cookies;
mod expiry;
mod login;
mod origins;
mod provider;
mod refreshing;
mod sealing;
mod session;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, HeaderValue};
use url::Url;

pub(crate) use self::cookies::Home;
pub(crate) use self::expiry::Expiry;
use self::login::Logins;
pub(crate) use self::login::{LoginError, Returned};
pub(crate) use self::origins::{Asker, Origins};
use self::provider::Provider;
pub(crate) use self::provider::ProviderError;
use self::refreshing::Refreshing;
pub(crate) use self::sealing::{Keys, Purpose};
pub(crate) use self::session::Session;
use crate::settings::{AuthConfig, ProviderConfig, Secret};

/// How long whoever signs out waits for the provider.
const ENDING_TAKES: Duration = Duration::from_secs(3);

/// How requests are told whose they are.
pub(crate) struct Auth {
    is_disabled: bool,
    keys: Keys,
    origins: Origins,
    link_grant: Duration,
    frame_ancestors: String,
    login: Option<Login>,
}

/// Signing in, where a provider is configured.
pub(crate) struct Login {
    provider: Arc<Provider>,
    logins: Logins,
    refreshing: Arc<Refreshing>,
    base: Url,
    /// Where the provider sends users to, if that is not the usual path.
    callback_path: Option<String>,
}

/// What a request says of its user.
pub(crate) enum Found {
    Session(Session, Home),
    /// A cookie that is damaged, or from another key.
    Unreadable,
    Nothing,
}

impl Auth {
    /// Fails only when TLS cannot be set up.
    pub(crate) fn new(config: AuthConfig) -> anyhow::Result<Auth> {
        let login = config.login.map(Login::new).transpose()?;
        let base = login.as_ref().map(|login| login.base.clone());
        Ok(Auth {
            is_disabled: config.is_disabled,
            keys: config.keys.unwrap_or_else(Keys::random),
            origins: Origins::new(base, &config.allowed_origins),
            link_grant: config.link_grant,
            frame_ancestors: sources(&config.frame_ancestors),
            login,
        })
    }

    /// Whether everyone may ask for everything.
    pub(crate) fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// For how long after its access token ran out a link serves what is kept of what it was granted.
    pub(crate) fn link_grant(&self) -> Duration {
        self.link_grant
    }

    /// Whose pages may show ours, besides our own, as a policy (CSP) has them.
    pub(crate) fn frame_ancestors(&self) -> &str {
        &self.frame_ancestors
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Where users sign in: a whole URL where it is known how browsers find this loader.
    pub(crate) fn login_url(&self) -> String {
        match &self.login {
            Some(login) => login.page("login"),
            None => "/login".to_owned(),
        }
    }

    /// Another path than the usual one to which the provider sends users.
    pub(crate) fn callback_path(&self) -> Option<&str> {
        self.login.as_ref()?.callback_path.as_deref()
    }

    /// The session in the cookies of a request.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Found {
        match cookies::session(headers) {
            Some((home, sealed)) => match self.keys.open(Purpose::Session, &sealed) {
                Some(session) => Found::Session(session, home),
                None => Found::Unreadable,
            },
            None if cookies::has_session(headers) => Found::Unreadable,
            None => Found::Nothing,
        }
    }

    /// Whether a request has a session's cookies, whatever they are worth.
    pub(crate) fn has_cookies(&self, headers: &HeaderMap) -> bool {
        cookies::has_session(headers)
    }

    /// The cookies that put this session into the browser; `None` when it is too long for them.
    pub(crate) fn put(
        &self,
        headers: &HeaderMap,
        home: Home,
        session: &Session,
    ) -> Option<Vec<HeaderValue>> {
        let sealed = self.keys.seal(Purpose::Session, session);
        cookies::put_session(headers, home, &sealed, session.kept_for())
    }

    /// The cookies that end whatever session there is.
    pub(crate) fn remove(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        cookies::remove_session(headers)
    }
}

fn sources(origins: &[Url]) -> String {
    let origins = origins.iter().map(|url| url.origin().ascii_serialization());
    origins.collect::<Vec<_>>().join(" ")
}

impl Login {
    fn new(config: ProviderConfig) -> anyhow::Result<Login> {
        let base = config.base();
        let callback_path = config.own_callback_path().map(str::to_owned);
        let provider = Provider::new(config).context("cannot set up TLS for OAuth")?;
        Ok(Login {
            provider: Arc::new(provider),
            logins: Logins::new(),
            refreshing: Arc::default(),
            base,
            callback_path,
        })
    }

    /// A page of this loader, as browsers find it.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}/{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Where a user may be sent after signing in; `None` of any other place.
    pub(crate) fn return_to(&self, auth: &Auth, text: &str) -> Option<Url> {
        auth.origins.return_to(&self.base, text)
    }

    /// Whether it is a page of this loader.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Begins a login. Gives where the browser goes, and its cookies.
    pub(crate) async fn begin(
        &self,
        auth: &Auth,
        headers: &HeaderMap,
        return_to: Url,
        page_state: Option<String>,
    ) -> Result<(Url, Vec<HeaderValue>), ProviderError> {
        self.logins.begin(&auth.keys, &self.provider, headers, return_to, page_state).await
    }

    /// Takes the provider's answer: its issuer if it says so, `state`, and a code or an error code.
    /// `None` where it belongs to no login that this browser has under way.
    pub(crate) fn returned(
        &self,
        auth: &Auth,
        headers: &HeaderMap,
        issuer: Option<&str>,
        state: &str,
        answer: Result<Secret, String>,
    ) -> Option<Returned> {
        if issuer.is_some_and(|issuer| !self.provider.is_issuer(issuer)) {
            return None;
        }
        let answer = answer.map_err(|code| provider::code(&code));
        self.logins.returned(&auth.keys, headers, state, answer)
    }

    /// The session that a one-time code is good for, on the page of this origin and state.
    pub(crate) async fn redeem(
        &self,
        auth: &Auth,
        code: &str,
        origin: &str,
        page_state: Option<&str>,
    ) -> Result<Session, LoginError> {
        self.logins.redeem(&auth.keys, &self.provider, code, origin, page_state).await
    }

    /// The session that comes after this one.
    pub(crate) async fn refresh(&self, session: Session) -> Result<Session, ProviderError> {
        self.refreshing.refresh(&self.provider, session).await
    }

    /// Ends a session at the provider, too, where that can be done; gives the page on which the user
    /// ends the one at the provider itself. Nobody waits for long, and nobody's leaving stops it.
    pub(crate) async fn end(&self, session: Session) -> Option<Url> {
        let (provider, refreshing) = (self.provider.clone(), self.refreshing.clone());
        let ending = tokio::spawn(async move {
            let mut ended = refreshing.end(&session).await;
            ended.insert(0, session);
            let revoked = ended.iter().map(|session| provider.revoke(session));
            for revoked in futures::future::join_all(revoked).await {
                match revoked {
                    Ok(true) => {}
                    Ok(false) => tracing::debug!("the provider has nowhere to revoke tokens"),
                    Err(error) => tracing::warn!(%error, "tokens of a session that ended live on"),
                }
            }
            provider.logout_url().await
        });
        tokio::time::timeout(ENDING_TAKES, ending).await.ok()?.ok()?
    }
}
