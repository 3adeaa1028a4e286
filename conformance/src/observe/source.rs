use std::sync::Arc;
use std::time::Duration;

use rdl_model::Nanos;
use rdl_wire::{Source, signature};
use tokio::time::{Instant, timeout_at};

use super::manifest::{Refusal, refusal};
use super::ranges::{self, RangesSeen};
use super::reading::{End, Limits, Reading, read};
use crate::CheckOptions;
use crate::examine::{Compared, Facts};
use crate::http_client::{As, Client, Failure, Head};
use crate::report::Place;
use crate::shown::tamed;

/// A source that is to be looked at.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) manifest: usize,
    /// Other manifests that name it.
    pub(crate) also_in: Vec<usize>,
    pub(crate) declared: Arc<Source>,
    pub(crate) skipped: Option<Skipped>,
}

/// Why nothing was asked of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    PlainHttp,
    TooMany,
    Interrupted,
}

impl Skipped {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Skipped::PlainHttp => "it was not asked: plain http",
            Skipped::TooMany => "it was left out: --max-sources",
            Skipped::Interrupted => "it was not reached: the check was interrupted",
        }
    }
}

/// What was seen of one source.
pub(crate) struct SourceSeen {
    pub(crate) manifest: usize,
    /// Other manifests that name it.
    pub(crate) also_in: Vec<usize>,
    pub(crate) name: String,
    pub(crate) declared: Arc<Source>,
    /// Why nothing was asked.
    pub(crate) skipped: Option<Skipped>,
    pub(crate) first: Option<Reading>,
    /// How a body was left before the second reading.
    pub(crate) left: Left,
    pub(crate) second: Option<Again>,
    pub(crate) without_token: Option<Refusal>,
    pub(crate) wrong_token: Option<Refusal>,
    /// With the end of the token changed; none without a token.
    pub(crate) forged_token: Option<Refusal>,
    pub(crate) ranges: Option<RangesSeen>,
}

/// How a client went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It could not come.
    No,
    /// What came first was all of it, or nearly.
    AtTheEnd,
    InTheMiddle,
}

/// The second reading, and how it compares with the first.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) head: Result<Head, Failure>,
    pub(crate) end: End,
    pub(crate) broke: Option<String>,
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    /// None where one of the two has no body.
    pub(crate) compared: Option<Compared>,
}

impl SourceSeen {
    pub(crate) fn new(planned: Planned) -> SourceSeen {
        SourceSeen {
            manifest: planned.manifest,
            also_in: planned.also_in,
            name: tamed(&planned.declared.name()),
            declared: planned.declared,
            skipped: planned.skipped,
            first: None,
            left: Left::No,
            second: None,
            without_token: None,
            wrong_token: None,
            forged_token: None,
            ranges: None,
        }
    }

    /// Asks everything of it. Bodies and ranges together take no longer than the options say.
    pub(crate) async fn see(mut self, client: &Client, options: &CheckOptions) -> SourceSeen {
        if self.skipped.is_some() {
            return self;
        }
        let limits = Limits::of(options);
        let mut first = read(client, &self.declared, limits).await;
        let usable = first.facts.as_ref().is_some_and(|facts| facts.stopped.is_none());
        let is_alive = first.head.as_ref().is_ok_and(|head| head.status == 200);
        if self.is_static() && is_alive && usable {
            let url = self.declared.url();
            self.ranges = Some(ranges::see(client, url, &first, limits.deadline).await);
        }
        if let Some(facts) = &mut first.facts {
            facts.forget_bytes();
        }
        if is_alive && usable {
            let read_bytes = first.facts.as_ref().map_or(0, |facts| facts.bytes);
            self.left = leave(client, &self.declared, read_bytes, limits.deadline).await;
            let second = read(client, &self.declared, limits).await;
            self.second = Some(Again::of(&first, second));
        }
        if let Some(facts) = &mut first.facts {
            facts.marks.reduce();
        }
        if options.expect_auth && !self.is_signed() {
            let url = self.declared.url();
            self.without_token = Some(refusal(client, url, As::Nobody).await);
            self.wrong_token = Some(refusal(client, url, As::Stranger).await);
            if client.has_token() {
                self.forged_token = Some(refusal(client, url, As::Forger).await);
            }
        }
        self.first = Some(first);
        self
    }

    pub(crate) fn is_static(&self) -> bool {
        matches!(*self.declared, Source::Static(_))
    }

    /// Whether the URL carries its own authority.
    pub(crate) fn is_signed(&self) -> bool {
        signature::is_signed(self.declared.url())
    }

    pub(crate) fn is_in(&self, manifest: usize) -> bool {
        self.manifest == manifest || self.also_in.contains(&manifest)
    }

    /// The id, which a streamed source may have.
    pub(crate) fn id(&self) -> Option<&str> {
        match &*self.declared {
            Source::Streamed(source) => source.id.as_deref(),
            Source::Static(_) => None,
        }
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
        let declared = match &*self.declared {
            Source::Streamed(source) => source.start.zip(source.end),
            Source::Static(_) => None,
        };
        let found = self.facts().and_then(|facts| facts.times);
        let (Nanos(start), Nanos(end)) = found.or(declared)?;
        Some(Duration::from_nanos(end.saturating_sub(start)))
    }
}

impl Again {
    /// Of the second reading only how it compares is kept.
    fn of(first: &Reading, second: Reading) -> Again {
        let whole = first.end == End::Whole && second.end == End::Whole;
        let facts = first.facts.as_ref().zip(second.facts.as_ref());
        Again {
            compared: facts.map(|(one, two)| one.marks.compare(&two.marks, whole)),
            bytes: second.facts.as_ref().map_or(0, |facts| facts.bytes),
            messages: second.facts.as_ref().map_or(0, |facts| facts.messages),
            head: second.head,
            end: second.end,
            broke: second.broke,
        }
    }
}

/// Goes away after the first bytes of a body of at least `bytes`.
async fn leave(client: &Client, source: &Source, bytes: u64, deadline: Instant) -> Left {
    let asked = async {
        let mut answer = client.get_fresh(source.url(), As::User).await.ok()?;
        answer.next().await.ok()?
    };
    match timeout_at(deadline, asked).await {
        Ok(Some(piece)) if (piece.len() as u64).saturating_mul(4) <= bytes.saturating_mul(3) => {
            Left::InTheMiddle
        }
        Ok(Some(_)) => Left::AtTheEnd,
        Ok(None) | Err(_) => Left::No,
    }
}
