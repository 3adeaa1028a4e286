use std::path::PathBuf;

use object_store::path::Path;
use rdl_store::{BucketError, BucketErrorKind};

use crate::reply::Refusal;

/// Why the backend cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no folder that can be listed.
    #[error("cannot list the folder {}: {_1}", _0.display())]
    Folder(PathBuf, std::io::Error),
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(BucketError),
    /// The prefix is no path in a bucket.
    #[error("{_0:?} is no prefix of objects' names")]
    Prefix(String),
    /// The keys of tokens cannot be asked for.
    #[error("cannot ask for the keys of tokens: {_0}")]
    Keys(String),
}

/// Why files could not be read. What the store said is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The file is another one than the one that was looked at, or gone.
    Changed,
    /// The store did not do it.
    Store(BucketErrorKind),
    /// There are more files than this.
    TooMany(usize),
    /// This process is ending.
    Stopped,
}

impl Trouble {
    /// Logs what the store said.
    pub(crate) fn of(action: &'static str, path: &Path, error: &object_store::Error) -> Trouble {
        let error = BucketError::of(action, path, error);
        tracing::warn!(%error, "the store failed");
        Trouble::Store(error.kind())
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Refusal {
        match trouble {
            Trouble::Changed => Refusal::unavailable("a file has just changed: ask again"),
            Trouble::Store(BucketErrorKind::Refused) => Refusal::unavailable(
                "the files cannot be read: the bucket refuses the backend's credentials",
            ),
            Trouble::Store(_) => Refusal::unavailable("the files cannot be read now: ask again"),
            Trouble::TooMany(most) => Refusal::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                format!("there are more than {most} files: serve a folder or prefix with fewer"),
            ),
            Trouble::Stopped => Refusal::unavailable("the backend is stopping"),
        }
    }
}
