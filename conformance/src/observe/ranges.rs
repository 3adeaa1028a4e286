//! How a static source answers ranges.

use http::header::{IF_MATCH, IF_RANGE, RANGE};
use rdl_mcap_io::{Limits, Summary, SummaryStep, Unfit, read_summary};
use rdl_model::ByteRange;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::reading::{End, Reading, TOO_LATE};
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
    /// More than the range has: no more was read. 0 unless it is a 206.
    pub(crate) body_bytes: u64,
    /// Whether the right bytes are known.
    pub(crate) is_compared: bool,
    /// The first byte of the file that is another.
    pub(crate) differs_at: Option<u64>,
    pub(crate) broken: Option<String>,
    /// How its connection broke before it was asked for again.
    pub(crate) broke: Option<String>,
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
    /// None: neither the whole file nor a range says it.
    pub(crate) total_bytes: Option<u64>,
    /// From the front, and across the end, which has to be clamped; that only where the end is known.
    pub(crate) absolute: Vec<PartSeen>,
    /// None where the end is not known.
    pub(crate) suffix: Option<PartSeen>,
    /// With the right validator and with a wrong one; none without a validator.
    pub(crate) if_range: Option<(PartSeen, PartSeen)>,
    /// The same; none without a strong `ETag`.
    pub(crate) if_match: Option<(PartSeen, PartSeen)>,
    pub(crate) summary: SummarySeen,
}

/// A `Content-Range` of a 206 (RFC 9110 section 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) range: ByteRange,
    /// None for `*`.
    pub(crate) total: Option<u64>,
}

impl Told {
    /// `bytes 0-9/100`; `None` for anything that contradicts itself.
    pub(crate) fn parse(text: &str) -> Option<Told> {
        let number = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?
        };
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim_start().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (start, end) = (number(first)?, number(last)?.checked_add(1)?);
        let total = if total == "*" { None } else { Some(number(total)?) };
        let is_sane = unit.eq_ignore_ascii_case("bytes")
            && start < end
            && total.is_none_or(|total| end <= total);
        is_sane.then_some(Told { range: ByteRange { start, end }, total })
    }
}

struct Asker<'a> {
    client: &'a Client,
    url: &'a Url,
    deadline: Instant,
}

/// Asks for ranges of what `first` read whole, or at least the beginning of.
pub(crate) async fn see(
    client: &Client,
    url: &Url,
    first: &Reading,
    deadline: Instant,
) -> RangesSeen {
    let asker = Asker { client, url, deadline };
    let head = first.head.as_ref().ok();
    let facts = first.facts.as_ref();
    let read_whole = first.end == End::Whole;
    let read_bytes = facts.map_or(0, |facts| facts.bytes);
    // Whatever it says of its length: what was read counts.
    let told_bytes = head.and_then(|head| head.content_length);
    let known_bytes = if read_whole { Some(read_bytes) } else { told_bytes };
    let front = facts.map(|facts| facts.front.as_slice()).unwrap_or_default();
    let at_least = known_bytes.unwrap_or(read_bytes);
    let start = at_least.min(front.len() as u64) / 3;
    let from_front = ByteRange { start, end: start.saturating_add(TRIED_BYTES).min(at_least) };
    let in_front = |range: ByteRange| {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        front.get(start..end)
    };
    let part = asker.part(&inside(from_front), from_front, in_front(from_front), &[]).await;
    let range_tells = || Told::parse(part.head.as_ref().ok()?.content_range.as_deref()?)?.total;
    let total_bytes = known_bytes.or_else(range_tells);

    let mut absolute = vec![part];
    let mut suffix = None;
    if let Some(total_bytes) = total_bytes {
        let last_bytes = TRIED_BYTES.min(total_bytes);
        let tail = || {
            let bytes = usize::try_from(last_bytes).ok().filter(|bytes| *bytes <= KEPT_BYTES)?;
            facts.filter(|_| read_whole)?.tail(bytes)
        };
        let tail = tail();
        let at_end = ByteRange { start: total_bytes - last_bytes, end: total_bytes };
        let across = format!("bytes={}-{}", at_end.start, total_bytes.saturating_add(999));
        absolute.push(asker.part(&across, at_end, tail.as_deref(), &[]).await);
        let asked = format!("bytes=-{last_bytes}");
        suffix = Some(asker.part(&asked, at_end, tail.as_deref(), &[]).await);
    }

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
    let summary = match total_bytes {
        Some(total_bytes) => asker.summary(total_bytes, facts).await,
        None => SummarySeen::Unseen("where the file ends is not known".to_owned()),
    };
    RangesSeen { total_bytes, absolute, suffix, if_range, if_match, summary }
}

fn inside(range: ByteRange) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

impl Asker<'_> {
    /// Asks for a range and holds it against what is expected.
    async fn part(
        &self,
        asked: &str,
        range: ByteRange,
        expected: Option<&[u8]>,
        conditions: &[(http::HeaderName, String)],
    ) -> PartSeen {
        let (mut seen, body) = self.patiently(asked, range, conditions).await;
        if let Some(expected) = expected {
            let same = expected.iter().zip(&body).take_while(|(a, b)| a == b).count();
            seen.is_compared = true;
            seen.differs_at = (same < expected.len()).then(|| range.start + same as u64);
        }
        seen
    }

    /// Asks once more where the connection breaks.
    async fn patiently(
        &self,
        asked: &str,
        range: ByteRange,
        conditions: &[(http::HeaderName, String)],
    ) -> (PartSeen, Vec<u8>) {
        let first = self.once(asked, range, conditions).await;
        let broke = match (&first.0.head, &first.0.broken) {
            (Err(failure), _) if failure.is_broken() => failure.what.clone(),
            (Ok(_), Some(why)) => why.clone(),
            _ => return first,
        };
        let (seen, body) = self.once(asked, range, conditions).await;
        (PartSeen { broke: Some(broke), ..seen }, body)
    }

    async fn once(
        &self,
        asked: &str,
        range: ByteRange,
        conditions: &[(http::HeaderName, String)],
    ) -> (PartSeen, Vec<u8>) {
        let mut headers = vec![(RANGE, asked.to_owned())];
        headers.extend_from_slice(conditions);
        let mut seen = PartSeen {
            asked: asked.to_owned(),
            range,
            head: Err(Failure::unasked(TOO_LATE)),
            body_bytes: 0,
            is_compared: false,
            differs_at: None,
            broken: None,
            broke: None,
        };
        let mut body = Vec::new();
        let asking = async {
            let mut answer = self.client.get(self.url, As::User, &headers).await?;
            while answer.head.status == 206 && body.len() as u64 <= range.len() {
                match answer.next().await {
                    Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                    Ok(None) => break,
                    Err(failure) => {
                        seen.broken = Some(failure.what);
                        break;
                    }
                }
            }
            Ok(answer.head)
        };
        if let Ok(head) = timeout_at(self.deadline, asking).await {
            seen.head = head;
        }
        seen.body_bytes = body.len() as u64;
        (seen, body)
    }

    /// The bytes of a range, or why they cannot be had.
    async fn bytes(&self, range: ByteRange) -> Result<Vec<u8>, String> {
        let (seen, body) = self.patiently(&inside(range), range, &[]).await;
        let head = seen.head.map_err(|failure| failure.what)?;
        match seen.broken {
            _ if head.status != 206 => Err(format!("its range {}", head.answered())),
            Some(broken) => Err(broken),
            None if body.len() as u64 != range.len() => Err("its range is too short".into()),
            None => Ok(body),
        }
    }

    async fn summary(&self, total: u64, facts: Option<&Facts>) -> SummarySeen {
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
                Ok(SummaryStep::Done(Some(summary))) => return judged(&summary, facts),
                Err(error) => return SummarySeen::Wrong(error.to_string()),
            }
        }
    }
}

/// A summary that can be read, held against the chunks that were met.
fn judged(summary: &Summary, facts: Option<&Facts>) -> SummarySeen {
    let said: Vec<(u64, u64)> =
        summary.chunks.iter().map(|chunk| (chunk.record.start, chunk.record.len())).collect();
    let is_complete = facts.is_some_and(Facts::knows_every_chunk);
    // A summary without chunk indexes is unfit, and no lie.
    let lie = facts.filter(|_| !said.is_empty()).and_then(|facts| {
        // What was left out lies somewhere, too.
        let known_to = match facts.chunk_places.last() {
            _ if is_complete => u64::MAX,
            Some((start, bytes)) if facts.left_out == 0 => start.saturating_add(*bytes),
            _ => 0,
        };
        lie(said, &facts.chunk_places, known_to)
    });
    // Sizes of chunks are a matter of `chunk-size`.
    let unfit = summary
        .unfit()
        .filter(|unfit| !matches!(unfit, Unfit::SmallChunks { .. } | Unfit::LargeChunk { .. }));
    match (lie, unfit) {
        (Some(lie), _) => SummarySeen::Wrong(lie),
        (None, Some(unfit)) => SummarySeen::Unfit(unfit),
        (None, None) if is_complete => SummarySeen::Good,
        (None, None) => {
            let why = "it could be held against those chunks only that were read";
            SummarySeen::Unseen(why.to_owned())
        }
    }
}

/// What a summary says of the chunks that is not so: `places` are in order, and all there are before
/// the byte `known_to`.
fn lie(mut said: Vec<(u64, u64)>, places: &[(u64, u64)], known_to: u64) -> Option<String> {
    said.sort_unstable();
    let mut said = said.into_iter().peekable();
    for place in places {
        while let Some(before) = said.next_if(|said| said < place) {
            if before.0 < known_to {
                return Some(not_there(before.0));
            }
        }
        if said.next_if_eq(place).is_none() {
            return Some(format!("its summary leaves out the chunk at byte {}", place.0));
        }
    }
    said.find(|said| said.0 < known_to).map(|said| not_there(said.0))
}

fn not_there(start: u64) -> String {
    format!("its summary names a chunk at byte {start}, where there is not that chunk")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_sane_or_nothing() {
        let parse =
            |text| Told::parse(text).map(|told| (told.range.start, told.range.end, told.total));
        assert_eq!(parse("bytes 0-9/100"), Some((0, 10, Some(100))));
        assert_eq!(parse("Bytes 90-99/100"), Some((90, 100, Some(100))));
        assert_eq!(parse("bytes 0-0/*"), Some((0, 1, None)));
        for bad in [
            "",
            "bytes */100",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "bytes +0-9/100",
            "lines 0-9/100",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn lies_are_told_as_far_as_the_chunks_are_known() {
        let places = [(10, 5), (20, 5), (30, 5)];
        let told = |said: &[(u64, u64)], known_to| lie(said.to_vec(), &places, known_to);
        assert_eq!(told(&places, u64::MAX), None);
        let more = [(10, 5), (20, 5), (30, 5), (40, 5)];
        assert!(told(&more, u64::MAX).unwrap().contains("names a chunk at byte 40"));
        assert_eq!(told(&more, 35), None);
        assert!(told(&[(10, 5), (30, 5)], 35).unwrap().contains("leaves out the chunk at byte 20"));
        assert!(told(&[(10, 5), (15, 1), (20, 5), (30, 5)], 35).unwrap().contains("byte 15"));
        assert_eq!(told(&[(10, 5), (15, 1), (20, 5), (30, 5)], 0), None);
        assert!(told(&[(30, 5), (10, 5), (20, 6)], u64::MAX).unwrap().contains("byte 20"));
    }

    #[test]
    fn many_chunks_are_compared_in_one_pass() {
        let places: Vec<(u64, u64)> = (0..1_000_000).map(|at| (at * 10, 10)).collect();
        let started = std::time::Instant::now();
        assert_eq!(lie(places.clone(), &places, u64::MAX), None);
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
