//! A file of a running loader, over every broken connection.
//!
//! What is there is asked for again from the byte on at which it broke off, under the condition that
//! it is the same file.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::Stream;
use rdl_engine::Token;
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue, IF_MATCH, RANGE, RETRY_AFTER,
};
use tokio::time::Instant;
use url::Url;

use super::origin::refusal;
use super::progress::Progress;

/// How long a loader may give nothing new before the download fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a file may not come along while it is made.
const NOT_READY_PATIENCE: Duration = Duration::from_secs(120);
/// How long an answer may take to begin: the loader may wait for the file for as long.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3600);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A file as far as it has come.
pub(super) struct Download<'a> {
    client: reqwest::Client,
    url: Url,
    token: Option<Token>,
    progress: &'a Progress,
    /// What was given out so far.
    at: u64,
    /// What the file is, once that is known.
    file: Option<File>,
    answer: Option<reqwest::Response>,
}

struct File {
    bytes: u64,
    etag: HeaderValue,
}

/// There can be no file: for the stream that may be otherwise.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoFile(pub(super) String);

/// Why there is no answer.
enum Broken {
    /// Asking again may help.
    MayPass(String),
    /// The loader is at it, and says how far it is.
    NotReady { detail: String, again_after: Duration },
    /// It does not.
    ForGood(anyhow::Error),
}

/// The bytes of the file, each once, in order.
pub(super) fn download<'a>(
    client: &reqwest::Client,
    url: Url,
    token: Option<Token>,
    progress: &'a Progress,
) -> impl Stream<Item = anyhow::Result<Bytes>> + 'a {
    let client = client.clone();
    let download = Download { client, url, token, progress, at: 0, file: None, answer: None };
    futures::stream::try_unfold(download, async |mut download| {
        let next = download.next().await?;
        Ok(next.map(|bytes| (bytes, download)))
    })
}

impl Download<'_> {
    /// The next bytes; `None` at the end of the file.
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut last_progress = Instant::now();
        let mut said = String::new();
        let mut backoff = FIRST_BACKOFF;
        loop {
            if self.file.as_ref().is_some_and(|file| self.at >= file.bytes) {
                return Ok(None);
            }
            match self.try_next().await {
                Ok(bytes) => {
                    self.at += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Err(Broken::ForGood(error)) => return Err(error),
                Err(Broken::NotReady { detail, again_after }) => {
                    if said != detail {
                        last_progress = Instant::now();
                    }
                    if last_progress.elapsed() >= NOT_READY_PATIENCE {
                        bail!(NoFile(detail));
                    }
                    self.progress.wait(&detail);
                    said = detail;
                    tokio::time::sleep(again_after).await;
                }
                Err(Broken::MayPass(why)) => {
                    if last_progress.elapsed() >= PATIENCE {
                        bail!("the loader gives nothing any more: {why}");
                    }
                    self.progress.wait(&format!("asking again: {why}"));
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
            self.answer = None;
        }
    }

    async fn try_next(&mut self) -> Result<Bytes, Broken> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let answer = self.ask().await?;
                self.answer.insert(answer)
            }
        };
        let piece = tokio::time::timeout(PATIENCE, answer.chunk()).await;
        match piece {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Ok(None)) => Err(Broken::MayPass("the connection ended early".into())),
            Ok(Err(error)) => Err(Broken::MayPass(error.without_url().to_string())),
            Err(_) => Err(Broken::MayPass("nothing comes".into())),
        }
    }

    /// Asks for what is missing.
    async fn ask(&mut self) -> Result<reqwest::Response, Broken> {
        let mut asked = self.client.get(self.url.clone());
        if let Some(token) = &self.token {
            asked = asked.bearer_auth(token.expose());
        }
        if let Some(file) = &self.file {
            asked = asked.header(RANGE, format!("bytes={}-", self.at));
            asked = asked.header(IF_MATCH, file.etag.clone());
        }
        let answer = tokio::time::timeout(ANSWER_PATIENCE, asked.send()).await;
        let answer = answer.map_err(|_| Broken::MayPass("no answer comes".into()))?;
        let answer = answer.map_err(|error| Broken::MayPass(error.without_url().to_string()))?;
        match (answer.status(), &self.file) {
            (StatusCode::OK, None) => {
                self.file = Some(File::of(&answer).map_err(Broken::ForGood)?);
                self.progress.set_length(self.file.as_ref().map_or(0, |file| file.bytes));
                Ok(answer)
            }
            (StatusCode::PARTIAL_CONTENT, Some(file)) => {
                let expected = format!("bytes {}-{}/{}", self.at, file.bytes - 1, file.bytes);
                match answer.headers().get(CONTENT_RANGE).map(HeaderValue::as_bytes) {
                    Some(range) if range == expected.as_bytes() => Ok(answer),
                    _ => {
                        Err(Broken::ForGood(anyhow::anyhow!("another range came than {expected}")))
                    }
                }
            }
            (StatusCode::PAYLOAD_TOO_LARGE, None) => {
                Err(Broken::ForGood(NoFile(refusal(answer).await).into()))
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => {
                let seconds = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
                let seconds = seconds.and_then(|it| it.parse().ok()).unwrap_or(1);
                let detail = refusal(answer).await;
                Err(Broken::NotReady { detail, again_after: Duration::from_secs(seconds) })
            }
            (status, _) if status.is_server_error() && self.file.is_some() => {
                Err(Broken::MayPass(refusal(answer).await))
            }
            (StatusCode::PRECONDITION_FAILED | StatusCode::GONE, Some(_)) => {
                let refusal = refusal(answer).await;
                let error =
                    anyhow::anyhow!("the recording changed while it was exported; {refusal}");
                Err(Broken::ForGood(error))
            }
            _ => Err(Broken::ForGood(anyhow::anyhow!(refusal(answer).await))),
        }
    }
}

impl File {
    fn of(answer: &reqwest::Response) -> anyhow::Result<File> {
        let length = answer.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
        let bytes = length.and_then(|it| it.parse().ok());
        let etag = answer.headers().get(ETAG).cloned();
        let no_file = "the answer has no length or no ETag; is this the URL of a loader?";
        Ok(File { bytes: bytes.context(no_file)?, etag: etag.context(no_file)? })
    }
}
