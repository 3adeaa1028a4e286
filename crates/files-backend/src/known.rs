//! What is known of files, kept in memory under a bound, and made once however many ask.
//!
//! Of one path one examination runs at a time, whoever goes away. Whoever wants to know of the file
//! as it is by then waits for it, looks at the file again, and has it read on from where that one
//! stopped: what was found last stays, whatever has become of the file, until something newer is
//! found or [`Known::forget`] says that it is wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::contents::{Contents, Serving, Topic};
use crate::error::Trouble;
use crate::examine::Examiner;
use crate::path::FilePath;
use crate::place::{FileMeta, Place};
use crate::prefix::State;

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
    /// The higher, the later it was asked for.
    used: u64,
    /// What is found takes so much.
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

    /// What a scan can go on from.
    fn state(&self) -> Option<Arc<State>> {
        match &self.found.as_ref()?.1.serving {
            Serving::Prefix(prefix) => prefix.state.clone(),
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
    /// Forgets what was used longest ago.
    fn make_room(&mut self, max_bytes: usize) {
        let settled = self.by_path.iter().filter(|(_, entry)| entry.running.is_none());
        let mut oldest: Vec<(u64, FilePath)> =
            settled.map(|(path, entry)| (entry.used, path.clone())).collect();
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

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Known {
    examiner: Arc<Examiner>,
    looking: Arc<Semaphore>,
    entries: Arc<Mutex<Entries>>,
    max_bytes: usize,
}

impl Known {
    pub(crate) fn new(place: Place, max_bytes: usize) -> Known {
        let examiner = Arc::new(Examiner::new(place));
        let looking = Arc::new(Semaphore::new(LOOKING));
        Known { examiner, looking, entries: Arc::default(), max_bytes }
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
        let finding = self.find(file.clone(), validator.to_owned(), entry.state(), clock, turn);
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
        before: Option<Arc<State>>,
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
        let mut contents = match found {
            Ok(contents) => contents,
            Err(trouble) => {
                if entry.found.is_none() {
                    entries.by_path.remove(path);
                }
                return Err(trouble);
            }
        };
        let entry_bytes = contents.memory_bytes() + path.as_str().len() + ENTRY_BYTES;
        let old_bytes = std::mem::replace(&mut entry.bytes, entry_bytes);
        let old = entry.found.take();
        entries.bytes = entries.bytes - old_bytes + entry_bytes;
        entries.share(&mut contents);
        if let Some((_, old)) = old {
            entries.release(&old);
        }
        let contents = Arc::new(contents);
        if let Some(entry) = entries.by_path.get_mut(path) {
            entry.found = Some((validator, contents.clone()));
        }
        if entries.bytes > self.max_bytes {
            entries.make_room(self.max_bytes / 8 * 7);
        }
        Ok(contents)
    }

    /// The file's beginning of that length turned out not to have that hash: unless something else
    /// is known by now, it is read anew.
    pub(crate) fn forget(&self, path: &FilePath, bytes: u64, hash: &str) {
        let mut guard = self.entries.lock();
        let entries = &mut *guard;
        let is_wrong = |entry: &Entry| match entry.found.as_ref().map(|(_, found)| &found.serving) {
            Some(Serving::Prefix(prefix)) => prefix.bytes == bytes && prefix.hash == hash,
            _ => false,
        };
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
