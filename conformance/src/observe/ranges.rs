//! How a static source answers ranges.

use http::header::{IF_MATCH, IF_RANGE, RANGE};
use rdl_mcap_io::{Limits, Summary, SummaryStep, Unfit, read_summary};
use rdl_model::ByteRange;
use url::Url;

use super::source::{End, Reading};
use crate::examine::{Facts, KEPT_BYTES};
use crate::http_client::{As, Client, Failure, Head};

/// How much is asked for to try a range out, in bytes.
const TRIED_BYTES: u64 = 4 << 10;
/// With how much of the end the search for the summary begins, in bytes.
const TAIL_BYTES: u64 = 256 << 10;
/// A validator that no file has.
const WRONG_ETAG: &str = "\"rdl-check-no-file-has-this\"";

/// The answer to one range.
#[derive(Clone, Debug)]
pub(crate) struct PartSeen {
    /// What was asked for, and what the right answer has.
    pub(crate) asked: String,
    pub(crate) range: ByteRange,
    pub(crate) head: Result<Head, Failure>,
    /// At most a byte more than was asked for; empty unless it is a 206.
    pub(crate) body: Vec<u8>,
    /// The right bytes, where they are known.
    pub(crate) expected: Option<Vec<u8>>,
    pub(crate) broken: Option<String>,
}

/// The summary at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SummarySeen {
    Good,
    None,
    /// Why it is not read by ranges.
    Unfit(Unfit),
    Wrong(String),
    /// Why it was not looked at.
    Unseen(String),
}

/// Everything that was asked by ranges.
#[derive(Debug)]
pub(crate) struct RangesSeen {
    pub(crate) total_bytes: u64,
    /// From the front, and across the end, which has to be clamped.
    pub(crate) absolute: Vec<PartSeen>,
    pub(crate) suffix: PartSeen,
    /// With the right validator and with a wrong one; none without a validator.
    pub(crate) if_range: Option<(PartSeen, PartSeen)>,
    /// The same; none without a strong `ETag`.
    pub(crate) if_match: Option<(PartSeen, PartSeen)>,
    pub(crate) summary: SummarySeen,
}

struct Asker<'a> {
    client: &'a Client,
    url: &'a Url,
    total_bytes: u64,
}

/// Asks for ranges of what `first` read whole, or at least the beginning of.
pub(crate) async fn see(client: &Client, url: &Url, first: &Reading) -> RangesSeen {
    let head = first.head.as_ref().ok();
    let facts = first.facts.as_ref();
    let read_whole = first.end == End::Whole;
    let read_bytes = facts.map_or(0, |facts| facts.bytes);
    // Whatever it says of its length: what was read counts.
    let total_bytes = match head.and_then(|head| head.content_length) {
        Some(bytes) if !read_whole => bytes,
        _ => read_bytes,
    };
    let asker = Asker { client, url, total_bytes };
    let front = facts.map(|facts| facts.front.as_slice()).unwrap_or_default();
    let start = total_bytes.min(front.len() as u64) / 3;
    let from_front = ByteRange { start, end: (start + TRIED_BYTES).min(total_bytes) };
    let in_front = |range: ByteRange| {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        front.get(start..end).map(<[u8]>::to_vec)
    };
    let tail = |bytes: u64| {
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= KEPT_BYTES)?;
        facts.filter(|_| read_whole)?.tail(bytes)
    };
    let last_bytes = TRIED_BYTES.min(total_bytes);
    let at_end = ByteRange { start: total_bytes - last_bytes, end: total_bytes };
    let across = format!("bytes={}-{}", at_end.start, total_bytes + 999);
    let absolute = vec![
        asker.part(&inside(from_front), from_front, in_front(from_front), &[]).await,
        asker.part(&across, at_end, tail(last_bytes), &[]).await,
    ];
    let suffix = format!("bytes=-{last_bytes}");
    let suffix = asker.part(&suffix, at_end, tail(last_bytes), &[]).await;

    let etag = head.and_then(|head| head.etag.clone()).filter(|etag| !etag.starts_with("W/"));
    let validator = etag.clone().or_else(|| head.and_then(|head| head.last_modified.clone()));
    let mut if_range = None;
    if let Some(validator) = validator {
        let right = [(IF_RANGE, validator.clone())];
        let wrong = match validator.starts_with('"') {
            true => WRONG_ETAG.to_owned(),
            false => "Thu, 01 Jan 1970 00:00:00 GMT".to_owned(),
        };
        let right = asker.part(&inside(from_front), from_front, in_front(from_front), &right).await;
        let wrong = asker.part(&inside(from_front), from_front, None, &[(IF_RANGE, wrong)]).await;
        if_range = Some((right, wrong));
    }
    let mut if_match = None;
    if let Some(etag) = etag {
        let expected = in_front(from_front);
        let right =
            asker.part(&inside(from_front), from_front, expected, &[(IF_MATCH, etag)]).await;
        let wrong = [(IF_MATCH, WRONG_ETAG.to_owned())];
        let wrong = asker.part(&inside(from_front), from_front, None, &wrong).await;
        if_match = Some((right, wrong));
    }
    let summary = asker.summary(facts).await;
    RangesSeen { total_bytes, absolute, suffix, if_range, if_match, summary }
}

fn inside(range: ByteRange) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

impl Asker<'_> {
    async fn part(
        &self,
        asked: &str,
        range: ByteRange,
        expected: Option<Vec<u8>>,
        conditions: &[(http::HeaderName, String)],
    ) -> PartSeen {
        let mut headers = vec![(RANGE, asked.to_owned())];
        headers.extend_from_slice(conditions);
        let mut seen = PartSeen {
            asked: asked.to_owned(),
            range,
            head: Err(Failure { what: String::new(), is_plain_http: false }),
            body: Vec::new(),
            expected,
            broken: None,
        };
        let mut answer = match self.client.get(self.url, As::User, &headers).await {
            Ok(answer) => answer,
            Err(failure) => return PartSeen { head: Err(failure), ..seen },
        };
        seen.head = Ok(answer.head.clone());
        if answer.head.status != 206 {
            return seen;
        }
        while seen.body.len() as u64 <= range.len() {
            match answer.next().await {
                Ok(Some(bytes)) => seen.body.extend_from_slice(&bytes),
                Ok(None) => break,
                Err(failure) => {
                    seen.broken = Some(failure.what);
                    break;
                }
            }
        }
        seen
    }

    /// The bytes of a range, or why they cannot be had.
    async fn bytes(&self, range: ByteRange) -> Result<Vec<u8>, String> {
        let seen = self.part(&inside(range), range, None, &[]).await;
        let head = seen.head.map_err(|failure| failure.what)?;
        match seen.broken {
            _ if head.status != 206 => Err(format!("its range {}", head.answered())),
            Some(broken) => Err(broken),
            None if seen.body.len() as u64 != range.len() => Err("its range is too short".into()),
            None => Ok(seen.body),
        }
    }

    async fn summary(&self, facts: Option<&Facts>) -> SummarySeen {
        let total = self.total_bytes;
        let mut from = total.saturating_sub(TAIL_BYTES);
        let mut tail = match self.bytes(ByteRange { start: from, end: total }).await {
            Ok(tail) => tail,
            Err(why) => return SummarySeen::Unseen(why),
        };
        let limits = Limits::default();
        loop {
            match read_summary(total, &tail, &limits) {
                Ok(SummaryStep::NeedBytes(range)) if range.end == from => {
                    match self.bytes(range).await {
                        Ok(more) => tail = [more, tail].concat(),
                        Err(why) => return SummarySeen::Unseen(why),
                    }
                    from = range.start;
                }
                Ok(SummaryStep::NeedBytes(_)) => {
                    return SummarySeen::Wrong("its summary lies nowhere".to_owned());
                }
                Ok(SummaryStep::Done(None)) => return SummarySeen::None,
                Ok(SummaryStep::Done(Some(summary))) => {
                    if let Some(lie) = facts.and_then(|facts| lie(&summary, facts)) {
                        return SummarySeen::Wrong(lie);
                    }
                    return summary.unfit().map_or(SummarySeen::Good, SummarySeen::Unfit);
                }
                Err(error) => return SummarySeen::Wrong(error.to_string()),
            }
        }
    }
}

/// What the summary says of the chunks that is not so, where all of them were met.
fn lie(summary: &Summary, facts: &Facts) -> Option<String> {
    if !facts.complete || facts.chunks_unknown {
        return None;
    }
    let said: Vec<(u64, u64)> =
        summary.chunks.iter().map(|chunk| (chunk.record.start, chunk.record.len())).collect();
    if said.is_empty() {
        // A summary without chunk indexes is unfit, and no lie.
        return None;
    }
    if let Some((start, _)) = said.iter().find(|place| !facts.chunk_places.contains(place)) {
        return Some(format!(
            "its summary names a chunk at byte {start}, where there is not that chunk"
        ));
    }
    let missing = facts.chunk_places.iter().find(|place| !said.contains(place));
    missing.map(|(start, _)| format!("its summary leaves out the chunk at byte {start}"))
}
