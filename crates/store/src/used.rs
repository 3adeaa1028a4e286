//! When a complete source was last used: the modification time of a small file `used` beside its
//! `complete.json`, so that it survives restarts and every process of a bucket folder sees it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The file's name.
pub(crate) const USED: &str = "used";

/// Says that the source is used now, and returns the time as the file system keeps it. The file
/// must be there: a folder that is being removed must not get a new one.
pub(crate) fn touch(folder: &Path) -> io::Result<SystemTime> {
    let file = File::options().write(true).open(folder.join(USED))?;
    stamp(&file)
}

/// The same for a folder that has no such file yet.
pub(crate) fn begin(folder: &Path) -> io::Result<SystemTime> {
    let file = File::options().create(true).append(true).open(folder.join(USED))?;
    stamp(&file)
}

/// When the source was last used, if that was ever written down.
pub(crate) fn last(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder.join(USED)).and_then(|found| found.modified()).ok()
}

fn stamp(file: &File) -> io::Result<SystemTime> {
    file.set_modified(SystemTime::now())?;
    file.metadata()?.modified()
}

/// Whether `time` is less than `span` ago, or ahead: clocks may differ.
pub(crate) fn is_within(time: SystemTime, span: Duration) -> bool {
    match time.elapsed() {
        Ok(age) => age < span,
        Err(ahead) => ahead.duration() < span,
    }
}
