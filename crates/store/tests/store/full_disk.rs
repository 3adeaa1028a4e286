//! A disk that is full before the bound is reached.

use std::path::Path;
use std::process::Command;

use crate::sample::{Load, bytes_below, check, chunk, is_there, key, put, store};

/// A file system of 2 MiB; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Nothing where this user may not mount.
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "none"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(folder)),
            refused => {
                eprintln!("skipped: cannot mount a small disk: {refused:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

#[test]
fn a_full_disk_is_full_and_makes_sources_go() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = store(disk.path(), 1 << 30);
    put(&store, "a", 600_000).unwrap();
    put(&store, "b", 600_000).unwrap();
    assert!(is_there(&store, "a"));
    let mut load = Load::begin(&store, "c");
    load.append(&chunk(1, 1_000_000)).unwrap();
    assert!(!is_there(&store, "b"), "it was used longest ago");

    let read = store.find(&key("a")).unwrap();
    let second = chunk(2, 1_000_000);
    for _ in 0..2 {
        assert!(load.append(&second).unwrap_err().is_full());
        load.check_from(0);
        assert_eq!(bytes_below(disk.path()), store.usage().bytes, "nothing is half written");
    }
    let scratch = store.scratch().unwrap();
    assert!(scratch.append(&vec![1; 1_000_000]).unwrap_err().is_full());
    scratch.append(&[1; 10]).unwrap();
    drop(scratch);

    let freed = load.attempt.discard_before(2).unwrap();
    assert!(freed > 1_000_000);
    load.append(&second).unwrap();
    load.check_from(1);
    check(&read, 600_000);
    drop((load, read));
    assert_eq!(bytes_below(disk.path()), store.usage().bytes);
}

#[test]
fn the_default_bound_is_half_of_what_is_free() {
    let Some(disk) = SmallDisk::mount() else { return };
    let config = rdl_store::StoreConfig {
        folder: Some(disk.path().join("scratch")),
        bucket: Some(disk.path().join("bucket")),
        max_bytes: None,
    };
    let first = rdl_store::DiskStore::open(&config).unwrap();
    let bound = first.max_bytes();
    assert!((900_000..=1 << 20).contains(&bound), "{bound}");
    put(&first, "a", 600_000).unwrap();
    drop(first);
    // What is cached counts as free: the bound does not shrink from start to start.
    let second = rdl_store::DiskStore::open(&config).unwrap();
    assert!(second.max_bytes().abs_diff(bound) < 20_000, "{}", second.max_bytes());
}
