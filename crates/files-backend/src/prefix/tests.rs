use rdl_mcap_io::end_of_body;
use rdl_testkit::{Drive, FileSpec, Message, arrived, check_beginning, decode};

use super::*;

fn messages() -> Vec<Message> {
    let drive = Drive { messages: 60, windows: 1, groups: 2, ..Drive::default() };
    drive.generate().merged()
}

fn scan(file: &[u8], piece_bytes: usize) -> Contents {
    push(PrefixScan::new(), file, piece_bytes).finish(file.len() as u64)
}

fn push(mut scan: PrefixScan, bytes: &[u8], piece_bytes: usize) -> PrefixScan {
    for piece in bytes.chunks(piece_bytes) {
        if !scan.push(&Bytes::copy_from_slice(piece)) {
            break;
        }
    }
    scan
}

fn prefix(contents: &Contents) -> Option<&Prefix> {
    match &contents.serving {
        Serving::Prefix(prefix) => Some(prefix),
        _ => None,
    }
}

fn hash_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn wherever_a_file_is_cut_off_its_beginning_is_whole() {
    let truth = messages();
    for chunk_bytes in [None, Some(2_000)] {
        let file = FileSpec { chunk_bytes, ..FileSpec::default() }.write(&truth);
        for length in (0..file.len()).step_by(37) {
            let cut = &file[..length];
            let contents = scan(cut, 611);
            let Some(found) = prefix(&contents) else {
                assert!(length < 3_000, "{length}: {:?}", contents.problems);
                continue;
            };
            let bytes = &cut[..found.bytes as usize];
            assert_eq!(found.hash, hash_of(bytes));
            let body = [bytes, &end_of_body(&[])].concat();
            let decoded = decode(&body).unwrap();
            check_beginning(&decoded.messages, &truth).unwrap();
            // All that is there whole, but for what lies in a chunk that is not.
            if chunk_bytes.is_none() {
                assert_eq!(decoded.messages.len(), arrived(cut).unwrap().len());
            }
            let times: Vec<u64> = decoded.messages.iter().map(|message| message.log_time).collect();
            let found = contents.times.unwrap();
            assert_eq!(found.start.0, *times.iter().min().unwrap());
            assert_eq!(found.end.0, *times.iter().max().unwrap());
            for message in &decoded.messages {
                let topic =
                    contents.topics.iter().find(|topic| topic.name == message.channel.topic);
                let schema = topic.unwrap().schema.as_ref().map(|schema| schema.name.as_str());
                assert_eq!(schema, message.channel.schema.as_ref().map(|s| s.name.as_str()));
            }
        }
    }
}

#[test]
fn a_file_that_grows_is_read_on_from_where_the_scan_stopped() {
    let file = FileSpec { chunk_bytes: Some(2_000), ..FileSpec::default() }.write(&messages());
    let mut state: Option<Arc<State>> = None;
    let mut resumed = 0;
    for length in (0..=file.len()).step_by(501) {
        let fresh = scan(&file[..length], 400);
        let scan = match &state {
            Some(state) => {
                resumed += 1;
                let from = state.bytes() as usize;
                assert_eq!(state.recent(), &file[from.saturating_sub(COMPARED_BYTES)..from]);
                push(PrefixScan::resumed(state), &file[from..length], 400)
            }
            None => push(PrefixScan::new(), &file[..length], 400),
        };
        let grown = scan.finish(length as u64);
        assert_eq!((&grown.problems, grown.times), (&fresh.problems, fresh.times), "{length}");
        assert_eq!(grown.topics, fresh.topics);
        let (Some(a), Some(b)) = (prefix(&grown), prefix(&fresh)) else { continue };
        assert_eq!((a.bytes, &a.hash), (b.bytes, &b.hash), "{length}");
        state = a.state.clone();
    }
    assert!(resumed > 5);
}

#[test]
fn damage_at_the_end_may_become_something_yet_and_damage_before_is_left_to_the_loader() {
    let spec = FileSpec { chunk_bytes: Some(2_000), compression: None, ..FileSpec::default() };
    let file = spec.write(&messages());
    let summary = mcap::Summary::read(&file).unwrap().unwrap();
    let mut chunks: Vec<usize> =
        summary.chunk_indexes.iter().map(|index| index.chunk_start_offset as usize).collect();
    chunks.sort_unstable();
    let flipped = |chunk: usize| {
        let mut file = file.clone();
        file[chunks[chunk] + 200] ^= 1;
        file
    };
    let end = chunks[4];
    // However the bytes arrive, all of them at once among them.
    for piece_bytes in [7, 1_000, usize::MAX] {
        let last = scan(&flipped(3)[..end], piece_bytes);
        let last = prefix(&last).unwrap();
        assert_eq!(last.bytes, chunks[3] as u64, "{piece_bytes}");
        assert_eq!(last.hash, hash_of(&file[..chunks[3]]));
        // What comes next is read on from there.
        let grown = PrefixScan::resumed(last.state.as_ref().unwrap());
        let grown = push(grown, &file[chunks[3]..], piece_bytes).finish(file.len() as u64);
        assert_eq!(grown.times, scan(&file, 1_000).times);
    }
    let middle = scan(&flipped(2)[..end], 1_000);
    assert_eq!(prefix(&middle).unwrap().bytes, end as u64);
    assert!(middle.problems.iter().any(|text| text.contains("chunk 3")), "{:?}", middle.problems);
    // With an end behind it nothing will change any more.
    let complete = [&flipped(3)[..end], &end_of_body(&[])].concat();
    let complete = scan(&complete, 1_000);
    assert_eq!(prefix(&complete).unwrap().bytes, end as u64);
    assert_eq!(complete.problems.len(), 1, "{:?}", complete.problems);
}

#[test]
fn what_is_out_of_order_is_said() {
    let mut truth = messages();
    let spec = FileSpec { chunk_bytes: Some(2_000), summary: false, ..FileSpec::default() };
    let ordered = scan(&spec.write(&truth), 1_000);
    assert_eq!(ordered.problems, Vec::<String>::new());
    let first = truth.remove(0);
    truth.push(first);
    let late = scan(&spec.write(&truth), 1_000);
    let [problem] = late.problems.as_slice() else { panic!("{:?}", late.problems) };
    assert!(problem.starts_with("messages behind a chunk with newer ones: 1,"), "{problem}");
}

#[test]
fn what_is_no_mcap_is_unusable_and_says_why() {
    for (bytes, says) in [
        (&b"PK\x03\x04 this is no recording"[..], "not MCAP"),
        (&b"\x89MCAP0\r\n"[..], "not even a whole MCAP header"),
        (&[0; 100][..], "not MCAP"),
    ] {
        let contents = scan(bytes, 7);
        assert!(matches!(contents.serving, Serving::Not));
        assert!(contents.problems[0].contains(says), "{:?}", contents.problems);
    }
}
