//! Where sources outlive processes, as an operator sees it: a folder, or a bucket in an object
//! store.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use rdl_engine::{Bucket, BucketCut, BucketEntry, BucketError, BucketFolder, StoredSource};
use rdl_model::{SourceKey, SourceKeyHasher};

use crate::settings::{CacheSettings, Cloud, SettingsError};

/// A folder, or a bucket in an object store.
#[derive(Clone)]
pub(super) enum Place {
    Folder(BucketFolder),
    Bucket(Bucket, Cloud),
}

/// What is stored of one source by one attempt.
pub(super) struct Stored {
    /// The key that it is stored under.
    pub(super) key: SourceKey,
    /// Its id, or else its URL less query and credentials; unknown unless it is complete.
    pub(super) name: Option<String>,
    /// How long it is, in bytes.
    pub(super) bytes: u64,
    /// How many parts there are.
    pub(super) part_count: u32,
    /// When it was completed; `None` where it is not.
    pub(super) completed_at: Option<SystemTime>,
    /// When it was last used. An object store notes no reads: there it is the last write.
    pub(super) used_at: SystemTime,
    /// A running process may be writing it.
    pub(super) is_loading: bool,
    /// A running process may be reading or writing it. Of readers an object store knows nothing.
    pub(super) is_in_use: bool,
    found: Found,
}

/// What removes it.
enum Found {
    Folder(StoredSource),
    Bucket(BucketEntry),
    Cut(BucketCut),
    #[cfg(test)]
    Nowhere,
}

impl Place {
    /// Where the settings say. Nothing is asked of it yet.
    pub(super) fn of(settings: &CacheSettings) -> Result<Place, SettingsError> {
        match (settings.cloud(), settings.open_bucket()?) {
            (Some(cloud), Some((bucket, _))) => Ok(Place::Bucket(bucket, cloud)),
            _ => Ok(Place::Folder(settings.bucket_folder()?)),
        }
    }

    /// Everything in it, the longest unused first. `stale_age`: an attempt in an object store that
    /// was written to longer ago is nobody's any more.
    pub(super) async fn list(&self, stale_age: Duration) -> anyhow::Result<Vec<Stored>> {
        match self {
            Place::Folder(folder) => {
                let folder = folder.clone();
                let found = blocking(move || folder.list()).await?;
                Ok(found.into_iter().map(Stored::in_folder).collect())
            }
            Place::Bucket(bucket, cloud) => {
                let explained = |error| explained(bucket, *cloud, error);
                let found = bucket.list().await.map_err(explained)?;
                let cuts = bucket.list_cuts().await.map_err(explained)?;
                let mut stored = in_bucket(found, SystemTime::now(), stale_age);
                stored.extend(cuts.into_iter().map(Stored::cut));
                stored.sort_by_key(|stored| stored.used_at);
                Ok(stored)
            }
        }
    }

    /// Removes what was listed; a running process that reads it finds it gone.
    pub(super) async fn remove(&self, stored: &Stored) -> anyhow::Result<()> {
        match (self, &stored.found) {
            (Place::Folder(folder), Found::Folder(source)) => {
                let (folder, source) = (folder.clone(), source.clone());
                blocking(move || folder.remove(&source)).await
            }
            (Place::Bucket(bucket, cloud), Found::Bucket(entry)) => {
                let removed = bucket.give_up(&entry.attempt).await;
                removed.map_err(|error| explained(bucket, *cloud, error))
            }
            (Place::Bucket(bucket, cloud), Found::Cut(cut)) => {
                let removed = bucket.remove_cut(&cut.version).await;
                removed.map_err(|error| explained(bucket, *cloud, error))
            }
            _ => Err(anyhow!("it was found elsewhere")),
        }
    }

    /// After everything was removed: removes what is known of it besides.
    pub(super) async fn remove_rest(&self) -> anyhow::Result<()> {
        match self {
            Place::Folder(_) => Ok(()),
            Place::Bucket(bucket, cloud) => {
                let removed = bucket.remove_file_contents().await;
                removed.map_err(|error| explained(bucket, *cloud, error))
            }
        }
    }

    /// Whether, when one source cannot be removed, others perhaps can: each file has permissions
    /// of its own; a bucket is there or not.
    pub(super) fn may_remove_others(&self) -> bool {
        matches!(self, Place::Folder(_))
    }
}

impl Stored {
    fn cut(cut: BucketCut) -> Stored {
        Stored {
            key: SourceKeyHasher::new().field("cut object").field(&cut.version).finish(),
            name: Some(format!("cut {}", cut.version)),
            bytes: cut.bytes,
            part_count: 1,
            completed_at: Some(cut.written_at),
            used_at: cut.written_at,
            is_loading: false,
            is_in_use: false,
            found: Found::Cut(cut),
        }
    }

    fn in_folder(source: StoredSource) -> Stored {
        Stored {
            key: source.key,
            name: source.name.clone(),
            bytes: source.bytes,
            part_count: source.part_count,
            completed_at: source.completed_at,
            used_at: source.used_at,
            is_loading: source.is_loading,
            is_in_use: source.is_in_use(),
            found: Found::Folder(source),
        }
    }
}

/// Times are the store's. Its clock is not asked: the newest thing that it dated, or our own time
/// where that is later, stands for now.
fn in_bucket(entries: Vec<BucketEntry>, now: SystemTime, stale_age: Duration) -> Vec<Stored> {
    let now = entries.iter().map(|entry| entry.changed_at).fold(now, SystemTime::max);
    let stored = |entry: BucketEntry| {
        let is_loading = entry.is_running && is_within(entry.changed_at, now, stale_age);
        Stored {
            key: entry.attempt.key,
            name: entry.name.clone().filter(|name| !name.is_empty()),
            bytes: entry.bytes,
            part_count: entry.part_count,
            completed_at: entry.completed_at,
            used_at: entry.changed_at,
            is_loading,
            is_in_use: is_loading,
            found: Found::Bucket(entry),
        }
    };
    entries.into_iter().map(stored).collect()
}

fn is_within(time: SystemTime, now: SystemTime, age: Duration) -> bool {
    now.duration_since(time).is_ok_and(|since| since < age)
}

fn explained(bucket: &Bucket, cloud: Cloud, error: BucketError) -> anyhow::Error {
    let advice = cloud.advice(bucket.name(), error.kind());
    anyhow!(error).context(advice)
}

async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> anyhow::Result<T>
where
    T: Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    Ok(tokio::task::spawn_blocking(work).await.context("the work broke down")??)
}

#[cfg(test)]
impl Stored {
    /// A complete source that nobody uses; it is nowhere.
    pub(super) fn example(key: SourceKey, completed: SystemTime) -> Stored {
        Stored {
            key,
            name: None,
            bytes: 1,
            part_count: 1,
            completed_at: Some(completed),
            used_at: completed,
            is_loading: false,
            is_in_use: false,
            found: Found::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_lately_by_either_clock_may_be_loading() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let age = Duration::from_secs(20);
        for (seconds, expected) in [(0, true), (19, true), (20, false), (1_000, false)] {
            assert_eq!(is_within(now - Duration::from_secs(seconds), now, age), expected);
        }
        assert!(in_bucket(Vec::new(), now, age).is_empty());
    }
}
