//! The identity provider: where it is asked, and what its answers mean.
//!
//! OAuth 2.0 authorization code with PKCE (RFC 6749, RFC 7636), by the `oauth2` crate; tokens are
//! revoked by RFC 7009. Nothing that the provider says is logged but its error codes.

mod endpoints;
mod exchange;

use std::sync::Arc;
use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, Scope, TokenResponse as _, TokenUrl,
};
use rdl_engine::Token;
use reqwest::redirect;
use tokio::time::Instant;
use url::Url;

use self::endpoints::Endpoints;
pub(super) use self::exchange::code;
use self::exchange::{Answers, Client};
use super::{Expiry, Session};
use crate::settings::{ProviderConfig, Secret};

/// So much before an access token runs out it counts as run out, or a tenth of its time.
const MARGIN: Duration = Duration::from_secs(5);
/// How long nobody asks again where a provider failed to say where it is asked what.
const FAILED_FOR: Duration = Duration::from_secs(2);
/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the provider gives no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProviderError {
    /// It cannot be reached, is too slow, or is in trouble.
    #[error("the identity provider does not answer: {0}")]
    Away(&'static str),
    /// The code or the refresh token is no good (any more).
    #[error("the identity provider refuses: invalid_grant")]
    InvalidGrant,
    /// It does not accept this loader.
    #[error(
        "the identity provider does not accept this loader ({0}); its operator checks OAUTH_CLIENT_ID, \
         OAUTH_CLIENT_SECRET and OAUTH_CALLBACK_URL"
    )]
    Misconfigured(String),
    /// What it says is not OAuth.
    #[error("the identity provider's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

/// The provider that users sign in at.
pub(crate) struct Provider {
    config: ProviderConfig,
    answers: Answers,
    discovered: tokio::sync::Mutex<Discovered>,
}

/// What the provider says of itself, as far as it was asked.
#[derive(Default)]
enum Discovered {
    #[default]
    Nothing,
    Endpoints(Arc<Endpoints>),
    Failed(ProviderError, Instant),
}

/// What a user's browser is sent to the provider with.
pub(crate) struct Authorization {
    pub(crate) url: Url,
    /// Proves afterwards who began.
    pub(crate) verifier: Secret,
}

impl Provider {
    /// Fails only when TLS cannot be set up. The provider is not asked anything.
    pub(crate) fn new(config: ProviderConfig) -> Result<Provider, reqwest::Error> {
        // Fails when there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("remote-data-loader/", env!("CARGO_PKG_VERSION")))
            // A secret goes nowhere but where the settings say.
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        Ok(Provider { config, answers: Answers::new(client), discovered: Default::default() })
    }

    /// Where a browser signs in, with `state` to come back.
    pub(crate) async fn authorization(&self, state: &str) -> Result<Authorization, ProviderError> {
        let endpoints = self.endpoints().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let config = &self.config;
        let client = BasicClient::new(ClientId::new(config.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoints.authorize.clone()))
            .set_redirect_uri(RedirectUrl::from_url(config.callback.clone()));
        let mut request = client
            .authorize_url(|| CsrfToken::new(state.to_owned()))
            .set_pkce_challenge(challenge)
            .add_scopes(config.scopes.iter().cloned().map(Scope::new));
        if let Some(audience) = &config.audience {
            request = request.add_extra_param("audience", audience.clone());
        }
        let (url, _) = request.url();
        Ok(Authorization { url, verifier: Secret::new(verifier.into_secret()) })
    }

    /// Whether an answer may come from this provider: one that says who it is has to be the one that
    /// was asked (RFC 9207).
    pub(crate) fn is_issuer(&self, issuer: &str) -> bool {
        let known = self.config.issuer.as_ref();
        known.is_none_or(|known| endpoints::is_same_issuer(known.as_str(), issuer))
    }

    /// The session that a code is good for.
    pub(crate) async fn exchange(
        &self,
        code: &Secret,
        verifier: &Secret,
    ) -> Result<Session, ProviderError> {
        let client = self.token_client().await?;
        let request = client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
        let answer = request.request_async(&self.answers).await.map_err(exchange::error)?;
        Ok(session(&answer, None))
    }

    /// The session that comes after this one; `InvalidGrant` where it has no refresh token.
    pub(crate) async fn refresh(&self, session_before: &Session) -> Result<Session, ProviderError> {
        let Some(refresh) = &session_before.refresh else {
            return Err(ProviderError::InvalidGrant);
        };
        let client = self.token_client().await?;
        let token = RefreshToken::new(refresh.expose().to_owned());
        let request = client.exchange_refresh_token(&token);
        let answer = request.request_async(&self.answers).await.map_err(exchange::error)?;
        Ok(session(&answer, Some(refresh.clone())))
    }

    /// Makes the tokens of a session worthless, as far as the provider can; whether it did.
    pub(crate) async fn revoke(&self, session: &Session) -> Result<bool, ProviderError> {
        let endpoints = self.endpoints().await?;
        let Some(url) = &endpoints.revoke else { return Ok(false) };
        let client = Client {
            id: &self.config.client_id,
            secret: self.config.client_secret.as_ref(),
            auth_type: &endpoints.auth_type,
        };
        let access = || self.answers.revoke(url, &client, "access_token", session.access.expose());
        let Some(refresh) = &session.refresh else { return access().await.map(|()| true) };
        self.answers.revoke(url, &client, "refresh_token", refresh.expose()).await?;
        // Most providers end the access token with it. Some do not, and some cannot, whose access tokens
        // are good until they run out (RFC 7009 section 2.2.1).
        let _ = access().await;
        Ok(true)
    }

    /// Where a user ends the session at the provider itself, if there is such a page.
    pub(crate) async fn logout_url(&self) -> Option<Url> {
        let endpoints = self.endpoints().await.ok()?;
        let mut url = endpoints.logout.clone()?;
        if !url.query_pairs().any(|(name, _)| name == "client_id") {
            url.query_pairs_mut().append_pair("client_id", &self.config.client_id);
        }
        Some(url)
    }

    async fn token_client(
        &self,
    ) -> Result<
        BasicClient<
            oauth2::EndpointNotSet,
            oauth2::EndpointNotSet,
            oauth2::EndpointNotSet,
            oauth2::EndpointNotSet,
            oauth2::EndpointSet,
        >,
        ProviderError,
    > {
        let endpoints = self.endpoints().await?;
        let config = &self.config;
        let client = BasicClient::new(ClientId::new(config.client_id.clone()))
            .set_token_uri(TokenUrl::from_url(endpoints.token.clone()))
            .set_redirect_uri(RedirectUrl::from_url(config.callback.clone()))
            .set_auth_type(endpoints.auth_type.clone());
        Ok(match &config.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
            None => client,
        })
    }

    /// Where the provider is asked what; found out at the first login, and again until it works.
    async fn endpoints(&self) -> Result<Arc<Endpoints>, ProviderError> {
        let mut discovered = self.discovered.lock().await;
        match &*discovered {
            Discovered::Endpoints(known) => return Ok(known.clone()),
            // Those who waited for their turn meanwhile.
            Discovered::Failed(error, at) if at.elapsed() < FAILED_FOR => return Err(error.clone()),
            Discovered::Failed(..) | Discovered::Nothing => {}
        }
        match endpoints::find(&self.config, &self.answers).await {
            Ok(endpoints) => {
                let endpoints = Arc::new(endpoints);
                *discovered = Discovered::Endpoints(endpoints.clone());
                Ok(endpoints)
            }
            Err(error) => {
                *discovered = Discovered::Failed(error.clone(), Instant::now());
                Err(error)
            }
        }
    }
}

/// The session of a provider's answer; a provider that does not rotate refresh tokens says nothing of
/// the one that stays.
fn session(answer: &oauth2::basic::BasicTokenResponse, refresh: Option<Secret>) -> Session {
    let new = answer.refresh_token().map(|token| Secret::new(token.secret().clone()));
    Session {
        access: Token::new(answer.access_token().secret().clone()),
        refresh: new.or(refresh),
        // The answer took a while, and so will what is asked with the token.
        expires: answer.expires_in().map(|lasts| Expiry::after(lasts - MARGIN.min(lasts / 10))),
    }
}
