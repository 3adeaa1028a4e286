//! One file in one version: a whole recording, or a cut.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::cut::CutFile;
use super::laid::LaidFile;
use super::version::{Body, FileVersion};
use crate::EngineError;

/// A file that is being opened: whoever wants it waits for the same.
pub(super) type OpeningFile = BoxFuture<'static, Result<Arc<VirtualFile>, EngineError>>;

/// One file in one version.
pub(super) enum VirtualFile {
    /// A whole recording, put together from where it lies.
    Laid(LaidFile),
    /// The answer to a query, kept.
    Cut(CutFile),
}

impl VirtualFile {
    pub(super) fn version(&self) -> FileVersion {
        match self {
            Self::Laid(file) => file.version(),
            Self::Cut(file) => file.version(),
        }
    }

    /// How long it is, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Laid(file) => file.layout.bytes,
            Self::Cut(file) => file.bytes(),
        }
    }

    /// About what it takes in memory, with what is known of its sources, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Laid(file) => file.memory_bytes(),
            Self::Cut(file) => size_of_val(file.bodies()),
        }
    }

    /// The bodies of sources that it was made from.
    pub(super) fn bodies(&self) -> &[Body] {
        match self {
            Self::Laid(file) => file.bodies(),
            Self::Cut(file) => file.bodies(),
        }
    }

    /// How many chunks overlap somewhere, if those are too many to be held open by a reader.
    pub(super) fn wide_overlap(&self) -> Option<usize> {
        match self {
            Self::Laid(file) => file.wide_overlap(),
            Self::Cut(_) => None,
        }
    }

    /// Why its bytes cannot be had any more, if a source is found to be another one. A cut has its
    /// own.
    pub(super) fn changed(&self) -> Option<EngineError> {
        match self {
            Self::Laid(file) => file.changed(),
            Self::Cut(_) => None,
        }
    }

    /// The sources from which it is read.
    pub(super) fn laid(&self) -> Option<&LaidFile> {
        match self {
            Self::Laid(file) => Some(file),
            Self::Cut(_) => None,
        }
    }
}
