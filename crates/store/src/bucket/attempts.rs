//! Attempts at a source, from claim to completion.

use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use rdl_mcap_io::Index;
use rdl_model::SourceKey;
use serde::{Deserialize, Serialize};

use super::names::{claim_name, claimed_epoch};
use super::parts::RemoteParts;
use super::{AttemptName, Bucket, BucketError, BucketErrorKind, MAX_DOCUMENT_BYTES, Running};
use crate::attempt::PartInfo;
use crate::complete::{self, COMPLETE};

pub(super) const RUNNING: &str = "running.json";
const FOLLOWER: &str = "follower-";

/// A claim or a follower's mark larger than this is none, in bytes.
const MAX_NOTE_BYTES: u64 = 4 << 10;

const PARSED_AT_ONCE_BYTES: usize = 256 << 10;

/// How many attempts are looked at side by side.
const HEADS: usize = 8;

/// How often a source that was claimed before is looked for until it counts as free.
const LOOKS: u32 = 2;

/// What the bucket has of a source.
pub enum Look {
    /// A complete attempt.
    Complete(Box<RemoteSource>),
    /// A complete attempt of another version of the loader: of no use, and not to be replaced.
    Foreign,
    /// The newest claim is of this attempt, which may be alive or dead.
    Claimed(AttemptName),
    /// Nobody loads it; this epoch may be claimed.
    Free {
        /// The next one.
        epoch: u32,
    },
}

/// A complete source in the bucket.
pub struct RemoteSource {
    /// What is known of it. The positions are those of its parts.
    pub index: Index,
    /// Its chunks.
    pub parts: RemoteParts,
    /// Whether nothing is left of claims and attempts that it supersedes.
    pub is_tidy: bool,
}

/// What a claim says.
#[derive(Serialize, Deserialize)]
struct Claim {
    attempt: String,
    replica: String,
}

/// A follower's mark.
#[derive(Serialize, Deserialize)]
struct Mark {
    counter: u64,
}

/// The direct children of a source's folder.
struct Children {
    claims: Vec<u32>,
    attempts: Vec<AttemptName>,
}

impl Bucket {
    pub(super) fn source_path(&self, key: &SourceKey) -> Path {
        self.path(&format!("sources/{key}"))
    }

    pub(super) fn attempt_path(&self, attempt: &AttemptName, file: &str) -> Path {
        self.path(&format!("sources/{}/{attempt}/{file}", attempt.key))
    }

    fn claim_path(&self, key: &SourceKey, epoch: u32) -> Path {
        self.path(&format!("sources/{key}/{}", claim_name(epoch)))
    }

    async fn children(&self, key: &SourceKey) -> Result<Children, BucketError> {
        let path = self.source_path(key);
        let listed = self.store().list_with_delimiter(Some(&path)).await;
        let listed = listed.map_err(|error| BucketError::of("list", &path, &error))?;
        let claims = listed.objects.iter().filter_map(|object| object.location.filename());
        let folders = listed.common_prefixes.iter().filter_map(Path::filename);
        Ok(Children {
            claims: claims.filter_map(claimed_epoch).collect(),
            attempts: folders.filter_map(|folder| AttemptName::parse(*key, folder)).collect(),
        })
    }

    /// What there is of a source. Of several complete attempts the one that the store dates
    /// earliest counts, then the least name. One whose `complete.json` cannot be used is removed,
    /// for certain damage alone.
    pub async fn look(&self, key: &SourceKey) -> Result<Look, BucketError> {
        let mut looked = 0;
        loop {
            looked += 1;
            match self.look_once(key).await? {
                // Whoever completes a source removes its claim: it may be complete by now.
                Look::Free { epoch } if epoch > 1 && looked < LOOKS => {}
                look => return Ok(look),
            }
        }
    }

    async fn look_once(&self, key: &SourceKey) -> Result<Look, BucketError> {
        let Children { claims, mut attempts } = self.children(key).await?;
        let completed = self.completed(&attempts).await?;
        let is_tidy = claims.is_empty() && completed.len() == attempts.len();
        for attempt in completed {
            let path = self.attempt_path(&attempt, COMPLETE);
            let parsed = match self.get(&path, MAX_DOCUMENT_BYTES).await {
                Ok(None) => continue,
                Ok(Some((text, _))) => match parse(text.clone()).await {
                    Err(_) if complete::is_foreign(&text) => return Ok(Look::Foreign),
                    parsed => parsed,
                },
                Err(error) if error.kind() == BucketErrorKind::Damaged => Err(error.to_string()),
                Err(error) => return Err(error),
            };
            match parsed {
                Ok((index, parts)) => {
                    let parts = RemoteParts::new(self.clone(), attempt.clone(), &parts);
                    let found = RemoteSource { index, parts, is_tidy };
                    return Ok(Look::Complete(Box::new(found)));
                }
                Err(what) => {
                    tracing::warn!(%attempt, what, "a complete source in the bucket is damaged; it is removed");
                    self.remove(&attempt).await?;
                    attempts.retain(|other| *other != attempt);
                }
            }
        }
        let newest_attempt = attempts.iter().map(|attempt| attempt.epoch).max();
        let Some(newest) = claims.iter().copied().max() else {
            // Whoever claims an epoch writes there first: it is this one that decides.
            return Ok(Look::Free { epoch: newest_attempt.unwrap_or(1) });
        };
        let claimed = self.claimed_by(key, newest).await?;
        let claimed = claimed.filter(|attempt| attempts.contains(attempt));
        Ok(match claimed {
            Some(attempt) => Look::Claimed(attempt),
            // What was claimed is gone: purged, or removed by the bucket's lifecycle.
            None => Look::Free { epoch: (newest + 1).max(newest_attempt.unwrap_or(0)) },
        })
    }

    /// Those of the attempts that may be complete, the one that counts first.
    async fn completed(&self, attempts: &[AttemptName]) -> Result<Vec<AttemptName>, BucketError> {
        if let [only] = attempts {
            // Reading it tells.
            return Ok(vec![only.clone()]);
        }
        let dated = attempts.iter().cloned().map(|attempt| async move {
            let completed_at = self.completed_at(&attempt).await?;
            Ok(completed_at.map(|at| (at, attempt)))
        });
        let dated: Vec<Option<_>> =
            futures::stream::iter(dated).buffered(HEADS).try_collect().await?;
        let mut dated: Vec<_> = dated.into_iter().flatten().collect();
        dated.sort();
        Ok(dated.into_iter().map(|(_, attempt)| attempt).collect())
    }

    /// Whose an epoch is; `None` when it is nobody's.
    async fn claimed_by(
        &self,
        key: &SourceKey,
        epoch: u32,
    ) -> Result<Option<AttemptName>, BucketError> {
        let found = self.get(&self.claim_path(key, epoch), MAX_NOTE_BYTES).await;
        let found = match found {
            Err(error) if error.kind() == BucketErrorKind::Damaged => None,
            found => found?,
        };
        let claim = found.and_then(|(text, _)| serde_json::from_slice::<Claim>(&text).ok());
        let attempt = claim.and_then(|claim| AttemptName::parse(*key, &claim.attempt));
        Ok(attempt.filter(|attempt| attempt.epoch == epoch))
    }

    /// Claims the attempt's epoch for it; `false` when somebody else has it. A claim that a lost
    /// answer hid is recognised as its own.
    pub async fn claim(&self, attempt: &AttemptName) -> Result<bool, BucketError> {
        self.put_running(attempt, &Running::begun()).await?;
        let claim = Claim { attempt: attempt.to_string(), replica: self.replica().to_string() };
        let path = self.claim_path(&attempt.key, attempt.epoch);
        let text = to_json(&claim, &path)?;
        let created = self.create(&path, text).await?;
        let claims =
            (created && !self.overwrites_in_silence()) || self.still_claims(attempt).await?;
        // A claim may be free because its source was completed just now.
        if claims && self.is_complete_elsewhere(attempt).await? {
            self.give_up(attempt).await?;
            return Ok(false);
        }
        if !claims {
            // What is left of it is superseded one day.
            let _ = self.remove(attempt).await;
        }
        Ok(claims)
    }

    /// Whether the claim of the attempt's epoch is its own, and there is no newer one.
    pub async fn still_claims(&self, attempt: &AttemptName) -> Result<bool, BucketError> {
        let children = self.children(&attempt.key).await?;
        if children.claims.iter().any(|epoch| *epoch > attempt.epoch) {
            return Ok(false);
        }
        let owner = self.claimed_by(&attempt.key, attempt.epoch).await?;
        Ok(owner.as_ref() == Some(attempt))
    }

    /// Says how far the attempt is.
    pub async fn put_running(
        &self,
        attempt: &AttemptName,
        running: &Running,
    ) -> Result<(), BucketError> {
        let path = self.attempt_path(attempt, RUNNING);
        self.put(&path, to_json(running, &path)?).await
    }

    /// How far an attempt is; `None` when there is nothing of it.
    pub async fn running(&self, attempt: &AttemptName) -> Result<Option<Running>, BucketError> {
        let path = self.attempt_path(attempt, RUNNING);
        let Some((text, _)) = self.get(&path, MAX_DOCUMENT_BYTES).await? else { return Ok(None) };
        let running = serde_json::from_slice(&text);
        running.map(Some).map_err(|error| BucketError::unusable(&path, &error.to_string()))
    }

    /// Makes the attempt visible as complete, if it still may be: its claim is its own, no other
    /// attempt is complete, and its parts are there. `complete` is the text of `complete.json`.
    /// Otherwise `false`, and the attempt is to be given up.
    pub async fn complete(
        &self,
        attempt: &AttemptName,
        parts: &[(String, u64)],
        complete: Bytes,
    ) -> Result<bool, BucketError> {
        if self.is_complete(attempt).await? {
            // The answer to an earlier try was lost.
            return Ok(true);
        }
        if !self.still_claims(attempt).await? || self.is_complete_elsewhere(attempt).await? {
            return Ok(false);
        }
        let folder = self.attempt_path(attempt, "");
        let listed = self.store().list(Some(&folder)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| BucketError::of("list", &folder, &error))?;
        let is_there = |(name, bytes): &(String, u64)| {
            let mut found = listed.iter();
            found.any(|object| object.location.filename() == Some(name) && object.size == *bytes)
        };
        if !parts.iter().all(is_there) {
            return Ok(false);
        }
        // That it is there already is a lost answer: nobody else writes under this name.
        self.create(&self.attempt_path(attempt, COMPLETE), complete).await?;
        Ok(true)
    }

    /// Whether the attempt is visible as complete.
    pub async fn is_complete(&self, attempt: &AttemptName) -> Result<bool, BucketError> {
        Ok(self.completed_at(attempt).await?.is_some())
    }

    /// When the attempt was completed, by the store's clock; `None` when it was not.
    async fn completed_at(&self, attempt: &AttemptName) -> Result<Option<SystemTime>, BucketError> {
        let path = self.attempt_path(attempt, COMPLETE);
        match self.store().head(&path).await {
            Ok(found) => Ok(Some(found.last_modified.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(BucketError::of("read", &path, &error)),
        }
    }

    async fn is_complete_elsewhere(&self, attempt: &AttemptName) -> Result<bool, BucketError> {
        for other in self.children(&attempt.key).await?.attempts {
            if other != *attempt && self.is_complete(&other).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a complete attempt that cannot be used out of sight. What is left of it stays for those
    /// who read it, until another is complete.
    pub(super) async fn forget(&self, attempt: &AttemptName) -> Result<(), BucketError> {
        self.delete(&self.attempt_path(attempt, COMPLETE)).await
    }

    /// Says that this replica follows the attempt. `counter` has to be another each time.
    pub async fn mark_follower(
        &self,
        attempt: &AttemptName,
        counter: u64,
    ) -> Result<(), BucketError> {
        let path = self.attempt_path(attempt, &format!("{FOLLOWER}{}.json", self.replica()));
        self.put(&path, to_json(&Mark { counter }, &path)?).await
    }

    /// Takes the mark back.
    pub async fn unmark_follower(&self, attempt: &AttemptName) -> Result<(), BucketError> {
        let name = format!("{FOLLOWER}{}.json", self.replica());
        self.delete(&self.attempt_path(attempt, &name)).await
    }

    /// The marks of those who follow the attempt: another value whenever any of them has changed.
    /// Empty when there are none.
    pub async fn followers(
        &self,
        attempt: &AttemptName,
    ) -> Result<Vec<(String, u64)>, BucketError> {
        let folder = self.attempt_path(attempt, "");
        let listed = self.store().list(Some(&folder)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| BucketError::of("list", &folder, &error))?;
        let mut marks = Vec::new();
        for object in listed {
            let Some(name) = object.location.filename().filter(|name| name.starts_with(FOLLOWER))
            else {
                continue;
            };
            if let Some((text, _)) = self.get(&object.location, MAX_NOTE_BYTES).await?
                && let Ok(Mark { counter }) = serde_json::from_slice(&text)
            {
                marks.push((name.to_owned(), counter));
            }
        }
        marks.sort();
        Ok(marks)
    }

    /// Removes all that a complete attempt supersedes: the claims, and attempts that are not
    /// complete, which never will be beside it. Whoever follows one finds it gone and looks again.
    pub async fn supersede(&self, complete: &AttemptName) -> Result<(), BucketError> {
        let Children { claims, attempts } = self.children(&complete.key).await?;
        if !self.is_complete(complete).await? {
            // It was purged, perhaps before what was listed began.
            return Ok(());
        }
        for attempt in attempts {
            if attempt != *complete && !self.is_complete(&attempt).await? {
                self.remove(&attempt).await?;
            }
        }
        for epoch in claims {
            self.delete(&self.claim_path(&complete.key, epoch)).await?;
        }
        Ok(())
    }

    /// Of two attempts that were completed at the same time, the one that does not count goes.
    /// Whoever has just completed one asks this: whoever looks finds the other, unless it looked in
    /// between.
    pub async fn yield_to_others(&self, complete: &AttemptName) -> Result<(), BucketError> {
        let Children { attempts, .. } = self.children(&complete.key).await?;
        match self.completed(&attempts).await?.first() {
            Some(first) if first != complete => self.remove(complete).await,
            _ => Ok(()),
        }
    }

    /// Removes an attempt, `complete.json` first: what is left is not found, whatever happens
    /// next.
    pub async fn remove(&self, attempt: &AttemptName) -> Result<(), BucketError> {
        self.delete(&self.attempt_path(attempt, COMPLETE)).await?;
        let folder = self.attempt_path(attempt, "");
        let objects = self.store().list(Some(&folder)).map_ok(|object| object.location).boxed();
        let mut removed = self.store().delete_stream(objects);
        let mut failed = None;
        while let Some(one) = removed.next().await {
            // What is gone already, somebody else removes too.
            let error = one.err().map(|error| BucketError::of("remove", &folder, &error));
            let error = error.filter(|error| error.kind() != BucketErrorKind::NotFound);
            failed = failed.or(error);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Removes an attempt and its claim, so that the source is free again.
    pub async fn give_up(&self, attempt: &AttemptName) -> Result<(), BucketError> {
        self.remove(attempt).await?;
        if self.claimed_by(&attempt.key, attempt.epoch).await?.as_ref() == Some(attempt) {
            self.delete(&self.claim_path(&attempt.key, attempt.epoch)).await?;
        }
        Ok(())
    }
}

/// Large documents are parsed off the async threads.
async fn parse(text: Bytes) -> Result<(Index, Vec<PartInfo>), String> {
    if text.len() < PARSED_AT_ONCE_BYTES {
        return complete::parse(&text);
    }
    let parsed = tokio::task::spawn_blocking(move || complete::parse(&text)).await;
    parsed.unwrap_or_else(|_| Err("it cannot be read".to_owned()))
}

fn to_json(document: &impl Serialize, path: &Path) -> Result<Bytes, BucketError> {
    let text = serde_json::to_vec(document);
    text.map(Into::into).map_err(|error| BucketError::unusable(path, &error.to_string()))
}
