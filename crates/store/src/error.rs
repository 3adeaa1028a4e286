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
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    }

    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Part(_) => ErrorKind::Internal,
        }
    }
}
