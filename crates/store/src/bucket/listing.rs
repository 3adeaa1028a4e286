//! The bucket as an operator sees it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use futures::{StreamExt as _, TryStreamExt as _};
use rdl_model::SourceKey;

use super::attempts::RUNNING;
use super::{AttemptName, Bucket, BucketError, BucketErrorKind, MAX_DOCUMENT_BYTES, RunningState};
use crate::complete::{self, COMPLETE};
use crate::files::PART_PREFIX;

/// How many documents are read side by side.
const READS: usize = 16;

/// One attempt at a source in the bucket.
#[derive(Clone, Debug)]
pub struct BucketEntry {
    /// Which.
    pub attempt: AttemptName,
    /// The source's id, or else its URL less query and credentials; unknown unless it is complete.
    pub name: Option<String>,
    /// How long its objects are together, in bytes.
    pub bytes: u64,
    /// How many parts there are.
    pub part_count: u32,
    /// When it was completed, by the store's clock; `None` where it is not.
    pub completed_at: Option<SystemTime>,
    /// When it was last written to, by the store's clock.
    pub changed_at: SystemTime,
    /// Its owner has not given it up, and may be writing it.
    pub is_running: bool,
}

impl Bucket {
    /// Every attempt in the bucket, the one that was written to longest ago first.
    pub async fn list(&self) -> Result<Vec<BucketEntry>, BucketError> {
        let sources = self.path("sources");
        let mut found: BTreeMap<AttemptName, BucketEntry> = BTreeMap::new();
        let mut objects = self.store().list(Some(&sources));
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| BucketError::of("list", &sources, &error))?;
            let mut below = object.location.parts().skip(sources.parts().count());
            let (Some(key), Some(folder), Some(file), None) =
                (below.next(), below.next(), below.next(), below.next())
            else {
                continue;
            };
            let key: Option<SourceKey> = key.as_ref().parse().ok();
            let Some(attempt) = key.and_then(|key| AttemptName::parse(key, folder.as_ref())) else {
                continue;
            };
            let changed: SystemTime = object.last_modified.into();
            let entry = found.entry(attempt.clone()).or_insert_with(|| BucketEntry {
                attempt,
                name: None,
                bytes: 0,
                part_count: 0,
                completed_at: None,
                changed_at: SystemTime::UNIX_EPOCH,
                is_running: false,
            });
            entry.bytes += object.size;
            entry.changed_at = entry.changed_at.max(changed);
            match file.as_ref() {
                COMPLETE => entry.completed_at = Some(changed),
                RUNNING => entry.is_running = true,
                part if part.starts_with(PART_PREFIX) => entry.part_count += 1,
                _ => {}
            }
        }
        let entries = found.into_values().map(async |mut entry| {
            if entry.completed_at.is_some() {
                entry.is_running = false;
                let path = self.attempt_path(&entry.attempt, COMPLETE);
                let text = self.get(&path, MAX_DOCUMENT_BYTES).await?;
                entry.name = text.and_then(|(text, _)| complete::name_of(&text));
            } else if entry.is_running {
                entry.is_running = match self.running(&entry.attempt).await {
                    Ok(running) => running.is_some_and(|it| it.state == RunningState::Loading),
                    Err(error) if error.kind() == BucketErrorKind::Damaged => false,
                    Err(error) => return Err(error),
                };
            }
            Ok(entry)
        });
        let entries = futures::stream::iter(entries).buffered(READS).try_collect::<Vec<_>>();
        let mut entries: Vec<BucketEntry> = entries.await?;
        entries.sort_by(|a, b| (a.changed_at, &a.attempt).cmp(&(b.changed_at, &b.attempt)));
        Ok(entries)
    }
}
