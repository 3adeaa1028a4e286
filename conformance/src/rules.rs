//! The rules: one table.

use crate::findings::Findings;
use crate::judge::{auth, channels, content, delivery, https, ids, manifest, ranges, sizes, times};
use crate::observe::Observations;

/// What a broken rule means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Playback is wrong or does not come: the rule can fail.
    Must,
    /// It works, and could work better: at worst advice.
    Should,
}

/// Something that a backend has to do, or does better to do.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Which rules it stands among.
    pub group: &'static str,
    /// Stable, kebab-case.
    pub name: &'static str,
    /// What is expected; fits on one line beside the name.
    pub expected: &'static str,
    /// What a broken rule means.
    pub severity: Severity,
    /// What of it there may be several, in the singular.
    pub(crate) counted: &'static str,
    /// Why there may be nothing to see it by.
    pub(crate) otherwise: &'static str,
    pub(crate) judge: Judge,
}

type Judge = fn(&Observations, &mut Findings);

const MANIFEST: &str = "manifest";
const SOURCES: &str = "sources";
const ACCESS: &str = "access";
const STATIC: &str = "static sources";
const SPEED: &str = "speed";

const NO_MANIFEST: &str = "no manifest was read";
const NO_SOURCE: &str = "no source was read";
const NO_STREAMED: &str = "there is no streamed source";
const NO_STATIC: &str = "there is no static source";
const TOO_QUICK: &str = "every body came too quickly, or is too small, to tell";

const fn must(
    group: &'static str,
    name: &'static str,
    counted: &'static str,
    judge: Judge,
    expected: &'static str,
    otherwise: &'static str,
) -> Rule {
    Rule { group, name, expected, severity: Severity::Must, counted, otherwise, judge }
}

const fn should(
    group: &'static str,
    name: &'static str,
    counted: &'static str,
    judge: Judge,
    expected: &'static str,
    otherwise: &'static str,
) -> Rule {
    Rule { group, name, expected, severity: Severity::Should, counted, otherwise, judge }
}

/// Every rule, in the order of a report.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    must(MANIFEST, "manifest-answers", "manifest", manifest::answers,
        "the endpoint answers 200, in time, with at most 16 MiB", NO_MANIFEST),
    must(MANIFEST, "manifest-json", "manifest", manifest::json,
        "the manifest is JSON", NO_MANIFEST),
    must(MANIFEST, "manifest-schema", "manifest", manifest::schema,
        "the manifest is valid against its JSON Schema", NO_MANIFEST),
    must(MANIFEST, "manifest-valid", "manifest", manifest::valid,
        "its ids, times, base64 and URLs can be used", NO_MANIFEST),
    must(MANIFEST, "https", "URL", https::https,
        "every URL is https", NO_MANIFEST),
    must(MANIFEST, "id-unique", "id", ids::id_unique,
        "one id is the same data, in all manifests and at every URL", "no source has an id"),
    must(MANIFEST, "id-stable", "id", ids::id_stable,
        "asked again, there are the same ids with the same content", "no source has an id"),
    should(MANIFEST, "url-stable", "source", ids::url_stable,
        "a source without id has one URL, but for its signature", "every source has an id"),
    must(MANIFEST, "times-possible", "source", times::possible,
        "no source starts after it ends, or lies outside 1970-2554", NO_STREAMED),
    must(MANIFEST, "times-plausible", "source", times::plausible,
        "times belong together, none in the far future", NO_SOURCE),

    must(SOURCES, "source-answers", "source", delivery::answers,
        "every source answers 200, in time", NO_SOURCE),
    must(SOURCES, "identity-encoding", "source", delivery::identity,
        "no body is compressed: the request allows identity only", NO_SOURCE),
    must(SOURCES, "source-is-mcap", "source", content::is_mcap,
        "every source is MCAP", NO_SOURCE),
    must(SOURCES, "mcap-complete", "source", content::complete,
        "every body has data end, footer and end magic, no more", NO_SOURCE),
    must(SOURCES, "mcap-valid", "source", content::valid,
        "every record can be read, and all belong together", NO_SOURCE),
    must(SOURCES, "mcap-checksums", "source", content::checksums,
        "every chunk decompresses, and every checksum is right", NO_SOURCE),
    must(SOURCES, "log-time-order", "source", content::order,
        "a stream ascends in log time, across all its channels", NO_STREAMED),
    must(SOURCES, "topics-declared", "source", channels::declared,
        "a stream has no topic that is not declared for it", NO_STREAMED),
    must(SOURCES, "channels-as-declared", "source", channels::as_declared,
        "message encodings and schemas are as declared", NO_STREAMED),
    must(SOURCES, "times-within-bounds", "source", times::within_bounds,
        "messages lie between the declared start and end", NO_STREAMED),
    must(SOURCES, "same-data-twice", "source", delivery::same_twice,
        "a source has the same messages every time", NO_SOURCE),
    must(SOURCES, "client-leaves", "source", delivery::client_leaves,
        "a source still answers after a client went away", NO_SOURCE),

    must(ACCESS, "auth-manifest", "manifest", auth::manifest,
        "the manifest: 401 or 403 without a good token", NO_MANIFEST),
    must(ACCESS, "auth-data", "source", auth::data,
        "the data endpoints: 401 or 403 without a good token", "every source URL is signed"),
    should(ACCESS, "error-message", "reply", auth::error_message,
        "errors are 4xx, and say why in x-foxglove-error-message", "no error reply was seen"),

    must(STATIC, "static-ranges", "source", ranges::ranges,
        "Range: 206, the right Content-Range, the right bytes", NO_STATIC),
    must(STATIC, "static-suffix-range", "source", ranges::suffix,
        "Range: bytes=-N gives the last N bytes", NO_STATIC),
    must(STATIC, "static-content-length", "source", ranges::content_length,
        "Content-Length is there, for the file and for its parts", NO_STATIC),
    should(STATIC, "static-validator", "source", ranges::validator,
        "there is a strong ETag, or at least Last-Modified", NO_STATIC),
    should(STATIC, "static-if-range", "source", ranges::if_range,
        "If-Range: 206 for this version of the file, 200 for others", NO_STATIC),
    must(STATIC, "static-if-match", "source", ranges::if_match,
        "If-Match: 206 for this version of the file, 412 for others", NO_STATIC),
    must(STATIC, "static-summary", "source", ranges::summary,
        "a summary indexes every chunk, truthfully", NO_STATIC),

    should(SPEED, "streams-as-made", "source", delivery::streams,
        "the first bytes arrive before the last are made", TOO_QUICK),
    should(SPEED, "flushes", "source", delivery::flushes,
        "bytes arrive without long pauses", TOO_QUICK),
    should(SPEED, "chunk-size", "source", sizes::chunk_size,
        "chunks are large, and not too large: 256 KiB to 8 MiB", NO_SOURCE),
    should(SPEED, "split-by-time", "source", sizes::by_time,
        "streamed sources last seconds to minutes", NO_STREAMED),
    should(SPEED, "split-by-topic", "source", sizes::by_topic,
        "small topics are not behind much larger ones", NO_STREAMED),
    should(SPEED, "topics-seen", "topic", channels::seen,
        "declared topics have messages somewhere in the recording", NO_STREAMED),
    should(SPEED, "canonical-ids", "source", channels::canonical,
        "schemas and channels have canonical ids", NO_STREAMED),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        let longest = RULES.iter().map(|rule| rule.expected.chars().count()).max();
        assert!(longest <= Some(58), "a rule is one line of a report");
        assert_eq!(names.len(), RULES.len());
        for name in names {
            let fine = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(name.bytes().all(fine) && !name.starts_with('-'), "{name}");
        }
    }

    #[test]
    fn the_guide_has_every_rule_and_no_other() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/check-a-backend.md");
        let guide = std::fs::read_to_string(path).unwrap();
        let headings = guide.lines().filter_map(|line| line.strip_prefix("### `"));
        let told: Vec<&str> = headings.filter_map(|line| line.strip_suffix('`')).collect();
        let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(told, names, "the guide tells of the rules in the order of the table");
    }
}
