//! What the ids of a body stand for.

use std::collections::HashMap;
use std::sync::Arc;

use rdl_model::{Problem, ProblemCode};
use twox_hash::xxhash3_128::Hasher;

use super::IntakeError;
use crate::walk::ParsedChannel;
use crate::write::{put_channel, put_schema};
use crate::{CanonicalIds, ChannelDef, ChannelRecord, SchemaDef};

/// The tables from the ids of the current body to canonical ids, which outlive it.
pub(super) struct Definitions {
    ids: CanonicalIds,
    /// By canonical id: the hash of what the channel is.
    identities: HashMap<u16, u128>,
    schemas: HashMap<u16, (u16, Arc<SchemaDef>)>,
    channels: HashMap<u16, BodyChannel>,
    limit_bytes: u64,
    spent_bytes: u64,
}

/// A channel as the current body numbers it.
pub(super) struct BodyChannel {
    pub(super) record: Arc<ChannelRecord>,
    pub(super) identity: u128,
    /// The messages that this body has under the id.
    pub(super) messages: u64,
}

/// What a definition brought.
#[derive(Default)]
pub(super) struct Defined {
    /// The channel, when it was never seen before in any body.
    pub(super) new: Option<Arc<ChannelRecord>>,
    /// Whether the ids in the record are the canonical ones.
    pub(super) canonical: bool,
    pub(super) problem: Option<Problem>,
}

impl Definitions {
    pub(super) fn new(limit_bytes: u64) -> Definitions {
        Definitions {
            ids: CanonicalIds::new(),
            identities: HashMap::new(),
            schemas: HashMap::new(),
            channels: HashMap::new(),
            limit_bytes,
            spent_bytes: 0,
        }
    }

    /// Counts bytes that are kept for as long as the source is.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), IntakeError> {
        self.spent_bytes = self.spent_bytes.saturating_add(bytes);
        if self.spent_bytes > self.limit_bytes {
            return Err(IntakeError::DefinitionsTooLarge { limit_bytes: self.limit_bytes });
        }
        Ok(())
    }

    pub(super) fn schema(&mut self, id: u16, def: SchemaDef) -> Result<Defined, IntakeError> {
        if id == 0 {
            let what = format!("schema {:?} has id 0, which means none; it is left out", def.name);
            let problem = Some(Problem::new(ProblemCode::MalformedRecord, what));
            return Ok(Defined { problem, ..Defined::default() });
        }
        let known = self.schemas.get(&id);
        if let Some((canonical, known)) = known
            && **known == def
        {
            return Ok(Defined { canonical: *canonical == id, ..Defined::default() });
        }
        let problem = known.map(|(_, known)| {
            let what = format!("schema {id} was {:?} and became {:?}", known.name, def.name);
            Problem::new(ProblemCode::SchemaRedefined, what)
        });
        let bytes = def.name.len() + def.encoding.len() + def.data.len();
        let schemas = self.ids.schema_count();
        let (canonical, def) = self.ids.schema(def)?;
        if self.ids.schema_count() > schemas {
            self.spend(bytes as u64)?;
        }
        self.schemas.insert(id, (canonical, def));
        Ok(Defined { new: None, canonical: canonical == id, problem })
    }

    pub(super) fn channel(&mut self, parsed: ParsedChannel) -> Result<Defined, IntakeError> {
        let ParsedChannel { id, schema_id, def } = parsed;
        let mut problem = None;
        let schema = match self.schemas.get(&schema_id) {
            Some((_, schema)) => Some(schema.clone()),
            None => {
                if schema_id != 0 {
                    let what =
                        format!("channel {id} names schema {schema_id}, which is not defined");
                    let missing = Problem::new(ProblemCode::ChannelWithoutSchema, what);
                    problem = Some(missing.of_topic(&def.topic));
                }
                None
            }
        };
        let def = ChannelDef { schema, ..def };
        let canonical = |record: &ChannelRecord| record.id == id && record.schema_id == schema_id;
        if let Some(known) = self.channels.get(&id) {
            if *known.record.def == def {
                let canonical = canonical(&known.record);
                return Ok(Defined { new: None, canonical, problem: None });
            }
            let what = format!(
                "channel {id} was {:?} and was defined anew with other content; it became a channel of its own",
                known.record.def.topic
            );
            problem = Some(Problem::new(ProblemCode::ChannelRedefined, what).of_topic(&def.topic));
        }
        let record = self.ids.channel(def)?;
        let mut new = None;
        let identity = match self.identities.get(&record.id) {
            Some(identity) => *identity,
            None => {
                let identity = identity(&record);
                self.identities.insert(record.id, identity);
                self.spend(channel_bytes(&record.def))?;
                new = Some(record.clone());
                identity
            }
        };
        let canonical = canonical(&record);
        match self.channels.get_mut(&id) {
            Some(known) => (known.record, known.identity) = (record, identity),
            None => {
                self.channels.insert(id, BodyChannel { record, identity, messages: 0 });
            }
        }
        Ok(Defined { new, canonical, problem })
    }

    /// The channel that this body gives the id to.
    pub(super) fn get(&mut self, id: u16) -> Option<&mut BodyChannel> {
        self.channels.get_mut(&id)
    }

    /// How many messages this body has under each id.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u16, u64)> {
        self.channels.iter().map(|(id, channel)| (*id, channel.messages))
    }

    /// A body begins: its ids mean nothing yet.
    pub(super) fn restart(&mut self) {
        self.schemas.clear();
        self.channels.clear();
    }
}

fn channel_bytes(def: &ChannelDef) -> u64 {
    let entries = def.metadata.iter().map(|(key, value)| key.len() + value.len() + 64);
    (def.topic.len() + def.message_encoding.len() + 64 + entries.sum::<usize>()) as u64
}

/// A hash of what the channel is, whatever its number.
fn identity(channel: &ChannelRecord) -> u128 {
    let mut fields = Vec::new();
    put_channel(&mut fields, &ChannelRecord { id: 0, schema_id: 0, def: channel.def.clone() });
    if let Some(schema) = &channel.def.schema {
        put_schema(&mut fields, 0, schema);
    }
    Hasher::oneshot(&fields)
}
