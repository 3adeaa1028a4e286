use std::time::Duration;

use clap::Args;
use url::{Host, Url};

use super::values::{parse_number, parse_origin};
use super::{Secret, ServerSettings, SettingsError};
use crate::auth::Keys;

const KEY: &str = "COOKIE_ENCRYPTION_KEY";
const CLIENT_ID: &str = "OAUTH_CLIENT_ID";
const CLIENT_SECRET: &str = "OAUTH_CLIENT_SECRET";
const AUTHORIZE_URL: &str = "OAUTH_AUTHORIZE_URL";
const TOKEN_URL: &str = "OAUTH_TOKEN_URL";
const CALLBACK_URL: &str = "OAUTH_CALLBACK_URL";
const ISSUER_URL: &str = "OAUTH_ISSUER_URL";

/// Where the callback lies under the loader's public URL, when nobody says otherwise.
const CALLBACK_PATH: &str = "/oauth/callback";
/// What the callback may not lie on or under.
const TAKEN: [&str; 8] = [
    "/v1/",
    "/login",
    "/logout",
    "/oauth/start",
    "/view",
    "/liveness",
    "/readiness",
    "/openapi.json",
];

/// 30 days, in milliseconds.
const MONTH_MS: u64 = 30 * 24 * 3_600_000;

/// Signing in. Without a provider requests need a bearer token of their own.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Signing in")]
pub(crate) struct AuthSettings {
    /// What this loader is called at the OAuth provider
    #[arg(long, env = CLIENT_ID)]
    pub(crate) oauth_client_id: Option<String>,

    /// Its secret there; unset for a public client
    #[arg(long, env = CLIENT_SECRET)]
    pub(crate) oauth_client_secret: Option<Secret>,

    /// Where users sign in: the provider's authorization endpoint
    #[arg(long, env = AUTHORIZE_URL, value_parser = parse_provider_url)]
    pub(crate) oauth_authorize_url: Option<Url>,

    /// Where codes and refresh tokens become tokens: the provider's token endpoint
    #[arg(long, env = TOKEN_URL, value_parser = parse_provider_url)]
    pub(crate) oauth_token_url: Option<Url>,

    /// Where the provider sends users back to: this loader's public URL and /oauth/callback. Its
    /// origin is the loader's own
    #[arg(long, env = CALLBACK_URL, value_parser = parse_provider_url)]
    pub(crate) oauth_callback_url: Option<Url>,

    /// The scopes that are asked for, separated by spaces
    #[arg(long, env = "OAUTH_SCOPES", default_value = "openid offline_access")]
    pub(crate) oauth_scopes: String,

    /// For whom the access token shall be: the `audience` that some providers want
    #[arg(long, env = "OAUTH_AUDIENCE")]
    pub(crate) oauth_audience: Option<String>,

    /// The provider's issuer; what it publishes stands for the URLs that are unset
    #[arg(long, env = ISSUER_URL, value_parser = parse_provider_url)]
    pub(crate) oauth_issuer_url: Option<Url>,

    /// Where tokens are revoked when a user signs out (RFC 7009)
    #[arg(long, env = "OAUTH_REVOKE_URL", value_parser = parse_provider_url)]
    pub(crate) oauth_revoke_url: Option<Url>,

    /// The page on which a user ends the session at the provider itself
    #[arg(long, env = "OAUTH_LOGOUT_URL", value_parser = parse_provider_url)]
    pub(crate) oauth_logout_url: Option<Url>,

    /// What cookies and links are encrypted with: 32 bytes in base64 or hex; several separated by
    /// commas, of which the first encrypts and each decrypts. Unset: a random one, which no other
    /// replica has and which ends with the process
    #[arg(long, env = KEY)]
    pub(crate) cookie_encryption_key: Option<Secret>,

    /// For how many milliseconds after its user's access token ran out a link to a file goes on
    /// serving what is kept of it, without anybody being asked; 0 is off. See SECURITY.md
    #[arg(long, env = "LINK_GRANT_MS", default_value = "0",
          value_parser = parse_number::<0, MONTH_MS>)]
    pub(crate) link_grant_ms: u64,

    /// The origins, separated by commas, whose pages may show this loader's pages in a frame,
    /// besides its own
    #[arg(long, env = "FRAME_ANCESTORS", value_delimiter = ',', value_parser = parse_origin)]
    pub(crate) frame_ancestors: Option<Vec<Url>>,
}

/// How requests are told whose they are.
#[derive(Debug)]
pub(crate) struct AuthConfig {
    /// Whether everyone may ask for everything.
    pub(crate) is_disabled: bool,
    /// Where users sign in, if anywhere.
    pub(crate) login: Option<ProviderConfig>,
    /// What is sealed with; absent: with a key of this process.
    pub(crate) keys: Option<Keys>,
    /// Whose pages may ask, besides our own.
    pub(crate) allowed_origins: Vec<Url>,
    /// For how long a link outlives its access token.
    pub(crate) link_grant: Duration,
    /// Whose pages may show ours, besides our own.
    pub(crate) frame_ancestors: Vec<Url>,
}

impl AuthConfig {
    /// Everyone may ask for everything.
    pub(crate) fn disabled() -> AuthConfig {
        AuthConfig {
            is_disabled: true,
            login: None,
            keys: None,
            allowed_origins: Vec::new(),
            link_grant: Duration::ZERO,
            frame_ancestors: Vec::new(),
        }
    }
}

/// The OAuth provider, and what we are to it.
#[derive(Clone, Debug)]
pub(crate) struct ProviderConfig {
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) callback: Url,
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: Option<String>,
    /// Says what is unset below.
    pub(crate) issuer: Option<Url>,
    pub(crate) authorize: Option<Url>,
    pub(crate) token: Option<Url>,
    pub(crate) revoke: Option<Url>,
    pub(crate) logout: Option<Url>,
}

impl ProviderConfig {
    /// Where browsers find this loader: proxies may put it under a path.
    pub(crate) fn base(&self) -> Url {
        let mut base = self.callback.clone();
        base.set_query(None);
        let path = base.path().strip_suffix(CALLBACK_PATH).unwrap_or_default();
        let path = format!("{path}/");
        base.set_path(&path);
        base
    }

    /// The path of the callback as this loader is asked for it, where it is not the usual one.
    pub(crate) fn own_callback_path(&self) -> Option<&str> {
        let path = self.callback.path();
        (!path.ends_with(CALLBACK_PATH)).then_some(path)
    }
}

impl AuthSettings {
    /// Checks what clap cannot check alone.
    pub(crate) fn auth_config(&self, server: &ServerSettings) -> Result<AuthConfig, SettingsError> {
        let keys = self.cookie_encryption_key.as_ref().map(|keys| Keys::parse(keys.expose()));
        let keys = keys.transpose().map_err(|message| SettingsError::new(KEY, message))?;
        Ok(AuthConfig {
            is_disabled: server.disable_auth,
            login: if server.disable_auth { None } else { self.provider()? },
            keys,
            allowed_origins: server.cors_allowed_origins.clone(),
            link_grant: Duration::from_millis(self.link_grant_ms),
            frame_ancestors: self.frame_ancestors.clone().unwrap_or_default(),
        })
    }

    /// All that a login needs, or nothing of it.
    fn provider(&self) -> Result<Option<ProviderConfig>, SettingsError> {
        let begun = [
            (CLIENT_ID, self.oauth_client_id.is_some()),
            (CLIENT_SECRET, self.oauth_client_secret.is_some()),
            (AUTHORIZE_URL, self.oauth_authorize_url.is_some()),
            (TOKEN_URL, self.oauth_token_url.is_some()),
            (CALLBACK_URL, self.oauth_callback_url.is_some()),
            (ISSUER_URL, self.oauth_issuer_url.is_some()),
        ];
        let Some((because, _)) = begun.iter().find(|(_, is_set)| *is_set) else { return Ok(None) };
        let missing = |variable: &'static str, accepts: &str| {
            let message = format!("is not set, and {because} is: signing in needs both; {accepts}");
            SettingsError::new(variable, message)
        };
        let issuer = self.oauth_issuer_url.clone();
        for (variable, is_set, what) in [
            (AUTHORIZE_URL, self.oauth_authorize_url.is_some(), "authorization"),
            (TOKEN_URL, self.oauth_token_url.is_some(), "token"),
        ] {
            if !is_set && issuer.is_none() {
                let accepts = format!(
                    "it accepts the URL of the provider's {what} endpoint; {ISSUER_URL} will do, too"
                );
                return Err(missing(variable, &accepts));
            }
        }
        let client_id = self.oauth_client_id.clone();
        let client_id =
            client_id.ok_or_else(|| missing(CLIENT_ID, "it accepts what the provider gave"))?;
        let callback = self.oauth_callback_url.clone().ok_or_else(|| {
            missing(CALLBACK_URL, "it accepts https://loader.example.com/oauth/callback")
        })?;
        check_callback(&callback)?;
        Ok(Some(ProviderConfig {
            client_id,
            client_secret: self.oauth_client_secret.clone(),
            callback,
            scopes: self.oauth_scopes.split_whitespace().map(str::to_owned).collect(),
            audience: self.oauth_audience.clone(),
            issuer,
            authorize: self.oauth_authorize_url.clone(),
            token: self.oauth_token_url.clone(),
            revoke: self.oauth_revoke_url.clone(),
            logout: self.oauth_logout_url.clone(),
        }))
    }
}

fn check_callback(callback: &Url) -> Result<(), SettingsError> {
    let path = callback.path();
    // What ends as usual lies on our own path, whatever a proxy puts in front.
    let is_usual = path.ends_with(CALLBACK_PATH);
    let is_taken = path == "/" || TAKEN.iter().any(|taken| path.starts_with(taken));
    let is_taken = is_taken && !is_usual;
    let is_plain =
        path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte));
    if is_plain && !is_taken && callback.query().is_none() && callback.fragment().is_none() {
        return Ok(());
    }
    let message = "accepts a URL with a path of its own, without a query: \
                   https://loader.example.com/oauth/callback";
    Err(SettingsError::new(CALLBACK_URL, message))
}

/// https, or http on this machine: secrets go there.
pub(super) fn parse_provider_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).ok().filter(Url::has_host);
    let is_safe = |url: &Url| match url.host() {
        _ if url.scheme() == "https" => true,
        _ if url.scheme() != "http" => false,
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.filter(|url| is_safe(url) && url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| "accepts an absolute https URL (http on localhost alone)".to_owned())
}

#[cfg(test)]
mod tests;
