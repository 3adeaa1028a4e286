//! Static sources.

use super::{no_sources, why_unread};
use crate::findings::Findings;
use crate::http_client::Head;
use crate::observe::{End, Observations, PartSeen, RangesSeen, SourceSeen, SummarySeen, Told};
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

/// What an answer that should be a 206 is.
enum Verdict {
    Right,
    /// It broke once before.
    Late(String),
    Wrong(String),
    Unseen(String),
}

fn verdict(part: &PartSeen, total_bytes: Option<u64>) -> Verdict {
    let PartSeen { asked, range, .. } = part;
    let head = match &part.head {
        Err(failure) if failure.is_elsewhere() => return Verdict::Unseen(failure.what.clone()),
        Err(failure) => return Verdict::Wrong(format!("asked for {asked}: {}", failure.what)),
        Ok(head) => head,
    };
    let told = |what: String| Verdict::Wrong(format!("asked for {asked}, it {what}"));
    if head.status != 206 {
        return told(head.answered());
    }
    if let Some(encoding) = &head.encoding {
        return told(format!("answers with Content-Encoding: {}", tamed(encoding)));
    }
    let Some(given) = &head.content_range else {
        return told("answers 206 without Content-Range".to_owned());
    };
    let parsed = Told::parse(given);
    let size = total_bytes.or(parsed.and_then(|parsed| parsed.total));
    if parsed != Some(Told { range: *range, total: size }) || size.is_none() {
        let size = size.map_or("size".to_owned(), |size| size.to_string());
        let right = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        let given = tamed(given);
        return told(format!("answers with Content-Range: {given}, and {right} is right"));
    }
    if let Some(broken) = &part.broken {
        return told(format!("broke off: {broken}"));
    }
    if part.body_bytes > range.len() {
        return told(format!("sends more than the {} bytes of the range", range.len()));
    }
    if part.body_bytes != range.len() {
        let sent = part.body_bytes;
        return told(format!("sends {sent} bytes, and the range has {}", range.len()));
    }
    match (part.differs_at, &part.broke) {
        (Some(at), _) => {
            told(format!("sends other bytes than the whole file has, from byte {at} on"))
        }
        (None, Some(broke)) => {
            Verdict::Late(format!("asked for {asked}: {broke}; asked again, it answered"))
        }
        (None, None) if part.is_compared => Verdict::Right,
        (None, None) => Verdict::Unseen("not all bytes could be compared".to_owned()),
    }
}

/// Why a part was not answered although that says nothing of the source.
fn unasked(part: &PartSeen) -> Option<&str> {
    let failure = part.head.as_ref().err()?;
    failure.is_elsewhere().then_some(failure.what.as_str())
}

fn status(part: &PartSeen) -> Option<u16> {
    part.head.as_ref().ok().map(|head| head.status)
}

/// What came of it, behind "it".
fn found(part: &PartSeen) -> String {
    part.head.as_ref().map_or_else(|failure| failure.what.clone(), Head::answered)
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
        let (mut advice, mut unseen) = (None, None);
        for part in &ranges.absolute {
            match verdict(part, ranges.total_bytes) {
                Verdict::Right => {}
                Verdict::Late(what) => advice = advice.or(Some(what)),
                Verdict::Wrong(what) => {
                    findings.wrong(source.place(), what);
                    return;
                }
                Verdict::Unseen(why) => unseen = unseen.or(Some(why)),
            }
        }
        if ranges.total_bytes.is_none() {
            unseen = unseen.or(Some("where the file ends is not known".to_owned()));
        }
        match (advice, unseen) {
            (Some(what), _) => findings.advise(source.place(), what),
            (None, Some(why)) => findings.unseen(source.place(), with_why(why, source)),
            (None, None) => findings.right(),
        }
    });
}

/// The end of a reading tells why bytes could not be compared.
fn with_why(what: String, source: &SourceSeen) -> String {
    let is_whole = source.first.as_ref().is_some_and(|reading| reading.end == End::Whole);
    if is_whole { what } else { format!("{what}: {}", why_unread(source)) }
}

pub(crate) fn suffix(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, _, ranges, findings| {
        if !has_ranges(ranges) {
            findings.unseen(source.place(), NO_RANGES);
            return;
        }
        let Some(suffix) = &ranges.suffix else {
            findings.unseen(source.place(), "where the file ends is not known");
            return;
        };
        match (verdict(suffix, ranges.total_bytes), status(suffix)) {
            // What the loader and others get along with.
            (Verdict::Wrong(what), Some(400 | 416 | 501)) => findings.advise(
                source.place(),
                format!("{what}; readers then need a request more for every file"),
            ),
            (Verdict::Wrong(what), _) => findings.wrong(source.place(), what),
            (Verdict::Late(what), _) => findings.advise(source.place(), what),
            (Verdict::Right, _) => findings.right(),
            (Verdict::Unseen(why), _) => findings.unseen(source.place(), with_why(why, source)),
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
            _ if ranges.absolute.first().is_some_and(|part| unasked(part).is_some()) => {
                findings.unseen(source.place(), "no range was seen");
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

/// What was answered under a condition: one that holds, and one that does not. Where that tells
/// nothing, it is said why.
fn conditional<'a>(
    source: &SourceSeen,
    ranges: &RangesSeen,
    answers: Option<&'a (PartSeen, PartSeen)>,
    without: &str,
    findings: &mut Findings,
) -> Option<&'a (PartSeen, PartSeen)> {
    let why = match answers {
        None => without,
        Some(_) if !has_ranges(ranges) => NO_RANGES,
        Some((right, wrong)) => match unasked(right).or(unasked(wrong)) {
            Some(why) => why,
            None => return answers,
        },
    };
    findings.unseen(source.place(), why);
    None
}

pub(crate) fn if_range(seen: &Observations, findings: &mut Findings) {
    each_static(seen, findings, |source, _, ranges, findings| {
        let answers = ranges.if_range.as_ref();
        let answers = conditional(source, ranges, answers, "it has no validator", findings);
        let Some((right, wrong)) = answers else { return };
        let mut is_right = true;
        if status(right) != Some(206) {
            let found = found(right);
            findings
                .wrong(source.place(), format!("with its own validator in If-Range it {found}"));
            is_right = false;
        }
        if status(wrong) != Some(200) {
            let found = found(wrong);
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
        let answers = ranges.if_match.as_ref();
        let answers = conditional(source, ranges, answers, "it has no strong ETag", findings);
        let Some((right, wrong)) = answers else { return };
        if status(right) != Some(206) {
            let found = found(right);
            findings.wrong(source.place(), format!("with its own ETag in If-Match it {found}"));
        } else if status(wrong) != Some(412) {
            let found = found(wrong);
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
