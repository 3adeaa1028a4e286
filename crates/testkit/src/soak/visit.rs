//! One answer: how a viewer takes it, and whether it is what it must be.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::time::timeout;

use super::library::{Served, Trouble};
use super::query::Query;
use crate::{HttpAnswer, Random, Viewer, arrived, decode};

/// The metadata record that says what a whole answer lacks.
const CLOSING_RECORD: &str = "remote-data-loader";

/// How an answer is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// To its end, as fast as it comes.
    Whole,
    /// Only so many bytes; then the viewer leaves.
    Leaves { after_bytes: usize },
    /// Slowly through a small buffer for a while; then to its end.
    Slow { bytes_per_second: usize, duration: Duration },
    /// Not at all for a while after so many bytes; then to its end.
    Pauses { after_bytes: usize, duration: Duration },
}

/// What an answer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Exactly what was asked for.
    Right,
    /// It has failed, or lacks something, where it must; and says so.
    Named,
    /// 503 with `Retry-After`.
    Refused,
    /// The viewer left; what had come was right.
    Left,
}

impl Manner {
    pub(super) fn random(random: &mut Random) -> Manner {
        let after_bytes = random.below(400_000) as usize;
        let duration = Duration::from_millis(300 + random.below(2_700));
        match random.below(10) {
            0..=4 => Manner::Whole,
            5..=6 => Manner::Leaves { after_bytes },
            7 => {
                let bytes_per_second = 20_000 + random.below(500_000) as usize;
                Manner::Slow { bytes_per_second, duration }
            }
            _ => Manner::Pauses { after_bytes, duration },
        }
    }

    fn takes(self) -> Duration {
        match self {
            Manner::Whole | Manner::Leaves { .. } => Duration::ZERO,
            Manner::Slow { duration, .. } | Manner::Pauses { duration, .. } => duration,
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Manner::Whole => write!(f, "reads all"),
            Manner::Leaves { after_bytes } => write!(f, "leaves after {after_bytes} bytes"),
            Manner::Slow { bytes_per_second, duration } => {
                write!(f, "reads {bytes_per_second} bytes a second for {duration:?}")
            }
            Manner::Pauses { after_bytes, duration } => {
                write!(f, "pauses for {duration:?} after {after_bytes} bytes")
            }
        }
    }
}

/// An answer as far as it was read, and whether the viewer left before its end.
pub(super) struct Taken {
    answer: HttpAnswer,
    left: bool,
}

impl Taken {
    pub(super) fn body_bytes(&self) -> u64 {
        self.answer.body.len() as u64
    }
}

/// Asks and reads.
///
/// # Errors
///
/// If there is no answer, or not all of it within `patience` and what the viewer itself takes.
pub(super) async fn take(url: &str, manner: Manner, patience: Duration) -> anyhow::Result<Taken> {
    let allowed = patience + manner.takes();
    let taken = timeout(allowed, read(url, manner)).await;
    taken.with_context(|| format!("it hangs: not within {allowed:?}"))?
}

async fn read(url: &str, manner: Manner) -> anyhow::Result<Taken> {
    let mut viewer = match manner {
        Manner::Slow { .. } => Viewer::open_narrow(url).await?,
        _ => Viewer::open(url).await?,
    };
    match manner {
        Manner::Whole => {}
        Manner::Leaves { after_bytes } => {
            read_bytes(&mut viewer, after_bytes).await;
            let left = !viewer.ended();
            return Ok(Taken { answer: viewer.so_far()?, left });
        }
        Manner::Slow { bytes_per_second, duration } => {
            viewer.read_slowly(bytes_per_second, duration).await;
        }
        Manner::Pauses { after_bytes, duration } => {
            read_bytes(&mut viewer, after_bytes).await;
            tokio::time::sleep(duration).await;
        }
    }
    Ok(Taken { answer: viewer.rest().await?, left: false })
}

async fn read_bytes(viewer: &mut Viewer, bytes: usize) {
    let mut read = 0;
    while read < bytes {
        match viewer.read(bytes - read).await {
            0 => return,
            length => read += length,
        }
    }
}

/// Whether an answer is what it must be. Takes as long as decoding it does.
///
/// # Errors
///
/// If it is not; the error says what is wrong.
pub(super) fn judge(taken: &Taken, query: &Query, served: &Served) -> anyhow::Result<Verdict> {
    let answer = &taken.answer;
    match answer.status {
        200 if answer.complete => whole(answer, query, served),
        200 => {
            let messages = arrived(&answer.body)?;
            query.check_begun(&messages, served).context("what came before the end")?;
            if taken.left {
                return Ok(Verdict::Left);
            }
            let after = format!("it broke off after {} messages", messages.len());
            failure(query, served).context(after)
        }
        503 => {
            let seconds = answer.header("retry-after").context("a 503 without Retry-After")?;
            ensure!(seconds.parse::<u64>().is_ok(), "Retry-After: {seconds}");
            Ok(Verdict::Refused)
        }
        502 => {
            let text = answer.text();
            let name = &served.files[served.troubled].name;
            let verdict = failure(query, served).with_context(|| text.clone())?;
            ensure!(text.contains(name.as_str()), "it does not name {name}: {text}");
            Ok(verdict)
        }
        status => bail!("{status}: {}", answer.text()),
    }
}

/// Whether the answer may fail after all.
fn failure(query: &Query, served: &Served) -> anyhow::Result<Verdict> {
    ensure!(
        matches!(served.trouble, Trouble::Fails | Trouble::Breaks),
        "no source of {} fails for good",
        served.name,
    );
    ensure!(!query.is_partial(), "sources that fail are to be left out");
    ensure!(query.may_meet_trouble(served), "nothing is asked of the source that fails");
    Ok(Verdict::Named)
}

fn whole(answer: &HttpAnswer, query: &Query, served: &Served) -> anyhow::Result<Verdict> {
    let decoded = decode(&answer.body)?;
    let checked = query.check_whole(&decoded.messages, served);
    checked.with_context(|| format!("whole, with {:?}", decoded.metadata))?;
    let mut named = Vec::new();
    for (name, record) in &decoded.metadata {
        ensure!(name == CLOSING_RECORD, "a metadata record {name}");
        for text in record.values() {
            let missing: Value = serde_json::from_str(text)?;
            let field = |name: &str| missing[name].as_str().unwrap_or_default().to_owned();
            named.push((field("code"), field("source")));
        }
    }
    let troubled = &served.files[served.troubled].name;
    let wrong = named.iter().find(|(_, source)| !source.ends_with(troubled.as_str()));
    ensure!(wrong.is_none(), "named, but well: {wrong:?}");
    let (may, must) = match served.trouble {
        Trouble::Flipped => (true, query.loses(served)),
        Trouble::Fails => (query.is_partial(), query.is_partial() && query.meets_trouble(served)),
        Trouble::None | Trouble::Rough | Trouble::Breaks => (false, false),
    };
    ensure!(may || named.is_empty(), "nothing should be missing: {named:?}");
    ensure!(!must || !named.is_empty(), "it does not name what it lacks of {troubled}");
    Ok(if named.is_empty() { Verdict::Right } else { Verdict::Named })
}
