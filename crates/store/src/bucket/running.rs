use rdl_mcap_io::MetadataRecord;
use rdl_model::Problem;
use serde::{Deserialize, Serialize};

use crate::complete::known_problems;

/// `running.json`: what an attempt has so far. Its owner alone rewrites it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Another number at each write; as long as it changes, the attempt is alive.
    pub counter: u64,
    /// Whether it goes on.
    pub state: RunningState,
    /// The parts that lie in the bucket, from the first on.
    pub parts: Vec<RunningPart>,
    /// Whether the parts have the messages of the data endpoint's body as they came: all of them,
    /// and in their order.
    pub as_it_came: bool,
    /// What is not in the parts, once all of them are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunningEnd>,
}

/// What a source has besides its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningEnd {
    /// The profile in its header.
    pub profile: String,
    /// Its metadata records.
    pub metadata: Vec<MetadataRecord>,
    /// What is wrong with it.
    #[serde(deserialize_with = "known_problems")]
    pub problems: Vec<Problem>,
}

/// Whether an attempt goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunningState {
    /// It does.
    Loading,
    /// Its owner has given it up: whoever needs the source may claim it at once.
    Released,
}

/// A part of a running attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningPart {
    /// Its name in the attempt's folder.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// How much of it lies before its data end record.
    pub data_bytes: u64,
    /// What it has to be.
    #[serde(flatten)]
    pub checksums: Checksums,
    /// How many messages lie in the parts before it.
    pub first_message: u64,
    /// How many messages it has.
    pub messages: u64,
}

/// CRC-32s of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checksums {
    /// Of all of it.
    pub crc: u32,
    /// Of each piece of 128 KiB, so that a follower may use a part as it comes.
    pub piece_crcs: Vec<u32>,
}

/// How long the pieces are that have a checksum of their own, in bytes.
pub(super) const CHECKED_PIECE_BYTES: u64 = 128 << 10;

impl Checksums {
    /// Adds what comes next in the part. All but the last piece begin at a multiple of 128 KiB.
    pub(super) fn add(&mut self, whole: &mut crc32fast::Hasher, bytes: &[u8]) {
        for piece in bytes.chunks(CHECKED_PIECE_BYTES as usize) {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(piece);
            whole.combine(&hasher);
            self.piece_crcs.push(hasher.finalize());
        }
    }
}

impl Running {
    /// Of an attempt that has nothing yet.
    pub fn begun() -> Running {
        Running {
            counter: 0,
            state: RunningState::Loading,
            parts: Vec::new(),
            as_it_came: true,
            end: None,
        }
    }
}
