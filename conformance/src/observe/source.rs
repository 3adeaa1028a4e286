use std::time::Duration;

use rdl_model::Nanos;
use rdl_wire::{Source, signature};
use tokio::time::Instant;

use super::manifest::{Refusal, refusal};
use super::ranges::{self, RangesSeen};
use crate::CheckOptions;
use crate::examine::{Examiner, Facts};
use crate::http_client::{As, Client, Failure, Head};
use crate::report::Place;
use crate::shown::{bytes_text, tamed};

/// What was seen of one source.
pub(crate) struct SourceSeen {
    pub(crate) manifest: usize,
    pub(crate) name: String,
    pub(crate) declared: Source,
    /// Why nothing was asked.
    pub(crate) skipped: Option<&'static str>,
    pub(crate) first: Option<Reading>,
    /// Whether a body was left in its middle before the second reading.
    pub(crate) was_left: bool,
    pub(crate) second: Option<Reading>,
    pub(crate) without_token: Option<Refusal>,
    pub(crate) wrong_token: Option<Refusal>,
    pub(crate) ranges: Option<RangesSeen>,
}

/// One reading of a body.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) head: Result<Head, Failure>,
    /// None where there was no body to look at.
    pub(crate) facts: Option<Facts>,
    pub(crate) end: End,
    /// From the request to the first byte of the body.
    pub(crate) first_byte: Duration,
    /// From the request to the end.
    pub(crate) total: Duration,
    pub(crate) longest_pause: Duration,
}

/// How a reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No body was looked at.
    Unread,
    /// The server ended it.
    Whole,
    /// A limit of the check was reached.
    Cut(String),
    /// The bytes that would follow could not be read.
    Stopped,
    /// The connection broke, or nothing more came.
    Broken(String),
}

impl SourceSeen {
    pub(crate) fn new(manifest: usize, declared: Source) -> SourceSeen {
        SourceSeen {
            manifest,
            name: tamed(&declared.name()),
            declared,
            skipped: None,
            first: None,
            was_left: false,
            second: None,
            without_token: None,
            wrong_token: None,
            ranges: None,
        }
    }

    /// Asks everything of it.
    pub(crate) async fn see(mut self, client: &Client, options: &CheckOptions) -> SourceSeen {
        if self.skipped.is_some() {
            return self;
        }
        let first = read(client, options, &self.declared).await;
        let usable = first.facts.as_ref().is_some_and(|facts| facts.stopped.is_none());
        let is_alive = first.head.as_ref().is_ok_and(|head| head.status == 200);
        if is_alive && usable {
            self.was_left = leave(client, &self.declared).await;
            self.second = Some(read(client, options, &self.declared).await);
        }
        if self.is_static() && is_alive && usable {
            self.ranges = Some(ranges::see(client, self.declared.url(), &first).await);
        }
        if options.expect_auth && !self.is_signed() {
            let url = self.declared.url();
            self.without_token = Some(refusal(client, url, As::Nobody).await);
            self.wrong_token = Some(refusal(client, url, As::Stranger).await);
        }
        self.first = Some(first);
        self
    }

    pub(crate) fn is_static(&self) -> bool {
        matches!(self.declared, Source::Static(_))
    }

    /// Whether the URL carries its own authority.
    pub(crate) fn is_signed(&self) -> bool {
        signature::is_signed(self.declared.url())
    }

    /// The source as a whole.
    pub(crate) fn place(&self) -> Place {
        Place { manifest: Some(self.manifest), source: Some(self.name.clone()), ..Place::default() }
    }

    /// The facts of the first reading.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.first.as_ref()?.facts.as_ref()
    }

    /// How long the recording is that it declares or has.
    pub(crate) fn span(&self) -> Option<Duration> {
        let declared = match &self.declared {
            Source::Streamed(source) => source.start.zip(source.end),
            Source::Static(_) => None,
        };
        let found = self.facts().and_then(|facts| facts.times);
        let (Nanos(start), Nanos(end)) = found.or(declared)?;
        Some(Duration::from_nanos(end.saturating_sub(start)))
    }
}

/// Reads a body as far as the limits let it.
async fn read(client: &Client, options: &CheckOptions, source: &Source) -> Reading {
    let asked = Instant::now();
    let mut reading = Reading {
        head: Err(Failure { what: String::new(), is_plain_http: false }),
        facts: None,
        end: End::Unread,
        first_byte: Duration::ZERO,
        total: Duration::ZERO,
        longest_pause: Duration::ZERO,
    };
    let mut answer = match client.get(source.url(), As::User, &[]).await {
        Ok(answer) => answer,
        Err(failure) => return Reading { head: Err(failure), ..reading },
    };
    let head = answer.head.clone();
    let has_body = head.status == 200 && head.encoding.is_none();
    reading.head = Ok(head);
    if !has_body {
        return reading;
    }
    let declared = match source {
        Source::Streamed(streamed) => Some(streamed.clone()),
        Source::Static(_) => None,
    };
    let mut examiner = Examiner::new(declared);
    let mut left_bytes = options.max_bytes;
    let mut is_first = true;
    let deadline = asked + options.max_time;
    reading.end = loop {
        if left_bytes == 0 {
            break End::Cut(format!(
                "only {} were read: --max-bytes",
                bytes_text(options.max_bytes)
            ));
        }
        let waiting = Instant::now();
        let next = match tokio::time::timeout_at(deadline, answer.next()).await {
            Ok(next) => next,
            Err(_) => {
                let seconds = options.max_time.as_secs_f32();
                break End::Cut(format!("only {seconds} s of it were read: --max-seconds"));
            }
        };
        match next {
            Ok(Some(mut bytes)) => {
                if is_first {
                    (reading.first_byte, is_first) = (asked.elapsed(), false);
                } else {
                    reading.longest_pause = reading.longest_pause.max(waiting.elapsed());
                }
                let taken = usize::try_from(left_bytes).unwrap_or(usize::MAX).min(bytes.len());
                left_bytes -= taken as u64;
                if !examiner.push(bytes.split_to(taken)) {
                    break End::Stopped;
                }
            }
            Ok(None) => break End::Whole,
            Err(failure) => break End::Broken(failure.what),
        }
    };
    reading.total = asked.elapsed();
    reading.facts = Some(match reading.end {
        End::Whole => examiner.finish(),
        _ => examiner.into_facts(),
    });
    reading
}

/// Goes away after the first bytes of a body. Whether it came so far.
async fn leave(client: &Client, source: &Source) -> bool {
    match client.get(source.url(), As::User, &[]).await {
        Ok(mut answer) => matches!(answer.next().await, Ok(Some(_))),
        Err(_) => false,
    }
}
