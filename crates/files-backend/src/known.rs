//! What is known of files, kept in memory under a bound, and made once however many ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use crate::contents::{Contents, Serving};
use crate::error::Trouble;
use crate::examine::Examiner;
use crate::path::FilePath;
use crate::place::{FileMeta, Place};
use crate::prefix::State;

/// What an entry takes besides its contents, about, in bytes.
const ENTRY_BYTES: usize = 256;

type Finding = Shared<BoxFuture<'static, Result<Arc<Contents>, Trouble>>>;

struct Entry {
    validator: String,
    finding: Finding,
    /// The higher, the later it was asked for.
    used: u64,
    /// 0 until it is known.
    bytes: usize,
    /// How far the file before this one was intact, until this one is known.
    before: Option<Arc<State>>,
}

#[derive(Default)]
struct Entries {
    by_path: HashMap<FilePath, Entry>,
    clock: u64,
    bytes: usize,
}

impl Entries {
    /// Forgets what was used longest ago.
    fn make_room(&mut self, max_bytes: usize) {
        let settled = self.by_path.iter().filter(|(_, entry)| entry.bytes > 0);
        let mut oldest: Vec<(u64, FilePath)> =
            settled.map(|(path, entry)| (entry.used, path.clone())).collect();
        oldest.sort_unstable();
        for (_, path) in oldest {
            if self.bytes <= max_bytes {
                return;
            }
            self.bytes -= self.by_path.remove(&path).map_or(0, |entry| entry.bytes);
        }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Known {
    examiner: Arc<Examiner>,
    entries: Arc<Mutex<Entries>>,
    max_bytes: usize,
}

impl Known {
    pub(crate) fn new(place: Place, max_bytes: usize) -> Known {
        let examiner = Arc::new(Examiner::new(place));
        Known { examiner, entries: Arc::default(), max_bytes }
    }

    /// What the file is; `None` when it takes longer than that to find out, which goes on.
    pub(crate) async fn contents(
        &self,
        file: &FileMeta,
        within: Duration,
    ) -> Option<Result<Arc<Contents>, Trouble>> {
        let finding = self.finding(file);
        tokio::time::timeout(within, finding).await.ok()
    }

    fn finding(&self, file: &FileMeta) -> Finding {
        let validator = file.validator();
        let mut entries = self.entries.lock();
        entries.clock += 1;
        let used = entries.clock;
        let mut before = None;
        if let Some(entry) = entries.by_path.get_mut(&file.path) {
            if entry.validator == validator {
                entry.used = used;
                return entry.finding.clone();
            }
            before = match entry.finding.peek() {
                Some(Ok(contents)) => match &contents.serving {
                    Serving::Prefix(prefix) => prefix.state.clone(),
                    Serving::Whole | Serving::Not => None,
                },
                _ => entry.before.clone(),
            };
        }
        let finding = self.find(file.clone(), validator.clone(), before.clone());
        let entry = Entry { validator, finding: finding.clone(), used, bytes: 0, before };
        if let Some(old) = entries.by_path.insert(file.path.clone(), entry) {
            entries.bytes -= old.bytes;
        }
        finding
    }

    /// Runs on whoever asked goes away.
    fn find(&self, file: FileMeta, validator: String, before: Option<Arc<State>>) -> Finding {
        let known = self.clone();
        let task = tokio::spawn(async move {
            let found = known.examiner.examine(&file, before).await.map(Arc::new);
            known.settle(&file.path, &validator, &found);
            found
        });
        async move { task.await.unwrap_or(Err(Trouble::Stopped)) }.boxed().shared()
    }

    /// Counts what was found, and makes room. Trouble is not kept.
    fn settle(&self, path: &FilePath, validator: &str, found: &Result<Arc<Contents>, Trouble>) {
        let mut guard = self.entries.lock();
        let entries = &mut *guard;
        let Some(entry) = entries.by_path.get_mut(path) else { return };
        if entry.validator != validator {
            return;
        }
        let Ok(contents) = found else {
            entries.by_path.remove(path);
            return;
        };
        entry.before = None;
        entry.bytes = contents.memory_bytes() + path.as_str().len() + ENTRY_BYTES;
        entries.bytes += entry.bytes;
        if entries.bytes > self.max_bytes {
            entries.make_room(self.max_bytes / 8 * 7);
        }
    }

    /// What is kept at the moment, in bytes.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.entries.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use rdl_testkit::{Drive, FileSpec};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    async fn ask(known: &Known, file: &FileMeta) -> Arc<Contents> {
        known.contents(file, SOON).await.unwrap().unwrap()
    }

    async fn files(place: &Place) -> Vec<FileMeta> {
        let mut files = place.list().await.unwrap();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    #[tokio::test]
    async fn what_is_known_is_bounded_shared_and_made_anew_for_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = FileSpec::default().write(&Drive::default().generate().merged());
        for number in 0..50 {
            std::fs::write(folder.path().join(format!("{number:02}.mcap")), &file).unwrap();
        }
        let place = Place::folder(folder.path()).unwrap();
        let one = {
            let known = Known::new(place.clone(), 1 << 20);
            let first = files(&place).await.remove(0);
            let (a, b) = futures::join!(ask(&known, &first), ask(&known, &first));
            assert!(Arc::ptr_eq(&a, &b));
            known.kept_bytes()
        };
        let max_bytes = 10 * one;
        let known = Known::new(place.clone(), max_bytes);
        for file in files(&place).await {
            let contents = ask(&known, &file).await;
            assert!(matches!(contents.serving, Serving::Whole) && contents.topics.len() == 4);
            assert!(known.kept_bytes() <= max_bytes);
        }
        // What was asked for last is kept, and what was asked for first is not.
        let listed = files(&place).await;
        let (first, last) = (&listed[0], &listed[49]);
        assert!(Arc::ptr_eq(&ask(&known, last).await, &ask(&known, last).await));
        let paths: Vec<FilePath> = known.entries.lock().by_path.keys().cloned().collect();
        assert!(paths.contains(&last.path) && !paths.contains(&first.path));

        std::fs::write(folder.path().join("49.mcap"), "").unwrap();
        let changed = files(&place).await.remove(49);
        assert!(matches!(ask(&known, &changed).await.serving, Serving::Not));
    }

    #[tokio::test]
    async fn a_summary_that_claims_to_be_huge_reserves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.mcap");
        let mut footer = vec![2];
        footer.extend_from_slice(&20_u64.to_le_bytes());
        footer.extend_from_slice(&100_u64.to_le_bytes());
        footer.extend_from_slice(&[0; 12]);
        footer.extend_from_slice(mcap::MAGIC);
        let sparse = std::fs::File::create(&path).unwrap();
        sparse.set_len(1 << 40).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, &footer, 1 << 40).unwrap();
        let place = Place::folder(folder.path()).unwrap();
        let known = Known::new(place.clone(), 1 << 20);
        let contents = ask(&known, &files(&place).await[0]).await;
        assert!(matches!(contents.serving, Serving::Not), "{contents:?}");
    }
}
