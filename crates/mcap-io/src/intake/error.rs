use rdl_model::ErrorKind;

use crate::{IdsExhausted, ScanError};

/// Why a body cannot be taken in any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// It ended before its footer and end magic: a broken connection, or a truncated file.
    #[error("the body ends at byte {position}, before its end magic")]
    Truncated {
        /// How many bytes there were.
        position: u64,
    },
    /// After a restart it did not give the data again that was already taken.
    #[error("the body is not the one that was begun: its data differs from what was taken before")]
    NotRepeatable,
    /// It is not MCAP, or over a limit.
    #[error("{0}")]
    Unreadable(ScanError),
    /// Its schemas, channels and metadata together are over a limit.
    #[error("its schemas, channels and metadata take more than {limit_bytes} bytes")]
    DefinitionsTooLarge {
        /// What they may take.
        limit_bytes: u64,
    },
    /// It has more schemas or channels than there are ids.
    #[error(transparent)]
    IdsExhausted(#[from] IdsExhausted),
    /// A new chunk could not be compressed.
    #[error("a chunk could not be compressed: {0}")]
    Compress(String),
    /// A large record could not be kept while it was taken in.
    #[error("a large record could not be kept on disk: {0}")]
    Spool(String),
}

impl IntakeError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Compress(_) | Self::Spool(_) => ErrorKind::Internal,
            _ => ErrorKind::BadGateway,
        }
    }

    /// Whether another try at the same body may end better. One that broke off may; a forged
    /// length comes again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Truncated { .. })
    }
}

impl From<ScanError> for IntakeError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Truncated { position } => Self::Truncated { position },
            error => Self::Unreadable(error),
        }
    }
}
