//! Canonical ids: the number that a schema or a channel has wherever it occurs.
//!
//! A loader keeps chunks under these ids, so that the chunks of many sources can be passed on
//! side by side without renumbering. A writer that uses them from the start saves the loader from
//! rewriting its chunks.
//!
//! The id is a 16-bit hash of the identity, and the next free one where that is taken by another
//! identity. The hash is FNV-1a of 64 bits, folded to 16 by exclusive-or, over the fields, each
//! preceded by its length as a 64-bit little-endian number. Of a schema: name, encoding, data. Of
//! a channel: topic, message encoding, then either an empty field (no schema) or the three fields
//! of the schema, then key and value of each metadata entry in ascending order of keys (by their
//! bytes). 0 is never an id: it counts as taken.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{ChannelDef, ChannelRecord, SchemaDef};

/// All 65,535 ids of a source are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a source cannot have more than 65,535 {0}")]
pub struct IdsExhausted(
    /// `"schemas"` or `"channels"`.
    pub &'static str,
);

/// Gives the schemas and channels of one source their canonical ids.
///
/// The same identity always gets the same id; which of two identities with the same hash gets it
/// depends on which comes first, and nothing else depends on the order.
#[derive(Clone, Debug, Default)]
pub struct CanonicalIds {
    schemas: Numbers<SchemaDef>,
    channels: Numbers<ChannelDef>,
    records: HashMap<u16, Arc<ChannelRecord>>,
}

#[derive(Clone, Debug)]
struct Numbers<D> {
    by_def: HashMap<Arc<D>, u16>,
    /// One bit an id.
    taken: Box<[u64]>,
}

impl<D> Default for Numbers<D> {
    fn default() -> Self {
        let mut taken = vec![0; (1 << 16) / 64].into_boxed_slice();
        taken[0] = 1;
        Numbers { by_def: HashMap::new(), taken }
    }
}

impl CanonicalIds {
    /// No ids are taken.
    pub fn new() -> CanonicalIds {
        CanonicalIds::default()
    }

    /// How many schemas have an id.
    pub fn schema_count(&self) -> usize {
        self.schemas.by_def.len()
    }

    /// How many channels have an id.
    pub fn channel_count(&self) -> usize {
        self.channels.by_def.len()
    }

    /// The id of a schema, and the one copy that is kept of it.
    pub fn schema(&mut self, def: SchemaDef) -> Result<(u16, Arc<SchemaDef>), IdsExhausted> {
        if let Some((known, id)) = self.schemas.by_def.get_key_value(&def) {
            return Ok((*id, known.clone()));
        }
        let def = Arc::new(def);
        let id = self.schemas.take(def.clone(), schema_hash).ok_or(IdsExhausted("schemas"))?;
        Ok((id, def))
    }

    /// A channel with its id and that of its schema.
    pub fn channel(&mut self, def: ChannelDef) -> Result<Arc<ChannelRecord>, IdsExhausted> {
        if let Some(known) = self.channels.by_def.get(&def).and_then(|id| self.records.get(id)) {
            return Ok(known.clone());
        }
        let schema_id = match &def.schema {
            None => 0,
            Some(schema) => match self.schemas.by_def.get(schema) {
                Some(id) => *id,
                None => self.schema(SchemaDef::clone(schema))?.0,
            },
        };
        let def = Arc::new(def);
        let id = self.channels.take(def.clone(), channel_hash).ok_or(IdsExhausted("channels"))?;
        let record = Arc::new(ChannelRecord { id, schema_id, def });
        self.records.insert(id, record.clone());
        Ok(record)
    }
}

impl<D: Eq + std::hash::Hash> Numbers<D> {
    fn take(&mut self, def: Arc<D>, hash: fn(&D) -> u16) -> Option<u16> {
        let first = hash(&def);
        let id = (0..=u16::MAX)
            .map(|step| first.wrapping_add(step))
            .find(|id| self.taken[usize::from(id / 64)] & (1 << (id % 64)) == 0)?;
        self.taken[usize::from(id / 64)] |= 1 << (id % 64);
        self.by_def.insert(def, id);
        Some(id)
    }
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn field(mut self, bytes: &[u8]) -> Fnv {
        let len = (bytes.len() as u64).to_le_bytes();
        for byte in len.iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    fn schema(self, def: &SchemaDef) -> Fnv {
        self.field(def.name.as_bytes()).field(def.encoding.as_bytes()).field(&def.data)
    }

    fn fold(self) -> u16 {
        let [a, b, c, d, e, f, g, h] = self.0.to_le_bytes();
        u16::from_le_bytes([a, b])
            ^ u16::from_le_bytes([c, d])
            ^ u16::from_le_bytes([e, f])
            ^ u16::from_le_bytes([g, h])
    }
}

fn schema_hash(def: &SchemaDef) -> u16 {
    Fnv::new().schema(def).fold()
}

fn channel_hash(def: &ChannelDef) -> u16 {
    let hash = Fnv::new().field(def.topic.as_bytes()).field(def.message_encoding.as_bytes());
    let hash = match &def.schema {
        None => hash.field(b""),
        Some(schema) => hash.schema(schema),
    };
    let entries = def.metadata.iter();
    entries
        .fold(hash, |hash, (key, value)| hash.field(key.as_bytes()).field(value.as_bytes()))
        .fold()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn schema(name: &str) -> SchemaDef {
        SchemaDef {
            name: name.into(),
            encoding: "protobuf".into(),
            data: Bytes::from_static(b"\x0a\x01"),
        }
    }

    fn channel(topic: String) -> ChannelDef {
        let metadata = [("qos".to_owned(), "reliable".to_owned())].into();
        ChannelDef { topic, message_encoding: "cdr".into(), schema: None, metadata }
    }

    /// Worked out from the description above by another program; other implementations are held
    /// to these numbers too.
    #[test]
    fn ids_stay_what_they_are() {
        let mut ids = CanonicalIds::new();
        let (schema_id, schema) = ids.schema(schema("foxglove.Log")).unwrap();
        let with_schema = ChannelDef { schema: Some(schema), ..channel("/log".into()) };
        let with_schema = ids.channel(with_schema).unwrap();
        let without = ids.channel(channel("/log".into())).unwrap();
        assert_eq!(with_schema.schema_id, schema_id);
        assert_eq!(without.schema_id, 0);
        assert_eq!([schema_id, with_schema.id, without.id], [51_742, 24_351, 7396]);
    }

    #[test]
    fn order_matters_only_where_hashes_collide() {
        let defs: Vec<ChannelDef> = (0..300).map(|n| channel(format!("/{n}"))).collect();
        let (mut forward, mut backward) = (CanonicalIds::new(), CanonicalIds::new());
        for def in &defs {
            forward.channel(def.clone()).unwrap();
        }
        for def in defs.iter().rev() {
            backward.channel(def.clone()).unwrap();
        }
        for def in &defs {
            let id = forward.channel(def.clone()).unwrap().id;
            let alone = defs.iter().filter(|other| channel_hash(other) == channel_hash(def));
            if alone.count() == 1 && id == channel_hash(def) {
                assert_eq!(id, backward.channel(def.clone()).unwrap().id);
            }
        }
    }

    #[test]
    fn all_ids_can_be_used_and_zero_never_is() {
        let mut ids = CanonicalIds::new();
        let mut seen = vec![false; 1 << 16];
        for n in 0..65_535 {
            let id = ids.channel(channel(format!("/{n}"))).unwrap().id;
            assert!(id != 0 && !std::mem::replace(&mut seen[usize::from(id)], true));
        }
        assert_eq!(ids.channel(channel("/one more".into())), Err(IdsExhausted("channels")));
        let known = ids.channel(channel("/0".into())).unwrap();
        assert_eq!(known.def.topic, "/0");
    }
}
