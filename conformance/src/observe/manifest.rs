use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use rdl_wire::{
    Manifest, ManifestError, ManifestLimits, manifest_json_schema, parse_manifest, redacted,
};
use serde_json::Value;
use url::Url;

use crate::http_client::{As, Client, Failure, Head};
use crate::shown::{beginning, bytes_text, tamed};

/// What a manifest's body may take, in bytes; as much as the loader reads.
const LARGEST_BODY: usize = 16 << 20;
/// How many faults against the schema are told.
const MOST_FAULTS: usize = 20;
/// The value of every parameter of a request that no backend can grant.
const NO_SUCH_THING: &str = "rdl-check-there-is-no-such-thing";

/// What a manifest endpoint answered.
pub(crate) struct ManifestSeen {
    /// Of the manifests given, from 1.
    pub(crate) number: usize,
    pub(crate) url: Url,
    /// Without query, user info and fragment.
    pub(crate) shown: String,
    /// Not asked: plain http is not allowed there.
    pub(crate) refused_http: bool,
    pub(crate) first: Result<BodySeen, Failure>,
    /// Why the body of the first answer is no JSON.
    pub(crate) not_json: Option<String>,
    /// JSON path, and what is wrong there; none when there is no JSON.
    pub(crate) schema_faults: Option<Vec<(String, String)>>,
    /// None: there is no JSON that its schema allows.
    pub(crate) parsed: Option<Result<Manifest, ManifestError>>,
    /// The manifest of the second answer.
    pub(crate) again: Option<Result<Manifest, String>>,
    pub(crate) without_token: Option<Refusal>,
    pub(crate) wrong_token: Option<Refusal>,
    /// The answer to a request for something that there is not.
    pub(crate) nonsense: Option<Head>,
}

/// What was answered to somebody who may not.
pub(crate) type Refusal = Result<Head, Failure>;

/// An answer with its body.
pub(crate) struct BodySeen {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) broken: Option<String>,
}

/// Asks one manifest endpoint everything.
pub(crate) async fn see(
    client: &Client,
    number: usize,
    url: &Url,
    expect_auth: bool,
) -> ManifestSeen {
    // Its user info gives way to a token, as in the loader.
    let bare = without_user_info(url);
    let url = if client.has_token() { &bare } else { url };
    let mut seen = ManifestSeen {
        number,
        url: url.clone(),
        shown: redacted(url),
        refused_http: !client.may_ask(url),
        first: Err(Failure { what: "it was not asked: plain http".into(), is_plain_http: true }),
        not_json: None,
        schema_faults: None,
        parsed: None,
        again: None,
        without_token: None,
        wrong_token: None,
        nonsense: None,
    };
    if seen.refused_http {
        return seen;
    }
    seen.first = body(client, url).await;
    seen.read_body();
    if let Some(Ok(_)) = &seen.parsed {
        seen.again = Some(manifest_again(client, url).await);
        seen.nonsense = ask_for_nonsense(client, url).await;
    }
    if expect_auth {
        seen.without_token = Some(refusal(client, &bare, As::Nobody).await);
        seen.wrong_token = Some(refusal(client, &bare, As::Stranger).await);
    }
    seen
}

fn without_user_info(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have user info.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// The head of what somebody gets who may not; the body is not waited for.
pub(crate) async fn refusal(client: &Client, url: &Url, who: As) -> Refusal {
    client.get(url, who, &[]).await.map(|answer| answer.head)
}

impl ManifestSeen {
    /// The whole body of a 200.
    fn usable(&self) -> Option<&BodySeen> {
        let body = self.first.as_ref().ok()?;
        (body.head.status == 200 && body.broken.is_none() && body.head.encoding.is_none())
            .then_some(body)
    }

    fn read_body(&mut self) {
        let Some(body) = self.usable() else { return };
        let bytes = body.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&body.body);
        let value: Value = match serde_json::from_slice(bytes) {
            Ok(value) => value,
            Err(error) => {
                let kind = match &body.head.content_type {
                    Some(kind) => format!(" (Content-Type: {})", tamed(kind)),
                    None => String::new(),
                };
                let begins = beginning(&body.body);
                self.not_json = Some(if begins == "JSON" {
                    format!("it is broken JSON, at line {} column {}", error.line(), error.column())
                } else {
                    format!("it begins like {begins}{kind}")
                });
                return;
            }
        };
        let faults = schema_faults(&value);
        // What follows are times, references and URLs, which no schema tells.
        let parsed = faults
            .is_empty()
            .then(|| parse_manifest(&body.body, &self.url, &ManifestLimits::default(), true));
        (self.schema_faults, self.parsed) = (Some(faults), parsed);
    }
}

async fn body(client: &Client, url: &Url) -> Result<BodySeen, Failure> {
    let accept = [(http::header::ACCEPT, "application/json".to_owned())];
    let mut answer = client.get(url, As::User, &accept).await?;
    let deadline = answer.asked + client.timeout;
    let mut seen = BodySeen { head: answer.head.clone(), body: Vec::new(), broken: None };
    loop {
        let next = tokio::time::timeout_at(deadline, answer.next()).await;
        match next {
            Ok(Ok(Some(bytes))) if seen.body.len() + bytes.len() > LARGEST_BODY => {
                let limit = bytes_text(LARGEST_BODY as u64);
                seen.broken = Some(format!("it is larger than {limit}; split the recording"));
                return Ok(seen);
            }
            Ok(Ok(Some(bytes))) => seen.body.extend_from_slice(&bytes),
            Ok(Ok(None)) => return Ok(seen),
            Ok(Err(failure)) => {
                seen.broken = Some(failure.what);
                return Ok(seen);
            }
            Err(_) => {
                let limit = crate::http_client::seconds(client.timeout);
                seen.broken = Some(format!("it did not end within {limit}"));
                return Ok(seen);
            }
        }
    }
}

async fn manifest_again(client: &Client, url: &Url) -> Result<Manifest, String> {
    let seen = body(client, url).await.map_err(|failure| failure.what)?;
    if seen.head.status != 200 {
        return Err(seen.head.answered());
    }
    match seen.broken {
        Some(broken) => Err(broken),
        None => parse_manifest(&seen.body, url, &ManifestLimits::default(), true)
            .map_err(|error| tamed(&error.to_string())),
    }
}

/// Every parameter has another value; `None` where there is none to change, or no answer.
async fn ask_for_nonsense(client: &Client, url: &Url) -> Option<Head> {
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    if names.is_empty() {
        return None;
    }
    let mut nonsense = url.clone();
    nonsense.query_pairs_mut().clear().extend_pairs(names.iter().map(|name| (name, NO_SUCH_THING)));
    client.get(&nonsense, As::User, &[]).await.ok().map(|answer| answer.head)
}

/// What the JSON Schema does not allow. No text of the manifest, which may be a signed URL.
fn schema_faults(manifest: &Value) -> Vec<(String, String)> {
    let validator = match jsonschema::draft202012::new(&manifest_json_schema()) {
        Ok(validator) => validator,
        Err(error) => return vec![(String::new(), format!("the schema itself is wrong: {error}"))],
    };
    let mut faults = Vec::new();
    for error in validator.iter_errors(manifest).take(MOST_FAULTS) {
        explain(&error, manifest, &mut faults);
    }
    faults
}

/// Of a source that is neither streamed nor static: what it lacks to be what it says it is.
fn explain(error: &ValidationError<'_>, manifest: &Value, faults: &mut Vec<(String, String)>) {
    if let ValidationErrorKind::AnyOf { context } = error.kind() {
        let source = manifest.pointer(error.instance_path().as_str());
        let says_static = source.is_some_and(|source| source["supportsRangeRequests"] == true);
        // The variants stand in the schema as in the types: static, streamed.
        if let Some(errors) = context.get(usize::from(!says_static)).filter(|it| !it.is_empty()) {
            for inner in errors {
                faults.push((path(inner), tamed(&inner.masked_with("it").to_string())));
            }
            return;
        }
    }
    faults.push((path(error), tamed(&error.masked_with("it").to_string())));
}

/// `/sources/3/url` as `sources[3].url`.
fn path(error: &ValidationError<'_>) -> String {
    let mut text = String::new();
    for step in error.instance_path().as_str().split('/').filter(|step| !step.is_empty()) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{step}]"));
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(&tamed(step));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_name_their_place_and_nothing_of_the_manifest() {
        let faults = |source: Value| schema_faults(&json!({ "sources": [source] }));
        let secret = "https://h/a?X-Amz-Signature=secret";
        let streamed = json!({"url": [secret], "topics": [], "schemas": [],
            "startTime": "2026-01-31T09:30:00Z", "endTime": "2026-01-31T09:30:00Z"});
        let found = faults(streamed);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "sources[0].url");
        assert!(!found[0].1.contains("secret"), "{found:?}");
        let found = faults(json!({"url": secret, "supportsRangeRequests": true, "extra": 1}));
        assert_eq!(found, []);
        let found = faults(json!({"url": 7, "supportsRangeRequests": true}));
        assert_eq!(found[0].0, "sources[0].url");
        let found = faults(json!({"url": secret}));
        assert!(found.iter().any(|(_, what)| what.contains("topics")), "{found:?}");
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }
}
