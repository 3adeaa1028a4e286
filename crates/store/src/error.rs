use std::io;
use std::path::{Path, PathBuf};

use rdl_model::ErrorKind;

/// What can go wrong with the disk store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part could not be written as MCAP.
    #[error("cannot write a part: {0}")]
    Part(#[from] rdl_mcap_io::OutputError),
    /// There is no room, and nothing that could be evicted. Nothing is half written, and the same
    /// call may be repeated.
    #[error(
        "the disk store is full: {needed_bytes} bytes more do not fit into the {max_bytes} that it \
         may use, or the disk has no more"
    )]
    Full {
        /// How many bytes were to be written.
        needed_bytes: u64,
        /// The bound of the store.
        max_bytes: u64,
    },
    /// The part was given up while its source loads; see [`crate::Attempt::discard_before`].
    #[error("part {part} was discarded to make room for the rest of its source")]
    Discarded {
        /// The ordinal of the part, from 1.
        part: u32,
    },
    /// A stored file is gone: evicted by another process, or removed by hand.
    #[error("the stored file {} is gone", path.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    }

    /// Like [`StoreError::io`], for a file that was there before.
    pub(crate) fn reading(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Gone { path },
            _ => StoreError::Io { action, path, source },
        }
    }

    /// Whether what was stored is not there any more.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Discarded { .. })
    }

    /// Whether there was no room; the same call may succeed later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Part(_) => ErrorKind::Internal,
            Self::Full { .. } | Self::Discarded { .. } | Self::Gone { .. } => {
                ErrorKind::Unavailable
            }
        }
    }
}

/// Whether the system says that the disk, or a quota on it, is used up.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
