use rdl_wire::{Manifest, ManifestError, ManifestLimits, Source, parse_manifest, redacted};
use url::Url;

use super::dropped::dropped;
use super::schema_faults::{read_json, schema_faults};
use crate::http_client::{As, Client, Failure, Head};
use crate::shown::{beginning, bytes_text, tamed};

/// What a manifest's body may take, in bytes; as much as the loader reads.
const LARGEST_BODY: usize = 16 << 20;
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
    /// How its connection broke before it was asked again.
    pub(crate) broke: Option<String>,
    /// Why the body of the first answer is no JSON.
    pub(crate) not_json: Option<String>,
    /// JSON path, and what is wrong there; none when there is no JSON.
    pub(crate) schema_faults: Option<Vec<(String, String)>>,
    /// None: there is no JSON that its schema allows.
    pub(crate) parsed: Option<Result<Manifest, ManifestError>>,
    /// Its sources whose key another before them has, which nobody looks at.
    pub(crate) dropped: Vec<Source>,
    /// The manifest of the second answer.
    pub(crate) again: Option<Result<Manifest, String>>,
    pub(crate) without_token: Option<Refusal>,
    pub(crate) wrong_token: Option<Refusal>,
    /// With the end of the token changed; none without a token.
    pub(crate) forged_token: Option<Refusal>,
    /// The answer to a request for something that there is not.
    pub(crate) nonsense: Option<Head>,
}

/// What was answered to somebody who may not.
pub(crate) type Refusal = Result<Head, Failure>;

/// An answer with its body.
pub(crate) struct BodySeen {
    pub(crate) head: Head,
    /// Empty once it was read.
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) broken: Option<String>,
    /// Whether that is a connection that broke.
    is_cut: bool,
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
    let mut seen = ManifestSeen::unasked(number, url);
    if !client.may_ask(url) {
        seen.refused_http = true;
        seen.first = Err(Failure::plain_http("it was not asked: plain http"));
        return seen;
    }
    (seen.first, seen.broke) = body(client, url).await;
    seen.read_body();
    if let Some(Ok(_)) = &seen.parsed {
        seen.again = Some(manifest_again(client, url).await);
        seen.nonsense = ask_for_nonsense(client, url).await;
    }
    if expect_auth {
        seen.without_token = Some(refusal(client, &bare, As::Nobody).await);
        seen.wrong_token = Some(refusal(client, &bare, As::Stranger).await);
        if client.has_token() {
            seen.forged_token = Some(refusal(client, &bare, As::Forger).await);
        }
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
    fn unasked(number: usize, url: &Url) -> ManifestSeen {
        ManifestSeen {
            number,
            url: url.clone(),
            shown: redacted(url),
            refused_http: false,
            first: Err(Failure::unasked("it was not reached: the check was interrupted")),
            broke: None,
            not_json: None,
            schema_faults: None,
            parsed: None,
            dropped: Vec::new(),
            again: None,
            without_token: None,
            wrong_token: None,
            forged_token: None,
            nonsense: None,
        }
    }

    /// One that was not reached.
    pub(super) fn interrupted(number: usize, url: &Url) -> ManifestSeen {
        ManifestSeen::unasked(number, &without_user_info(url))
    }

    /// The whole body of a 200.
    fn usable(&self) -> Option<&BodySeen> {
        let body = self.first.as_ref().ok()?;
        (body.head.status == 200 && body.broken.is_none() && body.head.encoding.is_none())
            .then_some(body)
    }

    fn read_body(&mut self) {
        let Some(body) = self.usable() else { return };
        let bytes = body.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&body.body);
        let read = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned());
        let read = read.and_then(|text| match read_json(text) {
            Ok(()) => Ok(text),
            Err(error) => Err(format!(
                "it is broken JSON, at line {} column {}",
                error.line(),
                error.column()
            )),
        });
        let text = match read {
            Ok(text) => text,
            Err(why) => {
                let kind = match &body.head.content_type {
                    Some(kind) => format!(" (Content-Type: {})", tamed(kind)),
                    None => String::new(),
                };
                let begins = beginning(&body.body);
                self.not_json = Some(if begins == "JSON" {
                    why
                } else {
                    format!("it begins like {begins}{kind}")
                });
                return;
            }
        };
        let faults = schema_faults(text);
        // What follows are times, references and URLs, which no schema tells.
        let parsed = faults
            .is_empty()
            .then(|| parse_manifest(&body.body, &self.url, &ManifestLimits::default(), true));
        if let Some(Ok(manifest)) = &parsed {
            self.dropped = dropped(text, manifest, &self.url);
        }
        (self.schema_faults, self.parsed) = (Some(faults), parsed);
        if let Ok(body) = &mut self.first {
            body.body = Vec::new();
        }
    }
}

/// Asks, and once more where the connection breaks; how it did stands beside the answer.
async fn body(client: &Client, url: &Url) -> (Result<BodySeen, Failure>, Option<String>) {
    let first = body_once(client, url).await;
    let broke = match &first {
        Err(failure) if failure.is_broken() => failure.what.clone(),
        Ok(BodySeen { is_cut: true, broken: Some(why), .. }) => why.clone(),
        _ => return (first, None),
    };
    (body_once(client, url).await, Some(broke))
}

async fn body_once(client: &Client, url: &Url) -> Result<BodySeen, Failure> {
    let accept = [(http::header::ACCEPT, "application/json".to_owned())];
    let mut answer = client.get(url, As::User, &accept).await?;
    let deadline = answer.asked + client.timeout;
    let head = answer.head.clone();
    let mut seen = BodySeen { head, body: Vec::new(), broken: None, is_cut: false };
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
                (seen.broken, seen.is_cut) = (Some(failure.what), true);
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
    let seen = body(client, url).await.0.map_err(|failure| failure.what)?;
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
