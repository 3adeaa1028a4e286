//! Where the bytes of a load come from: the data endpoint, or the parts of another replica's load.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdl_fetch::{Access, Download, FetchError, HttpClient};
use rdl_mcap_io::IntakeError;
use rdl_model::Problem;
use rdl_store::AttemptName;
use tokio::sync::OwnedSemaphorePermit;

use super::sorted::Sorted;
use crate::EngineError;
use crate::shared::Shared;
use crate::sharing::{FollowEnded, Followed, FollowedPiece, Sharing};
use crate::viewers::Viewer;

/// Whom a load asks.
pub(super) enum Asked<'a> {
    /// The data endpoint, with a viewer's access.
    Backend(&'a Viewer, &'a Access),
    /// The same, to go on where the parts of another replica ended that are in another order.
    BackendSorted(Arc<Shared>, &'a Viewer, &'a Access, OwnedSemaphorePermit),
    /// The bucket, for what another replica loads.
    Attempt(&'a Sharing, AttemptName),
}

/// A body, as it comes.
pub(super) enum Body {
    Download(Download),
    Sorted(Sorted),
    Followed {
        followed: Followed,
        problems: Vec<Problem>,
        /// Whether what was given out last ends a part.
        ended_a_part: bool,
    },
}

/// Why a body gives no more.
pub(super) enum BodyError {
    Fetch(FetchError),
    Data(IntakeError),
    Engine(EngineError),
    Follow(FollowEnded),
}

impl Body {
    pub(super) async fn open(http: &HttpClient, asked: Asked<'_>) -> Result<Body, FetchError> {
        match asked {
            Asked::Backend(viewer, access) => {
                Ok(Self::Download(download(http, viewer, access).await?))
            }
            Asked::BackendSorted(shared, viewer, access, permit) => {
                let download = download(http, viewer, access).await?;
                Ok(Self::Sorted(Sorted::start(shared, download, permit)))
            }
            Asked::Attempt(sharing, attempt) => Ok(Self::Followed {
                followed: Followed::open(sharing, attempt),
                problems: Vec::new(),
                ended_a_part: false,
            }),
        }
    }

    /// The next bytes; `None` at the end. A dropped future loses nothing.
    pub(super) async fn next(&mut self, stall: Duration) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Download(download) => download.next(stall).await.map_err(BodyError::Fetch),
            Self::Sorted(sorted) => sorted.next().await,
            Self::Followed { followed, problems, ended_a_part } => loop {
                match followed.next().await.map_err(BodyError::Follow)? {
                    FollowedPiece::Data(bytes) => return Ok(Some(bytes)),
                    FollowedPiece::PartEnd => {
                        *ended_a_part = true;
                        return Ok(Some(Bytes::new()));
                    }
                    FollowedPiece::Problems(found) => *problems = found,
                    FollowedPiece::End => return Ok(None),
                }
            },
        }
    }

    /// The attempt of another replica that it comes from.
    pub(super) fn followed(&self) -> Option<&AttemptName> {
        match self {
            Self::Download(_) | Self::Sorted(_) => None,
            Self::Followed { followed, .. } => Some(followed.attempt()),
        }
    }

    /// The load makes it wait: that is not its silence.
    pub(super) fn pause(&mut self) {
        if let Self::Download(download) = self {
            download.pause();
        }
    }

    /// What whoever loaded it first has found wrong with it.
    pub(super) fn take_problems(&mut self) -> Vec<Problem> {
        match self {
            Self::Download(_) => Vec::new(),
            Self::Sorted(sorted) => sorted.take_problems(),
            Self::Followed { problems, .. } => std::mem::take(problems),
        }
    }

    /// Whether what came has another order than the data endpoint's body, or lacks something.
    pub(super) fn is_mended(&self) -> bool {
        match self {
            Self::Download(_) => false,
            Self::Sorted(_) => true,
            Self::Followed { followed, .. } => !followed.is_as_it_came(),
        }
    }

    /// Whether a part has ended since this was last asked.
    pub(super) fn take_part_end(&mut self) -> bool {
        match self {
            Self::Download(_) | Self::Sorted(_) => false,
            Self::Followed { ended_a_part, .. } => std::mem::take(ended_a_part),
        }
    }
}

async fn download(
    http: &HttpClient,
    viewer: &Viewer,
    access: &Access,
) -> Result<Download, FetchError> {
    let download = Download::open(http, access).await?;
    viewer.answered(access);
    Ok(download)
}
