//! Which number a merged message's channel has in the output.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::file::FileWriter;
use crate::{ChannelDef, ChannelRecord, OutputError, SchemaDef};

/// How many channels are found without hashing, at most; a power of two.
const RECENT: usize = 256;

/// The numbers given so far.
pub(super) struct Ids {
    /// By the address of a source's record, which is kept so that no other can have it.
    resolved: HashMap<usize, (Arc<ChannelRecord>, u16)>,
    /// Some of `resolved` at a place that follows from the address: messages come one by one, and
    /// mostly of the same channels. No record lies at the address 0.
    recent: Box<[(usize, u16); RECENT]>,
    /// What was given to an identity whose own number was taken.
    channels: HashMap<Arc<ChannelDef>, u16>,
    schemas: HashMap<Arc<SchemaDef>, u16>,
    free_channels: FreeIds,
    free_schemas: FreeIds,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids {
            resolved: HashMap::new(),
            recent: Box::new([(0, 0); RECENT]),
            channels: HashMap::new(),
            schemas: HashMap::new(),
            free_channels: FreeIds::default(),
            free_schemas: FreeIds::default(),
        }
    }
}

impl Ids {
    /// The number of `channel` in `file`, where it is defined if it was not yet: its own if that
    /// is free or means the same; else one that its identity already has; else a new one.
    pub(super) fn resolve(
        &mut self,
        channel: &Arc<ChannelRecord>,
        file: &mut FileWriter,
    ) -> Result<u16, OutputError> {
        let address = Arc::as_ptr(channel).addr();
        // Allocations are 16 bytes apart at least.
        let place = (address >> 4) % RECENT;
        if self.recent[place].0 == address {
            return Ok(self.recent[place].1);
        }
        let id = match self.resolved.get(&address) {
            Some((_, id)) => *id,
            None => {
                let id = self.assign(channel, file)?;
                self.resolved.insert(address, (channel.clone(), id));
                id
            }
        };
        self.recent[place] = (address, id);
        Ok(id)
    }

    fn assign(
        &mut self,
        channel: &Arc<ChannelRecord>,
        file: &mut FileWriter,
    ) -> Result<u16, OutputError> {
        if file.fits(channel) {
            file.define(channel)?;
            self.channels.entry(channel.def.clone()).or_insert(channel.id);
            return Ok(channel.id);
        }
        if let Some(written) = file.channels.get(&channel.id)
            && written.def == channel.def
        {
            return Ok(channel.id);
        }
        if let Some(id) = self.channels.get(&channel.def) {
            return Ok(*id);
        }
        let id = if file.channels.contains_key(&channel.id) {
            self.free_channels.next(&file.channels)?
        } else {
            channel.id
        };
        let schema_id = match &channel.def.schema {
            None => 0,
            Some(schema) => self.schema_id(channel.schema_id, schema, file)?,
        };
        let record = ChannelRecord { id, schema_id, def: channel.def.clone() };
        file.define(&Arc::new(record))?;
        self.channels.insert(channel.def.clone(), id);
        Ok(id)
    }

    fn schema_id(
        &mut self,
        wanted: u16,
        schema: &Arc<SchemaDef>,
        file: &FileWriter,
    ) -> Result<u16, OutputError> {
        if wanted != 0 && file.schemas.get(&wanted).is_none_or(|written| written == schema) {
            return Ok(wanted);
        }
        if let Some(id) = self.schemas.get(schema) {
            return Ok(*id);
        }
        let id = self.free_schemas.next(&file.schemas)?;
        self.schemas.insert(schema.clone(), id);
        Ok(id)
    }
}

/// Free numbers, from the greatest down: files written elsewhere number from 1 up, and their
/// chunks can only be passed where those numbers stay free.
struct FreeIds {
    /// Every number above it is taken.
    next: u16,
}

impl Default for FreeIds {
    fn default() -> Self {
        FreeIds { next: u16::MAX }
    }
}

impl FreeIds {
    fn next<T>(&mut self, taken: &BTreeMap<u16, T>) -> Result<u16, OutputError> {
        while self.next > 0 && taken.contains_key(&self.next) {
            self.next -= 1;
        }
        if self.next == 0 { Err(OutputError::TooManyChannels) } else { Ok(self.next) }
    }
}
