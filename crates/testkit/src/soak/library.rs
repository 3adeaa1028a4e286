//! The recordings of a soak: what is served of them, and what their answers must hold.

use std::ops::{Range, RangeInclusive};

use anyhow::Context as _;
use bytes::Bytes;
use mcap::Compression;
use serde_json::{Value, json};

use crate::manifest::{manifest_json, static_entry, streamed_entry};
use crate::{Drive, FakeBackend, Fault, FileSpec, Message, Random, Recording};

/// What is wrong with a recording all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// Faults come and go, and nobody may notice.
    Rough,
    /// One source answers with nothing but an error.
    Fails,
    /// The body of one source always ends at the same place.
    Breaks,
    /// In one source, a bit in the middle of a chunk is flipped.
    Flipped,
}

/// A message and the source that has it.
pub(super) struct Known {
    pub(super) message: Message,
    pub(super) source: usize,
}

/// A source as it is served.
pub(super) struct File {
    /// How the loader's names of it end: its id, or the path of a static one.
    pub(super) name: String,
    pub(super) path: String,
    pub(super) bytes: u64,
    /// What its manifest entry declares; `None`: nothing.
    declared: Option<Declared>,
}

struct Declared {
    times: RangeInclusive<u64>,
    topics: Vec<String>,
}

/// A recording that the backend serves.
pub(super) struct Served {
    pub(super) name: String,
    pub(super) trouble: Trouble,
    /// The source that has the trouble.
    pub(super) troubled: usize,
    pub(super) files: Vec<File>,
    pub(super) topics: Vec<String>,
    /// All messages in the order of an answer, less those that are lost.
    pub(super) truth: Vec<Known>,
    /// Those in the chunk with the flipped bit.
    pub(super) lost: Vec<Message>,
    /// From the first message to the last.
    pub(super) times: RangeInclusive<u64>,
}

impl File {
    /// Whether a range has to do with the source, as far as the manifest tells.
    pub(super) fn may_hold(&self, topics: &[String], times: &RangeInclusive<u64>) -> bool {
        self.declared.as_ref().is_none_or(|declared| {
            declared.times.start() <= times.end()
                && times.start() <= declared.times.end()
                && (topics.is_empty() || declared.topics.iter().any(|own| topics.contains(own)))
        })
    }
}

/// Generates the recording of this number and serves it.
///
/// Numbers differ in how sources lie in time, in how they are served and written, in the sizes of
/// messages, and in what is wrong; twenty of them have everything.
pub(super) fn serve(
    backend: &FakeBackend,
    number: usize,
    seed: u64,
    bytes: usize,
) -> anyhow::Result<Served> {
    let name = format!("r{number}");
    let trouble = trouble(number);
    let mut recording = recording(number, seed, bytes);
    let troubled = recording.sources.len() / 2;
    let compressions = [Some(Compression::Lz4), None, Some(Compression::Zstd)];
    let spec = FileSpec {
        compression: compressions[number % compressions.len()],
        chunk_bytes: Some((bytes as u64 / 64).max(16 << 10)),
        ..FileSpec::default()
    };
    let (mut files, mut entries, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    for (at, messages) in recording.sources.iter_mut().enumerate() {
        let (id, path) = (format!("{name}-{at}"), format!("/{name}/{at}"));
        let file = Bytes::from(spec.write(messages));
        let length = file.len() as u64;
        let is_static = [false, true, at % 2 == 1][number / 2 % 3];
        // A static source is read in pieces, which are shorter than where the body would end.
        let is_static = is_static && !(trouble == Trouble::Breaks && at == troubled);
        let (entry, declared) = if is_static {
            (with_id(static_entry(&path), &id), None)
        } else {
            (streamed_entry(Some(&id), &path, messages), declared(messages))
        };
        if at == troubled {
            match trouble {
                Trouble::None | Trouble::Rough => {}
                Trouble::Fails => {
                    backend.always(&path, Fault::Status(failing_status(is_static), None));
                }
                Trouble::Breaks => backend.always(&path, Fault::CutAfter(length / 2)),
                Trouble::Flipped => {
                    let (place, within) = middle_chunk(&file)?;
                    backend.always(&path, Fault::FlipBit(place));
                    lost = messages.drain(within).collect();
                }
            }
        }
        if is_static {
            backend.static_file(&path, file);
        } else {
            backend.streamed(&path, file);
        }
        entries.push(entry);
        let name = if is_static { path.clone() } else { id };
        files.push(File { name, path, bytes: length, declared });
    }
    backend.recording(&name, &manifest_json(Some(&name), &entries));
    let truth = merged(recording);
    let mut topics: Vec<String> =
        truth.iter().map(|known| known.message.channel.topic.clone()).collect();
    topics.sort_unstable();
    topics.dedup();
    let first = truth.first().context("a recording without messages")?.message.log_time;
    let last = truth.last().map_or(first, |known| known.message.log_time);
    Ok(Served { name, trouble, troubled, files, topics, truth, lost, times: first..=last })
}

fn trouble(number: usize) -> Trouble {
    match number % 20 {
        3 | 13 => Trouble::Fails,
        7 => Trouble::Breaks,
        5 | 16 => Trouble::Flipped,
        number if number % 2 == 1 => Trouble::Rough,
        _ => Trouble::None,
    }
}

/// A static source that fails at once: where retrying helps it would take half a minute.
fn failing_status(is_static: bool) -> u16 {
    if is_static { 404 } else { 500 }
}

fn recording(number: usize, seed: u64, bytes: usize) -> Recording {
    let seed = seed.wrapping_mul(1_000).wrapping_add(number as u64);
    let mut random = Random::new(seed);
    // Consecutive, overlapping, both, and rivals: sources with the same topics at the same times.
    let (windows, groups, rivals) = [(6, 1, 1), (1, 4, 1), (3, 2, 1), (2, 1, 3)][number % 4];
    let payload_bytes = [400, 4_000, 20_000][number % 3];
    let drive = Drive {
        seed,
        duration_nanos: (20 + random.below(40)) * 1_000_000_000,
        windows,
        groups,
        topics: 3,
        messages: (bytes / (windows * groups * rivals * payload_bytes * 3 / 4)).max(50),
        payload_bytes,
        tick_nanos: [1, 1_000_000, 50_000_000][number / 3 % 3],
        ..Drive::default()
    };
    let drives = (0..rivals as u64).map(|rival| {
        let seed = seed.wrapping_add(rival * 1_000_003);
        Drive { seed, ..drive.clone() }.generate()
    });
    Recording { sources: drives.flat_map(|recording| recording.sources).collect() }
}

fn with_id(mut entry: Value, id: &str) -> Value {
    entry["id"] = json!(id);
    entry
}

fn declared(messages: &[Message]) -> Option<Declared> {
    let (first, last) = (messages.first()?, messages.last()?);
    let mut topics: Vec<String> =
        messages.iter().map(|message| message.channel.topic.clone()).collect();
    topics.sort_unstable();
    topics.dedup();
    Some(Declared { times: first.log_time..=last.log_time, topics })
}

/// A byte in the middle of the file's middle chunk, and which messages of the file that chunk has.
fn middle_chunk(file: &[u8]) -> anyhow::Result<(u64, Range<usize>)> {
    let summary = mcap::Summary::read(file)?.context("a file without a summary")?;
    let mut chunks = summary.chunk_indexes.clone();
    chunks.sort_unstable_by_key(|chunk| chunk.chunk_start_offset);
    let mut before = 0;
    for (at, chunk) in chunks.iter().enumerate() {
        let messages = summary.stream_chunk(file, chunk)?.count();
        if at == chunks.len() / 2 {
            let place = chunk.chunk_start_offset + chunk.chunk_length / 2;
            return Ok((place, before..before + messages));
        }
        before += messages;
    }
    anyhow::bail!("a file without chunks")
}

fn merged(recording: Recording) -> Vec<Known> {
    let with_source = |(source, messages): (usize, Vec<Message>)| {
        messages.into_iter().map(move |message| Known { message, source })
    };
    let mut truth: Vec<Known> =
        recording.sources.into_iter().enumerate().flat_map(with_source).collect();
    truth.sort_by_key(|known| known.message.log_time);
    truth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn twenty_recordings_have_everything() {
        let backend = FakeBackend::start().await;
        let served: Vec<Served> =
            (0..20).map(|number| serve(&backend, number, 1, 200_000).unwrap()).collect();
        for trouble in [Trouble::None, Trouble::Rough, Trouble::Fails, Trouble::Flipped] {
            assert!(served.iter().filter(|served| served.trouble == trouble).count() > 1);
        }
        for served in &served {
            assert_eq!(!served.lost.is_empty(), served.trouble == Trouble::Flipped);
            assert!(served.truth.is_sorted_by_key(|known| known.message.log_time));
            assert!(served.lost.len() < served.truth.len() / 4, "{}", served.name);
        }
        let has = |is_static: bool| {
            let of = |served: &&Served| {
                served.files.iter().all(|file| file.declared.is_none() == is_static)
            };
            served.iter().filter(of).count()
        };
        assert!(has(true) > 3 && has(false) > 3 && has(true) + has(false) < 18);
    }
}
