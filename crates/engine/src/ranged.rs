//! A source that lies elsewhere, in a static file or complete in the bucket: read by ranges, chunk
//! by chunk, each verified when it is first fetched.
//!
//! [`index`] learns the file's summary with one tail request (and what the summary lies outside of
//! it, with more). What cannot be read by ranges is loaded like a streamed source instead. The
//! chunks of the summary are *claimed*; [`Ranged::verify`] fetches, verifies and keeps them.
//!
//! What the bucket has needs no index of its own: `complete.json` holds the descriptors. When it
//! turns out not to be whole any more it is a miss: it is removed, the source is loaded again, and
//! those that read it go on ([`mending`]).
//!
//! Invariants: a chunk is served only after it was verified; a file that changes supersedes its
//! generation; a damaged chunk of a file is not fetched again.

mod fetching;
mod indexing;
mod keeping;
mod mending;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, Shared as SharedFuture};
use parking_lot::Mutex;
use rdl_fetch::RangeReader;
use rdl_mcap_io::{AttachmentRecord, Limits};
use rdl_model::ByteRange;
use rdl_store::{BucketError, BucketErrorKind, PartRead, RemoteParts};

use crate::EngineError;
use crate::sharing::Sharing;
use crate::source::Source;
use crate::viewers::Viewer;

pub(crate) use self::fetching::{COALESCE_BYTES, summary_lies};
pub(crate) use self::indexing::{index, key_of_file};
pub(crate) use self::keeping::{FetchedChunk, FetchedGroups};
use self::mending::Again;

/// Where the bytes of a generation lie, if not here.
pub(crate) struct Ranged {
    reader: Reader,
    limits: Limits,
    /// Fetches under way, by chunk: whoever needs a chunk of one shares it.
    fetches: Mutex<HashMap<u32, Fetch>>,
    /// Held by whoever makes a lost chunk again, with what that is made from.
    mending: tokio::sync::Mutex<Option<Again>>,
}

enum Reader {
    /// In a static file.
    File(RangeReader),
    /// In the bucket.
    Bucket(RemoteParts, Sharing),
}

/// What is being read of one object.
enum Incoming {
    /// All of it is here.
    Here {
        start: u64,
        bytes: Bytes,
    },
    Bucket(PartRead),
}

type Fetch = SharedFuture<BoxFuture<'static, Result<(), EngineError>>>;

impl Ranged {
    /// The parts of a complete source in the bucket.
    pub(crate) fn bucket(parts: RemoteParts, sharing: Sharing, limits: Limits) -> Ranged {
        Ranged {
            reader: Reader::Bucket(parts, sharing),
            limits,
            fetches: Mutex::default(),
            mending: tokio::sync::Mutex::default(),
        }
    }

    /// Whether it lies in the bucket.
    pub(crate) fn is_in_bucket(&self) -> bool {
        matches!(self.reader, Reader::Bucket(..))
    }

    /// Whether both lie in one object, so that one request reads them.
    fn is_one_object(&self, a: ByteRange, b: ByteRange) -> bool {
        match &self.reader {
            Reader::File(_) => true,
            Reader::Bucket(parts, _) => parts.part_of(a) == parts.part_of(b),
        }
    }

    /// Reads bytes; those of a file with a viewer's access.
    pub(crate) async fn read(
        &self,
        source: &Source,
        viewer: Option<&Viewer>,
        range: ByteRange,
    ) -> Result<Bytes, EngineError> {
        match &self.reader {
            Reader::File(reader) => {
                let viewer = viewer.ok_or(EngineError::TaskDied)?;
                self.read_file(reader, source, viewer, range).await
            }
            Reader::Bucket(parts, _) => self.read_bucket(parts, source, range).await,
        }
    }

    async fn read_bucket(
        &self,
        parts: &RemoteParts,
        source: &Source,
        range: ByteRange,
    ) -> Result<Bytes, EngineError> {
        self.read_of_bucket(source, parts.read(range).await)
    }

    /// Reads the bytes of one object, as they come where they come from the bucket; those of a file
    /// with a viewer's access.
    async fn read_along(
        &self,
        source: &Source,
        viewer: Option<&Viewer>,
        range: ByteRange,
    ) -> Result<Incoming, EngineError> {
        match &self.reader {
            Reader::File(_) => {
                let bytes = self.read(source, viewer, range).await?;
                Ok(Incoming::Here { start: range.start, bytes })
            }
            Reader::Bucket(parts, _) => Ok(Incoming::Bucket(parts.read_along(range))),
        }
    }

    /// Of what [`Ranged::read_along`] reads, the bytes at `range`, which lies behind what was taken
    /// before.
    async fn take(
        &self,
        source: &Source,
        incoming: &mut Incoming,
        range: ByteRange,
    ) -> Result<Bytes, EngineError> {
        match incoming {
            Incoming::Here { start, bytes } => {
                let offset = |at: u64| usize::try_from(at - *start).unwrap_or(usize::MAX);
                Ok(bytes.slice(offset(range.start)..offset(range.end)))
            }
            Incoming::Bucket(read) => self.read_of_bucket(source, read.take(range).await),
        }
    }

    fn read_of_bucket(
        &self,
        source: &Source,
        read: Result<Bytes, BucketError>,
    ) -> Result<Bytes, EngineError> {
        match read {
            Ok(bytes) => Ok(bytes),
            Err(error)
                if matches!(error.kind(), BucketErrorKind::NotFound | BucketErrorKind::Damaged) =>
            {
                let (source_name, what) = (source.name.clone(), error.to_string().into());
                Err(EngineError::DamagedCopy { source_name, what })
            }
            Err(error) => {
                // The data backend may be there where the bucket is not.
                self.supersede(source);
                if let Reader::Bucket(parts, sharing) = &self.reader {
                    sharing.avoid_for_now(parts.attempt());
                }
                tracing::warn!(source = %source.name, %error, "a source cannot be read from the bucket");
                Err(EngineError::Changed { source_name: source.name.clone() })
            }
        }
    }

    fn supersede(&self, source: &Source) {
        let changed = EngineError::Changed { source_name: source.name.clone() };
        let current = source.current();
        let is_ours =
            current.state().ranged.as_deref().is_some_and(|ranged| std::ptr::eq(ranged, self));
        if is_ours {
            source.supersede(&current, changed);
        }
    }

    /// A refusal makes it ask the manifest once more.
    async fn read_file(
        &self,
        reader: &RangeReader,
        source: &Source,
        viewer: &Viewer,
        range: ByteRange,
    ) -> Result<Bytes, EngineError> {
        loop {
            let access = viewer.access()?;
            let error = match reader.read(&access, range).await {
                Ok(bytes) => {
                    viewer.answered(&access);
                    return Ok(bytes);
                }
                Err(error) => error,
            };
            if error.is_changed() {
                self.supersede(source);
                return Err(EngineError::Changed { source_name: source.name.clone() });
            }
            let refused = error.is_refusal();
            let source_name = source.name.clone();
            let error = EngineError::Fetch { source_name, error: Arc::new(error) };
            if !refused || !viewer.renew(&access, &error).await {
                return Err(error);
            }
        }
    }

    /// What the bucket has is not whole any more, and cannot be mended: the source is loaded again for
    /// whoever comes next.
    pub(crate) async fn lose(&self, source: &Source) -> EngineError {
        self.forget_copy(source).await;
        self.supersede(source);
        EngineError::Changed { source_name: source.name.clone() }
    }

    /// Reads the attachment record at `range`; `None` where it is not one or is damaged. One that the
    /// bucket has lost ends the response, and the source is loaded again for the next.
    pub(crate) async fn attachment(
        &self,
        source: &Source,
        viewer: Option<&Viewer>,
        range: ByteRange,
    ) -> Result<Option<AttachmentRecord>, EngineError> {
        let read = self.read(source, viewer, range).await;
        let is_lost = match &read {
            Ok(bytes) => self.is_in_bucket() && AttachmentRecord::from_record_bytes(bytes).is_err(),
            Err(error) => matches!(error, EngineError::DamagedCopy { .. }),
        };
        if is_lost {
            return Err(self.lose(source).await);
        }
        Ok(AttachmentRecord::from_record_bytes(&read?).ok())
    }
}
