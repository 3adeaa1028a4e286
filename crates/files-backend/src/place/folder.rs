use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use rdl_store::BucketErrorKind;

use super::Place;
use crate::error::{StartError, Trouble};
use crate::path::{EXTENSION, FilePath, is_path};

/// Folders deeper than this are not looked into.
const MAX_DEPTH: usize = 32;

pub(super) fn open(path: &Path) -> Result<Place, StartError> {
    let refuse = |error: io::Error| StartError::Folder(path.to_owned(), error);
    let root = std::fs::canonicalize(path).map_err(refuse)?;
    std::fs::read_dir(&root).map_err(refuse)?;
    let store = LocalFileSystem::new_with_prefix(&root)
        .map_err(|error| refuse(io::Error::other(error.to_string())))?;
    Ok(Place {
        store: Arc::new(store),
        signer: None,
        prefix: String::new(),
        shown: path.display().to_string(),
        folder: Some(root),
    })
}

/// Every MCAP file in the folder and those below it.
pub(super) fn walk(root: &Path, most: usize) -> Result<Vec<FilePath>, Trouble> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, name, depth)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // One that vanished, or is not ours to read, has no files for us.
            Err(error) if depth > 0 => {
                tracing::warn!(folder = name, %error, "left out");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "the folder cannot be listed");
                return Err(Trouble::Store(BucketErrorKind::Unavailable));
            }
        };
        for entry in entries.flatten() {
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else { continue };
            let path = match name.as_str() {
                "" => file_name.to_owned(),
                name => format!("{name}/{file_name}"),
            };
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if depth < MAX_DEPTH && is_path(&path) {
                    folders.push((entry.path(), path, depth + 1));
                }
            } else if file_name.ends_with(EXTENSION)
                && let Some(path) = FilePath::parse(&path)
                && (kind.is_file() || is_within(root, &path))
            {
                if found.len() == most {
                    return Err(Trouble::TooMany(most));
                }
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether it is a file that lies in the folder, with no link among the folders on the way.
pub(super) fn is_within(root: &Path, path: &FilePath) -> bool {
    let plain: PathBuf = root.join(path.as_str());
    let Some(folder) = plain.parent() else { return false };
    let is_plain = folder.canonicalize().is_ok_and(|real| real == folder);
    is_plain && plain.canonicalize().is_ok_and(|real| real.starts_with(root) && real.is_file())
}
