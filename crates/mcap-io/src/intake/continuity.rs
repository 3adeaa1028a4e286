//! Whether a body that is read again is the same.

use std::collections::HashMap;
use std::hash::Hash;

use twox_hash::xxhash3_128::Hasher;

use super::IntakeError;
use crate::MessageView;

/// The running hash over everything taken, in the order of the body: messages, and what was left
/// out of the data. Chunking and compression do not count.
pub(super) struct Continuity {
    hasher: Hasher,
    /// Messages and left-out records of this body so far.
    items: u64,
    /// After a restart: how many items to skip, and the hash that they must have.
    skip_to: Option<(u64, u128)>,
    messages_taken: u64,
}

impl Continuity {
    pub(super) fn new() -> Continuity {
        Continuity { hasher: Hasher::new(), items: 0, skip_to: None, messages_taken: 0 }
    }

    /// Messages taken at the furthest point of any body.
    pub(super) fn messages_taken(&self) -> u64 {
        self.messages_taken
    }

    /// Counts a message of the channel with this identity; whether it is new.
    pub(super) fn message(
        &mut self,
        identity: u128,
        message: &MessageView<'_>,
    ) -> Result<bool, IntakeError> {
        let mut head = [0; 45];
        let fields: [&[u8]; 6] = [
            &[1],
            &identity.to_le_bytes(),
            &message.sequence.to_le_bytes(),
            &message.log_time.0.to_le_bytes(),
            &message.publish_time.0.to_le_bytes(),
            &(message.data.len() as u64).to_le_bytes(),
        ];
        let mut rest = &mut head[..];
        for field in fields {
            let (here, after) = rest.split_at_mut(field.len());
            here.copy_from_slice(field);
            rest = after;
        }
        self.hasher.write(&head);
        self.hasher.write(message.data);
        let new = self.count()?;
        self.messages_taken += u64::from(new);
        Ok(new)
    }

    /// Counts a record with this hash that is left out.
    pub(super) fn left_out(&mut self, record_hash: u128) -> Result<(), IntakeError> {
        self.hasher.write(&[2]);
        self.hasher.write(&record_hash.to_le_bytes());
        self.count().map(drop)
    }

    fn count(&mut self) -> Result<bool, IntakeError> {
        self.items += 1;
        let Some((items, hash)) = self.skip_to else { return Ok(true) };
        if self.items == items {
            if self.hasher.finish_128() != hash {
                return Err(IntakeError::NotRepeatable);
            }
            self.skip_to = None;
        }
        Ok(false)
    }

    /// The body comes again from its first byte.
    pub(super) fn restart(&mut self) {
        if self.skip_to.is_none() && self.items > 0 {
            self.skip_to = Some((self.items, self.hasher.finish_128()));
        }
        self.hasher = Hasher::new();
        self.items = 0;
    }

    /// The body is complete: it must have reached what was taken before.
    pub(super) fn finish(&self) -> Result<(), IntakeError> {
        if self.skip_to.is_some() { Err(IntakeError::NotRepeatable) } else { Ok(()) }
    }
}

/// Gives out each thing once over restarts: the n-th that is equal is new once.
pub(super) struct Once<K> {
    /// How many were seen in this body, and how many in any.
    seen: HashMap<K, (u64, u64)>,
}

impl<K: Eq + Hash> Once<K> {
    pub(super) fn new() -> Once<K> {
        Once { seen: HashMap::new() }
    }

    pub(super) fn is_new(&mut self, key: K) -> bool {
        let (here, anywhere) = self.seen.entry(key).or_default();
        *here += 1;
        let new = *here > *anywhere;
        *anywhere = (*anywhere).max(*here);
        new
    }

    pub(super) fn restart(&mut self) {
        for (here, _) in self.seen.values_mut() {
            *here = 0;
        }
    }
}
