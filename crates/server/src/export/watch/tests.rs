use std::collections::BTreeMap;
use std::io::Cursor;

use mcap::records::{MessageHeader, Metadata};

use super::*;

/// An MCAP with two messages in a chunk each, and a closing record with these entries.
fn recording(missing: &[&str]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = mcap::WriteOptions::new().chunk_size(Some(1)).create(&mut bytes).unwrap();
    let channel = writer.add_channel(0, "/a", "json", &BTreeMap::new()).unwrap();
    for log_time in [5, 1_000_000_007] {
        let header = MessageHeader { channel_id: channel, sequence: 0, log_time, publish_time: 0 };
        writer.write_to_known_channel(&header, b"{}").unwrap();
    }
    let metadata = (1..).zip(missing).map(|(n, text)| (format!("missing-{n}"), (*text).to_owned()));
    let record = Metadata { name: CLOSING_RECORD.into(), metadata: metadata.collect() };
    writer.write_metadata(&record).unwrap();
    writer.finish().unwrap();
    drop(writer);
    bytes.into_inner()
}

fn watch(bytes: &[u8], piece_bytes: usize) -> anyhow::Result<Watch> {
    let mut watch = Watch::default();
    for piece in bytes.chunks(piece_bytes) {
        watch.push(piece)?;
    }
    watch.finish()?;
    Ok(watch)
}

const LATE: &str = r#"{"code": "late-messages", "source": "front", "count": 7}"#;
const DAMAGED: &str =
    r#"{"code": "damaged-chunk", "source": "rear", "chunk": "12", "count": 1, "more": 0}"#;

#[test]
fn sees_times_counts_and_what_is_missing_however_it_is_split() {
    let bytes = recording(&[DAMAGED, LATE]);
    for piece_bytes in [1, 7, 100, bytes.len()] {
        let watch = watch(&bytes, piece_bytes).unwrap();
        assert_eq!(watch.bytes(), bytes.len() as u64);
        assert_eq!(watch.reached(), Some(Nanos(1_000_000_007)));
        assert_eq!(watch.message_count(), 2);
        assert!(watch.is_late());
        assert_eq!(
            watch.missing(),
            ["left out: chunk 12 of rear (damaged-chunk)", "left out: 7 late messages of front",]
        );
    }
}

#[test]
fn nothing_late_is_not_late() {
    assert!(!watch(&recording(&[]), 50).unwrap().is_late());
    assert!(!watch(&recording(&[DAMAGED, "not json"]), 50).unwrap().is_late());
}

#[test]
fn every_cut_is_noticed() {
    let bytes = recording(&[LATE]);
    for len in 0..bytes.len() {
        assert!(watch(&bytes[..len], 64).is_err(), "cut at {len} of {}", bytes.len());
    }
}

#[test]
fn what_is_no_mcap_is_refused() {
    assert!(watch(b"<!doctype html><html></html>", 10).is_err());
}
