use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::header::CONTENT_TYPE;
use oauth2::basic::{BasicErrorResponseType, BasicRequestTokenError};
use oauth2::{AsyncHttpClient, AuthType, HttpRequest, HttpResponse};
use url::Url;
use url::form_urlencoded;

use super::ProviderError;
use crate::settings::Secret;

/// The longest answer that is read of a provider, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Asks the provider, within limits.
pub(super) struct Answers(reqwest::Client);

impl Answers {
    pub(super) fn new(client: reqwest::Client) -> Answers {
        Answers(client)
    }

    /// The body at `url`, which has to be there.
    pub(super) async fn get(&self, url: Url) -> Result<Vec<u8>, ProviderError> {
        let answer = self.0.get(url).send().await.map_err(away)?;
        if !answer.status().is_success() {
            return Err(ProviderError::Away("its discovery document cannot be had"));
        }
        body(answer).await
    }

    /// Revokes one token (RFC 7009 section 2.1). That the provider does not know it is as good.
    pub(super) async fn revoke(
        &self,
        url: &Url,
        client: &Client<'_>,
        kind: &str,
        token: &str,
    ) -> Result<(), ProviderError> {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut form = format!("token={}&token_type_hint={kind}", encoded(token));
        let mut request = self.0.post(url.clone());
        let id = encoded(client.id);
        match (client.secret.map(|secret| encoded(secret.expose())), client.auth_type) {
            (Some(secret), AuthType::RequestBody) => {
                form += &format!("&client_id={id}&client_secret={secret}");
            }
            (Some(secret), _) => request = request.basic_auth(id, Some(secret)),
            (None, _) => form += &format!("&client_id={id}"),
        }
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await.map_err(away)?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(ProviderError::Away("it does not revoke tokens")),
        }
    }
}

/// Who asks (RFC 6749 section 2.3.1).
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) secret: Option<&'a Secret>,
    pub(super) auth_type: &'a AuthType,
}

/// An answer that did not come; what the crate for OAuth passes on.
#[derive(Debug)]
pub(super) struct NoAnswer(ProviderError);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NoAnswer {}

impl<'c> AsyncHttpClient<'c> for Answers {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request =
                reqwest::Request::try_from(request).map_err(|error| NoAnswer(away(error)))?;
            let answer = self.0.execute(request).await.map_err(|error| NoAnswer(away(error)))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            if status.is_server_error() {
                return Err(NoAnswer(ProviderError::Away("it is in trouble itself")));
            }
            let mut response = HttpResponse::new(body(answer).await.map_err(NoAnswer)?);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        })
    }
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(away)? {
        if body.len() + bytes.len() > MAX_ANSWER_BYTES {
            return Err(ProviderError::Nonsense("it is too long"));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// Of what the HTTP client says nothing is passed on: its errors may show URLs.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn away(error: reqwest::Error) -> ProviderError {
    ProviderError::Away(match () {
        () if error.is_timeout() => "it is too slow",
        () if error.is_connect() => "no connection",
        () => "the connection broke",
    })
}

/// What a failed exchange means.
pub(super) fn error(error: BasicRequestTokenError<NoAnswer>) -> ProviderError {
    match error {
        BasicRequestTokenError::Request(NoAnswer(error)) => error,
        BasicRequestTokenError::ServerResponse(said) => match said.error() {
            BasicErrorResponseType::InvalidGrant => ProviderError::InvalidGrant,
            other => ProviderError::Misconfigured(code(other.as_ref())),
        },
        BasicRequestTokenError::Parse(..) => ProviderError::Nonsense("it has no tokens"),
        BasicRequestTokenError::Other(_) => ProviderError::Nonsense("it is empty"),
    }
}

/// An error code as far as it looks like one.
pub(in crate::auth) fn code(said: &str) -> String {
    let is_of_code = |letter: &char| letter.is_ascii_alphanumeric() || "_-.".contains(*letter);
    said.chars().take(64).filter(is_of_code).collect()
}
