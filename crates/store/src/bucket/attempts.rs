//! Attempts at a source, from claim to completion.

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetResult, ObjectStoreExt as _};
use rdl_mcap_io::Index;
use rdl_model::SourceKey;
use serde::{Deserialize, Serialize};

use super::names::{claim_name, claimed_epoch};
use super::parts::RemoteParts;
use super::{AttemptName, Bucket, BucketError, BucketErrorKind, Running};
use crate::complete::{self, COMPLETE};

pub(super) const RUNNING: &str = "running.json";
const FOLLOWER: &str = "follower-";

/// How often a source that was claimed before is looked for until it counts as free.
const LOOKS: u32 = 2;

/// How many attempts at one source are looked at side by side.
const LOOKS_AT_ONCE: usize = 8;

/// What the bucket has of a source.
pub enum Look {
    /// A complete attempt.
    Complete(RemoteSource),
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
        let children = self.children(key).await?;
        // The answers tell when each was written; only the one that counts is read.
        let mut completes = Vec::new();
        for some in children.attempts.chunks(LOOKS_AT_ONCE) {
            let found = some.iter().map(|attempt| self.find_complete(attempt));
            let found = try_join_all(found).await?;
            let found =
                some.iter().zip(found).filter_map(|(attempt, found)| Some((attempt, found?)));
            completes
                .extend(found.map(|(attempt, found)| (found.meta.last_modified, attempt, found)));
        }
        completes.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        for (_, attempt, found) in completes {
            let text = self.document(&self.attempt_path(attempt, COMPLETE), found).await?;
            match complete::parse(&text) {
                Ok((index, parts)) => {
                    let parts = RemoteParts::new(self.clone(), attempt.clone(), &parts);
                    return Ok(Look::Complete(RemoteSource { index, parts }));
                }
                Err(what) => {
                    tracing::warn!(%attempt, what, "a complete source in the bucket is damaged; it is removed");
                    self.remove(attempt).await?;
                }
            }
        }
        let newest_attempt = children.attempts.iter().map(|attempt| attempt.epoch).max();
        let Some(newest) = children.claims.iter().copied().max() else {
            // Whoever claims an epoch writes there first: it is this one that decides.
            return Ok(Look::Free { epoch: newest_attempt.unwrap_or(1) });
        };
        let claimed = self.claimed_by(key, newest).await?;
        let claimed = claimed.filter(|attempt| children.attempts.contains(attempt));
        Ok(match claimed {
            Some(attempt) => Look::Claimed(attempt),
            // What was claimed is gone: purged, or removed by the bucket's lifecycle.
            None => Look::Free { epoch: (newest + 1).max(newest_attempt.unwrap_or(0)) },
        })
    }

    async fn find_complete(&self, attempt: &AttemptName) -> Result<Option<GetResult>, BucketError> {
        self.find(&self.attempt_path(attempt, COMPLETE)).await
    }

    /// Whose an epoch is; `None` when it is nobody's.
    async fn claimed_by(
        &self,
        key: &SourceKey,
        epoch: u32,
    ) -> Result<Option<AttemptName>, BucketError> {
        let found = self.get(&self.claim_path(key, epoch)).await?;
        let claim = found.and_then(|(text, _)| serde_json::from_slice::<Claim>(&text).ok());
        Ok(claim.and_then(|claim| AttemptName::parse(*key, &claim.attempt)))
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
        let Some((text, _)) = self.get(&path).await? else { return Ok(None) };
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
        let path = self.attempt_path(attempt, COMPLETE);
        match self.store().head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
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
            if let Some((text, _)) = self.get(&object.location).await?
                && let Ok(Mark { counter }) = serde_json::from_slice(&text)
            {
                marks.push((name.to_owned(), counter));
            }
        }
        marks.sort();
        Ok(marks)
    }

    /// Removes all that is superseded by a complete attempt: attempts at its epoch and earlier ones,
    /// unless they are complete as well and may be read, and the claims. Whoever follows one finds it
    /// gone and looks again.
    pub async fn supersede(&self, complete: &AttemptName) -> Result<(), BucketError> {
        let children = self.children(&complete.key).await?;
        for attempt in children.attempts {
            if attempt == *complete
                || attempt.epoch > complete.epoch
                || self.is_complete(&attempt).await?
            {
                continue;
            }
            self.remove(&attempt).await?;
        }
        for epoch in children.claims.into_iter().filter(|epoch| *epoch <= complete.epoch) {
            self.delete(&self.claim_path(&complete.key, epoch)).await?;
        }
        Ok(())
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

fn to_json(document: &impl Serialize, path: &Path) -> Result<Bytes, BucketError> {
    let text = serde_json::to_vec(document);
    text.map(Into::into).map_err(|error| BucketError::unusable(path, &error.to_string()))
}
