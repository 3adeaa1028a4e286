//! What has arrived of a body and was not taken in yet.

use std::collections::VecDeque;

use bytes::Bytes;
use rdl_mcap_io::Intake;
use rdl_model::ByteRange;
use rdl_store::{DiskStore, ScratchFile, StoreError};

/// Bytes that wait to be taken in: in memory, or on disk while others have their turn.
#[derive(Default)]
pub(super) struct Arrived {
    waiting: VecDeque<Bytes>,
    swapped: Option<Swapped>,
}

/// The beginning of a record, and what follows it, on disk.
struct Swapped {
    file: ScratchFile,
    /// What that record will take in memory.
    incoming_bytes: u64,
}

impl Arrived {
    pub(super) fn extend(&mut self, batch: Vec<Bytes>) {
        self.waiting.extend(batch);
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.waiting.pop_front()
    }

    pub(super) fn clear(&mut self) {
        *self = Arrived::default();
    }

    /// What it holds in memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.waiting.iter().map(Bytes::len).sum()
    }

    pub(super) fn is_swapped_out(&self) -> bool {
        self.swapped.is_some()
    }

    /// What the record that is on disk will take in memory; `None` where there is none.
    pub(super) fn swapped_incoming_bytes(&self) -> Option<u64> {
        self.swapped.as_ref().map(|swapped| swapped.incoming_bytes)
    }

    /// Puts on disk what waits and the record that the intake has begun, unless the disk is full.
    pub(super) fn swap_out(
        &mut self,
        intake: &mut Intake,
        store: &DiskStore,
    ) -> Result<(), StoreError> {
        let incoming_bytes = intake.incoming_bytes();
        let begun = intake.swap_out();
        if begun.is_none() && self.waiting.is_empty() {
            return Ok(());
        }
        let pieces = begun.iter().chain(&self.waiting);
        let write = |file: ScratchFile| {
            for piece in pieces {
                file.append(piece)?;
            }
            Ok(file)
        };
        match store.scratch().and_then(write) {
            Ok(file) => {
                self.waiting.clear();
                self.swapped = Some(Swapped { file, incoming_bytes });
            }
            Err(error) if error.is_full() => {
                if let Some(begun) = begun {
                    intake.swap_in(begun);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives the intake what is on disk; whether there was anything. It is not taken in yet.
    pub(super) fn swap_in(&mut self, intake: &mut Intake) -> Result<bool, StoreError> {
        let Some(Swapped { file, .. }) = self.swapped.take() else { return Ok(false) };
        intake.swap_in(file.read(ByteRange::at(0, file.bytes()))?);
        Ok(true)
    }
}
