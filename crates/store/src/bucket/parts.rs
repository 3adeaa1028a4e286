//! Parts in the bucket: written one by one, and read by ranges.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use rdl_mcap_io::Position;
use rdl_model::ByteRange;

use super::reading::PartRead;
use super::{AttemptName, Bucket, BucketError, BucketErrorKind, Checksums};
use crate::attempt::PartInfo;
use crate::{SourceFiles, StoreError};

/// A part larger than this is sent in pieces of this size, in bytes.
const UPLOAD_PIECE_BYTES: u64 = 8 << 20;

/// The parts of one complete attempt, addressed as if they lay one behind the other.
#[derive(Clone, Debug)]
pub struct RemoteParts {
    bucket: Bucket,
    attempt: AttemptName,
    names: Vec<String>,
    /// Where each part begins, and at last where all of them end.
    starts: Vec<u64>,
}

impl RemoteParts {
    pub(super) fn new(bucket: Bucket, attempt: AttemptName, parts: &[PartInfo]) -> RemoteParts {
        let mut starts = vec![0];
        for part in parts {
            starts.push(starts[starts.len() - 1] + part.bytes);
        }
        let names = parts.iter().map(|part| part.name.clone()).collect();
        RemoteParts { bucket, attempt, names, starts }
    }

    /// Whose parts they are.
    pub fn attempt(&self) -> &AttemptName {
        &self.attempt
    }

    /// Where a position lies among all parts; `None` where there is no such part.
    pub fn place(&self, position: Position) -> Option<ByteRange> {
        let at = (position.part as usize).checked_sub(1)?;
        let start = *self.starts.get(at)?;
        let range = ByteRange {
            start: start.checked_add(position.range.start)?,
            end: start.checked_add(position.range.end)?,
        };
        (range.end <= *self.starts.get(at + 1)?).then_some(range)
    }

    /// Which part such a range lies in, by what comes before its first byte.
    pub fn part_of(&self, range: ByteRange) -> usize {
        self.starts.partition_point(|start| *start <= range.start)
    }

    /// Reads bytes that may span parts. What cannot be had now is asked for again for a while.
    pub async fn read(&self, range: ByteRange) -> Result<Bytes, BucketError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let first = self.part_of(range).saturating_sub(1);
        let parts = self.starts.iter().zip(&self.starts[1..]).skip(first);
        let pieces = parts.take_while(|(start, _)| **start < range.end).map(|(start, end)| {
            let (start, end) = (range.start.max(*start), range.end.min(*end));
            self.read_part(ByteRange { start, end })
        });
        let mut pieces = futures::future::try_join_all(pieces).await?;
        Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
    }

    async fn read_part(&self, range: ByteRange) -> Result<Bytes, BucketError> {
        self.read_along(range).take(range).await
    }

    /// Reads bytes of one part as they come. Nothing is asked for yet.
    pub fn read_along(&self, range: ByteRange) -> PartRead {
        let part = self.part_of(range).saturating_sub(1);
        let name = self.names.get(part).map(String::as_str).unwrap_or_default();
        let start = self.starts.get(part).copied().unwrap_or(range.start);
        PartRead::new(
            self.bucket.clone(),
            self.bucket.attempt_path(&self.attempt, name),
            start,
            range,
        )
    }

    /// Takes what is not whole any more out of sight, so that the source is loaded again.
    pub async fn forget(&self) -> Result<(), BucketError> {
        tracing::warn!(attempt = %self.attempt, "a source in the bucket is not whole any more; it will be loaded again");
        self.bucket.forget(&self.attempt).await
    }
}

impl Bucket {
    /// Writes a closed part, `number` from 1, from where it lies on the disk, and says what it has
    /// to be. Memory holds one piece of at most 8 MiB.
    pub async fn put_part(
        &self,
        attempt: &AttemptName,
        part: &ClosedPart,
        files: &Arc<SourceFiles>,
    ) -> Result<Checksums, UploadError> {
        let path = self.attempt_path(attempt, &part.name);
        let (mut checksums, mut whole) = (Checksums::default(), crc32fast::Hasher::new());
        let add = |piece: &Bytes| checksums.add(&mut whole, piece);
        self.upload(&path, files, part.number, part.bytes, add).await?;
        checksums.crc = whole.finalize();
        Ok(checksums)
    }

    /// Writes an object from a file on the disk, and lets `see` look at each piece of it, in order.
    pub(super) async fn upload(
        &self,
        path: &Path,
        files: &Arc<SourceFiles>,
        part: u32,
        bytes: u64,
        mut see: impl FnMut(&Bytes),
    ) -> Result<(), UploadError> {
        let failed = |error| UploadError::Bucket(BucketError::of("write", path, &error));
        if bytes <= UPLOAD_PIECE_BYTES {
            let piece = piece(files, part, ByteRange::at(0, bytes)).await?;
            see(&piece);
            return self.store().put(path, piece.into()).await.map(drop).map_err(failed);
        }
        let mut upload = self.store().put_multipart(path).await.map_err(failed)?;
        let mut at = 0;
        while at < bytes {
            let range = ByteRange::at(at, UPLOAD_PIECE_BYTES.min(bytes - at));
            let sent = async {
                let piece = piece(files, part, range).await?;
                see(&piece);
                upload.put_part(piece.into()).await.map_err(failed)
            };
            if let Err(error) = sent.await {
                // Else the pieces stay until the bucket's lifecycle removes them.
                let _ = upload.abort().await;
                return Err(error);
            }
            at = range.end;
        }
        upload.complete().await.map(drop).map_err(failed)
    }
}

/// A closed part of an attempt on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPart {
    /// Its ordinal, from 1.
    pub number: u32,
    /// Its file's name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// How much of it lies before its data end record.
    pub data_bytes: u64,
    /// How many messages it has.
    pub messages: u64,
}

/// Why a part was not written to the bucket.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It cannot be read from the disk any more.
    #[error(transparent)]
    Disk(#[from] StoreError),
    /// The bucket did not take it.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl UploadError {
    /// Whether a further try may do better.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Bucket(error) if error.kind() != BucketErrorKind::Misconfigured)
    }
}

async fn piece(files: &Arc<SourceFiles>, part: u32, range: ByteRange) -> Result<Bytes, StoreError> {
    let files = files.clone();
    let read = tokio::task::spawn_blocking(move || files.read(Position { part, range })).await;
    read.unwrap_or_else(|_| Err(StoreError::Discarded { part }))
}
