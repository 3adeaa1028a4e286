//! Finding out what a file is: by its summary where it has one, else by reading it.

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use rdl_mcap_io::{Limits, Summary, SummaryStep, read_summary};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::contents::{Contents, Serving};
use crate::error::Trouble;
use crate::place::{FileMeta, Place};
use crate::prefix::{COMPARED_BYTES, Prefix, PrefixScan};

/// The first read from the end of a file; it usually holds the whole summary.
const TAIL_BYTES: u64 = 64 << 10;
/// The largest summary that is read, in bytes.
const MAX_SUMMARY_BYTES: u64 = 64 << 20;
/// How many summaries are read side by side.
const SUMMARIES: usize = 32;
/// How many files are read from their beginning side by side.
const SCANS: usize = 2;
/// How many of them are read, or wait to be.
const WAITING_SCANS: usize = 1024;
/// What the store does not give is asked for again so often.
const TRIES: usize = 3;
/// A summary above this is read alone.
const LARGE_SUMMARY_BYTES: u64 = 1 << 20;

/// How far an earlier one of a path was intact.
pub(crate) struct Before {
    pub(crate) prefix: Prefix,
    /// Somebody may go by its segments.
    pub(crate) is_used: bool,
}

/// Reads files, so many at a time.
pub(crate) struct Examiner {
    place: Place,
    summaries: Semaphore,
    large_summaries: Semaphore,
    scans: Semaphore,
    waiting_scans: Semaphore,
}

impl Examiner {
    pub(crate) fn new(place: Place) -> Examiner {
        Examiner {
            place,
            summaries: Semaphore::new(SUMMARIES),
            large_summaries: Semaphore::new(1),
            scans: Semaphore::new(SCANS),
            waiting_scans: Semaphore::new(WAITING_SCANS),
        }
    }

    /// What the file is. `before` is what an earlier one of this path was. Others have the `turn` as
    /// soon as this one needs more than a summary. A file that gets its summary while somebody may
    /// go by its segments is read to its end, and stays in segments.
    ///
    /// # Errors
    ///
    /// [`Trouble::Busy`] where too many files wait to be read.
    pub(crate) async fn examine(
        &self,
        file: &FileMeta,
        before: Option<Before>,
        turn: OwnedSemaphorePermit,
    ) -> Result<Contents, Trouble> {
        if file.bytes == 0 {
            return Ok(Contents::unusable("it is empty"));
        }
        let summary = self.summary(file).await?;
        drop(turn);
        let before = match (&summary, before) {
            (Ok(Some(_)), Some(before)) if !before.is_used => None,
            (Ok(Some(contents)), _) if matches!(contents.serving, Serving::Not) => None,
            (_, before) => self.still_begins(file, before.map(|before| before.prefix)).await?,
        };
        match summary {
            Ok(Some(whole)) if before.is_none() => Ok(whole),
            Ok(Some(whole)) => {
                let contents = self.scan(file, before).await?;
                match contents.serving {
                    Serving::Prefix(prefix) => {
                        let serving = Serving::Prefix(prefix.finished(whole));
                        Ok(Contents { serving, ..contents })
                    }
                    _ => Ok(whole),
                }
            }
            Ok(None) => self.scan(file, before).await,
            Err(why) => {
                let mut contents = self.scan(file, before).await?;
                if !matches!(contents.serving, Serving::Not) {
                    contents.problems.insert(0, format!("{why}; it was read instead"));
                }
                Ok(contents)
            }
        }
    }

    /// By its summary; `None` where it has none that tells enough, or the words why it is unusable.
    async fn summary(&self, file: &FileMeta) -> Result<Result<Option<Contents>, String>, Trouble> {
        let _turn = self.summaries.acquire().await.map_err(|_| Trouble::Stopped)?;
        let limits = Limits { max_summary_bytes: MAX_SUMMARY_BYTES, ..Limits::default() };
        let mut start = file.bytes.saturating_sub(TAIL_BYTES);
        let mut tail = self.read(file, start..file.bytes).await?;
        let mut large = None;
        loop {
            let step = match read_summary(file.bytes, &tail, &limits) {
                Ok(step) => step,
                Err(error) => return Ok(Err(error.to_string())),
            };
            match step {
                SummaryStep::Done(summary) => return self.of_summary(file, summary).await.map(Ok),
                SummaryStep::NeedBytes(missing) => {
                    if missing.len() > LARGE_SUMMARY_BYTES && large.is_none() {
                        let turn = self.large_summaries.acquire().await;
                        large = Some(turn.map_err(|_| Trouble::Stopped)?);
                    }
                    let more = self.read(file, missing.start..missing.end).await?;
                    if missing.end != start {
                        return Ok(Err("its summary does not end where it should".to_owned()));
                    }
                    start = missing.start;
                    tail = Bytes::from([more, tail].concat());
                }
            }
        }
    }

    /// These bytes, piece by piece: each has its own time, so that what is large has more.
    async fn read(&self, file: &FileMeta, range: Range<u64>) -> Result<Bytes, Trouble> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + self.place.piece_bytes());
            let mut tries = 1;
            pieces.push(loop {
                match self.place.read_growing(file, at..end).await {
                    Err(Trouble::Store(_)) if tries < TRIES => tries += 1,
                    done => break done?,
                }
            });
            at = end;
        }
        match pieces.as_slice() {
            [piece] => Ok(piece.clone()),
            pieces => Ok(pieces.concat().into()),
        }
    }

    async fn of_summary(
        &self,
        file: &FileMeta,
        summary: Option<Summary>,
    ) -> Result<Option<Contents>, Trouble> {
        let Some(contents) = summary.as_ref().and_then(Contents::of_summary) else {
            return Ok(None);
        };
        // A summary may end what is no MCAP file.
        let front = self.read(file, 0..file.bytes.min(64)).await?;
        match rdl_mcap_io::read_header(&front) {
            Ok(_) => Ok(Some(contents)),
            Err(rdl_mcap_io::SummaryError::Malformed(_)) if front.starts_with(mcap::MAGIC) => {
                // The profile is longer than what was read.
                Ok(Some(contents))
            }
            Err(error) => Ok(Some(Contents::unusable(format!("it is not MCAP: {error}")))),
        }
    }

    /// By reading it, from its beginning or from where an earlier scan stopped.
    async fn scan(&self, file: &FileMeta, before: Option<Prefix>) -> Result<Contents, Trouble> {
        let _waits = self.waiting_scans.try_acquire().map_err(|_| Trouble::Busy)?;
        let _turn = self.scans.acquire().await.map_err(|_| Trouble::Stopped)?;
        let started = Instant::now();
        let (mut scan, mut at) = match &before {
            Some(before) => (PrefixScan::resumed(&before.state), before.state.bytes()),
            None => (PrefixScan::new(), 0),
        };
        while at < file.bytes {
            let end = file.bytes.min(at + self.place.piece_bytes());
            let bytes = self.read(file, at..end).await?;
            at = end;
            let pushed = tokio::task::spawn_blocking(move || {
                let more = scan.push(&bytes);
                (scan, more)
            });
            let (back, more) = pushed.await.map_err(|_| Trouble::Stopped)?;
            scan = back;
            if !more {
                break;
            }
        }
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(bytes = at, elapsed_ms, "a file was read to see how far it is intact");
        let bytes = file.bytes;
        let finished = tokio::task::spawn_blocking(move || scan.finish(bytes)).await;
        let mut contents = finished.map_err(|_| Trouble::Stopped)?;
        if let (Serving::Prefix(prefix), Some(before)) = (&mut contents.serving, &before) {
            *prefix = prefix.clone().after(before);
        }
        Ok(contents)
    }

    /// `before`, if the file looks as if it had only grown since. Whoever streams the beginning
    /// checks all of it.
    async fn still_begins(
        &self,
        file: &FileMeta,
        before: Option<Prefix>,
    ) -> Result<Option<Prefix>, Trouble> {
        let can_go_on =
            |before: &Prefix| before.state.can_go_on() && before.state.bytes() <= file.bytes;
        let Some(before) = before.filter(can_go_on) else { return Ok(None) };
        let state = &before.state;
        let recent = state.recent();
        debug_assert!(recent.len() <= COMPARED_BYTES);
        let start = state.bytes() - recent.len() as u64;
        let found = self.read(file, start..state.bytes()).await?;
        Ok((found == recent).then_some(before))
    }
}
