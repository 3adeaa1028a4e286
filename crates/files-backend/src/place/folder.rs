//! A folder of files.
//!
//! A file is looked for where it really lies ([`Folder::real`]), and opened there below the folder
//! that was opened at start, with no link on the way: whoever swaps a folder for a link between the
//! two is told that there is no file. Where the system cannot promise that (only Linux since 5.6
//! can), only the file itself is not followed, and whoever may write to the folder may win that
//! race.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rdl_store::BucketErrorKind;
use rustix::fs::{Mode, OFlags};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{FileMeta, MAX_FILES, MAX_SEEN};
use crate::error::Trouble;
use crate::path::{EXTENSION, FilePath, is_path};

/// Folders deeper than this are not looked into.
const MAX_DEPTH: usize = 32;

/// A folder that was there at start.
pub(super) struct Folder {
    root: PathBuf,
    opened: File,
    /// A file server that hangs has one thread hang at a time, and not one more at each listing.
    walks: Arc<Semaphore>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        let root = std::fs::canonicalize(path)?;
        std::fs::read_dir(&root)?;
        let opened = File::open(&root)?;
        Ok(Folder { root, opened, walks: Arc::new(Semaphore::new(1)) })
    }

    /// Every MCAP file in the folder and those below it, and links that may be to files.
    pub(super) async fn walk(&self, until: Instant) -> Result<Vec<FilePath>, Trouble> {
        let turn = self.walks.clone().acquire_owned().await.map_err(|_| Trouble::Stopped)?;
        let root = self.root.clone();
        let walked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            walk(root, until)
        });
        walked.await.map_err(|_| Trouble::Stopped)?
    }

    /// The file as it is now, which is not opened; `None` when there is none.
    pub(super) fn look(&self, path: &FilePath) -> Result<Option<FileMeta>, Trouble> {
        let looked = self.real(path).and_then(|real| match real {
            Some(real) => std::fs::metadata(self.root.join(real)).map(Some),
            None => Ok(None),
        });
        match looked {
            Ok(found) => Ok(found
                .filter(Metadata::is_file)
                .and_then(|metadata| FileMeta::of_file(path.clone(), &metadata))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(trouble(path, &error)),
        }
    }

    /// These bytes; if it `is_same`, of the file that was looked at, before and after.
    pub(super) fn read(
        &self,
        file: &FileMeta,
        range: Range<u64>,
        is_same: bool,
    ) -> Result<Bytes, Trouble> {
        let read = || -> io::Result<Option<Bytes>> {
            let Some(real) = self.real(&file.path)? else { return Ok(None) };
            let opened = self.open_below(&real)?;
            let is_that = || {
                let metadata = opened.metadata()?;
                let now = FileMeta::of_file(file.path.clone(), &metadata);
                Ok::<_, io::Error>(metadata.is_file() && (!is_same || now.as_ref() == Some(file)))
            };
            if !is_that()? {
                return Ok(None);
            }
            let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            opened.read_exact_at(&mut bytes, range.start)?;
            Ok(is_that()?.then(|| Bytes::from(bytes)))
        };
        match read() {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Trouble::Changed),
            // It is shorter than it was.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Trouble::Changed),
            Err(error) if is_missing(&error) => Err(Trouble::Changed),
            Err(error) => Err(trouble(&file.path, &error)),
        }
    }

    /// Where the file really lies below the folder; `None` where that is elsewhere, or a link is
    /// among the folders on the way.
    fn real(&self, path: &FilePath) -> io::Result<Option<PathBuf>> {
        let plain = self.root.join(path.as_str());
        let Some(folder) = plain.parent() else { return Ok(None) };
        if folder.canonicalize()? != folder {
            return Ok(None);
        }
        let real = plain.canonicalize()?;
        Ok(real.strip_prefix(&self.root).ok().map(Path::to_owned))
    }

    fn open_below(&self, real: &Path) -> io::Result<File> {
        // What is no file, as a pipe, does not keep whoever opens it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{ResolveFlags, openat2};
            use rustix::io::Errno;
            let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match openat2(&self.opened, real, flags, Mode::empty(), rules) {
                // An old system, or a sandbox that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => {}
                opened => return Ok(opened?.into()),
            }
        }
        let flags = flags | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.opened, real, flags, Mode::empty())?.into())
    }
}

impl FileMeta {
    fn of_file(path: FilePath, metadata: &Metadata) -> Option<FileMeta> {
        let (inode, bytes) = (metadata.ino(), metadata.len());
        let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
        let etag = Some(format!("{inode:x}-{seconds:x}.{nanos:x}-{bytes:x}"));
        Some(FileMeta { path, bytes, modified: metadata.modified().ok()?, etag })
    }
}

fn walk(root: PathBuf, until: Instant) -> Result<Vec<FilePath>, Trouble> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![(root, String::new(), 0)];
    while let Some((folder, name, depth)) = folders.pop() {
        let failed = |error: &io::Error| {
            tracing::warn!(folder = name, %error, "the folder cannot be listed");
            Trouble::Store(BucketErrorKind::Unavailable)
        };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // One that vanished, or is not ours to read, has no files for us.
            Err(error) if depth > 0 && is_none_of_ours(&error) => {
                tracing::debug!(folder = name, %error, "left out");
                continue;
            }
            Err(error) => return Err(failed(&error)),
        };
        for entry in entries {
            seen += 1;
            if seen > MAX_SEEN {
                return Err(Trouble::TooMany(MAX_SEEN, "files of all kinds"));
            }
            if Instant::now() >= until {
                return Err(Trouble::Store(BucketErrorKind::Unavailable));
            }
            let entry = entry.map_err(|error| failed(&error))?;
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else { continue };
            let path = match name.as_str() {
                "" => file_name.to_owned(),
                name => format!("{name}/{file_name}"),
            };
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                Err(error) if is_none_of_ours(&error) => continue,
                Err(error) => return Err(failed(&error)),
            };
            if kind.is_dir() {
                if depth < MAX_DEPTH && is_path(&path) {
                    folders.push((entry.path(), path, depth + 1));
                }
            } else if file_name.ends_with(EXTENSION)
                && (kind.is_file() || kind.is_symlink())
                && let Some(path) = FilePath::parse(&path)
            {
                if found.len() == MAX_FILES {
                    return Err(Trouble::TooMany(MAX_FILES, "files"));
                }
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn is_none_of_ours(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
}

/// Whether there is no such file, or a link is on the way to it that was not there a moment ago.
fn is_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_system = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(of_system, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV))
        || error.kind() == ErrorKind::NotFound
}

fn trouble(path: &FilePath, error: &io::Error) -> Trouble {
    if error.kind() == ErrorKind::PermissionDenied {
        return Trouble::Forbidden;
    }
    tracing::warn!(%path, %error, "a file cannot be read");
    Trouble::Store(BucketErrorKind::Unavailable)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::parse(text).unwrap()
    }

    #[test]
    fn a_file_is_opened_below_the_folder_or_not_at_all() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("served");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::write(root.join("in/a.mcap"), "inside").unwrap();
        std::fs::write(outside.path().join("a.mcap"), "secret").unwrap();
        let folder = Folder::open(&root).unwrap();
        let real = folder.real(&path("in/a.mcap")).unwrap().unwrap();
        assert_eq!(folder.open_below(&real).unwrap().metadata().unwrap().len(), 6);
        // Swapped for a link between the look and the read.
        std::fs::rename(root.join("in"), root.join("was")).unwrap();
        std::os::unix::fs::symlink("..", root.join("in")).unwrap();
        if cfg!(target_os = "linux") {
            assert!(is_missing(&folder.open_below(&real).unwrap_err()));
        }
        assert_eq!(folder.look(&path("in/a.mcap")), Ok(None));
    }

    #[test]
    fn what_was_looked_at_is_read_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.mcap");
        std::fs::write(&file, "first").unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let looked = folder.look(&path("a.mcap")).unwrap().unwrap();
        assert_eq!(folder.read(&looked, 1..3, true).unwrap(), "ir");
        assert_eq!(folder.read(&looked, 1..6, true), Err(Trouble::Changed));
        std::fs::write(&file, "first and more").unwrap();
        assert_eq!(folder.read(&looked, 1..3, true), Err(Trouble::Changed));
        assert_eq!(folder.read(&looked, 1..3, false).unwrap(), "ir");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(folder.read(&looked, 1..3, false), Err(Trouble::Changed));
    }

    #[tokio::test]
    async fn only_one_walk_hangs_at_a_time_and_each_has_its_end() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.mcap"), "").unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let unavailable = Err(Trouble::Store(BucketErrorKind::Unavailable));
        assert_eq!(folder.walk(Instant::now()).await, unavailable);
        let hangs = folder.walks.clone().acquire_owned().await.unwrap();
        let later = Instant::now() + Duration::from_secs(60);
        let waits = tokio::time::timeout(Duration::from_millis(50), folder.walk(later));
        assert!(waits.await.is_err());
        drop(hangs);
        assert_eq!(folder.walk(later).await, Ok(vec![path("a.mcap")]));
    }

    #[tokio::test]
    async fn a_folder_that_fails_is_not_taken_for_one_that_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let mut long = root.path().to_owned();
        while long.as_os_str().len() + 201 < 4090 {
            long.push("x".repeat(200));
        }
        std::fs::create_dir_all(&long).unwrap();
        let folder = Folder::open(&long).unwrap();
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(folder.walk(later).await, Ok(Vec::new()));
        // Its whole path is longer than the system takes.
        rustix::fs::mkdirat(&folder.opened, "y".repeat(250), Mode::RWXU).unwrap();
        let unavailable = Err(Trouble::Store(BucketErrorKind::Unavailable));
        assert_eq!(folder.walk(later).await, unavailable);
    }
}
