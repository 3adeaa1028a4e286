//! Names of files and of recordings, as people and requests write them.
//!
//! A path is relative to the folder (or to the prefix in the bucket), with `/` between its parts.
//! What could lead elsewhere, or cannot be written in a URL and come back the same, is no path.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What the names of files end in.
pub(crate) const EXTENSION: &str = ".mcap";
/// The longest path, in bytes; that of S3's keys.
const MAX_BYTES: usize = 1024;
/// What stays as it is in a URL: unreserved characters (RFC 3986 section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of an MCAP file, checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FilePath(Arc<str>);

impl FilePath {
    /// `None` for what is not a path, or not of a file `….mcap`.
    pub(crate) fn parse(text: &str) -> Option<FilePath> {
        let stem = text.strip_suffix(EXTENSION)?;
        (is_path(text) && !stem.is_empty() && !stem.ends_with('/')).then(|| FilePath(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path less `.mcap`: what the file is called as a recording.
    pub(crate) fn stem(&self) -> &str {
        self.0.strip_suffix(EXTENSION).unwrap_or(&self.0)
    }

    /// The folder that it lies in; `None` at the top.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(folder, _)| folder)
    }

    /// As it is written in the path of a URL.
    pub(crate) fn escaped(&self) -> String {
        let parts = self.0.split('/').map(|part| utf8_percent_encode(part, ESCAPED).to_string());
        parts.collect::<Vec<_>>().join("/")
    }
}

/// Ordered and hashed as its text.
impl Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether it leads from the folder to something in it. What begins with a dot is hidden, as are
/// the snapshots and bins of file servers; that leaves out `.` and `..` too.
pub(crate) fn is_path(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.');
    text.len() <= MAX_BYTES
        && !text.chars().any(|letter| letter.is_control() || letter == '\\')
        && text.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_come_back_as_they_were() {
        for name in [
            "a.mcap",
            "a b/c#d?e%f.mcap",
            "%2e%2e/x.mcap",
            "größe/日本語.mcap",
            "it's, \"so\";&=+.mcap",
            "a..b/c...mcap",
            "~x:y@z.mcap",
        ] {
            let path = FilePath::parse(name).unwrap();
            let base = url::Url::parse("http://backend/here/manifest?recording=x").unwrap();
            let url = base.join(&format!("files/{}", path.escaped())).unwrap();
            let back = url.path().strip_prefix("/here/files/").unwrap();
            let back = percent_encoding::percent_decode_str(back).decode_utf8().unwrap();
            assert_eq!(FilePath::parse(&back), Some(path), "{name}");
            assert!(url.query().is_none() && url.fragment().is_none());
        }
    }

    #[test]
    fn what_leads_elsewhere_is_no_path() {
        for name in [
            "",
            ".mcap",
            "a/.mcap",
            "/a.mcap",
            "//a.mcap",
            "a//b.mcap",
            "../a.mcap",
            "a/../b.mcap",
            "a/./b.mcap",
            "..\\a.mcap",
            "a\\b.mcap",
            "a\0.mcap",
            "a\nb.mcap",
            "a\u{85}.mcap",
            ".snapshot/a.mcap",
            "a.mcap/",
            "a.bag",
            "a.MCAP",
        ] {
            assert_eq!(FilePath::parse(name), None, "{name:?}");
        }
        assert_eq!(FilePath::parse(&format!("{}.mcap", "x".repeat(1020))), None);
    }

    #[test]
    fn a_path_tells_its_folder_and_its_recording() {
        let path = FilePath::parse("robot/day 1/run.mcap").unwrap();
        assert_eq!((path.folder(), path.stem()), (Some("robot/day 1"), "robot/day 1/run"));
        assert_eq!(FilePath::parse("run.mcap").unwrap().folder(), None);
    }
}
