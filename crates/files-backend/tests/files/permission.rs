//! A folder in which not everything may be read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rdl_testkit::{Drive, FileSpec, check_all};

use crate::running::Running;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs it in a thread of somebody who is not root, to whom permissions mean nothing. Threads that
/// it starts are theirs too.
#[cfg(target_os = "linux")]
fn as_nobody(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if rustix::process::getuid().is_root() {
            rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(65_534)).unwrap();
        }
        work();
    });
    thread.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_may_not_be_read_is_named_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let messages = Drive::default().generate().merged();
    let whole = FileSpec::default().write(&messages);
    let root = folder.path().to_owned();
    std::fs::create_dir_all(root.join("drive")).unwrap();
    std::fs::create_dir_all(root.join("lost+found")).unwrap();
    for name in ["drive/a.mcap", "drive/b.mcap", "lost+found/c.mcap"] {
        std::fs::write(root.join(name), &whole).unwrap();
        set_mode(&root.join(name), 0o644);
    }
    for (name, mode) in [("", 0o755), ("drive", 0o755), ("drive/a.mcap", 0), ("lost+found", 0)] {
        set_mode(&root.join(name), mode);
    }
    let served = root.clone();
    as_nobody(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            assert!(std::fs::read(served.join("drive/a.mcap")).is_err());
            let backend = Running::folder(&served).await;
            let listed = backend.recordings().await;
            assert_eq!(listed.len(), 3, "{listed:?}");
            let problem = listed[1]["problems"][0].as_str().unwrap();
            assert!(problem.contains("may not be read"), "{problem}");
            let sources = backend.sources("drive").await;
            assert_eq!(sources.len(), 1);
            check_all(&backend.messages(&sources[0]).await, &messages).unwrap();
            let refused = backend.manifest("drive/a").await;
            assert_eq!(refused.status, 404);
        });
    });
    set_mode(&root.join("lost+found"), 0o755);
}
