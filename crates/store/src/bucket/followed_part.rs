use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;

use super::running::CHECKED_PIECE_BYTES;
use super::{AttemptName, Bucket, BucketError, RunningPart, soon};

/// The data section of a part of a running attempt, its header included, in pieces of 128 KiB as
/// they come; each is checked against what `running.json` says of it. Memory holds one piece.
pub struct FollowedPart {
    bucket: Bucket,
    path: Path,
    part: RunningPart,
    /// How much was given out.
    at: u64,
    incoming: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    /// What came of the next piece, and more.
    arrived: BytesMut,
}

impl Bucket {
    /// Reads a part from its beginning. Nothing is asked for yet.
    pub fn followed_part(&self, attempt: &AttemptName, part: &RunningPart) -> FollowedPart {
        FollowedPart {
            bucket: self.clone(),
            path: self.attempt_path(attempt, &part.name),
            part: part.clone(),
            at: 0,
            incoming: None,
            arrived: BytesMut::new(),
        }
    }
}

impl FollowedPart {
    /// The next piece; `None` at the end. After an error it may be asked for again. A dropped
    /// future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BucketError> {
        if self.at >= self.part.data_bytes {
            return Ok(None);
        }
        let piece = match self.checked_piece().await {
            Ok(piece) => piece,
            Err(error) => {
                self.pause();
                return Err(error);
            }
        };
        let rest = self.part.data_bytes - self.at;
        self.at += piece.len() as u64;
        // The summary begins within the last one.
        let data = usize::try_from(rest).unwrap_or(usize::MAX).min(piece.len());
        Ok(Some(piece.slice(..data)))
    }

    /// Lets go of the request that is under way; what is missing is asked for again.
    pub fn pause(&mut self) {
        self.incoming = None;
        self.arrived.clear();
    }

    async fn checked_piece(&mut self) -> Result<Bytes, BucketError> {
        let RunningPart { bytes, data_bytes, ref checksums, .. } = self.part;
        let number = usize::try_from(self.at / CHECKED_PIECE_BYTES).unwrap_or(usize::MAX);
        let length = CHECKED_PIECE_BYTES.min(bytes.saturating_sub(self.at)) as usize;
        let Some(crc) = checksums.piece_crcs.get(number).copied().filter(|_| data_bytes <= bytes)
        else {
            return Err(BucketError::unusable(&self.path, "its data ends behind it"));
        };
        while self.arrived.len() < length {
            if self.incoming.is_none() {
                self.incoming = Some(self.open().await?);
            }
            let Some(incoming) = &mut self.incoming else { continue };
            match soon(&self.path, incoming.try_next()).await? {
                Some(bytes) => self.arrived.extend_from_slice(&bytes),
                None => return Err(BucketError::unusable(&self.path, "it ends too early")),
            }
        }
        let piece = self.arrived.split_to(length).freeze();
        if crc32fast::hash(&piece) != crc {
            return Err(BucketError::unusable(&self.path, "it is not what was written"));
        }
        Ok(piece)
    }

    /// Asks for what is still missing: whole pieces, up to the one that the data ends in.
    async fn open(
        &mut self,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, BucketError> {
        let end = self.part.data_bytes.next_multiple_of(CHECKED_PIECE_BYTES).min(self.part.bytes);
        let found = self.bucket.stream(&self.path, self.at..end).await?;
        if found.meta.size != self.part.bytes {
            let what = format!("it is {} bytes long and not {}", found.meta.size, self.part.bytes);
            return Err(BucketError::unusable(&self.path, &what));
        }
        Ok(found.into_stream())
    }
}
