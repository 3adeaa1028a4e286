//! A folder that belongs to one living process, told from a dead one's by a lock on a file in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::StoreError;

const PREFIX: &str = "process-";
const LOCK_FILE: &str = "lock";

/// A folder of this process's own; removed when dropped.
#[derive(Debug)]
pub(crate) struct ProcessFolder {
    path: PathBuf,
    /// Held as long as the process lives; the system lets go of it when the process dies.
    _lock: File,
}

impl ProcessFolder {
    /// Creates a folder in `root`, and removes those of dead processes.
    pub(crate) fn create(root: &Path) -> Result<ProcessFolder, StoreError> {
        fs::create_dir_all(root).map_err(StoreError::io("create the folder", root))?;
        remove_dead(root)?;
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(root)
            .map_err(StoreError::io("create a folder in", root))?;
        let lock_path = folder.path().join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(StoreError::io("create", &lock_path))?;
        lock.lock().map_err(StoreError::io("lock", &lock_path))?;
        Ok(ProcessFolder { path: folder.keep(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ProcessFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "cannot remove this process's folder");
        }
    }
}

/// A folder without a lock file is being created right now, or was left by a process that died
/// while creating it; it is told apart by its age.
const GRACE: std::time::Duration = std::time::Duration::from_secs(60);

fn remove_dead(root: &Path) -> Result<(), StoreError> {
    fs::read_dir(root).map_err(StoreError::io("list", root))?;
    for path in all_in(root).into_iter().filter(|path| !is_living(path)) {
        tracing::info!(folder = %path.display(), "removing the folder of a dead process");
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(folder = %path.display(), %error, "cannot remove it");
        }
    }
    Ok(())
}

/// The folders of all processes, living and dead.
pub(crate) fn all_in(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    entries.flatten().filter(ours).map(|entry| entry.path()).collect()
}

/// Whether the process that made the folder may still be there.
pub(crate) fn is_living(folder: &Path) -> bool {
    match File::open(folder.join(LOCK_FILE)) {
        Ok(lock) => lock.try_lock().is_err(),
        Err(_) => !fs::metadata(folder)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > GRACE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_dead_folders_and_leaves_living_ones() {
        let root = tempfile::tempdir().unwrap();
        let living = ProcessFolder::create(root.path()).unwrap();
        let dead = root.path().join("process-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK_FILE), "").unwrap();
        let stranger = root.path().join("something-else");
        fs::create_dir(&stranger).unwrap();

        let second = ProcessFolder::create(root.path()).unwrap();
        assert!(!dead.exists());
        assert!(living.path().exists() && second.path().exists() && stranger.exists());

        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
