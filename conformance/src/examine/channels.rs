//! The schemas and channels of a body, and how they compare with what the manifest declares.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rdl_mcap_io::{CanonicalIds, ChannelDef, SchemaDef};
use rdl_wire::StreamedSource;
use twox_hash::XxHash3_128;

use crate::shown::tamed;

/// How a channel differs from what is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The topic is not declared.
    Undeclared,
    /// The topic is declared with something else; what.
    Differs(String),
}

/// A channel as it is looked at for each message.
pub(super) struct Seen {
    pub(super) topic: String,
    /// The same for the same topic, encoding, schema and metadata.
    pub(super) identity: u128,
    pub(super) mismatch: Option<Mismatch>,
    /// Whether its mismatch was noted.
    pub(super) told: bool,
    def: ChannelDef,
    schema_id: u16,
}

/// A definition that cannot stand.
pub(super) struct Undefined {
    pub(super) what: String,
    pub(super) is_fatal: bool,
}

impl Undefined {
    fn new(what: String) -> Undefined {
        Undefined { what, is_fatal: false }
    }
}

/// All definitions of a body.
pub(super) struct Channels {
    schemas: BTreeMap<u16, Arc<SchemaDef>>,
    channels: HashMap<u16, Seen>,
    declared: Option<Vec<Declared>>,
    room_bytes: u64,
    canonical: CanonicalIds,
    not_canonical: u64,
    ids: u64,
}

/// A declared topic with its schema.
struct Declared {
    topic: String,
    message_encoding: String,
    schema: Option<SchemaDef>,
}

impl Channels {
    pub(super) fn new(declared: Option<&StreamedSource>, room_bytes: u64) -> Channels {
        let declared = declared.map(|source| {
            let schema = |id: u16| {
                let schema = source.schemas.iter().find(|schema| schema.id == id)?;
                Some(SchemaDef {
                    name: schema.name.clone(),
                    encoding: schema.encoding.clone(),
                    data: schema.data.clone(),
                })
            };
            let topics = source.topics.iter().map(|topic| Declared {
                topic: topic.name.clone(),
                message_encoding: topic.message_encoding.clone(),
                schema: topic.schema_id.and_then(schema),
            });
            topics.collect()
        });
        Channels {
            schemas: BTreeMap::new(),
            channels: HashMap::new(),
            declared,
            room_bytes,
            canonical: CanonicalIds::new(),
            not_canonical: 0,
            ids: 0,
        }
    }

    /// The channel of this id.
    pub(super) fn of(&mut self, id: u16) -> Option<&mut Seen> {
        self.channels.get_mut(&id)
    }

    /// How many ids are not canonical, of how many.
    pub(super) fn not_canonical(&self) -> (u64, u64) {
        (self.not_canonical, self.ids)
    }

    pub(super) fn schema(&mut self, id: u16, def: SchemaDef) -> Result<(), Undefined> {
        match self.schemas.get(&id) {
            _ if id == 0 => {
                Err(Undefined::new("a schema has the id 0, which stands for none".into()))
            }
            Some(known) if **known == def => Ok(()),
            known => {
                let twice = known.map(|known| {
                    Undefined::new(format!(
                        "schema {id} is defined twice, differently ({} and {})",
                        tamed(&known.name),
                        tamed(&def.name)
                    ))
                });
                self.take_room(def.name.len() + def.encoding.len() + def.data.len())?;
                let canonical = self.canonical.schema(def.clone()).ok().map(|(id, _)| id);
                self.count(id, canonical);
                // Channels that come from now on have this one, as with a loader.
                self.schemas.insert(id, Arc::new(def));
                twice.map_or(Ok(()), Err)
            }
        }
    }

    pub(super) fn channel(
        &mut self,
        id: u16,
        schema_id: u16,
        mut def: ChannelDef,
    ) -> Result<(), Undefined> {
        let mut wrong = None;
        if let Some(known) = self.channels.get(&id) {
            let is_same = known.schema_id == schema_id
                && known.def.topic == def.topic
                && known.def.message_encoding == def.message_encoding
                && known.def.metadata == def.metadata;
            if is_same {
                return Ok(());
            }
            // What follows is of the new one.
            wrong = Some(Undefined::new(format!(
                "channel {id} is defined twice, differently ({} and {})",
                tamed(&known.topic),
                tamed(&def.topic)
            )));
        }
        let metadata = def.metadata.iter().map(|(key, value)| key.len() + value.len());
        self.take_room(def.topic.len() + def.message_encoding.len() + metadata.sum::<usize>())?;
        let mut is_missing = false;
        if schema_id != 0 {
            def.schema = self.schemas.get(&schema_id).cloned();
            if def.schema.is_none() {
                let topic = tamed(&def.topic);
                is_missing = true;
                wrong.get_or_insert(Undefined::new(format!(
                    "channel {id} ({topic}) names schema {schema_id}, which was never defined"
                )));
            }
        }
        let canonical = self.canonical.channel(def.clone()).ok().map(|record| record.id);
        self.count(id, canonical);
        let seen = Seen {
            topic: tamed(&def.topic),
            identity: identity(&def),
            // What is not defined is not what is declared either; one finding is enough.
            mismatch: if is_missing { None } else { self.mismatch(&def) },
            told: false,
            def,
            schema_id,
        };
        self.channels.insert(id, seen);
        wrong.map_or(Ok(()), Err)
    }

    fn count(&mut self, id: u16, canonical: Option<u16>) {
        self.ids += 1;
        self.not_canonical += u64::from(canonical != Some(id));
    }

    fn take_room(&mut self, bytes: usize) -> Result<(), Undefined> {
        match self.room_bytes.checked_sub(bytes as u64) {
            Some(left) => {
                self.room_bytes = left;
                Ok(())
            }
            None => Err(Undefined {
                what: "its schemas and channels take more than 64 MiB".to_owned(),
                is_fatal: true,
            }),
        }
    }

    /// The declared topics as they are shown.
    pub(super) fn declared(&self) -> HashSet<String> {
        self.declared.iter().flatten().map(|declared| tamed(&declared.topic)).collect()
    }

    fn mismatch(&self, def: &ChannelDef) -> Option<Mismatch> {
        let declared = self.declared.as_ref()?;
        let mut first = None;
        for topic in declared.iter().filter(|topic| topic.topic == def.topic) {
            let difference = difference(topic, def)?;
            first.get_or_insert(difference);
        }
        Some(first.map_or(Mismatch::Undeclared, Mismatch::Differs))
    }
}

/// `None` when they are the same.
fn difference(declared: &Declared, def: &ChannelDef) -> Option<String> {
    if declared.message_encoding != def.message_encoding {
        return Some(format!(
            "its message encoding is {:?}; the manifest declares {:?}",
            tamed(&def.message_encoding),
            tamed(&declared.message_encoding)
        ));
    }
    match (&declared.schema, def.schema.as_deref()) {
        (None, None) => None,
        (Some(declared), None) => {
            Some(format!("it has no schema; the manifest declares {}", tamed(&declared.name)))
        }
        (None, Some(schema)) => {
            Some(format!("its schema is {}; the manifest declares none", tamed(&schema.name)))
        }
        (Some(declared), Some(schema)) if declared.name != schema.name => Some(format!(
            "its schema is {}; the manifest declares {}",
            tamed(&schema.name),
            tamed(&declared.name)
        )),
        (Some(declared), Some(schema)) if declared.encoding != schema.encoding => Some(format!(
            "its schema is written in {:?}; the manifest declares {:?}",
            tamed(&schema.encoding),
            tamed(&declared.encoding)
        )),
        (Some(declared), Some(schema)) if declared.data != schema.data => {
            let same = declared.data.iter().zip(&schema.data).take_while(|(a, b)| a == b).count();
            Some(format!(
                "its schema {} differs from the declared one from byte {same} on ({} and {} bytes)",
                tamed(&schema.name),
                schema.data.len(),
                declared.data.len()
            ))
        }
        _ => None,
    }
}

fn identity(def: &ChannelDef) -> u128 {
    let mut all = Vec::new();
    let mut field = |bytes: &[u8]| {
        all.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        all.extend_from_slice(bytes);
    };
    field(def.topic.as_bytes());
    field(def.message_encoding.as_bytes());
    match &def.schema {
        None => field(b""),
        Some(schema) => {
            field(schema.name.as_bytes());
            field(schema.encoding.as_bytes());
            field(&schema.data);
        }
    }
    for (key, value) in &def.metadata {
        field(key.as_bytes());
        field(value.as_bytes());
    }
    XxHash3_128::oneshot(&all)
}
