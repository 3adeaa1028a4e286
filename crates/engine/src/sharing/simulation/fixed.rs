//! Interleavings that matter and are rare.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdl_model::{SourceKey, SourceKeyHasher};
use rdl_testkit::FlakyStore;
use tokio::time::Instant;

use super::super::{Claim, Joined, Role};
use super::on_a_paused_clock;
use super::replica::Replica;
use super::weather::Weather;
use super::world::{Backend, check};

const SECOND: Duration = Duration::from_secs(1);

struct Case {
    store: FlakyStore,
    backend: Arc<Backend>,
    folders: tempfile::TempDir,
    key: SourceKey,
}

impl Case {
    fn new() -> Case {
        Case {
            store: FlakyStore::new(),
            backend: Arc::new(Backend::new(1, &Weather::default())),
            folders: tempfile::tempdir().unwrap(),
            key: SourceKeyHasher::new().field("source").finish(),
        }
    }

    fn replica(&self, seed: u64) -> Arc<Replica> {
        let (store, backend) = (self.store.another(), self.backend.clone());
        Arc::new(Replica::start(store, self.folders.path(), self.key, backend, seed))
    }

    async fn assert_loads(&self, replica: &Replica) {
        check(&replica.load().await.unwrap(), self.backend.messages, true);
    }

    fn downloads(&self) -> u64 {
        self.backend.downloads.load(Ordering::Relaxed)
    }

    async fn names(&self, end: &str) -> Vec<String> {
        let names = self.store.names().await;
        names.into_iter().filter(|name| name.ends_with(end)).collect()
    }

    /// Waits until there is an object whose name ends so.
    async fn appears(&self, end: &str) {
        while self.names(end).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The leader has claimed the source, and says nothing from then on.
    async fn freeze_at_the_claim(&self, leader: &Replica) {
        self.appears(".claim").await;
        leader.store.set_frozen(true);
    }
}

#[test]
fn the_least_named_attempt_that_wakes_up_late_is_not_seen() {
    on_a_paused_clock(async {
        let case = Case::new();
        let (first, second) = (case.replica(1), case.replica(2));
        // All of its checks are behind it.
        first.store.freeze_before("complete.json");
        case.assert_loads(&first).await;
        tokio::time::sleep(SECOND).await;
        // The second one follows to the end, finds that the first one never completes it, and
        // completes an attempt of its own.
        case.assert_loads(&second).await;
        tokio::time::sleep(60 * SECOND).await;
        let complete = case.names("complete.json").await;
        assert!(complete[0].contains("/00000002-") && complete.len() == 1, "{complete:?}");
        first.store.set_frozen(false);
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(case.names("complete.json").await, complete);
        assert_eq!(case.names("running.json").await.len(), 1);
        case.assert_loads(&case.replica(3)).await;
        assert_eq!(case.downloads(), 1);
    });
}

#[test]
fn a_claim_before_its_first_heartbeat_is_not_taken_for_dead() {
    on_a_paused_clock(async {
        let case = Case::new();
        let (leader, follower) = (case.replica(1), case.replica(2));
        let leading = async {
            case.assert_loads(&leader).await;
        };
        let waking = async {
            case.freeze_at_the_claim(&leader).await;
            tokio::time::sleep(15 * SECOND).await;
            leader.store.set_frozen(false);
        };
        let following = async {
            tokio::time::sleep(SECOND).await;
            case.assert_loads(&follower).await;
        };
        tokio::join!(leading, waking, following);
        assert_eq!(case.downloads(), 1);
    });
}

#[test]
fn a_claim_without_a_heartbeat_is_taken_over_after_the_stale_age() {
    on_a_paused_clock(async {
        let case = Case::new();
        let (leader, follower) = (case.replica(1), case.replica(2));
        let dying = leader.clone();
        let leading = tokio::spawn(async move { dying.load().await });
        case.freeze_at_the_claim(&leader).await;
        leading.abort();
        let start = Instant::now();
        case.assert_loads(&follower).await;
        let took = start.elapsed();
        // The stale age and what the download takes.
        assert!((20 * SECOND..50 * SECOND).contains(&took), "it took {took:?}");
        assert_eq!(case.downloads(), 2);
    });
}

#[test]
fn what_the_bucket_does_not_give_is_loaded_for_a_while() {
    on_a_paused_clock(async {
        let case = Case::new();
        let (loader, reader) = (case.replica(1), case.replica(2));
        case.assert_loads(&loader).await;
        tokio::time::sleep(60 * SECOND).await;
        let join = async || reader.sharing.join(&case.key).await;
        let Joined::Complete(found) = join().await else { panic!("it is complete") };
        reader.sharing.avoid_for_now(found.parts.attempt());
        assert!(matches!(join().await, Joined::Load(Role::Leads(Claim::Later))));
        tokio::time::sleep(300 * SECOND).await;
        assert!(matches!(join().await, Joined::Complete(_)));
    });
}

#[test]
fn a_complete_attempt_that_does_not_say_so_is_not_followed_for_ever() {
    on_a_paused_clock(async {
        let case = Case::new();
        let (leader, follower) = (case.replica(1), case.replica(2));
        // It follows what the leader has, and is slow to see how that ends.
        let following = async {
            case.appears(".claim").await;
            case.assert_loads(&follower).await;
        };
        let forgetting = async {
            case.assert_loads(&leader).await;
            case.appears("complete.json").await;
            // As a write that hung and came late does.
            let running = case.names("running.json").await.remove(0);
            case.store
                .put_over(
                    &running,
                    br#"{"counter":1,"state":"loading","parts":[],"asItCame":true}"#,
                )
                .await;
        };
        tokio::join!(following, forgetting);
        assert_eq!(case.downloads(), 2);
    });
}
