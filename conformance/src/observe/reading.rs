//! One reading of a body, as far as the limits let it. A connection that breaks is asked for again,
//! as a loader does: it says nothing of the data until it breaks at the same place again.

use std::time::Duration;

use rdl_wire::Source;
use tokio::time::{Instant, timeout_at};

use crate::CheckOptions;
use crate::examine::{Examiner, Facts};
use crate::http_client::{As, Client, Failure, Head};
use crate::shown::bytes_text;

/// How many times a body is asked for that breaks off further on each time.
const MOST_TRIES: u64 = 3;

/// One reading of a body.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) head: Result<Head, Failure>,
    /// None where there was no body to look at.
    pub(crate) facts: Option<Facts>,
    pub(crate) end: End,
    /// How its connection broke before it was asked for again.
    pub(crate) broke: Option<String>,
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
    /// The connection broke, or nothing more came, at the same place as before.
    Broken(String),
}

/// How far it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    /// Of all requests for a source.
    pub(super) deadline: Instant,
}

impl Limits {
    /// From now on.
    pub(super) fn of(options: &CheckOptions) -> Limits {
        // What no clock can hold is a year.
        let far = Duration::from_secs(365 * 24 * 3600);
        Limits { bytes: options.max_bytes, deadline: Instant::now() + options.max_time.min(far) }
    }
}

/// What is said of what the deadline cut off.
pub(super) const TOO_LATE: &str = "--max-seconds was reached";

/// Reads a body, again where its connection breaks.
pub(super) async fn read(client: &Client, source: &Source, limits: Limits) -> Reading {
    let (mut broke, mut furthest) = (None, None);
    let mut tries = 0;
    loop {
        tries += 1;
        let mut reading = read_once(client, source, limits).await;
        let bytes = reading.facts.as_ref().map_or(0, |facts| facts.bytes);
        let Some(why) = reading.broken().map(|why| format!("after {bytes} bytes {why}")) else {
            reading.broke = broke;
            return reading;
        };
        if furthest.is_some_and(|furthest| bytes <= furthest) {
            return reading;
        }
        if tries == MOST_TRIES {
            let what = format!("it broke off {tries} times, further on each time: {why}");
            reading.end = End::Cut(what.clone());
            if reading.facts.is_none() {
                reading.head = Err(Failure::unasked(what));
            }
            return reading;
        }
        (broke, furthest) = (Some(why), Some(bytes));
    }
}

impl Reading {
    fn broken(&self) -> Option<&str> {
        match (&self.head, &self.end) {
            (Err(failure), _) if failure.is_broken() => Some(&failure.what),
            (Ok(_), End::Broken(why)) => Some(why),
            _ => None,
        }
    }
}

async fn read_once(client: &Client, source: &Source, limits: Limits) -> Reading {
    let asked = Instant::now();
    let mut reading = Reading {
        head: Err(Failure::unasked(TOO_LATE)),
        facts: None,
        end: End::Unread,
        broke: None,
        first_byte: Duration::ZERO,
        total: Duration::ZERO,
        longest_pause: Duration::ZERO,
    };
    let answer = timeout_at(limits.deadline, client.get(source.url(), As::User, &[])).await;
    let mut answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => return Reading { head: Err(failure), ..reading },
        Err(_) => return Reading { end: End::Cut(TOO_LATE.to_owned()), ..reading },
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
    let mut left_bytes = limits.bytes;
    let mut is_first = true;
    reading.end = loop {
        if left_bytes == 0 {
            break End::Cut(format!("only {} were read: --max-bytes", bytes_text(limits.bytes)));
        }
        let waiting = Instant::now();
        let next = match timeout_at(limits.deadline, answer.next()).await {
            Ok(next) => next,
            Err(_) => {
                let seconds = asked.elapsed().as_secs_f32();
                break End::Cut(format!("only {seconds:.1} s of it were read: --max-seconds"));
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
