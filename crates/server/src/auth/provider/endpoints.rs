use oauth2::AuthType;
use serde::Deserialize;
use url::Url;

use super::ProviderError;
use super::exchange::Answers;
use crate::settings::ProviderConfig;

/// Where a provider publishes what follows (OpenID Connect Discovery 1.0 section 4).
const WELL_KNOWN: &str = ".well-known/openid-configuration";

/// Where a provider is asked what.
pub(super) struct Endpoints {
    pub(super) authorize: Url,
    pub(super) token: Url,
    pub(super) revoke: Option<Url>,
    pub(super) logout: Option<Url>,
    /// How the client's secret is sent.
    pub(super) auth_type: AuthType,
}

/// What a provider says of itself (also RFC 8414), as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    revocation_endpoint: Option<Url>,
    end_session_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// The endpoints that were set, and of those that were not what the issuer says.
pub(super) async fn find(
    config: &ProviderConfig,
    answers: &Answers,
) -> Result<Endpoints, ProviderError> {
    let metadata = match &config.issuer {
        Some(issuer) => Some(discover(issuer, answers).await?),
        None => None,
    };
    let of = |set: &Option<Url>, found: fn(&Metadata) -> Option<&Url>| {
        set.clone().or_else(|| metadata.as_ref().and_then(found).cloned())
    };
    let needed = |url: Option<Url>| url.ok_or(ProviderError::Nonsense("it has no endpoints"));
    Ok(Endpoints {
        authorize: needed(of(&config.authorize, |metadata| {
            Some(&metadata.authorization_endpoint)
        }))?,
        token: needed(of(&config.token, |metadata| Some(&metadata.token_endpoint)))?,
        revoke: of(&config.revoke, |metadata| metadata.revocation_endpoint.as_ref()),
        logout: of(&config.logout, |metadata| metadata.end_session_endpoint.as_ref()),
        auth_type: auth_type(metadata.and_then(|it| it.token_endpoint_auth_methods_supported)),
    })
}

async fn discover(issuer: &Url, answers: &Answers) -> Result<Metadata, ProviderError> {
    let text = format!("{}/{WELL_KNOWN}", issuer.as_str().trim_end_matches('/'));
    let url = Url::parse(&text).map_err(|_| ProviderError::Nonsense("its issuer is no URL"))?;
    let body = answers.get(url).await?;
    let metadata: Metadata = serde_json::from_slice(&body)
        .map_err(|_| ProviderError::Nonsense("its discovery document lacks endpoints"))?;
    if !is_same_issuer(issuer.as_str(), &metadata.issuer) {
        return Err(ProviderError::Nonsense("its discovery document is another issuer's"));
    }
    let endpoints = [Some(&metadata.authorization_endpoint), Some(&metadata.token_endpoint)]
        .into_iter()
        .chain([metadata.revocation_endpoint.as_ref(), metadata.end_session_endpoint.as_ref()]);
    // An issuer over TLS does not send secrets elsewhere in the clear.
    if endpoints.flatten().any(|url| url.scheme() != issuer.scheme() && url.scheme() != "https") {
        return Err(ProviderError::Nonsense("its discovery document names plain http"));
    }
    Ok(metadata)
}

/// Whether two names mean one issuer: a slash at the end is often forgotten.
pub(super) fn is_same_issuer(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

/// Every provider takes the secret in a header (RFC 6749 section 2.3.1), but for those that say
/// otherwise.
fn auth_type(supported: Option<Vec<String>>) -> AuthType {
    let supported = supported.unwrap_or_default();
    let has = |method: &str| supported.iter().any(|it| it == method);
    match has("client_secret_post") && !has("client_secret_basic") {
        true => AuthType::RequestBody,
        false => AuthType::BasicAuth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_goes_into_the_header_unless_that_is_not_supported() {
        let of =
            |methods: &[&str]| auth_type(Some(methods.iter().map(|it| (*it).into()).collect()));
        assert!(matches!(auth_type(None), AuthType::BasicAuth));
        assert!(matches!(of(&["client_secret_post", "client_secret_basic"]), AuthType::BasicAuth));
        assert!(matches!(of(&["client_secret_post", "private_key_jwt"]), AuthType::RequestBody));
        assert!(matches!(of(&["none"]), AuthType::BasicAuth));
    }
}
