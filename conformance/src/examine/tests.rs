use bytes::Bytes;
use rdl_testkit::{Channel, FileSpec, Message, RawChunk, RawFile, conformance_files};

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
    assert!(whole.is_whole());
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
fn what_was_not_opened_is_not_compared() {
    let body = |raw: &[u8]| {
        let front = RawFile::started().channel(1, 0, "/a", "json").message(1, 0, 7, b"{}");
        let large = RawChunk {
            uncompressed_bytes: LARGEST_OPENED + 1,
            compression: "zstd".into(),
            ..RawChunk::of(raw.to_vec(), 7, 7)
        };
        examined(&front.chunk(&large).message(1, 0, 8, b"{}").ended().into_bytes(), 100)
    };
    // The same messages may be compressed differently.
    let (one, other) = (body(b"one way"), body(b"another way"));
    assert!(one.complete && !one.is_whole());
    assert_eq!(one.marks.compare(&other.marks, true), Compared::Begin(1));
}

#[test]
fn what_follows_a_redefinition_is_of_the_new_channel() {
    let file = RawFile::started()
        .channel(1, 0, "/a", "json")
        .message(1, 0, 7, b"{}")
        .channel(1, 0, "/hidden", "json")
        .message(1, 0, 8, b"{}");
    let topic = |name: &str| rdl_wire::Topic {
        name: name.to_owned(),
        message_encoding: "json".to_owned(),
        schema_id: None,
    };
    let mut examiner = Examiner::new(Some(StreamedSource {
        url: "https://h/a".parse().unwrap(),
        id: None,
        topics: vec![topic("/a")],
        schemas: Vec::new(),
        start: None,
        end: None,
    }));
    assert!(examiner.push(file.ended().into_bytes().into()));
    let facts = examiner.finish();
    assert_eq!(facts.invalid.count, 1, "{facts:?}");
    assert_eq!(facts.undeclared.first[0].topic.as_deref(), Some("/hidden"));
    assert_eq!(facts.topics.keys().collect::<Vec<_>>(), ["/a"]);
}

#[test]
fn of_a_stream_nothing_is_kept_that_grows_with_it() {
    let file = file();
    let declared = StreamedSource {
        url: "https://h/a".parse().unwrap(),
        id: None,
        topics: Vec::new(),
        schemas: Vec::new(),
        start: None,
        end: None,
    };
    let mut examiner = Examiner::new(Some(declared));
    examiner.push(file.clone().into());
    let facts = examiner.finish();
    assert!(facts.chunks > 1 && facts.front.len() <= 64, "{}", facts.front.len());
    assert!(facts.tail(1).is_none() && facts.chunk_places.is_empty());
    assert!(facts.topics.is_empty(), "those alone that are declared");
    assert!(facts.balance.largest.is_some() && facts.median_chunk.is_some());

    let mut facts = examined(&file, 1000);
    assert!(facts.tail(1000).is_some() && !facts.chunk_places.is_empty());
    facts.forget_bytes();
    assert!(facts.front.len() <= 64 && facts.tail(1).is_none());
    assert!(facts.chunk_places.is_empty());
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
