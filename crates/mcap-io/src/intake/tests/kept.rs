use super::body::{self, Item, message, sorted, write};
use super::*;
use crate::{CanonicalIds, Compression};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Opcode, length and fields before a message's data.
const HEAD: usize = 31;

/// A schema and a channel under canonical ids, as a writer puts them into each chunk.
fn canonical() -> (u16, Vec<Item>) {
    let mut ids = CanonicalIds::new();
    let (schema_id, schema) = ids.schema(body::schema(1)).unwrap();
    let def = ChannelDef { schema: Some(schema), ..body::channel(1) };
    let channel = ids.channel(def).unwrap();
    let definitions = vec![
        Item::Schema(schema_id, body::schema(1)),
        Item::Channel(channel.id, schema_id, body::channel(1)),
    ];
    (channel.id, definitions)
}

fn size(items: &[Item]) -> usize {
    let mut out = Vec::new();
    items.iter().for_each(|item| item.put(&mut out));
    out.len()
}

/// A chunk whose records take exactly `bytes`, with messages at these times.
fn chunk(bytes: usize, times: &[u64]) -> Item {
    let (id, mut items) = canonical();
    let left = bytes - size(&items) - times.len() * HEAD;
    let (last, others) = times.split_last().unwrap();
    let each = left / times.len();
    items.extend(others.iter().map(|time| message(id, *time, each)));
    items.push(message(id, *last, left - each * others.len()));
    assert_eq!(size(&items), bytes);
    Item::Chunk(Compression::Lz4, items)
}

/// Which of the chunks in `items` left as they came; the messages are right in any case.
fn kept(items: &[Item]) -> Vec<bool> {
    let (taken, finished) = take_in_pieces(IntakeOptions::default(), &write(items), 100_000);
    finished.unwrap();
    assert!(taken.messages() == sorted(items));
    assert!(taken.problems.is_empty(), "{:?}", taken.problems);
    let came = items.iter().filter(|item| matches!(item, Item::Chunk(..))).map(|item| {
        let mut record = Vec::new();
        item.put(&mut record);
        record
    });
    came.map(|record| {
        taken.chunks.iter().any(|chunk| {
            chunk.bytes[..usize::try_from(chunk.descriptor.record_bytes).unwrap()] == record[..]
        })
    })
    .collect()
}

#[test]
fn size_decides() {
    for (bytes, expected) in
        [(256 * KIB - 1, false), (256 * KIB, true), (8 * MIB, true), (8 * MIB + 1, false)]
    {
        assert_eq!(kept(&[chunk(bytes, &[10, 11, 11, 12])]), [expected], "{bytes} bytes");
    }
}

#[test]
fn order_inside_decides() {
    assert_eq!(kept(&[chunk(300 * KIB, &[10, 10, 12])]), [true]);
    assert_eq!(kept(&[chunk(300 * KIB, &[10, 12, 11])]), [false]);
}

#[test]
fn order_between_chunks_decides() {
    let two = |second: u64| kept(&[chunk(300 * KIB, &[10, 20]), chunk(300 * KIB, &[second, 30])]);
    assert_eq!(two(21), [true, true]);
    assert_eq!(two(20), [true, true]);
    assert_eq!(two(19), [false, false]);
    let three =
        [chunk(300 * KIB, &[10, 20]), chunk(300 * KIB, &[21, 30]), chunk(300 * KIB, &[29, 40])];
    assert_eq!(kept(&three), [true, false, false]);
}

#[test]
fn what_waits_in_the_sort_buffer_decides() {
    let (id, definitions) = canonical();
    let after = |time: u64| {
        let mut items = definitions.clone();
        items.extend([message(id, time, 5), chunk(300 * KIB, &[10, 20])]);
        kept(&items)
    };
    assert_eq!(after(9), [true]);
    assert_eq!(after(10), [true]);
    assert_eq!(after(11), [false]);
    let before = |time: u64| kept(&[chunk(300 * KIB, &[10, 20]), message(id, time, 5)]);
    assert_eq!(before(20), [true]);
    assert_eq!(before(19), [false]);
}

#[test]
fn a_late_message_is_no_reason_to_take_a_chunk_apart() {
    let (id, _) = canonical();
    let items = [chunk(300 * KIB, &[10, 20]), chunk(300 * KIB, &[30, 40]), message(id, 19, 5)];
    let (taken, finished) = take_in_pieces(IntakeOptions::default(), &write(&items), 1);
    finished.unwrap();
    assert_eq!(taken.count(ProblemCode::LateMessages), 1);
    assert_eq!((taken.below_frontier, taken.chunks.len()), (1, 3));
    assert!(taken.messages() == sorted(&items));
}

#[test]
fn ids_decide() {
    let Item::Chunk(_, items) = chunk(300 * KIB, &[10, 20]) else { unreachable!() };
    let (id, _) = canonical();
    let renumbered: Vec<Item> = items
        .iter()
        .cloned()
        .map(|item| match item {
            Item::Channel(_, schema_id, def) => Item::Channel(1, schema_id, def),
            Item::Message { sequence, log_time, data, .. } => {
                Item::Message { channel: 1, sequence, log_time, data }
            }
            item => item,
        })
        .collect();
    assert_eq!(kept(&[Item::Chunk(Compression::Lz4, renumbered)]), [false]);
    // Its messages are under the right id, but there is a second one for the same schema.
    let mut other_schema = items.clone();
    other_schema.insert(0, Item::Schema(1, body::schema(1)));
    assert_eq!(kept(&[Item::Chunk(Compression::Lz4, other_schema)]), [false]);
    // The schema is defined outside, under another id.
    let mut outside = items[1..].to_vec();
    outside[0] = Item::Channel(id, 1, body::channel(1));
    let outside = Item::Chunk(Compression::Lz4, outside);
    assert_eq!(kept(&[Item::Schema(1, body::schema(1)), outside]), [false]);
    // The wrong id is met only after messages under the right one.
    let mut second = items.clone();
    second.push(Item::Channel(id.wrapping_add(7), 0, body::channel(3)));
    second.push(message(id.wrapping_add(7), 21, 4));
    assert_eq!(kept(&[Item::Chunk(Compression::Zstd, second)]), [false]);
    assert_eq!(kept(&[Item::Chunk(Compression::Zstd, items.clone())]), [true]);
    // Definitions outside the chunk are as good.
    let mut loose = items[..2].to_vec();
    loose.push(Item::Chunk(Compression::None, items[2..].to_vec()));
    assert_eq!(kept(&loose), [true]);
}

#[test]
fn a_header_that_lies_is_written_anew() {
    let items = [chunk(300 * KIB, &[10, 20])];
    let mut lying = write(&items);
    let start_at = 8 + 9 + 4 + 4 + 4 + 4 + 9;
    assert_eq!(lying[start_at..start_at + 8], 10_u64.to_le_bytes());
    lying[start_at] = 3;
    let (taken, finished) = take(IntakeOptions::default(), &lying);
    finished.unwrap();
    assert!(taken.messages() == sorted(&items));
    assert_eq!(taken.count(ProblemCode::ChunkHeaderMismatch), 1);
    assert_eq!(taken.chunks[0].descriptor.times.start, Nanos(10));
}

#[test]
fn the_frontier_covers_what_is_held_back() {
    let items = [chunk(300 * KIB, &[10, 20])];
    let body = write(&items);
    let sort_window = Duration::from_nanos(5);
    let mut intake = Intake::new(IntakeOptions { sort_window, ..IntakeOptions::default() });
    intake.push(Bytes::copy_from_slice(&body[..body.len() - 8])).unwrap();
    let mut taken = Taken::default();
    taken.drain(&mut intake);
    assert_eq!((taken.chunks.len(), taken.frontier), (0, None));
    intake.flush_early();
    taken.drain(&mut intake);
    assert_eq!((taken.chunks.len(), taken.frontier), (0, Some(Nanos(10))));
    intake.push(Bytes::copy_from_slice(&body[body.len() - 8..])).unwrap();
    intake.finish().unwrap();
    taken.drain(&mut intake);
    assert_eq!((taken.chunks.len(), taken.frontier), (1, Some(Nanos(20))));
}
