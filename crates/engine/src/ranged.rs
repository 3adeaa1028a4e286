//! A static source: read by ranges, chunk by chunk, each verified when it is first fetched.
//!
//! [`index`] learns the file's summary with one tail request (and what the summary lies outside of
//! it, with more). What cannot be read by ranges is loaded like a streamed source instead. The
//! chunks of the summary are *claimed*; [`Ranged::verify`] fetches, verifies and keeps them.
//!
//! Invariants: a chunk is served only after it was verified; a file that changes supersedes its
//! generation; a damaged chunk is not fetched again.

mod fetching;
mod indexing;
mod keeping;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, Shared as SharedFuture};
use parking_lot::Mutex;
use rdl_fetch::RangeReader;
use rdl_mcap_io::{AttachmentRecord, Limits};
use rdl_model::ByteRange;

use crate::EngineError;
use crate::source::Source;
use crate::viewers::Viewer;

pub(crate) use self::indexing::index;
pub(crate) use self::keeping::{FetchedChunk, FetchedGroups};

/// The file behind a generation of a static source.
pub(crate) struct Ranged {
    reader: RangeReader,
    limits: Limits,
    /// Fetches under way, by chunk: whoever needs a chunk of one shares it.
    fetches: Mutex<HashMap<u32, Fetch>>,
}

type Fetch = SharedFuture<BoxFuture<'static, Result<(), EngineError>>>;

impl Ranged {
    /// Reads bytes with a viewer's access; a refusal makes it ask the manifest once more.
    async fn read(
        &self,
        source: &Source,
        viewer: &Viewer,
        range: ByteRange,
    ) -> Result<Bytes, EngineError> {
        loop {
            let error = match self.reader.read(&viewer.access(), range).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if error.is_changed() {
                let changed = EngineError::Changed { source_name: source.name.clone() };
                let current = source.current();
                if current
                    .state()
                    .ranged
                    .as_deref()
                    .is_some_and(|ranged| std::ptr::eq(ranged, self))
                {
                    source.supersede(&current, changed.clone());
                }
                return Err(changed);
            }
            let refused = error.is_refusal();
            let source_name = source.name.clone();
            let error = EngineError::Fetch { source_name, error: Arc::new(error) };
            if !refused || !viewer.renew(&source.key, &error).await {
                return Err(error);
            }
        }
    }

    /// Reads the attachment record at `range`; `None` where it is not one or is damaged.
    pub(crate) async fn attachment(
        &self,
        source: &Source,
        viewer: &Viewer,
        range: ByteRange,
    ) -> Result<Option<AttachmentRecord>, EngineError> {
        let bytes = self.read(source, viewer, range).await?;
        Ok(AttachmentRecord::from_record_bytes(&bytes).ok())
    }
}
