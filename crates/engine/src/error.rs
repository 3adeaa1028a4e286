use std::sync::Arc;
use std::time::Duration;

use rdl_fetch::FetchError;
use rdl_mcap_io::{IntakeError, OutputError};
use rdl_merge::LayoutError;
use rdl_model::ErrorKind;
use rdl_store::{BucketError, StoreError};

/// Why a request cannot be answered, or not to its end. Cheap to clone: everyone who waits for a
/// source is told the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The manifest could not be had.
    #[error("{0}")]
    Manifest(Arc<FetchError>),
    /// A source could not be fetched.
    #[error("source {source_name}: {error}")]
    Fetch {
        /// Which source.
        source_name: Arc<str>,
        /// Why.
        error: Arc<FetchError>,
    },
    /// A source's body is not what it should be.
    #[error("source {source_name}: {error}")]
    Data {
        /// Which source.
        source_name: Arc<str>,
        /// Why.
        error: Arc<IntakeError>,
    },
    /// A source's connection broke at the same place until its time was up.
    #[error("source {source_name}: the connection keeps breaking, last: {last}")]
    KeepsBreaking {
        /// Which source.
        source_name: Arc<str>,
        /// The last break.
        last: Arc<str>,
    },
    /// A source's body differed from try to try.
    #[error(
        "source {source_name}: the data endpoint gives different data at every try \
         (source-not-repeatable); answer the same request with the same messages"
    )]
    NotRepeatable {
        /// Which source.
        source_name: Arc<str>,
    },
    /// A source became another while it was served.
    #[error("source {source_name}: its data changed while it was being served; ask again")]
    Changed {
        /// Which source.
        source_name: Arc<str>,
    },
    /// The manifest endpoint grants a source no more.
    #[error("source {source_name}: the manifest endpoint grants it no more")]
    Withdrawn {
        /// Which source.
        source_name: Arc<str>,
    },
    /// A stored chunk of a source cannot be read any more.
    #[error("source {source_name}: a stored chunk cannot be read: {what}; ask again")]
    StoredChunk {
        /// Which source.
        source_name: Arc<str>,
        /// Its position in the manifest.
        position: u32,
        /// What is wrong with it.
        what: Arc<str>,
    },
    /// What the bucket has of a source is damaged, or came damaged.
    #[error("source {source_name}: its copy in the bucket is damaged: {what}; ask again")]
    DamagedCopy {
        /// Which source.
        source_name: Arc<str>,
        /// How.
        what: Arc<str>,
    },
    /// The bucket cannot be used as it is configured.
    #[error("{0}")]
    Misconfigured(Arc<BucketError>),
    /// Every response that the memory limit allows is being served.
    #[error(
        "the memory for responses is spent (MEMORY_LIMIT_BYTES); ask again in a moment, ask \
         another replica, or raise the limit"
    )]
    MemorySpent,
    /// The disk store failed.
    #[error("the disk store failed: {0}")]
    Store(Arc<StoreError>),
    /// The response cannot be written.
    #[error("{0}")]
    Output(Arc<OutputError>),
    /// The virtual file is not there yet.
    #[error(
        "the file is not ready: {ready} of {sources} sources are, {loaded_bytes} bytes are loaded; \
         loading goes on, ask again"
    )]
    FileNotReady {
        /// How many sources are known whole.
        ready: usize,
        /// How many there are.
        sources: usize,
        /// How much of the streamed ones is loaded.
        loaded_bytes: u64,
    },
    /// A cut is not made yet.
    #[error(
        "the cut is being made: {written_bytes} bytes are written, {kept_bytes} of them are in the \
         bucket; ask again"
    )]
    CutNotReady {
        /// How much of it is written.
        written_bytes: u64,
        /// How much of it is in the bucket, if there is one.
        kept_bytes: u64,
    },
    /// The disk has no room for a cut.
    #[error(
        "the disk store has no room for this cut (REQUEST_CACHE_MAX_BYTES); ask for a shorter time \
         or fewer topics, or for the stream"
    )]
    CutTooLarge,
    /// A cut cannot be read from the bucket now.
    #[error("the cut cannot be read from the bucket now: {what}; ask again")]
    CutAway {
        /// Why.
        what: Arc<str>,
    },
    /// Whoever asks gets what is kept, and that is not all of it.
    #[error("the token has run out, and not everything is kept; ask with another")]
    GrantEnded,
    /// The bytes of a virtual file cannot be had any more.
    #[error("these bytes are gone: {why}; open the recording anew")]
    FileGone {
        /// Why.
        why: Arc<str>,
    },
    /// There can be no virtual file.
    #[error("{0}")]
    Layout(Arc<LayoutError>),
    /// The viewer took nothing for too long, while others waited for the room that it held.
    #[error(
        "the viewer took nothing for too long, and a source that is larger than the disk store \
         (REQUEST_CACHE_MAX_BYTES) cannot wait for it"
    )]
    CutOff,
    /// The disk store has no room for a source.
    #[error(
        "source {source_name}: the disk store is full of what others read; raise \
         REQUEST_CACHE_MAX_BYTES, or ask for fewer topics or a shorter time"
    )]
    NoRoom {
        /// Which source.
        source_name: Arc<str>,
    },
    /// The threads of the process could not be started.
    #[error("cannot start threads: {0}")]
    Threads(Arc<str>),
    /// The loader is shutting down.
    #[error("the loader is shutting down; ask another one")]
    ShuttingDown,
    /// A bug: a task died.
    #[error("an internal task died; this is a bug of the loader")]
    TaskDied,
}

impl EngineError {
    /// Whether the disk had no room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_full())
    }

    /// Whether a file that could not be made for this reason is not begun again for a while.
    pub(crate) fn lasts_for_files(&self) -> bool {
        matches!(self, Self::FileGone { .. } | Self::NoRoom { .. } | Self::CutTooLarge)
    }

    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Manifest(error) => error.kind(),
            // A refusal of a source belongs to the caller's token and goes back to the caller;
            // any other fault of a source is the backend's.
            Self::Fetch { error, .. } => match error.kind() {
                kind @ (ErrorKind::Unauthorized
                | ErrorKind::Forbidden
                | ErrorKind::GatewayTimeout
                | ErrorKind::TooLarge) => kind,
                _ => ErrorKind::BadGateway,
            },
            Self::Data { .. } | Self::KeepsBreaking { .. } | Self::NotRepeatable { .. } => {
                ErrorKind::BadGateway
            }
            Self::Changed { .. }
            | Self::StoredChunk { .. }
            | Self::DamagedCopy { .. }
            | Self::MemorySpent
            | Self::CutOff
            | Self::NoRoom { .. }
            | Self::ShuttingDown => ErrorKind::Unavailable,
            Self::FileNotReady { .. } | Self::CutNotReady { .. } | Self::CutAway { .. } => {
                ErrorKind::Unavailable
            }
            Self::CutTooLarge => ErrorKind::TooLarge,
            Self::Withdrawn { .. } => ErrorKind::Forbidden,
            Self::FileGone { .. } => ErrorKind::Gone,
            Self::GrantEnded => ErrorKind::Unauthorized,
            Self::Layout(error) => error.kind(),
            Self::Output(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Threads(_) | Self::Misconfigured(_) | Self::TaskDied => ErrorKind::Internal,
        }
    }

    /// What the data backend says to the user in `x-foxglove-error-message`.
    pub fn user_message(&self) -> Option<&str> {
        match self {
            Self::Manifest(error) | Self::Fetch { error, .. } => error.user_message(),
            _ => None,
        }
    }

    /// Whether it belongs to the token that was used, and to nobody else.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Fetch { error, .. } => error.is_refusal(),
            Self::GrantEnded => true,
            _ => false,
        }
    }

    /// When asking again may help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            // Somebody who watches a recording leaves only after a while.
            Self::MemorySpent => Some(Duration::from_secs(5)),
            Self::FileNotReady { .. } | Self::CutNotReady { .. } => Some(Duration::from_secs(2)),
            _ => (self.kind() == ErrorKind::Unavailable).then_some(Duration::from_secs(1)),
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<LayoutError> for EngineError {
    fn from(error: LayoutError) -> Self {
        Self::Layout(Arc::new(error))
    }
}

impl From<OutputError> for EngineError {
    fn from(error: OutputError) -> Self {
        Self::Output(Arc::new(error))
    }
}
