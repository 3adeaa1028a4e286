//! Which part of a file a request asks for: ranges (RFC 9110 section 14) and conditions (section 13).

use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use http::{HeaderMap, HeaderValue};
use rdl_model::ByteRange;

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// This part, which is not empty and lies within the file.
    Range(ByteRange),
    /// Nothing: the file is the one that is known.
    Nothing,
    /// Nothing: the file is another one than the request expects.
    PreconditionFailed,
    /// The file has nothing of the range.
    Unsatisfiable,
}

/// Works it out in the order of RFC 9110 section 13.2.2. There is no Last-Modified, so that
/// conditions on dates do not count.
pub fn wanted(headers: &HeaderMap, range: Option<&HeaderValue>, etag: &str, bytes: u64) -> Wanted {
    if let Some(expected) = tags(headers, IF_MATCH)
        && !expected.iter().any(|tag| *tag == "*" || *tag == etag)
    {
        return Wanted::PreconditionFailed;
    }
    if let Some(known) = tags(headers, IF_NONE_MATCH)
        && known.iter().any(|tag| *tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    {
        return Wanted::Nothing;
    }
    let Some(range) = range.and_then(|range| range.to_str().ok()) else { return Wanted::Whole };
    let is_of_this = headers.get(IF_RANGE).is_none_or(|known| known.as_bytes() == etag.as_bytes());
    if !is_of_this {
        return Wanted::Whole;
    }
    match Spec::parse(range) {
        Some(spec) => spec.of(bytes),
        None => Wanted::Whole,
    }
}

/// The entity tags of a header, if it is there: its lines count as one list. No tag of ours has a
/// comma.
fn tags(headers: &HeaderMap, name: http::HeaderName) -> Option<Vec<&str>> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<&str> = lines.map(|line| line.to_str().unwrap_or_default()).collect();
    let tags = lines.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    (!lines.is_empty()).then_some(tags)
}

/// One range as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    From(u64),
    FromTo(u64, u64),
    Last(u64),
}

impl Spec {
    /// `None` for what has to be ignored: another unit, several ranges, no range at all.
    fn parse(text: &str) -> Option<Spec> {
        let (unit, range) = text.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(Spec::FromTo(first, last)),
            (Some(first), None) if last.is_empty() => Some(Spec::From(first)),
            (None, Some(last)) if first.is_empty() => Some(Spec::Last(last)),
            _ => None,
        }
    }

    fn of(self, bytes: u64) -> Wanted {
        let (start, end) = match self {
            Spec::From(start) => (start, bytes),
            Spec::FromTo(start, last) => (start, last.saturating_add(1).min(bytes)),
            Spec::Last(last) => (bytes.saturating_sub(last), bytes),
        };
        match start < end {
            true => Wanted::Range(ByteRange { start, end }),
            false => Wanted::Unsatisfiable,
        }
    }
}

/// Digits and nothing else; what 64 bits cannot hold lies beyond every file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"v\"";

    fn ask(headers: &[(&'static str, &str)]) -> Wanted {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        wanted(&map, map.get("range"), ETAG, 100)
    }

    fn part(start: u64, end: u64) -> Wanted {
        Wanted::Range(ByteRange { start, end })
    }

    #[test]
    fn every_way_to_write_one_range() {
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 100)),
            ("bytes=10-19", part(10, 20)),
            ("BYTES = 10-19", part(10, 20)),
            ("bytes=99-", part(99, 100)),
            ("bytes=0-", part(0, 100)),
            ("bytes=50-1000", part(50, 100)),
            ("bytes=50-99999999999999999999999", part(50, 100)),
            ("bytes=50-18446744073709551615", part(50, 100)),
            ("bytes=-1", part(99, 100)),
            ("bytes=-100", part(0, 100)),
            ("bytes=-250000", part(0, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=100-200", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
        ] {
            assert_eq!(ask(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let of_ten = |range: &str| {
            let range = HeaderValue::from_str(range).unwrap();
            wanted(&HeaderMap::new(), Some(&range), ETAG, 10)
        };
        assert_eq!(of_ten("bytes=0-0"), part(0, 1));
        assert_eq!(of_ten("bytes=4-"), part(4, 10));
        assert_eq!(of_ten("bytes=4-99"), part(4, 10));
        assert_eq!(of_ten("bytes=-4"), part(6, 10));
        assert_eq!(of_ten("bytes=-99"), part(0, 10));
        assert_eq!(of_ten("bytes=-0"), Wanted::Unsatisfiable);
        assert_eq!(of_ten("bytes=10-"), Wanted::Unsatisfiable);
        assert_eq!(of_ten(&format!("bytes=0-{}", usize::MAX)), part(0, 10));
        for ignored in ["bytes=5-4", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes"] {
            assert_eq!(of_ten(ignored), Wanted::Whole, "{ignored}");
        }
    }

    #[test]
    fn what_is_no_single_range_is_answered_whole() {
        for range in [
            "bytes=0-1,5-6",
            "bytes=0-1, 5-6",
            "bytes=20-10",
            "bytes=",
            "bytes=-",
            "bytes",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "items=0-1",
            "",
        ] {
            assert_eq!(ask(&[("range", range)]), Wanted::Whole, "{range}");
        }
        assert_eq!(ask(&[]), Wanted::Whole);
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = ("range", "bytes=0-9");
        for (condition, expected) in [
            (("if-match", "\"v\""), part(0, 10)),
            (("if-match", "*"), part(0, 10)),
            (("if-match", "\"a\", \"v\""), part(0, 10)),
            (("if-match", "\"a\""), Wanted::PreconditionFailed),
            (("if-match", "W/\"v\""), Wanted::PreconditionFailed),
            (("if-none-match", "\"v\""), Wanted::Nothing),
            (("if-none-match", "W/\"v\""), Wanted::Nothing),
            (("if-none-match", "*"), Wanted::Nothing),
            (("if-none-match", "\"a\",\"b\""), part(0, 10)),
            (("if-range", "\"v\""), part(0, 10)),
            (("if-range", "\"a\""), Wanted::Whole),
            (("if-range", "W/\"v\""), Wanted::Whole),
            (("if-range", "Thu, 26 Nov 2026 17:00:00 GMT"), Wanted::Whole),
            (("if-modified-since", "Thu, 26 Nov 2026 17:00:00 GMT"), part(0, 10)),
        ] {
            assert_eq!(ask(&[range, condition]), expected, "{condition:?}");
        }
        let both = [("if-match", "\"a\""), ("if-none-match", "\"v\"")];
        assert_eq!(ask(&both), Wanted::PreconditionFailed);
        assert_eq!(ask(&[("if-match", "\"a\""), ("if-match", "\"v\"")]), Wanted::Whole);
    }

    #[test]
    fn an_empty_file_has_no_range() {
        let none = HeaderMap::new();
        let range = HeaderValue::from_static("bytes=0-");
        assert_eq!(wanted(&none, Some(&range), ETAG, 0), Wanted::Unsatisfiable);
    }
}
