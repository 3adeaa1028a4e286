//! Reading a static source by ranges.
//!
//! Opening asks for the tail once: that proves range support, learns size and validator, and
//! usually brings the whole summary. Every later answer is compared with what was learnt.

mod answer;

use bytes::{Bytes, BytesMut};
use http::header::{IF_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use rdl_model::ByteRange;

use self::answer::ContentRange;
pub use self::answer::Validator;
use crate::client::Answer;
use crate::retry::retry;
use crate::{Access, Download, FetchError, HttpClient, Purpose};

/// What is allocated ahead for a range; more grows with what comes.
const ALLOCATE_BYTES: u64 = 1 << 20;

/// What opening a static source gave.
pub enum Opening {
    /// It can be read by ranges.
    Ranged(Opened),
    /// Its server ignores `Range`: this is the whole body.
    Unsupported(Download),
}

/// A static source that can be read by ranges.
pub struct Opened {
    /// Reads more of it.
    pub reader: RangeReader,
    /// The size of the file.
    pub total_bytes: u64,
    /// The last bytes of the file.
    pub tail: Bytes,
}

/// Reads ranges of one version of a file.
pub struct RangeReader {
    http: HttpClient,
    total_bytes: u64,
    validator: Option<Validator>,
}

impl RangeReader {
    /// Asks for the last `tail_bytes` of the file, less if it is smaller. Broken connections and
    /// statuses that may pass are asked again for as long as the configuration says.
    pub async fn open(
        http: &HttpClient,
        access: &Access,
        tail_bytes: u64,
    ) -> Result<Opening, FetchError> {
        let config = &http.config;
        retry(
            Purpose::Range,
            config.range_retry_for,
            config.retry_pause,
            FetchError::is_retryable,
            || open_once(http, access, tail_bytes.max(1)),
        )
        .await
    }

    /// What tells this version of the file from others; `None` when the server says nothing.
    pub fn validator(&self) -> Option<&Validator> {
        self.validator.as_ref()
    }

    /// The size of the file.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Exactly the bytes of `range`, which must lie within the file. Fails with
    /// [`FetchError::Changed`] when the file is another by now. Retried like
    /// [`RangeReader::open`].
    pub async fn read(&self, access: &Access, range: ByteRange) -> Result<Bytes, FetchError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end > self.total_bytes {
            let what = format!(
                "bytes {} to {} were asked for of {}",
                range.start, range.end, self.total_bytes
            );
            return Err(FetchError::bad_answer(&crate::redacted(&access.url), what));
        }
        let config = &self.http.config;
        retry(
            Purpose::Range,
            config.range_retry_for,
            config.retry_pause,
            FetchError::is_retryable,
            || self.read_once(access, range),
        )
        .await
    }

    async fn read_once(&self, access: &Access, range: ByteRange) -> Result<Bytes, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, range_header(&format!("{}-{}", range.start, range.end - 1)));
        if let Some(Validator::StrongEtag(etag)) = &self.validator
            && let Ok(etag) = HeaderValue::from_str(etag)
        {
            headers.insert(IF_MATCH, etag);
        }
        let answer = self.http.get(&access.url, access.token.as_ref(), &headers).await?;
        let url = answer.url.clone();
        let changed = || FetchError::Changed { url: url.clone() };
        let status = answer.response.status();
        match status {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(changed());
            }
            StatusCode::OK => {
                let total = answer.response.content_length();
                let validator = total.and_then(|total| Validator::of(&answer, total));
                let same = validator == self.validator
                    && total.is_none_or(|total| total == self.total_bytes);
                return Err(if same {
                    FetchError::bad_answer(&url, "Range was honoured before and is ignored now")
                } else {
                    changed()
                });
            }
            _ => return Err(FetchError::status(&answer)),
        }
        let told = ContentRange::of(&answer).ok_or_else(|| {
            FetchError::bad_answer(&url, "a 206 without a Content-Range of one range")
        })?;
        let validator = Validator::of(&answer, told.total.unwrap_or(self.total_bytes));
        if told.total.is_some_and(|total| total != self.total_bytes) || validator != self.validator
        {
            return Err(changed());
        }
        if told.range != range {
            return Err(FetchError::bad_answer(
                &url,
                "a 206 with another range than was asked for",
            ));
        }
        body(&self.http, answer, range.len()).await
    }
}

async fn open_once(
    http: &HttpClient,
    access: &Access,
    tail_bytes: u64,
) -> Result<Opening, FetchError> {
    match suffix(http, access, tail_bytes).await? {
        Some(opening) => Ok(opening),
        None => first_byte(http, access, tail_bytes).await,
    }
}

/// `bytes=-N` (RFC 9110 section 14.1.2). `None` when the server has no sane answer to it.
async fn suffix(
    http: &HttpClient,
    access: &Access,
    tail_bytes: u64,
) -> Result<Option<Opening>, FetchError> {
    let answer = get(http, access, &format!("-{tail_bytes}")).await?;
    let status = answer.response.status();
    match status {
        StatusCode::PARTIAL_CONTENT => {}
        StatusCode::OK => {
            return Ok(Some(Opening::Unsupported(Download::of(answer, http, Purpose::Body))));
        }
        StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED => return Ok(None),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            return Ok(match answer::unsatisfied_total(&answer) {
                Some(0) => Some(empty(http, &answer)),
                _ => None,
            });
        }
        _ => return Err(FetchError::status(&answer)),
    }
    let Some(ContentRange { range, total: Some(total_bytes) }) = ContentRange::of(&answer) else {
        return Ok(None);
    };
    if range.end != total_bytes || range.len() != tail_bytes.min(total_bytes) {
        return Ok(None);
    }
    let validator = Validator::of(&answer, total_bytes);
    let tail = body(http, answer, range.len()).await?;
    let reader = RangeReader { http: http.clone(), total_bytes, validator };
    Ok(Some(Opening::Ranged(Opened { reader, total_bytes, tail })))
}

/// `bytes=0-0` for the size, then the tail by its absolute place.
async fn first_byte(
    http: &HttpClient,
    access: &Access,
    tail_bytes: u64,
) -> Result<Opening, FetchError> {
    let answer = get(http, access, "0-0").await?;
    let url = answer.url.clone();
    let status = answer.response.status();
    match status {
        StatusCode::PARTIAL_CONTENT => {}
        StatusCode::OK => {
            return Ok(Opening::Unsupported(Download::of(answer, http, Purpose::Body)));
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            return match answer::unsatisfied_total(&answer) {
                None | Some(0) => Ok(empty(http, &answer)),
                Some(_) => Err(FetchError::bad_answer(&url, "no range of the file can be had")),
            };
        }
        _ => return Err(FetchError::status(&answer)),
    }
    let told = ContentRange::of(&answer);
    let Some(ContentRange { range: ByteRange { start: 0, end: 1 }, total: Some(total_bytes) }) =
        told
    else {
        return Err(FetchError::bad_answer(&url, "a 206 that does not say how large the file is"));
    };
    let validator = Validator::of(&answer, total_bytes);
    drop(answer);
    let reader = RangeReader { http: http.clone(), total_bytes, validator };
    let start = total_bytes.saturating_sub(tail_bytes);
    let tail = reader.read_once(access, ByteRange { start, end: total_bytes }).await?;
    Ok(Opening::Ranged(Opened { reader, total_bytes, tail }))
}

/// A file without bytes.
fn empty(http: &HttpClient, answer: &Answer) -> Opening {
    let reader =
        RangeReader { http: http.clone(), total_bytes: 0, validator: Validator::of(answer, 0) };
    Opening::Ranged(Opened { reader, total_bytes: 0, tail: Bytes::new() })
}

async fn get(http: &HttpClient, access: &Access, range: &str) -> Result<Answer, FetchError> {
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, range_header(range));
    http.get(&access.url, access.token.as_ref(), &headers).await
}

fn range_header(range: &str) -> HeaderValue {
    // Digits and dashes are always a header's text.
    HeaderValue::try_from(format!("bytes={range}")).unwrap_or(HeaderValue::from_static("bytes=0-0"))
}

/// Exactly `expected_bytes` of body. A shorter one is a broken connection, a longer one a lie.
async fn body(http: &HttpClient, answer: Answer, expected_bytes: u64) -> Result<Bytes, FetchError> {
    let url = answer.url.clone();
    let other_length = || FetchError::bad_answer(&url, "a 206 whose body is longer than its range");
    let mut download = Download::of(answer, http, Purpose::Range);
    if download.content_length().is_some_and(|bytes| bytes != expected_bytes) {
        return Err(FetchError::bad_answer(&url, "a 206 whose length is not that of its range"));
    }
    let ahead = usize::try_from(expected_bytes.min(ALLOCATE_BYTES)).unwrap_or_default();
    let mut body = BytesMut::with_capacity(ahead);
    while let Some(bytes) = download.next(http.config.stall_timeout).await? {
        if (body.len() + bytes.len()) as u64 > expected_bytes {
            return Err(other_length());
        }
        body.extend_from_slice(&bytes);
    }
    if body.len() as u64 != expected_bytes {
        let what = format!("the body ended after {} of {expected_bytes} bytes", body.len());
        return Err(FetchError::Broken { url, what });
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests;
