//! The token in a file's URL: what the file is. It needs no secret where auth is disabled, and is the
//! same for everyone who asks for the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdl_engine::{FileRequest, FileVersion, ManifestParams, Token};
use rdl_model::ErrorKind;
use serde::{Deserialize, Serialize};

use super::file_name::file_name;
use super::request::{DEFAULT_LOOKBACK_SECONDS, OrderedParams, ReplayPolicyName, StreamRequest};
use crate::problem::Problem;

/// A longer token is not ours, in bytes: servers and proxies cut long paths off.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// What a URL of a file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileLink {
    /// What the manifest endpoint is asked.
    pub(super) params: ManifestParams,
    /// The part of the recording that it is; all of it when absent. Has no manifest parameters.
    pub(super) cut: Option<StreamRequest>,
    /// The version that it has to be.
    pub(super) version: Option<FileVersion>,
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
        FileLink { params, cut: is_cut.then_some(selection), version: None }
    }

    /// The path of the file on this loader, under the recording's name.
    pub(super) fn path(&self, name: Option<&str>) -> String {
        format!("/v1/files/{}/{}", self.token(), file_name(name))
    }

    /// Whether its token is as short as it has to be.
    pub(super) fn fits(&self) -> bool {
        self.token().len() <= MAX_TOKEN_BYTES
    }

    fn token(&self) -> String {
        let v = self.version.map(|version| version.to_string());
        let text = Text { p: self.params.0.clone(), c: self.cut.clone(), v };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&text).unwrap_or_default())
    }

    /// Reads a token; one that is none of ours names nothing.
    pub(super) fn parse(token: &str) -> Result<FileLink, Problem> {
        let text = Some(token)
            .filter(|token| token.len() <= MAX_TOKEN_BYTES)
            .and_then(|token| URL_SAFE_NO_PAD.decode(token).ok())
            .and_then(|text| serde_json::from_slice::<Text>(&text).ok());
        let unknown = || {
            let detail = "this link is damaged; ask /v1/recording or /v1/links for another";
            Problem::new(ErrorKind::NotFound, detail)
        };
        let Text { p, c, v } = text.ok_or_else(unknown)?;
        if c.as_ref().is_some_and(|cut| cut.partial) {
            // A file is the same for everyone, whatever is refused to whom.
            return Err(unknown());
        }
        let version = v.map(|version| version.parse()).transpose();
        Ok(FileLink {
            params: ManifestParams(p),
            cut: c,
            version: version.map_err(|()| unknown())?,
        })
    }

    /// What the engine is asked, with this authority.
    pub(super) fn request(self, token: Option<Token>) -> Result<FileRequest, Problem> {
        let cut = self.cut.map(|cut| cut.query()).transpose()?;
        Ok(FileRequest { params: self.params, token, cut, version: self.version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::TimeText;

    fn link(version: Option<&str>) -> FileLink {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let params =
            ManifestParams(vec![pair("recording", "a/b ,é"), pair("x", ""), pair("x", "2")]);
        let cut = StreamRequest { topics: Some(vec!["/a,b".into()]), ..StreamRequest::default() };
        let cut = version.is_none().then_some(cut);
        FileLink { params, cut, version: version.map(|version| version.parse().unwrap()) }
    }

    #[test]
    fn a_link_says_all_in_its_path_with_characters_that_every_reader_takes() {
        for version in [None, Some("0123456789abcdef0123456789abcdef")] {
            let link = link(version);
            let path = link.path(Some("A drive, rainy"));
            let harmless = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
            assert!(path.chars().all(harmless), "{path}");
            let [_, _, _, token, name] = path.split('/').collect::<Vec<_>>()[..] else {
                panic!("{path}")
            };
            assert_eq!(name, "A_drive__rainy.mcap");
            assert_eq!(FileLink::parse(token).unwrap(), link);
        }
    }

    #[test]
    fn a_damaged_token_names_nothing() {
        let whole = link(Some("0123456789abcdef0123456789abcdef")).token();
        let json = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for token in [
            "",
            "e30",
            &whole[..whole.len() - 3],
            &whole.replacen('e', "!", 1),
            &json(r#"{"p":[],"v":"xyz"}"#),
            &json(r#"{"p":[],"w":1}"#),
            &json(r#"{"p":[["a"]]}"#),
            &json(r#"{"p":[],"c":{"topic":"/a"}}"#),
            &json(r#"{"p":[],"c":{"partial":true}}"#),
            &"e".repeat(MAX_TOKEN_BYTES + 4),
        ] {
            assert!(FileLink::parse(token).is_err(), "{token}");
        }
    }

    #[test]
    fn a_request_for_everything_is_the_recording_and_any_other_a_cut() {
        let params = OrderedParams(vec![("a".into(), "b".into())]);
        let all = StreamRequest { manifest_params: params, ..StreamRequest::default() };
        let lookback = Some(DEFAULT_LOOKBACK_SECONDS);
        for all in [all.clone(), StreamRequest { replay_lookback_seconds: lookback, ..all.clone() }]
        {
            let link = FileLink::of(all);
            assert_eq!((link.params.0.len(), &link.cut), (1, &None));
        }
        for cut in [
            StreamRequest { topics: Some(Vec::new()), ..all.clone() },
            StreamRequest { attachments: true, ..all.clone() },
            StreamRequest { start: Some("5".parse().map(TimeText).unwrap()), ..all.clone() },
        ] {
            let link = FileLink::of(cut);
            assert!(link.fits());
            assert!(link.cut.is_some_and(|cut| cut.manifest_params.0.is_empty()));
        }
    }

    #[test]
    fn a_long_selection_fits_up_to_where_paths_are_cut_off() {
        let topics = |count: usize| {
            let topics = (0..count).map(|at| format!("/a/topic/with/a/long/name/number/{at}"));
            let request =
                StreamRequest { topics: Some(topics.collect()), ..StreamRequest::default() };
            FileLink::of(request)
        };
        let link = topics(250);
        assert!(link.fits());
        let path = link.path(None);
        assert_eq!(FileLink::parse(path.split('/').nth(3).unwrap()).unwrap(), link);
        assert!(!topics(2000).fits());
    }
}
