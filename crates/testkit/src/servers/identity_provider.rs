use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::needed;
use crate::http::{HttpAnswer, get, send};
use crate::process::Process;

/// What an access token looks like to its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// A signed JWT (RFC 9068): some hundred bytes.
    Jwt,
    /// Random text, which only the provider can read.
    Opaque,
}

/// What an [`IdentityProvider`] is told.
#[derive(Clone, Copy, Debug)]
pub struct ProviderOptions<'a> {
    /// The public `https://` URL, without a slash at its end: a TLS proxy leads from there to
    /// [`url`](IdentityProvider::url).
    pub issuer: &'a str,
    /// Where people come back to after signing in.
    pub redirect_uri: &'a str,
    /// Where they come back to after signing out.
    pub post_logout_redirect_uri: &'a str,
    /// How long an access token lasts.
    pub access_token_seconds: u32,
    /// What it looks like.
    pub access_token_format: TokenFormat,
}

/// oidc-provider, started by `tests/node/identity_provider.mjs`.
///
/// It knows two clients, [`CLIENT_ID`](Self::CLIENT_ID) with a secret and
/// [`PUBLIC_CLIENT_ID`](Self::PUBLIC_CLIENT_ID) without; requires PKCE; lets people in with any name
/// and password, and asks for their consent once. A refresh token serves once: when it comes again,
/// everything of its sign-in is revoked.
pub struct IdentityProvider {
    /// The running provider: to freeze, to kill, or to see what it printed.
    pub process: Process,
}

impl IdentityProvider {
    /// The client that keeps a secret.
    pub const CLIENT_ID: &str = "loader";
    /// Its secret, with letters that have to be encoded (RFC 6749, 2.3.1).
    pub const CLIENT_SECRET: &str = "not+so/secret%20as:it=seems";
    /// The client that keeps none.
    pub const PUBLIC_CLIENT_ID: &str = "public-loader";

    /// Starts it.
    ///
    /// # Errors
    ///
    /// If `RDL_TEST_NODE_MODULES` is not set, or Node.js or oidc-provider is missing.
    pub async fn start(options: ProviderOptions<'_>) -> anyhow::Result<IdentityProvider> {
        let modules = needed("RDL_TEST_NODE_MODULES")?;
        let modules = modules.to_str().context("a path in UTF-8")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/node/identity_provider.mjs");
        let seconds = options.access_token_seconds.to_string();
        let format = match options.access_token_format {
            TokenFormat::Jwt => "jwt",
            TokenFormat::Opaque => "opaque",
        };
        let environment = [
            ("RDL_TEST_NODE_MODULES", modules),
            ("ISSUER", options.issuer),
            ("CLIENT_ID", Self::CLIENT_ID),
            ("CLIENT_SECRET", Self::CLIENT_SECRET),
            ("PUBLIC_CLIENT_ID", Self::PUBLIC_CLIENT_ID),
            ("REDIRECT_URI", options.redirect_uri),
            ("POST_LOGOUT_REDIRECT_URI", options.post_logout_redirect_uri),
            ("ACCESS_TOKEN_SECONDS", &seconds),
            ("ACCESS_TOKEN_FORMAT", format),
        ];
        let process = Process::start("node".as_ref(), &[script], &environment).await;
        let process = process.context(
            "oidc-provider does not start: `make test` installs Node.js (Debian: nodejs npm) and tests/node",
        )?;
        Ok(IdentityProvider { process })
    }

    /// Where it listens without TLS, `http://127.0.0.1:<port>`, without a slash.
    pub fn url(&self) -> String {
        self.process.url()
    }

    /// Whose access token this is; nobody's if it has ended or was revoked.
    ///
    /// # Errors
    ///
    /// If the provider does not answer.
    pub async fn user(&self, access_token: &str) -> anyhow::Result<Option<String>> {
        let answer = self.bearer(access_token).await?;
        Ok(answer.and_then(|bearer| bearer["user"].as_str().map(str::to_owned)))
    }

    /// For whom this access token is meant, if it is good.
    ///
    /// # Errors
    ///
    /// If the provider does not answer.
    pub async fn audience(&self, access_token: &str) -> anyhow::Result<Option<String>> {
        let answer = self.bearer(access_token).await?;
        Ok(answer.and_then(|bearer| bearer["audience"].as_str().map(str::to_owned)))
    }

    /// How often something happened, by oidc-provider's names of events: `authorization.success`,
    /// `authorization.error`, `grant.success`, `grant.error`, `grant.revoked`,
    /// `refresh_token.consumed`, `end_session.success`, `server_error`.
    ///
    /// # Errors
    ///
    /// If the provider does not answer, or knows no such event.
    pub async fn count(&self, event: &str) -> anyhow::Result<u64> {
        let events = hook(&get(&self.hook_url("events"), &[]).await?)?;
        events[event].as_u64().with_context(|| format!("{event} is not counted"))
    }

    /// Every code and token that it ever gave out.
    ///
    /// # Errors
    ///
    /// If the provider does not answer.
    pub async fn secrets(&self) -> anyhow::Result<Vec<String>> {
        let secrets = hook(&get(&self.hook_url("secrets"), &[]).await?)?;
        Ok(serde_json::from_value(secrets)?)
    }

    /// From now on every connection breaks when something is asked, except for what this type does.
    ///
    /// # Errors
    ///
    /// If the provider does not answer.
    pub async fn go_away(&self) -> anyhow::Result<()> {
        hook(&send("POST", &self.hook_url("away"), &[], b"").await?).map(drop)
    }

    /// Ends [`go_away`](Self::go_away).
    ///
    /// # Errors
    ///
    /// If the provider does not answer.
    pub async fn come_back(&self) -> anyhow::Result<()> {
        hook(&send("POST", &self.hook_url("back"), &[], b"").await?).map(drop)
    }

    async fn bearer(&self, access_token: &str) -> anyhow::Result<Option<Value>> {
        let url = format!("{}?token={access_token}", self.hook_url("user"));
        let answer = get(&url, &[]).await?;
        if answer.status == 404 { Ok(None) } else { hook(&answer).map(Some) }
    }

    fn hook_url(&self, name: &str) -> String {
        format!("{}/_test/{name}", self.url())
    }
}

fn hook(answer: &HttpAnswer) -> anyhow::Result<Value> {
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    answer.json()
}

#[cfg(test)]
mod tests;
