//! Where an export's bytes go.

use std::fs::{self, Permissions};
use std::io::{IsTerminal as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use crate::settings::SettingsError;

/// Where to write, as the command line says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// A file; one that is there is replaced.
    File(PathBuf),
}

impl Target {
    pub(super) fn new(path: &Path) -> Result<Target, SettingsError> {
        if path != Path::new("-") {
            return Ok(Target::File(path.to_owned()));
        }
        if std::io::stdout().is_terminal() {
            let message = "- would write an MCAP to the terminal; name a file, or redirect";
            return Err(SettingsError::new("--output", message));
        }
        Ok(Target::Stdout)
    }
}

/// A file that is being written. Dropped before [`Output::commit`] it leaves nothing behind.
pub(super) struct Output {
    file: File,
    place: Place,
}

enum Place {
    /// Beside the file that it is to become.
    Temporary { temporary: NamedTempFile, path: PathBuf },
    /// A pipe or a device, written to as it stands.
    Special(String),
}

impl Output {
    pub(super) fn open(target: &Target) -> anyhow::Result<Output> {
        let path = match target {
            Target::Stdout => {
                let stdout = std::io::stdout().as_fd().try_clone_to_owned();
                let stdout = fs::File::from(stdout.context("cannot write to standard output")?);
                let place = Place::Special("standard output".into());
                return Ok(Output { file: File::from_std(stdout), place });
            }
            Target::File(path) => path,
        };
        let name = path.display().to_string();
        let cannot_write = || format!("cannot write {name}");
        // Through a link to where the file is.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => anyhow::bail!("{name} is a folder; name a file"),
            Ok(metadata) if !metadata.is_file() => {
                let file = fs::OpenOptions::new().write(true).open(&path);
                let file = File::from_std(file.with_context(cannot_write)?);
                return Ok(Output { file, place: Place::Special(name) });
            }
            _ => {}
        }
        let (Some(folder), Some(file_name)) = (path.parent(), path.file_name()) else {
            anyhow::bail!("{name} names no file");
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(file_name);
        prefix.push(".");
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            // As any other new file: the umask takes its part away.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .with_context(cannot_write)?;
        let file = File::from_std(temporary.as_file().try_clone().with_context(cannot_write)?);
        Ok(Output { file, place: Place::Temporary { temporary, path } })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(bytes).await;
        written.with_context(|| format!("cannot write {}", self.name()))
    }

    /// Whether what was written can be taken back.
    pub(super) fn can_restart(&self) -> bool {
        matches!(self.place, Place::Temporary { .. })
    }

    /// Takes back what was written.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        let restarted = async {
            self.file.flush().await?;
            self.file.set_len(0).await?;
            self.file.seek(SeekFrom::Start(0)).await
        };
        restarted.await.context("cannot write again from the beginning")?;
        Ok(())
    }

    /// Puts the file in its place, whole; gives its name.
    pub(super) async fn commit(mut self) -> anyhow::Result<String> {
        let name = self.name();
        self.file.flush().await.with_context(|| format!("cannot write {name}"))?;
        if let Place::Temporary { temporary, path } = self.place {
            self.file.sync_all().await.with_context(|| format!("cannot write {name}"))?;
            temporary
                .persist(&path)
                .map_err(|error| error.error)
                .with_context(|| format!("cannot put {name} in its place"))?;
        }
        Ok(name)
    }

    fn name(&self) -> String {
        match &self.place {
            Place::Temporary { path, .. } => path.display().to_string(),
            Place::Special(name) => name.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
