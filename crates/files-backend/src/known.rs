//! What is known of files, kept in memory under a bound, and made once however many ask.
//!
//! Of one path one examination runs at a time, whoever goes away. Whoever wants to know of the file
//! as it is by then waits for it, looks at the file again, and has it read on from where that one
//! stopped: what was found last stays, whatever has become of the file, until something newer is
//! found or [`Known::forget`] says that it is wrong.
//!
//! What is intact of a file without a summary is published in segments, for manifests
//! ([`Known::publish`]): they stay published while the file grows, and for a while when it has got
//! its summary. Nothing is published while an examination runs, which goes on from what there was.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::contents::{Contents, Serving, Topic};
use crate::error::Trouble;
use crate::examine::{Before, Examiner};
use crate::path::FilePath;
use crate::place::{FileMeta, Place};
use crate::prefix::{Front, Segments, Version, segments_bytes};

/// What an entry takes besides its contents, about, in bytes.
const ENTRY_BYTES: usize = 256;
/// How many examinations look for a summary, or wait to.
const LOOKING: usize = 256;

type Finding = Shared<BoxFuture<'static, Result<Arc<Contents>, Trouble>>>;

#[derive(Default)]
struct Entry {
    /// What was found last, and what the file was then.
    found: Option<(String, Arc<Contents>)>,
    running: Option<Running>,
    /// What was published last, for those who have it from a manifest, whatever the file is now.
    segments: Segments,
    /// When a manifest named it last.
    named: Option<Instant>,
    /// The higher, the later it was asked for.
    used: u64,
    /// All of it takes so much, but for the topics of what was found.
    bytes: usize,
}

struct Running {
    number: u64,
    validator: String,
    finding: Finding,
}

impl Entry {
    fn of(&self, validator: &str) -> Option<Arc<Contents>> {
        let (known, contents) = self.found.as_ref()?;
        (known == validator).then(|| contents.clone())
    }

    fn is_found(&self, contents: &Arc<Contents>) -> bool {
        self.found.as_ref().is_some_and(|(_, found)| Arc::ptr_eq(found, contents))
    }

    /// Whether somebody may go by its segments, who asks for manifests at least that often.
    fn is_used(&self, within: Duration) -> bool {
        !self.segments.is_empty() && self.named.is_some_and(|named| named.elapsed() < within)
    }

    /// What an examination can go on from.
    fn before(&self, within: Duration) -> Option<Before> {
        match &self.found.as_ref()?.1.serving {
            Serving::Prefix(prefix) => {
                Some(Before { prefix: prefix.clone(), is_used: self.is_used(within) })
            }
            Serving::Whole | Serving::Not => None,
        }
    }
}

#[derive(Default)]
struct Entries {
    by_path: HashMap<FilePath, Entry>,
    /// The topics of all that was found, and of how many files they are: those of one robot have
    /// the same, and thousands of them are to fit.
    topics: BTreeMap<Arc<[Topic]>, usize>,
    clock: u64,
    bytes: usize,
}

impl Entries {
    /// Forgets what was used longest ago, and last of all segments that somebody may go by.
    fn make_room(&mut self, max_bytes: usize, within: Duration) {
        let settled = self.by_path.iter().filter(|(_, entry)| entry.running.is_none());
        let mut oldest: Vec<((bool, u64), FilePath)> = settled
            .map(|(path, entry)| ((entry.is_used(within), entry.used), path.clone()))
            .collect();
        oldest.sort_unstable();
        for (_, path) in oldest {
            if self.bytes <= max_bytes {
                return;
            }
            self.remove(&path);
        }
    }

    fn remove(&mut self, path: &FilePath) {
        if let Some(entry) = self.by_path.remove(path)
            && let Some((_, contents)) = entry.found
        {
            self.bytes -= entry.bytes;
            self.release(&contents);
        }
    }

    /// Has it share its topics with others.
    fn share(&mut self, contents: &mut Contents) {
        if let Some((topics, files)) = self.topics.get_key_value(&contents.topics) {
            let (topics, files) = (topics.clone(), *files);
            contents.topics = topics.clone();
            self.topics.insert(topics, files + 1);
        } else {
            self.bytes += contents.topics_bytes();
            self.topics.insert(contents.topics.clone(), 1);
        }
    }

    /// Has it be what was found of this path, which has an entry.
    fn put(&mut self, path: &FilePath, validator: String, mut contents: Contents) -> Arc<Contents> {
        self.share(&mut contents);
        let contents = Arc::new(contents);
        let Some(entry) = self.by_path.get_mut(path) else { return contents };
        if let Serving::Prefix(prefix) = &contents.serving {
            entry.segments = prefix.segments.clone();
        }
        let segments = segments_bytes(&entry.segments);
        let bytes = contents.memory_bytes() + segments + path.as_str().len() + ENTRY_BYTES;
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        if let Some((_, old)) = entry.found.replace((validator, contents.clone())) {
            self.release(&old);
        }
        contents
    }

    fn release(&mut self, contents: &Contents) {
        let Some(files) = self.topics.get_mut(&contents.topics) else { return };
        *files -= 1;
        if *files == 0 {
            self.topics.remove(&contents.topics);
            self.bytes -= contents.topics_bytes();
        }
    }
}

/// The file as somebody saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A listing did, a moment ago.
    Listed,
    /// Whoever asks did, just now.
    Now,
}

enum Answer {
    Known(Arc<Contents>),
    /// It is being found out.
    Running(Finding),
    /// The file as it was is being examined.
    Other(Finding),
    LookAgain,
    Nothing,
}

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    /// In memory, in bytes.
    pub(crate) max_bytes: usize,
    /// Of one file no two segments are published closer together.
    pub(crate) segments_apart: Duration,
    /// A file that has got its summary stays in segments until no manifest named it for so long.
    pub(crate) segments_kept: Duration,
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Known {
    examiner: Arc<Examiner>,
    looking: Arc<Semaphore>,
    entries: Arc<Mutex<Entries>>,
    keeping: Keeping,
}

impl Known {
    pub(crate) fn new(place: Place, keeping: Keeping) -> Known {
        let examiner = Arc::new(Examiner::new(place));
        let looking = Arc::new(Semaphore::new(LOOKING));
        Known { examiner, looking, entries: Arc::default(), keeping }
    }

    /// What the file is; `None` when it takes longer than until then to find out, which goes on.
    /// Past that time nothing is begun.
    ///
    /// # Errors
    ///
    /// [`Trouble::Changed`] where the file has to be looked at again.
    pub(crate) async fn contents(
        &self,
        file: &FileMeta,
        seen: Seen,
        until: Instant,
    ) -> Option<Result<Arc<Contents>, Trouble>> {
        let validator = file.validator();
        match self.ask(file, &validator, seen, None) {
            Answer::Known(contents) => return Some(Ok(contents)),
            Answer::LookAgain => return Some(Err(Trouble::Changed)),
            Answer::Running(finding) => return timeout_at(until, finding).await.ok(),
            Answer::Other(finding) => {
                let _other = timeout_at(until, finding).await.ok()?;
                return Some(Err(Trouble::Changed));
            }
            Answer::Nothing => {}
        }
        if Instant::now() >= until {
            return None;
        }
        let (turn, seen) = match self.looking.clone().try_acquire_owned() {
            Ok(turn) => (turn, seen),
            Err(_) => {
                let turn = timeout_at(until, self.looking.clone().acquire_owned()).await.ok()?;
                let Ok(turn) = turn else { return Some(Err(Trouble::Stopped)) };
                // What was seen is old by now.
                (turn, Seen::Listed)
            }
        };
        match self.ask(file, &validator, seen, Some(turn)) {
            Answer::Known(contents) => Some(Ok(contents)),
            Answer::Running(finding) => timeout_at(until, finding).await.ok(),
            Answer::Other(_) | Answer::LookAgain | Answer::Nothing => Some(Err(Trouble::Changed)),
        }
    }

    /// What there is to an answer; an examination is begun where there is a turn for it.
    fn ask(
        &self,
        file: &FileMeta,
        validator: &str,
        seen: Seen,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Answer {
        let mut entries = self.entries.lock();
        entries.clock += 1;
        let clock = entries.clock;
        if let Some(entry) = entries.by_path.get_mut(&file.path) {
            entry.used = clock;
            if let Some(contents) = entry.of(validator) {
                return Answer::Known(contents);
            }
            if let Some(running) = &entry.running {
                let finding = running.finding.clone();
                return match running.validator == validator {
                    true => Answer::Running(finding),
                    false => Answer::Other(finding),
                };
            }
            if entry.found.is_some() && seen == Seen::Listed {
                // The listing may be older than what was found.
                return Answer::LookAgain;
            }
        }
        let Some(turn) = turn else { return Answer::Nothing };
        let entry = entries.by_path.entry(file.path.clone()).or_default();
        let before = entry.before(self.keeping.segments_kept);
        let finding = self.find(file.clone(), validator.to_owned(), before, clock, turn);
        let (number, validator) = (clock, validator.to_owned());
        entry.running = Some(Running { number, validator, finding: finding.clone() });
        entry.used = clock;
        Answer::Running(finding)
    }

    /// Runs on whoever asked goes away.
    fn find(
        &self,
        file: FileMeta,
        validator: String,
        before: Option<Before>,
        number: u64,
        turn: OwnedSemaphorePermit,
    ) -> Finding {
        let (this, known, path) = (self.clone(), self.clone(), file.path.clone());
        let task = tokio::spawn(async move {
            let found = this.examiner.examine(&file, before, turn).await;
            this.settle(&file.path, number, validator, found)
        });
        let ended = async move {
            match task.await {
                Ok(found) => found,
                // It broke down: the next who asks begins anew.
                Err(_) => known.settle(&path, number, String::new(), Err(Trouble::Stopped)),
            }
        };
        ended.boxed().shared()
    }

    /// Counts what was found, and makes room. Trouble is not kept, and what was found before is.
    fn settle(
        &self,
        path: &FilePath,
        number: u64,
        validator: String,
        found: Result<Contents, Trouble>,
    ) -> Result<Arc<Contents>, Trouble> {
        let mut guard = self.entries.lock();
        let entries = &mut *guard;
        let running = entries.by_path.get_mut(path).and_then(|entry| {
            entry.running.take_if(|running| running.number == number)?;
            Some(entry)
        });
        let Some(entry) = running else { return found.map(Arc::new) };
        let contents = match found {
            Ok(contents) => contents,
            Err(trouble) => {
                if entry.found.is_none() {
                    entries.by_path.remove(path);
                }
                return Err(trouble);
            }
        };
        let contents = entries.put(path, validator, contents);
        self.make_room(entries);
        Ok(contents)
    }

    fn make_room(&self, entries: &mut Entries) {
        if entries.bytes > self.keeping.max_bytes {
            entries.make_room(self.keeping.max_bytes / 8 * 7, self.keeping.segments_kept);
        }
    }

    /// What was found, for a manifest: with what it names of the file, which may be a segment more
    /// than before.
    ///
    /// # Errors
    ///
    /// [`Trouble::Changed`] where something else is known by now.
    pub(crate) async fn publish(
        &self,
        path: &FilePath,
        found: Arc<Contents>,
    ) -> Result<Arc<Contents>, Trouble> {
        let Serving::Prefix(prefix) = &found.serving else { return Ok(found) };
        let Keeping { segments_apart, segments_kept, .. } = self.keeping;
        let (prefix, now) = (prefix.clone(), Instant::now());
        {
            let mut entries = self.entries.lock();
            match entries.by_path.get_mut(path) {
                Some(entry) if !entry.is_found(&found) => return Err(Trouble::Changed),
                Some(entry) => {
                    let is_used = entry.is_used(segments_kept);
                    entry.named = Some(now);
                    match (&entry.running, prefix.segments.is_empty()) {
                        (None, _) => {}
                        (Some(_), false) => return Ok(found),
                        (Some(_), true) => return Err(Trouble::Changed),
                    }
                    if let Some(whole) = prefix.whole.as_ref().filter(|_| !is_used)
                        && let Some((validator, _)) = entry.found.clone()
                    {
                        return Ok(entries.put(path, validator, Contents::clone(whole)));
                    }
                }
                // There was no room to keep it.
                None if prefix.segments.is_empty() => {}
                None => return Err(Trouble::Changed),
            }
        }
        if !prefix.is_due(segments_apart, now) {
            return Ok(found);
        }
        let was_empty = prefix.segments.is_empty();
        let cut = tokio::task::spawn_blocking(move || prefix.cut(now)).await;
        let serving = Serving::Prefix(cut.map_err(|_| Trouble::Stopped)?);
        let contents = Contents { serving, ..Contents::clone(&found) };
        let mut guard = self.entries.lock();
        let entries = &mut *guard;
        let validator = match entries.by_path.get(path) {
            Some(entry) if entry.is_found(&found) && entry.running.is_none() => {
                entry.found.as_ref().map(|(validator, _)| validator.clone())
            }
            None if was_empty => return Ok(Arc::new(contents)),
            _ => None,
        };
        let contents = entries.put(path, validator.ok_or(Trouble::Changed)?, contents);
        self.make_room(entries);
        Ok(contents)
    }

    /// What has to come before the bytes of this segment, where that is known.
    pub(crate) fn front(&self, path: &FilePath, version: &Version) -> Option<Arc<Front>> {
        if version.start == 0 {
            return Some(Arc::default());
        }
        let entries = self.entries.lock();
        let mut segments = entries.by_path.get(path)?.segments.iter();
        Some(segments.find(|segment| segment.version == *version)?.front.clone())
    }

    /// A segment of the file turned out not to have its hash: unless something else is known by now,
    /// the file is read anew.
    pub(crate) fn forget(&self, path: &FilePath, version: &Version) {
        let mut guard = self.entries.lock();
        let entries = &mut *guard;
        let is_wrong =
            |entry: &Entry| entry.segments.iter().any(|segment| segment.version == *version);
        // What runs may go on from it, and is not kept either.
        if entries.by_path.get(path).is_some_and(is_wrong) {
            entries.remove(path);
        }
    }

    /// What is kept at the moment, in bytes.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.entries.lock().bytes
    }
}

#[cfg(test)]
mod tests;
