use rdl_testkit::{Drive, FileSpec};

use super::*;
use crate::end_of_body;

fn scanned(bytes: &[u8], limits: &Limits) -> (u64, bool, usize) {
    let mut scanner = Scanner::new(limits.clone());
    let mut chunks = 0;
    for piece in bytes.chunks(1000) {
        scanner.push(Bytes::copy_from_slice(piece));
        while let Ok(Some(event)) = scanner.next_event() {
            chunks += usize::from(matches!(event, ScanEvent::Chunk(_) | ScanEvent::Message(_)));
        }
    }
    (scanner.intact_bytes(), scanner.is_complete(), chunks)
}

#[test]
fn whatever_is_cut_off_the_intact_part_makes_a_body() {
    let drive = Drive { messages: 30, windows: 1, groups: 1, ..Drive::default() };
    let messages = drive.generate().merged();
    let limits = Limits { large_chunk_bytes: 2_000, ..Limits::default() };
    for chunk_bytes in [None, Some(1_000), Some(4_000)] {
        let spec = FileSpec { chunk_bytes, compression: None, ..FileSpec::default() };
        let file = spec.write(&messages);
        let mut before = 0;
        for length in 0..=file.len() {
            let (intact, _, found) = scanned(&file[..length], &limits);
            assert!(before <= intact && intact <= length as u64, "{length}: {intact}");
            before = intact;
            if intact > 0 {
                let body = [&file[..intact as usize], &end_of_body(&[])].concat();
                let (_, is_complete, in_body) = scanned(&body, &limits);
                assert!(is_complete && in_body == found, "{length}: {intact}");
            }
        }
    }
}

#[test]
fn what_fails_is_not_intact() {
    let file = FileSpec::default().write(&Drive::default().generate().merged()[..20]);
    let (end, _, _) = scanned(&file, &Limits::default());
    let torn = [&file[..end as usize], &[0; 100][..]].concat();
    assert_eq!(scanned(&torn, &Limits::default()).0, end);
}
