//! The records that are kept whole beside the messages: metadata and attachments.

use std::collections::BTreeMap;

use bytes::Bytes;
use mcap::records::op;
use rdl_model::Nanos;
use serde::{Deserialize, Serialize};

use crate::fields::{FieldError, Fields};
use crate::walk::record_at;
use crate::write::{put_record, put_text, put_text_map, put_u32, put_u64};

/// A Metadata record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MetadataRecord {
    /// Its name.
    pub name: String,
    /// What it says.
    pub metadata: BTreeMap<String, String>,
}

/// An Attachment record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttachmentRecord {
    /// Its name.
    pub name: String,
    /// Its media type, such as `text/plain`.
    pub media_type: String,
    /// When it was logged.
    pub log_time: Nanos,
    /// When it was created; 0 when that is unknown.
    pub create_time: Nanos,
    /// Its content.
    pub data: Bytes,
}

/// An attachment less its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttachmentHead {
    /// Its name.
    pub name: String,
    /// Its media type, such as `text/plain`.
    pub media_type: String,
    /// When it was logged.
    pub log_time: Nanos,
    /// When it was created; 0 when that is unknown.
    pub create_time: Nanos,
    /// The size of its content, in bytes.
    pub data_bytes: u64,
}

/// Why a metadata record or an attachment cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It cannot be parsed.
    #[error("the record is malformed: {0}")]
    Malformed(String),
    /// Its checksum is not that of its content.
    #[error("the checksum of attachment {name:?} is wrong")]
    WrongChecksum {
        /// The attachment's name.
        name: String,
    },
}

impl From<FieldError> for RecordError {
    fn from(error: FieldError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl MetadataRecord {
    /// The whole record, opcode and length included.
    pub fn to_record_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        put_record(&mut out, op::METADATA, |out| {
            put_text(out, &self.name);
            put_text_map(out, &self.metadata);
        });
        out.into()
    }

    /// Parses a whole record, opcode and length included.
    pub fn from_record_bytes(record: &Bytes) -> Result<MetadataRecord, RecordError> {
        MetadataRecord::parse(body_of(record, op::METADATA, "metadata")?)
    }

    /// Parses the body of a record.
    pub(crate) fn parse(body: &[u8]) -> Result<MetadataRecord, RecordError> {
        let mut fields = Fields::new(body);
        let name = fields.text()?.to_owned();
        Ok(MetadataRecord { name, metadata: fields.text_map()? })
    }
}

impl AttachmentRecord {
    /// What it is besides its content.
    pub fn head(&self) -> AttachmentHead {
        AttachmentHead {
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            log_time: self.log_time,
            create_time: self.create_time,
            data_bytes: self.data.len() as u64,
        }
    }

    /// The CRC-32 of its content.
    pub fn data_crc(&self) -> u32 {
        crc32fast::hash(&self.data)
    }

    /// The whole record, opcode and length included, with its checksum.
    pub fn to_record_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.data.len() + self.name.len() + 128);
        put_record(&mut out, op::ATTACHMENT, |out| {
            let start = out.len();
            put_u64(out, self.log_time.0);
            put_u64(out, self.create_time.0);
            put_text(out, &self.name);
            put_text(out, &self.media_type);
            put_u64(out, self.data.len() as u64);
            out.extend_from_slice(&self.data);
            let crc = crc32fast::hash(&out[start..]);
            put_u32(out, crc);
        });
        out.into()
    }

    /// Parses a whole record, opcode and length included, and checks its checksum where it has
    /// one. Its data is a slice of `record`.
    pub fn from_record_bytes(record: &Bytes) -> Result<AttachmentRecord, RecordError> {
        let body = body_of(record, op::ATTACHMENT, "an attachment")?;
        let mut fields = Fields::new(body);
        let log_time = Nanos(fields.u64()?);
        let create_time = Nanos(fields.u64()?);
        let name = fields.text()?.to_owned();
        let media_type = fields.text()?.to_owned();
        let data_bytes = fields.u64()?;
        let data = record.slice_ref(fields.bytes(data_bytes)?);
        let covered = body.len() - fields.rest().len();
        let crc = fields.u32()?;
        // 0 means that the writer computed none (MCAP specification, "Attachment").
        if crc != 0 && crc32fast::hash(&body[..covered]) != crc {
            return Err(RecordError::WrongChecksum { name });
        }
        Ok(AttachmentRecord { name, media_type, log_time, create_time, data })
    }
}

fn body_of<'a>(record: &'a [u8], opcode: u8, what: &str) -> Result<&'a [u8], RecordError> {
    match record_at(record, 0) {
        Some((found, body)) if found == opcode => Ok(body),
        Some((found, _)) => {
            Err(RecordError::Malformed(format!("opcode {found:#04x} is not that of {what}")))
        }
        None => Err(FieldError::CutOff.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment() -> AttachmentRecord {
        AttachmentRecord {
            name: "notes.txt".into(),
            media_type: "text/plain".into(),
            log_time: Nanos(7),
            create_time: Nanos::MAX,
            data: Bytes::from_static(b"nothing happened"),
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        let written = attachment();
        let bytes = written.to_record_bytes();
        assert_eq!(AttachmentRecord::from_record_bytes(&bytes), Ok(written));
        let empty = AttachmentRecord { data: Bytes::new(), ..attachment() };
        assert_eq!(AttachmentRecord::from_record_bytes(&empty.to_record_bytes()), Ok(empty));
        let metadata = MetadataRecord {
            name: "calibration".into(),
            metadata: [("camera".to_owned(), "front".to_owned())].into(),
        };
        let bytes = metadata.to_record_bytes();
        assert_eq!(MetadataRecord::from_record_bytes(&bytes), Ok(metadata));
    }

    #[test]
    fn the_mcap_crate_reads_an_attachment() {
        let bytes = attachment().to_record_bytes();
        let parsed = mcap::parse_record(op::ATTACHMENT, &bytes[9..]).unwrap();
        let mcap::records::Record::Attachment { header, data, crc } = parsed else {
            panic!("{parsed:?} is no attachment")
        };
        assert_eq!((header.name.as_str(), &*data), ("notes.txt", &b"nothing happened"[..]));
        assert_eq!(crc, crc32fast::hash(&bytes[9..bytes.len() - 4]));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let whole = attachment().to_record_bytes();
        for len in 0..whole.len() {
            AttachmentRecord::from_record_bytes(&whole.slice(..len)).unwrap_err();
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            AttachmentRecord::from_record_bytes(&flipped.into()).unwrap_err();
        }
    }

    #[test]
    fn a_zero_checksum_is_not_checked() {
        let mut bytes = attachment().to_record_bytes().to_vec();
        let crc_at = bytes.len() - 4;
        bytes[crc_at..].fill(0);
        assert_eq!(AttachmentRecord::from_record_bytes(&bytes.into()), Ok(attachment()));
    }
}
