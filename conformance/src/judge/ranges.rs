//! Static sources.

use rdl_mcap_io::Unfit;

use super::{no_sources, why_unread};
use crate::findings::Findings;
use crate::http_client::Head;
use crate::observe::{End, Observations, PartSeen, RangesSeen, SourceSeen, SummarySeen};
use crate::shown::tamed;

/// Static sources and what was seen of them.
fn each_static(
    seen: &Observations,
    findings: &mut Findings,
    judge: impl Fn(&SourceSeen, &Head, &RangesSeen, &mut Findings),
) {
    if seen.sources.is_empty() {
        no_sources(seen, findings);
    }
    for source in seen.sources.iter().filter(|source| source.is_static()) {
        let head = source.first.as_ref().and_then(|reading| reading.head.as_ref().ok());
        match (head, &source.ranges) {
            (Some(head), Some(ranges)) => judge(source, head, ranges, findings),
            _ => findings.unseen(source.place(), why_unread(source)),
        }
    }
}

/// What is wrong with an answer that should be a 206; none when it is right.
fn wrong_part(part: &PartSeen, total_bytes: u64) -> Option<String> {
    let PartSeen { asked, range, .. } = part;
    let head = match &part.head {
        Err(failure) => return Some(format!("asked for {asked}: {}", failure.what)),
        Ok(head) => head,
    };
    let told = |what: String| Some(format!("asked for {asked}, it {what}"));
    if head.status != 206 {
        return told(head.answered());
    }
    if let Some(encoding) = &head.encoding {
        return told(format!("answers with Content-Encoding: {}", tamed(encoding)));
    }
    let right = format!("bytes {}-{}/{total_bytes}", range.start, range.end.saturating_sub(1));
    match &head.content_range {
        None => return told("answers 206 without Content-Range".to_owned()),
        Some(given) if *given != right => {
            let given = tamed(given);
            return told(format!("answers with Content-Range: {given}, and {right} is right"));
        }
        Some(_) => {}
    }
    if let Some(broken) = &part.broken {
        return told(format!("broke off: {broken}"));
    }
    let body_bytes = part.body.len() as u64;
    if body_bytes > range.len() {
        return told(format!("sends more than the {} bytes of the range", range.len()));
    }
    if body_bytes != range.len() {
        return told(format!("sends {body_bytes} bytes, and the range has {}", range.len()));
    }
    match &part.expected {
        Some(expected) if *expected != part.body => {
            let same = expected.iter().zip(&part.body).take_while(|(a, b)| a == b).count() as u64;
            let at = range.start + same;
            told(format!("sends other bytes than the whole file has, from byte {at} on"))
        }
        _ => None,
    }
}

fn status(part: &PartSeen) -> Option<u16> {
    part.head.as_ref().ok().map(|head| head.status)
}

/// Whether ranges are to be had at all.
fn has_ranges(ranges: &RangesSeen) -> bool {
    ranges.absolute.first().and_then(status) == Some(206)
}

const NO_RANGES: &str = "it answers no range";

pub(crate) fn ranges(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, _, ranges, findings| {
        let first = ranges.absolute.first().filter(|_| !has_ranges(ranges));
        if let Some(part) = first.filter(|part| status(part) == Some(200)) {
            let what =
                format!("asked for {}, it sends the whole file: Range is ignored", part.asked);
            findings.wrong(source.place(), what);
            return;
        }
        let wrong: Vec<String> = ranges
            .absolute
            .iter()
            .filter_map(|part| wrong_part(part, ranges.total_bytes))
            .collect();
        match wrong.first() {
            Some(what) => findings.wrong(source.place(), &**what),
            None if ranges.absolute.iter().all(|part| part.expected.is_some()) => findings.right(),
            None => {
                let why = why_unread(source);
                findings.unseen(source.place(), format!("not all bytes could be compared: {why}"));
            }
        }
    });
}

pub(crate) fn suffix(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, _, ranges, findings| {
        if !has_ranges(ranges) {
            findings.unseen(source.place(), NO_RANGES);
            return;
        }
        match (wrong_part(&ranges.suffix, ranges.total_bytes), status(&ranges.suffix)) {
            // What the loader and others get along with.
            (Some(what), Some(400 | 416 | 501)) => findings.advise(
                source.place(),
                format!("{what}; readers then need a request more for every file"),
            ),
            (Some(what), _) => findings.wrong(source.place(), what),
            (None, _) if ranges.suffix.expected.is_some() => findings.right(),
            (None, _) => findings.unseen(
                source.place(),
                format!("the bytes could not be compared: {}", why_unread(source)),
            ),
        }
    });
}

pub(crate) fn content_length(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, head, ranges, findings| {
        let whole = source.first.as_ref().is_some_and(|reading| reading.end == End::Whole);
        let part = ranges.absolute.first().filter(|part| status(part) == Some(206));
        let part_length = part.and_then(|part| part.head.as_ref().ok()?.content_length);
        match (head.content_length, part) {
            (None, _) => {
                let what = "the whole file comes without Content-Length: nobody knows its size";
                findings.wrong(source.place(), what);
            }
            (_, Some(_)) if part_length.is_none() => {
                findings.wrong(source.place(), "a range comes without Content-Length");
            }
            _ if whole => findings.right(),
            _ => findings.unseen(source.place(), why_unread(source)),
        }
    });
}

pub(crate) fn validator(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, head, _, findings| {
        match (&head.etag, &head.last_modified) {
            (Some(etag), _) if !etag.starts_with("W/") => findings.right(),
            (_, Some(_)) => findings.right(),
            (Some(_), None) => findings.wrong(
                source.place(),
                "its ETag is weak, and it has no Last-Modified: nothing of it is kept for later",
            ),
            (None, None) => findings.wrong(
                source.place(),
                "it has neither ETag nor Last-Modified: nothing of it is kept for later",
            ),
        }
    });
}

pub(crate) fn if_range(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, _, ranges, findings| {
        let Some((right, wrong)) = &ranges.if_range else {
            findings.unseen(source.place(), "it has no validator");
            return;
        };
        if !has_ranges(ranges) {
            findings.unseen(source.place(), NO_RANGES);
            return;
        }
        let mut is_right = true;
        if status(right) != Some(206) {
            let found = right.head.as_ref().map_or_else(|it| it.what.clone(), Head::answered);
            findings
                .wrong(source.place(), format!("with its own validator in If-Range it {found}"));
            is_right = false;
        }
        if status(wrong) != Some(200) {
            let found = wrong.head.as_ref().map_or_else(|it| it.what.clone(), Head::answered);
            let what =
                format!("with another file's validator in If-Range it {found}; 200 is right");
            findings.wrong(source.place(), what);
            is_right = false;
        }
        if is_right {
            findings.right();
        }
    });
}

pub(crate) fn if_match(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, _, ranges, findings| {
        let Some((right, wrong)) = &ranges.if_match else {
            findings.unseen(source.place(), "it has no strong ETag");
            return;
        };
        if !has_ranges(ranges) {
            findings.unseen(source.place(), NO_RANGES);
            return;
        }
        if status(right) != Some(206) {
            let found = right.head.as_ref().map_or_else(|it| it.what.clone(), Head::answered);
            findings.wrong(source.place(), format!("with its own ETag in If-Match it {found}"));
        } else if status(wrong) != Some(412) {
            let found = wrong.head.as_ref().map_or_else(|it| it.what.clone(), Head::answered);
            findings.advise(
                source.place(),
                format!("with another file's ETag in If-Match it {found}; 412 is right"),
            );
        } else {
            findings.right();
        }
    });
}

pub(crate) fn summary(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, _, ranges, findings| match &ranges.summary {
        SummarySeen::Good => findings.right(),
        // A matter of `chunk-size`.
        SummarySeen::Unfit(Unfit::SmallChunks { .. } | Unfit::LargeChunk { .. }) => {
            findings.right();
        }
        SummarySeen::None => findings.advise(
            source.place(),
            "it has no summary: all of it is read before any of it can be shown",
        ),
        SummarySeen::Unfit(unfit) => findings.advise(
            source.place(),
            format!("{unfit}: all of it is read before any of it can be shown"),
        ),
        SummarySeen::Wrong(what) => findings.wrong(source.place(), &**what),
        SummarySeen::Unseen(why) => findings.unseen(source.place(), &**why),
    });
}
