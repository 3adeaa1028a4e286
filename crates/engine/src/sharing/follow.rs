//! The parts of a load of another replica, as a body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rdl_mcap_io::{end_of_body, part_as_body, start_of_body};
use rdl_model::Problem;
use rdl_store::{
    AttemptName, BucketError, BucketErrorKind, Pulse, RunningEnd, RunningPart, RunningState, Sign,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Sharing;

/// How often an attempt is looked at, at first and later.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOK_OFTEN_FOR: Duration = Duration::from_secs(5);
const LOOK_LATER_EVERY: Duration = Duration::from_secs(1);

/// A request for a part is not left open for longer than this while its bytes are not taken.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a piece of a part is read before it counts as damaged.
const READS: u32 = 2;

/// What comes of an attempt that is followed.
pub(crate) enum FollowedPiece {
    /// Bytes of the body.
    Data(Bytes),
    /// What came so far is a whole part.
    PartEnd,
    /// What was wrong with the source.
    Problems(Vec<Problem>),
    /// The body is whole.
    End,
}

/// Why an attempt gives nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FollowEnded {
    /// It is dead, released, gone, or damaged: somebody has to take over.
    Dead,
    /// It is alive, and has had nothing new for too long.
    Silent,
    /// The bucket cannot be reached.
    Away(String),
}

/// An attempt that is followed: its parts, as they come. Dropping it stops that.
pub(crate) struct Followed {
    attempt: AttemptName,
    /// Whether the parts have the body's messages as they came.
    as_it_came: Arc<AtomicBool>,
    pieces: mpsc::Receiver<Result<FollowedPiece, FollowEnded>>,
    _task: AbortOnDropHandle<()>,
}

impl Followed {
    /// Follows from the first part on.
    pub(crate) fn open(sharing: &Sharing, attempt: AttemptName) -> Followed {
        let (out, pieces) = mpsc::channel(1);
        let as_it_came = Arc::new(AtomicBool::new(true));
        let following = Following {
            pulse: Pulse::new(sharing.config.stale_age),
            sharing: sharing.clone(),
            attempt: attempt.clone(),
            as_it_came: as_it_came.clone(),
            sent_parts: 0,
            new_since: Instant::now(),
            told_slow: false,
        };
        let task = tokio::spawn(async move {
            // Whoever reads may have gone.
            let marking = mark(following.sharing.clone(), following.attempt.clone());
            let ended = tokio::select! {
                ended = following.run(&out) => ended,
                () = marking => return,
                () = out.closed() => return,
            };
            if let Err(ended) = ended {
                let _ = out.send(Err(ended)).await;
            }
        });
        Followed { attempt, as_it_came, pieces, _task: AbortOnDropHandle::new(task) }
    }

    /// Whose parts they are.
    pub(crate) fn attempt(&self) -> &AttemptName {
        &self.attempt
    }

    /// Whether what came has the messages of the data endpoint's body as they came there.
    pub(crate) fn is_as_it_came(&self) -> bool {
        self.as_it_came.load(Ordering::Relaxed)
    }

    /// What comes next. A dropped future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<FollowedPiece, FollowEnded> {
        self.pieces.recv().await.unwrap_or(Err(FollowEnded::Dead))
    }
}

struct Following {
    sharing: Sharing,
    attempt: AttemptName,
    as_it_came: Arc<AtomicBool>,
    pulse: Pulse,
    sent_parts: usize,
    /// Since when there was nothing new.
    new_since: Instant,
    told_slow: bool,
}

type Out = mpsc::Sender<Result<FollowedPiece, FollowEnded>>;

impl Following {
    async fn run(mut self, out: &Out) -> Result<(), FollowEnded> {
        let began = Instant::now();
        loop {
            let start = Instant::now();
            match self.sharing.bucket.running(&self.attempt).await {
                Ok(None) => return Err(FollowEnded::Dead),
                Ok(Some(running)) => {
                    // Before the parts that it is about.
                    self.as_it_came.store(running.as_it_came, Ordering::Relaxed);
                    self.send_parts(&running.parts, out).await?;
                    if let Some(end) = running.end {
                        self.finish(end, out).await;
                        return Ok(());
                    }
                    if running.state == RunningState::Released
                        || self.pulse.read(running.counter, start) == Sign::Dead
                    {
                        return Err(FollowEnded::Dead);
                    }
                }
                Err(error) if error.kind() == BucketErrorKind::Damaged => {
                    return Err(FollowEnded::Dead);
                }
                Err(error) => {
                    self.pulse.forget();
                    self.away(&error)?;
                }
            }
            self.notice_silence()?;
            let often = began.elapsed() < LOOK_OFTEN_FOR;
            tokio::time::sleep(if often { LOOK_EVERY } else { LOOK_LATER_EVERY }).await;
        }
    }

    async fn send_parts(&mut self, parts: &[RunningPart], out: &Out) -> Result<(), FollowEnded> {
        while let Some(part) = parts.get(self.sent_parts) {
            let mut reader = self.sharing.bucket.followed_part(&self.attempt, part);
            let mut is_at_start = true;
            let mut failures = 0;
            loop {
                // Nothing is fetched before what came last is taken. That takes its time, which is
                // not the attempt's silence.
                let start = Instant::now();
                let Ok(room) = out.reserve().await else { return Ok(()) };
                let waited = start.elapsed();
                self.new_since += waited;
                if waited > LONGEST_PAUSE {
                    reader.pause();
                }
                let piece = match reader.next().await {
                    Ok(Some(piece)) => piece,
                    Ok(None) => {
                        room.send(Ok(FollowedPiece::PartEnd));
                        break;
                    }
                    Err(error) if error.may_pass() => {
                        self.away(&error)?;
                        tokio::time::sleep(LOOK_LATER_EVERY).await;
                        continue;
                    }
                    Err(error) => {
                        failures += 1;
                        if failures >= READS || error.kind() == BucketErrorKind::NotFound {
                            tracing::warn!(attempt = %self.attempt, %error, "a part of a load that is followed cannot be used");
                            return Err(FollowEnded::Dead);
                        }
                        continue;
                    }
                };
                let body = match std::mem::replace(&mut is_at_start, false) {
                    true => part_as_body(&piece, self.sent_parts == 0).ok_or(FollowEnded::Dead)?,
                    false => piece,
                };
                room.send(Ok(FollowedPiece::Data(body)));
                self.new_since = Instant::now();
                self.told_slow = false;
            }
            self.sent_parts += 1;
        }
        Ok(())
    }

    /// Ends the body.
    async fn finish(&self, end: RunningEnd, out: &Out) {
        if self.sent_parts == 0 {
            // A source without messages has no part, and its body needs a beginning.
            send(out, FollowedPiece::Data(start_of_body(&end.profile))).await;
        }
        send(out, FollowedPiece::Problems(end.problems)).await;
        send(out, FollowedPiece::Data(end_of_body(&end.metadata))).await;
        send(out, FollowedPiece::End).await;
        let _ = self.sharing.bucket.unmark_follower(&self.attempt).await;
    }

    /// A bucket that cannot be read is no sign of the attempt; it may take as long as silence may.
    fn away(&self, error: &BucketError) -> Result<(), FollowEnded> {
        if self.new_since.elapsed() >= self.sharing.silence {
            return Err(FollowEnded::Away(error.to_string()));
        }
        tracing::debug!(attempt = %self.attempt, %error, "cannot look at a load that is followed");
        Ok(())
    }

    fn notice_silence(&mut self) -> Result<(), FollowEnded> {
        let silent = self.new_since.elapsed();
        if silent >= self.sharing.silence {
            return Err(FollowEnded::Silent);
        }
        let threshold = self.sharing.config.slow_bytes;
        if silent >= threshold && !std::mem::replace(&mut self.told_slow, true) {
            let threshold_ms = threshold.as_millis();
            tracing::warn!(attempt = %self.attempt, threshold_ms, "a load that is followed has nothing new");
        }
        Ok(())
    }
}

/// Says again and again that this replica follows the attempt.
async fn mark(sharing: Sharing, attempt: AttemptName) {
    for mark in 1_u64.. {
        // A leader that cannot be told goes on for its linger time all the same.
        let _ = sharing.bucket.mark_follower(&attempt, mark).await;
        tokio::time::sleep(sharing.config.touch_interval).await;
    }
}

async fn send(out: &Out, piece: FollowedPiece) {
    // That nobody reads ends the task from outside.
    let _ = out.send(Ok(piece)).await;
}
