//! Who holds how much of the room.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreError;
use crate::space::Space;

/// Who holds room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A load, which has to leave some for other loads.
    Load,
    /// Anyone else.
    Other,
}

/// Bytes that somebody holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    space: Arc<Space>,
    holder: Holder,
    bytes: AtomicU64,
}

impl Charge {
    pub(crate) fn new(space: &Arc<Space>, holder: Holder) -> Charge {
        Charge { space: space.clone(), holder, bytes: AtomicU64::new(0) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gives up the count without giving the room back: the bytes are counted elsewhere.
    pub(crate) fn hand_over(&self) -> u64 {
        self.bytes.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Takes room for `bytes` more, evicting what it must. Callers take turns.
    pub(crate) fn grow(&self, bytes: u64) -> Result<(), StoreError> {
        self.space.take(bytes, self.bytes(), self.holder)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn shrink(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.space.give_back(bytes);
    }

    /// Charges `bytes` and runs `write`, which writes them or leaves nothing behind.
    pub(crate) fn write(
        &self,
        bytes: u64,
        path: &Path,
        write: impl FnMut() -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.grow(bytes)?;
        let written = self.space.on_disk(bytes, "write to", path, write);
        if written.is_err() {
            self.shrink(bytes);
        }
        written
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.space.give_back(self.bytes());
    }
}

/// Counts as a load that runs, until dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Space>);

impl Running {
    pub(crate) fn begin(space: &Arc<Space>) -> Running {
        space.note_loads(1);
        Running(space.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.note_loads(-1);
    }
}
