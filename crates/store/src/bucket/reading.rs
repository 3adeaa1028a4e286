//! One object, a part of a complete attempt or a cut, read as its bytes come.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use rdl_model::ByteRange;
use tokio::time::Instant;

use super::{Bucket, BucketError, soon};

/// For how long what cannot be read now is asked for again: trouble with the bucket slows a
/// response down, and does not break it.
const PATIENCE: Duration = Duration::from_secs(45);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// Bytes of one part, from front to back. What breaks off is asked for again, from there on.
pub struct PartRead {
    bucket: Bucket,
    path: Path,
    /// Where the part begins among all parts.
    part_start: u64,
    /// Where among all parts what comes next lies, and where all that is asked for ends.
    at: u64,
    end: u64,
    incoming: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    /// What came and was not taken; it ends at `at`.
    left: Bytes,
}

impl PartRead {
    pub(super) fn new(bucket: Bucket, path: Path, part_start: u64, range: ByteRange) -> Self {
        let ByteRange { start: at, end } = range;
        PartRead { bucket, path, part_start, at, end, incoming: None, left: Bytes::new() }
    }

    /// Reads on to the end of `range`, which begins where the last one ended or behind that.
    pub async fn take(&mut self, range: ByteRange) -> Result<Bytes, BucketError> {
        let wanted = usize::try_from(range.len()).unwrap_or(usize::MAX);
        let mut taken = BytesMut::new();
        loop {
            let before = range.start.saturating_sub(self.at - self.left.len() as u64);
            let before = usize::try_from(before).unwrap_or(usize::MAX).min(self.left.len());
            let _skipped = self.left.split_to(before);
            let piece = self.left.split_to(self.left.len().min(wanted - taken.len()));
            if taken.is_empty() && piece.len() == wanted {
                return Ok(piece);
            }
            if taken.is_empty() {
                taken.reserve(wanted);
            }
            taken.extend_from_slice(&piece);
            if taken.len() == wanted {
                return Ok(taken.freeze());
            }
            self.left = self.next_piece().await?;
            self.at += self.left.len() as u64;
        }
    }

    async fn next_piece(&mut self) -> Result<Bytes, BucketError> {
        let give_up = Instant::now() + PATIENCE;
        let mut backoff = FIRST_BACKOFF;
        loop {
            let error = match self.try_next().await {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => {
                    let what = format!("{} bytes are missing at its end", self.end - self.at);
                    return Err(BucketError::unusable(&self.path, &what));
                }
                Err(error) => error,
            };
            self.incoming = None;
            if !error.may_pass() || Instant::now() >= give_up {
                return Err(error);
            }
            tracing::debug!(%error, "reading the bucket again");
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn try_next(&mut self) -> Result<Option<Bytes>, BucketError> {
        let incoming = match &mut self.incoming {
            Some(incoming) => incoming,
            None => {
                let range = self.at - self.part_start..self.end - self.part_start;
                let found = self.bucket.stream(&self.path, range).await?;
                self.incoming.insert(found.into_stream())
            }
        };
        loop {
            match soon(&self.path, incoming.try_next()).await? {
                Some(piece) if piece.is_empty() => {}
                piece => return Ok(piece),
            }
        }
    }
}
