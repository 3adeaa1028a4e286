//! A short soak; `make soak` runs a long one.

use std::path::PathBuf;
use std::time::Duration;

use rdl_testkit::soak::Soak;

use crate::loader::BINARY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_who_seek_at_random_get_what_is_true() {
    let soak = Soak {
        loader: PathBuf::from(BINARY),
        duration: Duration::from_secs(15),
        seed: 1,
        viewers: 12,
        recordings: 20,
        recording_bytes: 1 << 20,
        // Less than all recordings take, and as much as twelve of them.
        disk_bytes: 14 << 20,
        progress: None,
    };
    let report = soak.run().await.unwrap();
    eprintln!("{report}");
    assert!(report.failures.is_empty(), "the loader's last lines:\n{}", report.printed);
    for (what, count) in [("right", report.right), ("named", report.named), ("left", report.left)] {
        assert!(count > 0, "none was {what}\n{report}");
    }
}
