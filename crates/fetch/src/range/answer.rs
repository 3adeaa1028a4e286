//! What an answer says about the file behind it.

use std::fmt;

use http::header::{CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED};
use rdl_model::ByteRange;

use crate::client::Answer;

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Validator {
    /// A strong entity tag, with its quotes (RFC 9110 section 8.8.3).
    StrongEtag(String),
    /// When the file was last modified, as the server prints it, and its size.
    LastModified {
        /// The header's text.
        date: String,
        /// The size of the file.
        bytes: u64,
    },
}

impl Validator {
    /// The strong entity tag, else the date and size, else nothing.
    pub(super) fn of(answer: &Answer, total_bytes: u64) -> Option<Validator> {
        if let Some(etag) = header(answer, &ETAG).filter(|etag| is_strong(etag)) {
            return Some(Validator::StrongEtag(etag.to_owned()));
        }
        let date = header(answer, &LAST_MODIFIED).filter(|date| !date.is_empty())?;
        Some(Validator::LastModified { date: date.to_owned(), bytes: total_bytes })
    }
}

/// Stable; part of what a file is stored under.
impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validator::StrongEtag(etag) => write!(f, "etag {etag}"),
            Validator::LastModified { date, bytes } => write!(f, "modified {date}, {bytes} bytes"),
        }
    }
}

fn is_strong(etag: &str) -> bool {
    etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}

fn header<'a>(answer: &'a Answer, name: &HeaderName) -> Option<&'a str> {
    answer.response.headers().get(name)?.to_str().ok().map(str::trim)
}

/// A `Content-Range` of a 206.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) range: ByteRange,
    /// `None` for `*`.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn of(answer: &Answer) -> Option<ContentRange> {
        ContentRange::parse(header(answer, &CONTENT_RANGE)?)
    }

    /// `bytes 0-9/100` (RFC 9110 section 14.4); `None` for anything that contradicts itself.
    fn parse(text: &str) -> Option<ContentRange> {
        let (range, total) = after_unit(text)?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let first = number(first)?;
        let end = number(last)?.checked_add(1)?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        if first >= end || total.is_some_and(|total| end > total) {
            return None;
        }
        Some(ContentRange { range: ByteRange { start: first, end }, total })
    }
}

/// The size of the file that a 416 tells: `bytes */100`.
pub(super) fn unsatisfied_total(answer: &Answer) -> Option<u64> {
    number(after_unit(header(answer, &CONTENT_RANGE)?)?.strip_prefix("*/")?)
}

fn after_unit(text: &str) -> Option<&str> {
    let (unit, rest) = text.split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then(|| rest.trim_start())
}

/// Digits alone: no sign, no space.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_sane_or_nothing() {
        let parse = |text| {
            ContentRange::parse(text).map(|told| (told.range.start, told.range.end, told.total))
        };
        assert_eq!(parse("bytes 0-9/100"), Some((0, 10, Some(100))));
        assert_eq!(parse("Bytes 90-99/100"), Some((90, 100, Some(100))));
        assert_eq!(parse("bytes 0-0/*"), Some((0, 1, None)));
        for bad in [
            "",
            "bytes",
            "bytes */100",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "bytes 0-9",
            "bytes -9/100",
            "bytes +0-9/100",
            "lines 0-9/100",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9/99999999999999999999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_quoted_tags_are_strong() {
        for (etag, strong) in
            [("\"a\"", true), ("\"\"", true), ("W/\"a\"", false), ("a", false), ("\"", false)]
        {
            assert_eq!(is_strong(etag), strong, "{etag}");
        }
    }
}
