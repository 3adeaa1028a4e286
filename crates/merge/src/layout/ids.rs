//! Which id everything has in the virtual file.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rdl_mcap_io::{ChannelDef, ChannelRecord, LayoutWriter, NewIds, OutputError, SchemaDef};

use super::LaidSource;

/// Writes every schema and channel, and says which ids those of each source got.
///
/// First everything keeps its ids that can; what is left shares those of something equal, or gets
/// free ones.
pub(super) fn define(
    sources: &[LaidSource],
    writer: &mut LayoutWriter,
) -> Result<Vec<NewIds>, OutputError> {
    let mut ids = Ids::default();
    let schemas: Vec<BTreeMap<u16, &Arc<SchemaDef>>> = sources.iter().map(schemas_of).collect();
    let mut new_schemas: Vec<BTreeMap<u16, u16>> = Vec::new();
    for schemas in &schemas {
        let mut kept = BTreeMap::new();
        for (&id, &schema) in schemas {
            if writer.schema(id).is_none_or(|known| known == schema) {
                writer.define_schema(id, schema);
                ids.schemas.entry(schema.clone()).or_insert(id);
                kept.insert(id, id);
            }
        }
        new_schemas.push(kept);
    }
    for (schemas, new) in schemas.iter().zip(&mut new_schemas) {
        for (&id, &schema) in schemas {
            if let Entry::Vacant(left) = new.entry(id) {
                left.insert(ids.schema(schema, writer)?);
            }
        }
    }
    let mut new_channels: Vec<BTreeMap<u16, Arc<ChannelRecord>>> = Vec::new();
    for (source, schemas) in sources.iter().zip(&new_schemas) {
        let mut kept = BTreeMap::new();
        for channel in source.channels.values() {
            let new = with_schema(channel, schemas);
            if writer.fits(&new) {
                writer.define(&new)?;
                ids.channels.entry(new.def.clone()).or_insert(new.id);
                kept.insert(new.id, new);
            }
        }
        new_channels.push(kept);
    }
    for ((source, schemas), new) in sources.iter().zip(&new_schemas).zip(&mut new_channels) {
        // A source may have equal channels; they stay apart.
        let mut taken: BTreeSet<u16> = new.values().map(|channel| channel.id).collect();
        for channel in source.channels.values() {
            if let Entry::Vacant(left) = new.entry(channel.id) {
                let found = ids.channel(&with_schema(channel, schemas), &taken, writer)?;
                taken.insert(found.id);
                left.insert(found);
            }
        }
    }
    let all = sources.iter().zip(new_schemas).zip(new_channels);
    Ok(all
        .map(|((source, schemas), channels)| {
            let pairs = source.channels.values().filter_map(|old| {
                let new = channels.get(&old.id)?;
                Some((&**old, &**new))
            });
            NewIds::new(schemas, pairs)
        })
        .collect())
}

/// Every schema of a source, by its id there.
fn schemas_of(source: &LaidSource) -> BTreeMap<u16, &Arc<SchemaDef>> {
    let of_channels = source.channels.values().filter_map(|channel| {
        let schema = channel.def.schema.as_ref()?;
        Some((channel.schema_id, schema))
    });
    of_channels.chain(source.schemas.iter().map(|(id, schema)| (*id, schema))).collect()
}

/// The channel under its own id, with the new id of its schema.
fn with_schema(channel: &Arc<ChannelRecord>, schemas: &BTreeMap<u16, u16>) -> Arc<ChannelRecord> {
    match schemas.get(&channel.schema_id) {
        Some(new) if *new != channel.schema_id && channel.def.schema.is_some() => {
            Arc::new(ChannelRecord { schema_id: *new, ..ChannelRecord::clone(channel) })
        }
        _ => channel.clone(),
    }
}

/// The first id that each thing got, and where free ones are looked for.
#[derive(Default)]
struct Ids {
    schemas: HashMap<Arc<SchemaDef>, u16>,
    channels: HashMap<Arc<ChannelDef>, u16>,
    next_schema: u16,
    next_channel: u16,
}

impl Ids {
    fn schema(
        &mut self,
        schema: &Arc<SchemaDef>,
        writer: &mut LayoutWriter,
    ) -> Result<u16, OutputError> {
        if let Some(known) = self.schemas.get(schema) {
            return Ok(*known);
        }
        let id = free(&mut self.next_schema, |id| writer.schema(id).is_some())?;
        writer.define_schema(id, schema);
        self.schemas.insert(schema.clone(), id);
        Ok(id)
    }

    fn channel(
        &mut self,
        channel: &Arc<ChannelRecord>,
        taken: &BTreeSet<u16>,
        writer: &mut LayoutWriter,
    ) -> Result<Arc<ChannelRecord>, OutputError> {
        let known = self.channels.get(&channel.def).filter(|id| !taken.contains(id));
        if let Some(known) = known.and_then(|id| writer.channel(*id)) {
            return Ok(known.clone());
        }
        let id = free(&mut self.next_channel, |id| writer.channel(id).is_some())?;
        let new = Arc::new(ChannelRecord { id, ..ChannelRecord::clone(channel) });
        writer.define(&new)?;
        self.channels.insert(new.def.clone(), id);
        Ok(new)
    }
}

/// The next free id; 0 is none.
fn free(next: &mut u16, is_taken: impl Fn(u16) -> bool) -> Result<u16, OutputError> {
    while let Some(id) = next.checked_add(1) {
        *next = id;
        if !is_taken(id) {
            return Ok(id);
        }
    }
    Err(OutputError::TooManyChannels)
}
