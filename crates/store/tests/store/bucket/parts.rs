//! Parts, there and back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use rdl_model::ByteRange;
use rdl_store::{AttemptName, Bucket, BucketError, BucketErrorKind, Checksums, RunningPart};
use rdl_testkit::Random;

use super::sources::{Local, PIECE_BYTES, Seen, look, remote};
use super::stores::stores;
use crate::sample::key;

/// Ranges within parts, across their borders, and some from anywhere.
fn ranges(local: &Local) -> Vec<ByteRange> {
    let mut borders = vec![0];
    for part in &local.parts {
        borders.push(borders[borders.len() - 1] + part.bytes);
    }
    let end = borders[borders.len() - 1];
    let pieces = [PIECE_BYTES as u64, 2 * PIECE_BYTES as u64].map(|piece| borders[2] + piece);
    let mut ranges = vec![ByteRange { start: 0, end }];
    for border in borders.iter().copied().chain(pieces) {
        for (before, after) in [(0, 1), (1, 0), (1, 1), (7, 4_099)] {
            let start = border.saturating_sub(before);
            ranges.push(ByteRange { start, end: end.min(border + after) });
        }
    }
    let mut random = Random::new(1);
    for _ in 0..5 {
        let start = random.below(end);
        ranges.push(ByteRange { start, end: start + random.below(end - start) });
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

#[tokio::test]
async fn every_range_across_parts_reads_as_on_the_disk() {
    // The third and the fourth are written in pieces; the last piece of the fourth is a short one.
    let local = Local::of("a", &[1_000, 500_000, 20 << 20, PIECE_BYTES, 3_001]);
    let whole: Vec<u8> =
        local.parts.iter().flat_map(|part| local.bytes_of(part).to_vec()).collect();
    let whole = Bytes::from(whole);
    for store in stores().await {
        local.put(&store.bucket(), "a", 1).await;
        let source = remote(&store.bucket(), "a").await;
        assert_eq!(source.index, local.load.index, "{}", store.name());
        for range in ranges(&local) {
            let read = source.parts.read(range).await.unwrap();
            let expected = whole.slice(range.start as usize..range.end as usize);
            assert!(read == expected, "{}: {range:?}", store.name());
        }
        for (indexed, chunk) in source.index.chunks.iter().zip(&local.load.chunks) {
            let place = source.parts.place(indexed.position).unwrap();
            assert!(source.parts.read(place).await.unwrap() == chunk.bytes, "{}", store.name());
        }
        assert!(source.parts.read(ByteRange::at(5, 0)).await.unwrap().is_empty());
        // The same as they come, one behind the other, with gaps between them.
        let mut start = 0;
        for part in &local.parts {
            let end = start + part.bytes;
            let mut read = source.parts.read_along(ByteRange { start, end });
            while start < end {
                let range = ByteRange { start: start.midpoint(end), end };
                let range = ByteRange::at(range.start, range.len().min(1_000_000));
                let expected = whole.slice(range.start as usize..range.end as usize);
                assert!(read.take(range).await.unwrap() == expected, "{}: {range:?}", store.name());
                start = range.end;
            }
        }
    }
}

#[tokio::test]
async fn what_a_follower_takes_is_what_was_written_or_nothing() {
    let local = Local::of("a", &[1_000, PIECE_BYTES + 1_000]);
    for store in stores().await {
        let (owner, other) = (store.bucket(), store.bucket());
        let attempt = AttemptName::new(key("a"), 1);
        let mut first_message = 0;
        for part in &local.parts {
            let checksums = owner.put_part(&attempt, part, &local.files()).await.unwrap();
            let (name, bytes, data_bytes) = (part.name.clone(), part.bytes, part.data_bytes);
            let messages = part.messages;
            let told = RunningPart { name, bytes, data_bytes, checksums, first_message, messages };
            first_message += messages;
            let data = read(&other, &attempt, &told).await.unwrap();
            let whole = local.bytes_of(part);
            assert!(data == whole.slice(..data_bytes as usize), "{}: {told:?}", store.name());

            let flipped = |number: usize| {
                let mut piece_crcs = told.checksums.piece_crcs.clone();
                piece_crcs[number] ^= 1;
                Checksums { piece_crcs, ..told.checksums.clone() }
            };
            let last = told.checksums.piece_crcs.len() - 1;
            let wrong = [
                RunningPart { checksums: flipped(0), ..told.clone() },
                RunningPart { checksums: flipped(last), ..told.clone() },
                RunningPart { checksums: Checksums::default(), ..told.clone() },
                RunningPart { bytes: bytes - 1, ..told.clone() },
                RunningPart { bytes: bytes + 1, ..told.clone() },
                RunningPart { data_bytes: bytes + 1, ..told.clone() },
            ];
            for told in wrong {
                let error = read(&other, &attempt, &told).await.unwrap_err();
                let kind = BucketErrorKind::Damaged;
                assert_eq!(error.kind(), kind, "{}: {told:?}: {error}", store.name());
            }
        }
        let gone = RunningPart {
            name: "part-000003.mcap".to_owned(),
            bytes: 1,
            data_bytes: 1,
            checksums: Checksums { crc: 0, piece_crcs: vec![0] },
            first_message,
            messages: 1,
        };
        let error = read(&other, &attempt, &gone).await.unwrap_err();
        assert_eq!(error.kind(), BucketErrorKind::NotFound, "{}: {error}", store.name());
    }
}

/// All that a follower takes of a part.
async fn read(
    bucket: &Bucket,
    attempt: &AttemptName,
    part: &RunningPart,
) -> Result<Vec<u8>, BucketError> {
    let mut reader = bucket.followed_part(attempt, part);
    let mut data = Vec::new();
    while let Some(piece) = reader.next().await? {
        assert!(piece.len() <= 128 << 10);
        data.extend_from_slice(&piece);
    }
    Ok(data)
}

#[tokio::test]
async fn a_reader_is_told_at_once_that_a_part_is_gone_or_short() {
    let local = Local::of("a", &[1_000, 2_000]);
    for store in stores().await {
        let attempt = local.put(&store.bucket(), "a", 1).await;
        let source = remote(&store.bucket(), "a").await;
        let first =
            Path::from(format!("team/a/v1/sources/{}/{attempt}/{}", key("a"), local.parts[0].name));
        let all = ByteRange::at(0, local.parts[0].bytes + 10);
        let start = Instant::now();
        store.plain.put(&first, PutPayload::from_static(b"short")).await.unwrap();
        let error = source.parts.read(all).await.unwrap_err();
        assert_eq!(error.kind(), BucketErrorKind::Damaged, "{}: {error}", store.name());
        store.plain.delete(&first).await.unwrap();
        let error = source.parts.read(all).await.unwrap_err();
        assert_eq!(error.kind(), BucketErrorKind::NotFound, "{}: {error}", store.name());
        assert!(start.elapsed() < Duration::from_secs(5), "{}", store.name());
        source.parts.forget().await.unwrap();
        let seen = look(&store.bucket(), "a").await;
        assert!(!matches!(seen, Seen::Complete(_)), "{}: {seen:?}", store.name());
    }
}
