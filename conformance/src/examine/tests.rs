use bytes::Bytes;
use rdl_testkit::{Channel, FileSpec, Message, conformance_files};

use super::*;

fn file() -> Vec<u8> {
    let channel = std::sync::Arc::new(Channel::json("/a"));
    let of = |number: u64| Message {
        channel: channel.clone(),
        log_time: number,
        publish_time: number,
        sequence: 0,
        data: vec![number as u8; 100],
    };
    FileSpec::default().write(&(0..1000).map(of).collect::<Vec<_>>())
}

fn examined(file: &[u8], piece_bytes: usize) -> Facts {
    let mut examiner = Examiner::new(None);
    for piece in file.chunks(piece_bytes) {
        assert!(examiner.push(Bytes::copy_from_slice(piece)));
    }
    examiner.finish()
}

#[test]
fn any_split_gives_the_same_facts() {
    let file = file();
    let whole = examined(&file, file.len());
    assert!(whole.is_whole() && whole.has_statistics);
    assert_eq!((whole.messages, whole.bytes), (1000, file.len() as u64));
    for piece_bytes in [1, 7, 1000, 65_536] {
        let facts = examined(&file, piece_bytes);
        assert!(facts.is_whole());
        assert_eq!(facts.marks.compare(&whole.marks, true), Compared::Same(1000));
        assert_eq!(facts.front, whole.front);
        assert_eq!(facts.tail(100), Some(file[file.len() - 100..].to_vec()));
    }
}

#[test]
fn chunks_make_no_difference_to_the_digest() {
    let channel = std::sync::Arc::new(Channel::json("/a"));
    let message = Message { channel, log_time: 1, publish_time: 2, sequence: 3, data: vec![4] };
    let messages = vec![message; 50];
    let chunked = FileSpec { first_id: 40, ..FileSpec::default() }.write(&messages);
    let loose = FileSpec { chunk_bytes: None, ..FileSpec::default() }.write(&messages);
    let (chunked, loose) = (examined(&chunked, 100), examined(&loose, 100));
    assert_eq!(chunked.marks.compare(&loose.marks, true), Compared::Same(50));
    assert_eq!((loose.loose_messages, chunked.loose_messages), (50, 0));
}

#[test]
fn nothing_is_read_after_what_cannot_be_read() {
    let mut examiner = Examiner::new(None);
    assert!(!examiner.push(Bytes::from_static(b"<!doctype html><html>")));
    assert!(!examiner.push(file().into()));
    let facts = examiner.finish();
    assert_eq!(facts.stopped, Some(Fault::NotMcap));
    assert_eq!((facts.not_mcap.count, facts.incomplete.count), (1, 0));
    assert_eq!(facts.begins_with(), "an HTML page");
}

#[test]
fn a_body_that_stops_early_is_incomplete() {
    let file = file();
    let facts = examined(&file[..file.len() - 1], 1000);
    assert_eq!((facts.stopped, facts.incomplete.count), (Some(Fault::Incomplete), 1));
}

#[test]
fn times_apart_are_for_people() {
    let told = |nanos| apart(Nanos(nanos), Nanos(0));
    assert_eq!(told(999), "999 ns");
    assert_eq!(told(20_000_000), "20 ms");
    assert_eq!(told(90_250_000_000), "90.2 s");
}

/// Files that the MCAP project calls right are right here.
#[test]
fn conformance_files_have_no_fault() {
    let mut messages = 0;
    for path in conformance_files() {
        let facts = examined(&std::fs::read(&path).unwrap(), 100);
        let faults = [&facts.not_mcap, &facts.incomplete, &facts.invalid, &facts.checksums];
        assert!(faults.iter().all(|notes| notes.count == 0), "{}: {facts:?}", path.display());
        assert!(facts.is_whole(), "{}", path.display());
        messages += facts.messages;
    }
    assert!(conformance_files().is_empty() || messages > 0);
}
