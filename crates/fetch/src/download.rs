use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use rdl_metrics::table;
use tokio::time::Instant;

use crate::client::Answer;
use crate::{Access, FetchError, HttpClient, Purpose, TimedOut};

/// The body of a streamed source, as it comes. Dropping it closes the connection.
pub struct Download {
    answer: Answer,
    content_length: Option<u64>,
    connect_timeout: Duration,
    purpose: Purpose,
    /// Since when nothing has come although somebody waited.
    waiting_since: Option<Instant>,
    ended: bool,
}

impl Download {
    /// Asks for the source. Resolves when the answer's headers are there and its status is 200.
    pub async fn open(http: &HttpClient, access: &Access) -> Result<Download, FetchError> {
        let opened = Download::open_once(http, access).await;
        opened.inspect_err(|error| Purpose::Body.failed(error))
    }

    async fn open_once(http: &HttpClient, access: &Access) -> Result<Download, FetchError> {
        let answer = http.get(&access.url, access.token.as_ref(), &HeaderMap::new()).await?;
        let status = answer.response.status();
        if !matches!(status.as_u16(), 200 | 203) {
            return Err(FetchError::status(&answer));
        }
        Ok(Download::of(answer, http, Purpose::Body))
    }

    pub(crate) fn of(answer: Answer, http: &HttpClient, purpose: Purpose) -> Download {
        Download {
            content_length: answer.response.content_length(),
            connect_timeout: http.config.connect_timeout,
            answer,
            purpose,
            waiting_since: None,
            ended: false,
        }
    }

    /// How many bytes the server announced.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Nobody waits for the next bytes for now: the time until [`Download::next`] is called again
    /// does not count as silence.
    pub fn pause(&mut self) {
        self.waiting_since = None;
    }

    /// The next bytes; `None` at the end of the body, which a server that announced no length may
    /// reach early. Fails when nothing came for `stall` of waiting, counted across calls whose
    /// futures were dropped. A dropped future loses no bytes.
    pub async fn next(&mut self, stall: Duration) -> Result<Option<Bytes>, FetchError> {
        if self.ended {
            return Ok(None);
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let piece = tokio::time::timeout_at(since + stall, self.answer.response.chunk()).await;
        let url = &self.answer.url;
        let result = match piece {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(FetchError::from_client(url, &error, self.connect_timeout)),
            Err(_) => {
                Err(FetchError::Timeout { url: url.clone(), what: TimedOut::Body, after: stall })
            }
        };
        self.waiting_since = None;
        self.ended = !matches!(result, Ok(Some(_)));
        match &result {
            Ok(Some(bytes)) => {
                table::BACKEND_BYTES.add(bytes.len() as u64, [self.purpose.as_str()]);
            }
            // Of the others the whole request fails, which is counted there.
            Err(error) if self.purpose == Purpose::Body => self.purpose.failed(error),
            _ => {}
        }
        result
    }
}

#[cfg(test)]
mod tests;
