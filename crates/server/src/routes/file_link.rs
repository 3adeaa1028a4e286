//! The token in a file's URL: what the file is, and with auth on whose behalf it is read.
//!
//! Where auth is disabled it needs no secret, and is the same for everyone who asks for the same.
//! Otherwise it is sealed, since whoever has it may read what its user may.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use rdl_engine::{FileRequest, FileVersion, ManifestParams, Token};
use rdl_model::ErrorKind;
use serde::{Deserialize, Serialize};

use super::authority::{Authority, bearer};
use super::file_name::file_name;
use super::request::{DEFAULT_LOOKBACK_SECONDS, OrderedParams, ReplayPolicyName, StreamRequest};
use crate::auth::{Auth, Expiry, Purpose};
use crate::problem::Problem;

/// A longer token is not ours, in bytes: servers and proxies cut long paths off …
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// … and what carries somebody's authority shall fit wherever a URL does.
const MAX_SEALED_BYTES: usize = 4 << 10;

/// What a URL of a file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileLink {
    /// What the manifest endpoint is asked.
    pub(super) params: ManifestParams,
    /// The part of the recording that it is; all of it when absent. Has no manifest parameters.
    pub(super) cut: Option<StreamRequest>,
    /// The version that it has to be.
    pub(super) version: Option<FileVersion>,
    /// On whose behalf it is read; absent: on that of whoever asks.
    pub(super) authority: Option<LinkAuthority>,
}

/// A user's access token in a link, never more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkAuthority {
    token: Token,
    /// Until when it lasts, where that is known.
    pub(super) expires: Option<Expiry>,
}

/// The same as it stands in the token: short, since it stands in a URL.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// Manifest parameters.
    p: Vec<(String, String)>,
    /// The cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<StreamRequest>,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<String>,
    /// The access token, only where the whole is sealed …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<String>,
    /// … and when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<Expiry>,
}

impl LinkAuthority {
    pub(super) fn of(authority: Authority) -> Option<LinkAuthority> {
        let Authority { token, expires } = authority;
        Some(LinkAuthority { token: token?, expires })
    }

    /// Whether it has run out longer ago than this; unknown where that was never told.
    fn is_past_by(&self, longer: Duration) -> bool {
        self.expires.is_some_and(|expires| expires.is_past_by(longer))
    }
}

impl FileLink {
    /// The file of a request: a cut if it asks for less, or for something else, than everything.
    pub(super) fn of(request: StreamRequest) -> FileLink {
        let params = request.manifest_params();
        let mut selection = StreamRequest { manifest_params: OrderedParams::default(), ..request };
        let looks_back = selection.replay_policy == ReplayPolicyName::LastPerChannel
            && selection.start.is_some();
        if !looks_back || selection.replay_lookback_seconds == Some(DEFAULT_LOOKBACK_SECONDS) {
            // What makes no difference makes no other cut.
            selection.replay_lookback_seconds = None;
        }
        let is_cut = selection != StreamRequest::default();
        FileLink { params, cut: is_cut.then_some(selection), version: None, authority: None }
    }

    /// The path of the file on this loader, under the recording's name; `None` where it is too long.
    pub(super) fn path(&self, auth: &Auth, name: Option<&str>) -> Option<String> {
        let (token, most_bytes) = match auth.is_disabled() {
            true => (self.bare_token(), MAX_TOKEN_BYTES),
            false => (auth.keys().seal(Purpose::Link, &self.text()), MAX_SEALED_BYTES),
        };
        (token.len() <= most_bytes).then(|| path_of(&token, name))
    }

    /// The same; one that is too long carries no authority.
    pub(super) fn path_or_bare(&self, auth: &Auth, name: Option<&str>) -> String {
        self.path(auth, name).unwrap_or_else(|| self.bare_path(name))
    }

    /// The path of the file for whoever has authority of their own.
    pub(super) fn bare_path(&self, name: Option<&str>) -> String {
        path_of(&self.bare_token(), name)
    }

    fn bare_token(&self) -> String {
        let bare = Text { a: None, e: None, ..self.text() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&bare).unwrap_or_default())
    }

    fn text(&self) -> Text {
        let authority = self.authority.as_ref();
        Text {
            p: self.params.0.clone(),
            c: self.cut.clone(),
            v: self.version.map(|version| version.to_string()),
            a: authority.map(|authority| authority.token.expose().to_owned()),
            e: authority.and_then(|authority| authority.expires),
        }
    }

    /// Reads a token; one that is none of ours names nothing.
    pub(super) fn parse(auth: &Auth, token: &str) -> Result<FileLink, Problem> {
        let unknown = || {
            let detail = "this link is damaged, or from before the keys changed; ask /v1/recording \
                          or /v1/links for another";
            Problem::new(ErrorKind::NotFound, detail)
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(unknown());
        }
        let sealed = match auth.is_disabled() {
            true => None,
            false => auth.keys().open::<Text>(Purpose::Link, token),
        };
        let text = sealed.or_else(|| {
            let text = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok();
            // Anybody can write that: it carries no authority.
            text.map(|text| Text { a: None, e: None, ..text })
        });
        let Text { p, c, v, a, e } = text.ok_or_else(unknown)?;
        if c.as_ref().is_some_and(|cut| cut.partial) {
            // A file is the same for everyone, whatever is refused to whom.
            return Err(unknown());
        }
        let version = v.map(|version| version.parse()).transpose();
        Ok(FileLink {
            params: ManifestParams(p),
            cut: c,
            version: version.map_err(|()| unknown())?,
            authority: a.map(|token| LinkAuthority { token: Token::new(token), expires: e }),
        })
    }

    /// What the engine is asked: with the token that the request brings, else with the link's own
    /// authority as long as that lasts, else with that of the session; else, where links may outlive
    /// their tokens, for what is kept.
    pub(super) fn request(self, auth: &Auth, headers: &HeaderMap) -> Result<FileRequest, Problem> {
        let mut kept_only = false;
        let token = match (bearer(headers)?, &self.authority) {
            (Some(token), _) => Some(token),
            (None, Some(own)) if !own.is_past_by(Duration::ZERO) => Some(own.token.clone()),
            (None, ended) => match (Authority::of_session(auth, headers), ended) {
                (Ok(authority), _) => authority.token,
                (Err(problem), None) => return Err(problem),
                (Err(_), Some(own)) => {
                    kept_only = self.version.is_some() && !own.is_past_by(auth.link_grant());
                    if !kept_only {
                        // Who has none wants to know what became of the link.
                        return Err(Problem::link_expired());
                    }
                    None
                }
            },
        };
        let cut = self.cut.map(|cut| cut.query()).transpose()?;
        let (params, version) = (self.params, self.version);
        Ok(FileRequest { params, token, cut, version, kept_only })
    }
}

fn path_of(token: &str, name: Option<&str>) -> String {
    format!("/v1/files/{token}/{}", file_name(name))
}

#[cfg(test)]
mod tests;
