use std::path::PathBuf;

use object_store::path::Path;
use rdl_store::{BucketError, BucketErrorKind};
use remote_data_loader_backend::ErrorReply;

use crate::reply::unavailable;

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

/// What is said of a file that the backend has no right to.
pub(crate) const MAY_NOT: &str = "it may not be read by the backend: give it the right to";

/// Why files could not be read. What the store said is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The file is another one than the one that was looked at, or gone.
    Changed,
    /// The store did not do it.
    Store(BucketErrorKind),
    /// This file may not be read, whatever becomes of the others.
    Forbidden,
    /// There are more of these than that many.
    TooMany(usize, &'static str),
    /// Too many files wait to be read.
    Busy,
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

impl From<Trouble> for ErrorReply {
    fn from(trouble: Trouble) -> ErrorReply {
        match trouble {
            Trouble::Changed => unavailable("a file has just changed: ask again"),
            Trouble::Store(BucketErrorKind::Refused) => unavailable(
                "the files cannot be read: the bucket refuses the backend's credentials",
            ),
            Trouble::Store(_) => unavailable("the files cannot be read now: ask again"),
            Trouble::Forbidden => ErrorReply::not_found(MAY_NOT),
            Trouble::Busy => {
                unavailable("too many files are being read or sent: ask again in a while")
            }
            Trouble::TooMany(most, what) => ErrorReply::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                format!("there are more than {most} {what}: serve a folder or prefix with fewer"),
            ),
            Trouble::Stopped => unavailable("the backend is stopping"),
        }
    }
}
