//! Faults that come and go, and that no viewer may notice.

use std::sync::Arc;
use std::time::Duration;

use super::library::{Served, Trouble};
use crate::{FakeBackend, Fault, Random};

/// Between two faults.
const EVERY: Duration = Duration::from_millis(100);

/// Spoils requests of the rough recordings, each path's at most one fault or burst at a time;
/// never ends.
pub(super) async fn change(backend: Arc<FakeBackend>, served: Arc<Vec<Served>>, seed: u64) {
    let mut random = Random::new(!seed);
    let rough: Vec<_> = served
        .iter()
        .filter(|served| served.trouble == Trouble::Rough)
        .flat_map(|served| &served.files)
        .collect();
    loop {
        tokio::time::sleep(EVERY).await;
        if random.below(50) == 0 && backend.to_come("/manifest") == 0 {
            backend.script("/manifest", [Fault::Status(502, None)]);
        }
        let Some(file) = rough.get(random.below(rough.len() as u64) as usize) else { continue };
        if backend.to_come(&file.path) > 0 {
            continue;
        }
        let place = random.below(file.bytes);
        let faults = match random.below(5) {
            0 => vec![Fault::CutAfter(place)],
            1 => vec![Fault::CutAfter(place), Fault::CutAfter(random.below(file.bytes))],
            2 => vec![Fault::StallAfter(place, Duration::from_millis(random.below(2_000)))],
            3 => vec![Fault::Status(503, None); 1 + random.below(3) as usize],
            _ => vec![Fault::Hangup],
        };
        backend.script(&file.path, faults);
    }
}
