//! Faults that come and go, and that no viewer may notice.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::library::{Served, Trouble};
use crate::{FakeBackend, Fault, Random};

/// Between two faults.
const EVERY: Duration = Duration::from_millis(100);
/// How long a path is left alone after a fault: who asks again must get the better of it before
/// it counts as one that fails for good.
const CALM: Duration = Duration::from_secs(20);

/// Spoils requests of the rough recordings; never ends.
pub(super) async fn change(backend: Arc<FakeBackend>, served: Arc<Vec<Served>>, seed: u64) {
    let mut random = Random::new(!seed);
    let rough: Vec<_> = served
        .iter()
        .filter(|served| served.trouble == Trouble::Rough)
        .flat_map(|served| &served.files)
        .collect();
    let mut spoilt: Vec<Option<Instant>> = vec![None; rough.len()];
    loop {
        tokio::time::sleep(EVERY).await;
        if random.below(50) == 0 && backend.to_come("/manifest") == 0 {
            backend.script("/manifest", [Fault::Status(502, None)]);
        }
        for (file, spoilt) in rough.iter().zip(&mut spoilt) {
            if backend.to_come(&file.path) > 0 {
                *spoilt = Some(Instant::now());
            }
        }
        let at = random.below(rough.len() as u64) as usize;
        let (Some(file), Some(spoilt)) = (rough.get(at), spoilt.get_mut(at)) else { continue };
        if spoilt.is_some_and(|spoilt| spoilt.elapsed() < CALM) {
            continue;
        }
        *spoilt = Some(Instant::now());
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
