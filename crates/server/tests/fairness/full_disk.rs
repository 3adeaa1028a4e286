//! A disk that is really full, long before the disk store's bound: a small tmpfs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rdl_testkit::{Drive, FakeBackend, Viewer, check_all, decode};

use crate::loader::{Loader, serve, within};

/// The disk, in bytes.
const DISK_BYTES: usize = 8 << 20;

/// A small file system of its own; gone when dropped.
struct SmallDisk(PathBuf, #[expect(dead_code, reason = "it holds the folder")] tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let options = format!("size={DISK_BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(path, folder))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

enum Bucket {
    None,
    SameDisk,
    Elsewhere,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_slows_down_and_breaks_nothing() {
    let roomy = tempfile::tempdir().unwrap();
    let payload_bytes = 4_000;
    let messages = 3 * DISK_BYTES / (3_000 * 6);
    let drive = Drive {
        windows: 6,
        groups: 1,
        messages,
        payload_bytes,
        tick_nanos: 1_000,
        ..Drive::default()
    };
    let recording = drive.generate();
    let truth = Arc::new(recording.merged());
    for bucket in [Bucket::None, Bucket::SameDisk, Bucket::Elsewhere] {
        // The process before may still be dying.
        let Some(disk) = SmallDisk::mount() else {
            eprintln!("skipped: this user may not mount a file system");
            return;
        };
        let on_disk = disk.path().to_str().unwrap();
        let backend = FakeBackend::start().await;
        serve(&backend, "large", &recording);
        let bucket = match bucket {
            Bucket::None => None,
            Bucket::SameDisk => Some(disk.path().join("bucket")),
            Bucket::Elsewhere => Some(roomy.path().to_owned()),
        };
        let bucket = bucket.map(|bucket| bucket.to_str().unwrap().to_owned());
        let mut environment = vec![
            ("REQUEST_CACHE_DISK_FOLDER", on_disk),
            // More than there is: the system alone says no.
            ("REQUEST_CACHE_MAX_BYTES", "1073741824"),
        ];
        if let Some(bucket) = &bucket {
            environment.push(("REQUEST_CACHE_STORAGE_PROVIDER", "local"));
            environment.push(("REQUEST_CACHE_BUCKET_NAME", bucket));
        }
        let loader = Loader::start(&backend, &environment).await;
        for _ in 0..2 {
            let url = loader.stream("ds.recording=large");
            let answer = async { Viewer::open(&url).await.unwrap().rest().await.unwrap() };
            let answer = within(30, "an answer with a full disk", &loader, answer).await;
            assert!(answer.complete, "{bucket:?}: {} {}", answer.status, loader.printed());
            check_all(&decode(&answer.body).unwrap().messages, &truth).unwrap();
        }
    }
}
