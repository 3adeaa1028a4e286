//! The bound: every byte is charged before it is written, and what is not needed makes room.
//!
//! What counts: the files of this process (running loads, scratch files, sources that go with
//! their readers), and the folder of complete sources whole, whoever wrote there.
//!
//! Who gets room: whoever asks first, with one exception. A load that runs beside others may hold
//! at most three quarters of the bound; the rest is for them, so that no source that is larger
//! than the disk keeps all others out. Which load has to give way is not decided here: the one
//! that asks for more is told [`StoreError::Full`].
//!
//! Invariants: the bytes of this process and the complete sources together stay within the bound,
//! and a write that would break it first makes others go ([`Kept::evict`]). Processes that share a
//! folder see each other's bytes when the folder is looked at again, which happens at every
//! eviction and after every sixteenth of the bound that was written; each may be over by that much.
//!
//! Locks: `housekeeping` before the readers of [`Kept`], `ledger` last.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdl_metrics::table;

use crate::StoreError;
use crate::charge::{Charge, Holder};
use crate::descriptors::Descriptors;
use crate::error::is_disk_full;
use crate::inventory::{self, Inventory};
use crate::kept::Kept;
use crate::scratch::IdleFiles;

/// The bound when nobody sets one, where the disk is large enough.
const DEFAULT_MAX_BYTES: u64 = 10 << 30;

/// After this part of the bound was written a shared folder is looked at again.
const LOOK_AGAIN_AFTER: u64 = 16;

/// A disk that was full counts as roomy when this part of the bound is free again.
const ROOMY_AGAIN: u64 = 8;

/// An eviction goes on for this part of the bound, so that not every write needs one.
const SLACK: u64 = 32;

/// For so long nobody looks again for what to evict, unless a source became evictable meanwhile.
/// What other processes do is noticed that much later.
const IN_VAIN_FOR: Duration = Duration::from_secs(1);

/// The room that one process may use.
#[derive(Debug)]
pub(crate) struct Space {
    explicit_max_bytes: Option<u64>,
    /// This process's folder.
    process: PathBuf,
    pub(crate) kept: Kept,
    pub(crate) descriptors: Descriptors,
    pub(crate) idle_files: IdleFiles,
    /// Whether evicting a complete source makes room in this process's folder.
    same_disk: bool,
    measured: Once,
    ledger: Mutex<Ledger>,
    /// Held by whoever moves complete sources, removes them or counts them.
    housekeeping: Mutex<()>,
}

#[derive(Debug, Default)]
struct Ledger {
    max_bytes: u64,
    /// What the disk of this process's folder took at most when it said that it is full.
    disk_bytes: Option<u64>,
    /// In this process's folder, complete sources excepted.
    own_bytes: u64,
    /// Complete sources.
    kept_bytes: u64,
    kept_sources: u64,
    /// Charged since the folder of complete sources was last looked at.
    unchecked_bytes: u64,
    /// Loads that run.
    loads: u32,
    in_vain: Option<InVain>,
}

/// A look for sources to evict that found too little; whoever is told that the disk is full asks
/// again and again, and a look at ten thousand sources takes a third of a second.
#[derive(Clone, Copy, Debug)]
struct InVain {
    at: Instant,
    evictable_bytes: u64,
}

impl Ledger {
    fn bytes(&self) -> u64 {
        self.own_bytes.saturating_add(self.kept_bytes)
    }

    fn fits(&self, bytes: u64) -> bool {
        self.missing(bytes) == 0
    }

    /// How much has to go before `bytes` fit.
    fn missing(&self, bytes: u64) -> u64 {
        self.bytes().saturating_add(bytes).saturating_sub(self.max_bytes)
    }

    /// Whether to look for so much again would be in vain too.
    fn knows_in_vain(&self, needed: u64) -> bool {
        self.in_vain
            .is_some_and(|found| needed > found.evictable_bytes && found.at.elapsed() < IN_VAIN_FOR)
    }
}

/// How much the disk store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What lies in it, in bytes: complete sources, running loads and scratch files.
    pub bytes: u64,
    /// What of it belongs to running loads and scratch files, in bytes.
    pub running_bytes: u64,
    /// The bound, in bytes.
    pub max_bytes: u64,
    /// What running loads and scratch files find at most, in bytes: the bound, or what the disk
    /// turned out to have.
    pub room_bytes: u64,
    /// How many complete sources there are.
    pub sources: u64,
}

impl Space {
    /// `kept` is on the same file system as `process` or on another.
    pub(crate) fn new(process: &Path, kept: Kept, explicit_max_bytes: Option<u64>) -> Space {
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        Space {
            explicit_max_bytes,
            idle_files: IdleFiles::default(),
            same_disk: device(process) == device(kept.v1()),
            process: process.to_owned(),
            kept,
            descriptors: Descriptors::default(),
            measured: Once::new(),
            ledger: Mutex::default(),
            housekeeping: Mutex::default(),
        }
    }

    /// Finds out what is there and how much may be; whoever needs it meanwhile waits. A second
    /// call does nothing. Blocks.
    pub(crate) fn measure(&self) {
        self.measured.call_once(|| {
            let _housekeeping = self.housekeeping.lock();
            let inventory = self.count();
            let max_bytes = self.explicit_max_bytes.unwrap_or_else(|| {
                let kept = free_bytes(self.kept.v1()).saturating_add(inventory.bytes);
                let room = if self.same_disk { kept } else { kept.min(free_bytes(&self.process)) };
                DEFAULT_MAX_BYTES.min(room / 2)
            });
            self.ledger.lock().max_bytes = max_bytes;
        });
    }

    /// Blocks until the first look at the disk is over.
    pub(crate) fn usage(&self) -> Usage {
        self.measure();
        let ledger = self.ledger.lock();
        Usage {
            bytes: ledger.bytes(),
            running_bytes: ledger.own_bytes,
            max_bytes: ledger.max_bytes,
            room_bytes: ledger
                .disk_bytes
                .map_or(ledger.max_bytes, |disk| disk.min(ledger.max_bytes)),
            sources: ledger.kept_sources,
        }
    }

    fn full(&self, needed_bytes: u64) -> StoreError {
        table::DISK_FULL.one();
        StoreError::Full { needed_bytes, max_bytes: self.ledger.lock().max_bytes }
    }

    /// Takes room for `bytes` of one who holds `held_bytes`.
    pub(crate) fn take(
        &self,
        bytes: u64,
        held_bytes: u64,
        holder: Holder,
    ) -> Result<(), StoreError> {
        self.measure();
        loop {
            {
                let mut ledger = self.ledger.lock();
                let share = ledger.max_bytes / 4 * 3;
                let beside_others = holder == Holder::Load && ledger.loads > 1;
                if beside_others && held_bytes.saturating_add(bytes) > share {
                    drop(ledger);
                    return Err(self.full(bytes));
                }
                let look_again = self.kept.is_shared()
                    && ledger.unchecked_bytes > ledger.max_bytes / LOOK_AGAIN_AFTER;
                if ledger.fits(bytes) && !look_again {
                    ledger.own_bytes += bytes;
                    table::DISK_WRITTEN_BYTES.more(bytes);
                    ledger.unchecked_bytes = ledger.unchecked_bytes.saturating_add(bytes);
                    return Ok(());
                }
            }
            if !self.make_room(bytes) {
                return Err(self.full(bytes));
            }
        }
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        let mut ledger = self.ledger.lock();
        ledger.own_bytes = ledger.own_bytes.saturating_sub(bytes);
    }

    /// Looks at the folder of complete sources and evicts until `bytes` fit, if that is possible.
    fn make_room(&self, bytes: u64) -> bool {
        let is_hopeless = |ledger: &Ledger| {
            let needed = ledger.missing(bytes);
            needed > ledger.kept_bytes || ledger.knows_in_vain(needed)
        };
        if is_hopeless(&self.ledger.lock()) {
            return false;
        }
        let _housekeeping = self.housekeeping.lock();
        let inventory = self.count();
        let (needed, wished) = {
            let ledger = self.ledger.lock();
            if is_hopeless(&ledger) {
                return false;
            }
            let needed = ledger.missing(bytes);
            (needed, needed.saturating_add(ledger.max_bytes / SLACK))
        };
        if needed > 0 {
            self.evict(inventory, needed, wished);
        }
        self.ledger.lock().fits(bytes)
    }

    /// Evicts `bytes` because the disk itself is full; says whether anything went.
    fn make_room_on_disk(&self, bytes: u64) -> bool {
        if !self.same_disk || self.ledger.lock().knows_in_vain(1) {
            return false;
        }
        let _housekeeping = self.housekeeping.lock();
        let inventory = self.count();
        let missing = bytes.saturating_sub(free_bytes(&self.process)).max(1);
        self.evict(inventory, 1, missing) > 0
    }

    /// Counts what is kept. The caller holds `housekeeping`.
    fn count(&self) -> Inventory {
        let inventory = self.kept.take_inventory();
        let mut ledger = self.ledger.lock();
        ledger.kept_bytes = inventory.bytes;
        ledger.kept_sources = inventory.complete_count();
        ledger.unchecked_bytes = 0;
        if ledger.disk_bytes.is_some() && free_bytes(&self.process) > ledger.max_bytes / ROOMY_AGAIN
        {
            ledger.disk_bytes = None;
        }
        inventory
    }

    /// The disk has less than the bound: what lies there is all that it takes, for now.
    fn note_full_disk(&self) {
        let mut ledger = self.ledger.lock();
        let here = if self.same_disk { ledger.bytes() } else { ledger.own_bytes };
        if ledger.disk_bytes.is_none() {
            tracing::warn!(folder = %self.process.display(), bytes = here, max_bytes = ledger.max_bytes, "the disk is full, below the bound of the disk store");
        }
        ledger.disk_bytes = Some(here);
    }

    /// The caller holds `housekeeping`.
    fn evict(&self, inventory: Inventory, needed: u64, wished: u64) -> u64 {
        let evicted = self.kept.evict(inventory, needed, wished);
        let mut ledger = self.ledger.lock();
        let evictable_bytes = evicted.left_bytes;
        ledger.in_vain =
            (evicted.bytes < needed).then(|| InVain { at: Instant::now(), evictable_bytes });
        ledger.kept_bytes = ledger.kept_bytes.saturating_sub(evicted.bytes);
        ledger.kept_sources = ledger.kept_sources.saturating_sub(evicted.sources);
        evicted.bytes
    }

    /// Runs `work`, which writes `bytes` or leaves nothing behind, again as long as the disk is
    /// full and something can be evicted.
    pub(crate) fn on_disk<T>(
        &self,
        bytes: u64,
        action: &'static str,
        path: &Path,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        loop {
            match work() {
                Ok(done) => return Ok(done),
                Err(error) if is_disk_full(&error) => {
                    if !self.make_room_on_disk(bytes) {
                        self.note_full_disk();
                        return Err(self.full(bytes));
                    }
                }
                Err(error) => return Err(StoreError::io(action, path)(error)),
            }
        }
    }

    /// Removes a complete source that turned out to be damaged.
    pub(crate) fn forget(&self, folder: &Path) {
        let _housekeeping = self.housekeeping.lock();
        if let Err(error) = inventory::remove(folder) {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove a damaged source");
        }
        self.count();
    }

    /// Lets `arrive` move a source of `charge` to where complete ones are kept.
    pub(crate) fn keep(
        &self,
        charge: &Charge,
        arrive: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.measure();
        let _housekeeping = self.housekeeping.lock();
        arrive()?;
        let bytes = charge.hand_over();
        let mut ledger = self.ledger.lock();
        ledger.own_bytes = ledger.own_bytes.saturating_sub(bytes);
        ledger.kept_bytes = ledger.kept_bytes.saturating_add(bytes);
        ledger.kept_sources += 1;
        ledger.in_vain = None;
        Ok(())
    }

    /// So many loads more run.
    pub(crate) fn note_loads(&self, change: i32) {
        let mut ledger = self.ledger.lock();
        ledger.loads = ledger.loads.saturating_add_signed(change);
    }

    /// A complete source has no reader any more.
    pub(crate) fn note_unread(&self) {
        self.ledger.lock().in_vain = None;
    }
}

/// What the file system of this folder still has for this process.
fn free_bytes(folder: &Path) -> u64 {
    match rustix::fs::statvfs(folder) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "cannot ask how much room the disk has");
            u64::MAX
        }
    }
}
