use std::time::Duration;

use rdl_mcap_io::end_of_body;
use rdl_testkit::{Drive, FileSpec, Message, arrived, check_all, check_beginning, decode};
use tokio::time::Instant;

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

/// The whole of it as one segment.
fn version(prefix: &Prefix) -> Version {
    prefix.cut(Instant::now()).segments[0].version.clone()
}

/// What a segment of this file is served as.
fn body(file: &[u8], segment: &Segment) -> Vec<u8> {
    let bytes = &file[segment.version.start as usize..segment.version.end as usize];
    assert!(segment.version.is_of(Sha256::new_with_prefix(bytes), &segment.front));
    let front: Vec<Bytes> = segment.front.pieces().collect();
    [&front.concat(), bytes, &end_of_body(&[])].concat()
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
            let bytes = &cut[..found.state.bytes() as usize];
            let expected = Version { start: 0, end: bytes.len() as u64, hash: hash_of(bytes) };
            assert_eq!(version(found), expected);
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
    for length in (0..file.len()).step_by(501).chain([file.len()]) {
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
        assert_eq!(version(a), version(b), "{length}");
        state = Some(a.state.clone());
    }
    assert!(resumed > 5);
}

/// Has the file grow by so much at a time, and a segment cut whenever there is something for it.
fn in_segments(file: &[u8], step_bytes: usize) -> Prefix {
    let mut before: Option<Prefix> = None;
    for length in (0..file.len()).step_by(step_bytes).chain([file.len()]) {
        let scan = match &before {
            Some(before) => {
                let from = before.state.bytes() as usize;
                push(PrefixScan::resumed(&before.state), &file[from..length], 400)
            }
            None => push(PrefixScan::new(), &file[..length], 400),
        };
        let Some(found) = prefix(&scan.finish(length as u64)).cloned() else { continue };
        let found = match &before {
            Some(before) => found.after(before),
            None => found,
        };
        let due = found.is_due(Duration::ZERO, Instant::now());
        before = Some(if due { found.cut(Instant::now()) } else { found });
    }
    before.unwrap()
}

#[test]
fn the_segments_of_a_file_are_the_file_and_each_is_whole() {
    let truth = messages();
    let metadata = vec![("run".to_owned(), "weather".to_owned(), "rain".to_owned())];
    for chunk_bytes in [None, Some(1_000)] {
        for summary in [false, true] {
            let metadata = metadata.clone();
            let spec = FileSpec { chunk_bytes, summary, metadata, ..FileSpec::default() };
            let file = spec.write(&truth);
            for step_bytes in [37, 611, 5_000] {
                let found = in_segments(&file, step_bytes);
                let segments = &found.segments;
                assert!(segments.len() > 1, "{}", segments.len());
                let (mut at, mut all, mut records) = (0, Vec::new(), 0);
                for segment in segments.iter() {
                    assert_eq!(segment.version.start, at);
                    at = segment.version.end;
                    let decoded = decode(&body(&file, segment)).unwrap();
                    let declared =
                        |topic: &str| segment.topics.iter().find(|known| known.name == topic);
                    for message in &decoded.messages {
                        let time = Nanos(message.log_time);
                        assert!(segment.times.start <= time && time <= segment.times.end);
                        let topic = declared(&message.channel.topic).unwrap();
                        let schema = topic.schema.as_ref().map(|schema| schema.name.as_str());
                        let is = message.channel.schema.as_ref().map(|s| s.name.as_str());
                        assert_eq!(schema, is);
                    }
                    let has = decoded.messages.iter().map(|message| message.log_time);
                    let (first, last) = (has.clone().min(), has.max());
                    if let (Some(first), Some(last)) = (first, last) {
                        assert_eq!((segment.times.start.0, segment.times.end.0), (first, last));
                    }
                    all.extend(decoded.messages);
                    records += decoded.metadata.len();
                }
                check_all(&all, &truth).unwrap();
                assert_eq!(records, 1);
                // Of a file that has its end nothing is left.
                assert!(!found.is_due(Duration::ZERO, Instant::now()));
            }
        }
    }
}

#[test]
fn what_segments_have_in_common_is_kept_once() {
    let drive = Drive { messages: 2_000, windows: 1, groups: 2, ..Drive::default() };
    let spec = FileSpec { chunk_bytes: None, ..FileSpec::default() };
    let found = in_segments(&spec.write(&drive.generate().merged()), 10_000);
    let fronts: std::collections::HashSet<*const Front> =
        found.segments.iter().map(|segment| Arc::as_ptr(&segment.front)).collect();
    let (segments, fronts) = (found.segments.len(), fronts.len());
    assert!(segments > 40 && fronts < 5, "{segments} {fronts}");
    assert!(segments_bytes(&found.segments) < segments * 400);
}

/// Messages of one channel, whose id another one takes over, in a segment each.
#[test]
fn a_channel_that_is_defined_anew_is_declared_with_both_its_topics() {
    let one = |topic: &str, time: u64| Message {
        channel: Arc::new(rdl_testkit::Channel::json(topic)),
        log_time: time,
        publish_time: 0,
        sequence: 0,
        data: b"{}".to_vec(),
    };
    let spec = FileSpec { chunk_bytes: None, summary: false, crcs: false, ..FileSpec::default() };
    let (a, b) = (spec.write(&[one("/a", 5), one("/a", 6)]), spec.write(&[one("/b", 7)]));
    let head = head_bytes(&a).unwrap();
    let data = |file: &[u8]| file[head..file.len() - end_of_body(&[]).len()].to_vec();
    let (first, second) = (data(&a), data(&b));
    let again = second[second.len() - (first.len() - second.len())..].to_vec();
    let file = [&a[..head], &first, &again, &second].concat();
    let cut = |from: &Prefix, length: usize| {
        let at = from.state.bytes() as usize;
        let scan = push(PrefixScan::resumed(&from.state), &file[at..length], 7);
        let found = scan.finish(length as u64);
        prefix(&found).unwrap().clone().after(from).cut(Instant::now())
    };
    let length = head + first.len();
    let contents = push(PrefixScan::new(), &file[..length], 7).finish(length as u64);
    let start = prefix(&contents).unwrap().cut(Instant::now());
    let end = cut(&start, file.len());
    let last = end.segments.last().unwrap();
    let topics: Vec<&str> = last.topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(topics, ["/b", "/a"]);
    let arrived = arrived(&body(&file, last)).unwrap();
    let found: Vec<(&str, u64)> =
        arrived.iter().map(|m| (m.channel.topic.as_str(), m.log_time)).collect();
    assert_eq!(found, [("/a", 7), ("/b", 7)]);
}

#[test]
fn a_file_that_grows_for_days_does_not_come_in_ever_more_pieces() {
    let apart = Duration::from_secs(10);
    // What a segment declares, about.
    for (schema_bytes, most) in [(100, 700), (100_000, 120), (3_000_000, 15)] {
        let mut channel = rdl_testkit::Channel::json("/a");
        channel.schema.as_mut().unwrap().data = vec![b' '; schema_bytes];
        let message = Message {
            channel: Arc::new(channel),
            log_time: 5,
            publish_time: 0,
            sequence: 0,
            data: Vec::new(),
        };
        let spec = FileSpec { chunk_bytes: None, summary: false, ..FileSpec::default() };
        let file = spec.write(&[message]);
        let file = &file[..file.len() - end_of_body(&[]).len()];
        let contents = scan(file, usize::MAX);
        let mut found = prefix(&contents).unwrap().clone();
        let tail = file[file.len() - 31..].to_vec();
        let (started, mut pauses) = (Instant::now(), Vec::new());
        let mut last = started;
        for seconds in (0..7 * 24 * 3600).step_by(10) {
            let now = started + Duration::from_secs(seconds);
            if found.is_due(apart, now) {
                found = found.cut(now);
                pauses.push(now - last);
                last = now;
                let mut scan = PrefixScan::resumed(&found.state);
                scan.push(&Bytes::from(tail.clone()));
                let bytes = found.state.bytes() + tail.len() as u64;
                found = prefix(&scan.finish(bytes)).unwrap().clone().after(&found);
            }
        }
        eprintln!("{schema_bytes}: {} segments in a week", found.segments.len());
        assert!(found.segments.len() <= most, "{}", found.segments.len());
        assert!(found.segments.len() * schema_bytes <= 12 << 20 || schema_bytes > 1 << 20);
        assert!(pauses[1..].is_sorted() && pauses[1] >= apart);
        if schema_bytes == 100 {
            assert!(pauses[1..64].iter().all(|pause| *pause == apart));
        }
    }
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
        assert_eq!(last.state.bytes(), chunks[3] as u64, "{piece_bytes}");
        assert_eq!(version(last).hash, hash_of(&file[..chunks[3]]));
        // What comes next is read on from there.
        let grown = PrefixScan::resumed(&last.state);
        let grown = push(grown, &file[chunks[3]..], piece_bytes).finish(file.len() as u64);
        assert_eq!(grown.times, scan(&file, 1_000).times);
    }
    let middle = scan(&flipped(2)[..end], 1_000);
    assert_eq!(prefix(&middle).unwrap().state.bytes(), end as u64);
    assert!(middle.problems.iter().any(|text| text.contains("chunk 3")), "{:?}", middle.problems);
    // With an end behind it nothing will change any more.
    let complete = [&flipped(3)[..end], &end_of_body(&[])].concat();
    let complete = scan(&complete, 1_000);
    assert_eq!(prefix(&complete).unwrap().state.bytes(), end as u64);
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

#[test]
fn what_comes_behind_a_chunk_that_was_not_looked_into_stays_with_it() {
    let truth = messages();
    let file = FileSpec { chunk_bytes: Some(6_000), ..FileSpec::default() }.write(&truth);
    // Two thirds of it, of which no chunk is looked into; the rest comes later.
    let first = file.len() * 2 / 3;
    let scanned = push(PrefixScan::looking_into(1_000), &file[..first], 999);
    let contents = scanned.finish(first as u64);
    let before = prefix(&contents).unwrap().cut(Instant::now());
    assert_eq!(before.segments.len(), 1);
    assert!(!before.is_due(Duration::ZERO, Instant::now()), "there is nothing new");
    let reached = before.state.bytes() as usize;
    let scanned = push(PrefixScan::resumed(&before.state), &file[reached..], 999);
    let contents = scanned.finish(file.len() as u64);
    let after = prefix(&contents).unwrap().clone().after(&before);
    assert!(after.is_due(Duration::ZERO, Instant::now()));
    let after = after.cut(Instant::now());
    let [whole] = &after.segments[..] else { panic!("{} segments", after.segments.len()) };
    assert_eq!(whole.version.start, 0);
    // Every channel is defined, wherever it was.
    check_all(&arrived(&body(&file, whole)).unwrap(), &truth).unwrap();
}
