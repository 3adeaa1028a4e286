//! Where a load keeps a record that is too large for memory until it is taken in.

use std::io;
use std::sync::Arc;

use rdl_mcap_io::{Spool, SpoolFactory};
use rdl_store::{ScratchFile, StoreError};

use super::room;
use crate::shared::Shared;
use crate::source::Generation;

/// The spools of the load that makes this generation.
pub(super) fn spools(shared: &Arc<Shared>, generation: &Arc<Generation>) -> SpoolFactory {
    let (shared, generation) = (shared.clone(), generation.clone());
    Box::new(move || {
        let (shared, generation) = (shared.clone(), generation.clone());
        Ok(Box::new(Scratch { shared, generation, file: None }))
    })
}

struct Scratch {
    shared: Arc<Shared>,
    generation: Arc<Generation>,
    /// Made for the first bytes, where a full disk can be waited out.
    file: Option<ScratchFile>,
}

impl Scratch {
    fn file(&mut self) -> Result<&ScratchFile, StoreError> {
        Ok(match self.file.take() {
            Some(file) => self.file.insert(file),
            None => self.file.insert(self.shared.store.scratch()?),
        })
    }
}

impl Spool for Scratch {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // As with chunks: what is left is for the loads that hold a response back.
        if room::is_tight(&self.shared.store.usage()) && !self.generation.readers().wait() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let appended = self.file().and_then(|file| file.append(bytes));
        appended.map(drop).map_err(into_io)
    }

    fn read_into(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file().and_then(|file| file.read_into(offset, into)).map_err(into_io)
    }
}

fn into_io(error: StoreError) -> io::Error {
    let kind = if error.is_full() { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
    io::Error::new(kind, error)
}
