//! Reads files over HTTP as those do who read parts of an MCAP, and tells how long that takes.
//!
//! Each command prints one JSON object. Those that compare servers ask the same of all of them in
//! turns, over connections that are kept open.

use std::io::SeekFrom;
use std::iter;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use mcap::records::ChunkIndex;
use mcap::sans_io::indexed_reader::{IndexedReadEvent, IndexedReader, IndexedReaderOptions};
use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};
use rdl_bench::client::RemoteFile;
use rdl_bench::digest::Digest;
use rdl_testkit::Random;
use serde_json::{Value, json};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ranges at random places, the same of each server; all must answer with the same bytes.
    Random {
        /// The size of a range.
        #[arg(long)]
        bytes: u64,
        /// How many of each server.
        #[arg(long)]
        count: usize,
        /// Only within chunks that are not compressed.
        #[arg(long)]
        uncompressed: bool,
        urls: Vec<String>,
    },
    /// The whole file, without a range.
    Whole {
        /// How often of each server.
        #[arg(long)]
        runs: usize,
        urls: Vec<String>,
    },
    /// What a reader asks before it reads messages: how long the file is, its footer, its summary.
    Open {
        /// How often, each time over a new connection.
        #[arg(long)]
        times: usize,
        url: String,
    },
    /// The messages of a part of the time, by the index in the summary: only chunks that have some.
    Read {
        /// Where in the time of the recording the part begins, from 0 to 1.
        #[arg(long, default_value_t = 0.0)]
        from: f64,
        /// Where it ends.
        #[arg(long, default_value_t = 1.0)]
        to: f64,
        url: String,
    },
}

fn main() -> anyhow::Result<()> {
    let told = match Arguments::parse().command {
        Command::Random { bytes, count, uncompressed, urls } => {
            random(bytes, count, uncompressed, &urls)?
        }
        Command::Whole { runs, urls } => whole(runs, &urls)?,
        Command::Open { times, url } => {
            let once = |_| {
                let start = Instant::now();
                summary(&mut RemoteFile::open(&url)?)?;
                Ok(milliseconds(start))
            };
            json!({"ms": (0..times).map(once).collect::<anyhow::Result<Vec<_>>>()?})
        }
        Command::Read { from, to, url } => read(from..to, &url)?,
    };
    println!("{told}");
    Ok(())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// The milliseconds of each range, for each server.
fn random(bytes: u64, count: usize, uncompressed: bool, urls: &[String]) -> anyhow::Result<Value> {
    let mut files = open(urls)?;
    let places = match uncompressed {
        true => uncompressed_chunks(&mut files[0], bytes)?,
        false => iter::once(0..files[0].bytes).collect(),
    };
    let mut random = Random::new(bytes);
    let mut times = vec![Vec::with_capacity(count); files.len()];
    let mut bodies = vec![Vec::new(); files.len()];
    for at in 0..count {
        let place = &places[usize::try_from(random.next_u64())? % places.len()];
        let bytes = bytes.min(place.end - place.start);
        let start = place.start + random.next_u64() % (place.end - place.start - bytes + 1);
        for turn in 0..files.len() {
            // None of them always follows the same one.
            let server = (at + turn) % files.len();
            let asked = Instant::now();
            files[server].range(start..start + bytes, &mut bodies[server])?;
            times[server].push(milliseconds(asked));
        }
        ensure!(bodies.iter().all(|body| *body == bodies[0]), "{start}: the bytes differ");
    }
    Ok(json!({"ms": times}))
}

/// Where the chunks without compression lie that have so many bytes.
fn uncompressed_chunks(file: &mut RemoteFile, bytes: u64) -> anyhow::Result<Vec<Range<u64>>> {
    let chunks = summary(file)?.chunk_indexes;
    let is_one = |chunk: &&ChunkIndex| chunk.compression.is_empty() && chunk.chunk_length >= bytes;
    let at = |chunk: &ChunkIndex| {
        chunk.chunk_start_offset..chunk.chunk_start_offset + chunk.chunk_length
    };
    let places: Vec<_> = chunks.iter().filter(is_one).map(at).collect();
    ensure!(!places.is_empty(), "every chunk is compressed");
    Ok(places)
}

/// The megabytes that come in a second in each run, for each server.
fn whole(runs: usize, urls: &[String]) -> anyhow::Result<Value> {
    let mut files = open(urls)?;
    let mut rates = vec![Vec::with_capacity(runs); files.len()];
    for _ in 0..runs {
        for (file, rates) in files.iter_mut().zip(&mut rates) {
            let asked = Instant::now();
            file.whole()?;
            rates.push(file.bytes as f64 / 1000.0 / milliseconds(asked));
        }
    }
    Ok(json!({"mb_per_second": rates}))
}

fn open(urls: &[String]) -> anyhow::Result<Vec<RemoteFile>> {
    let files = urls.iter().map(|url| RemoteFile::open(url)).collect::<anyhow::Result<Vec<_>>>()?;
    let first = files.first().context("no URL")?;
    ensure!(files.iter().all(|file| file.bytes == first.bytes), "the files differ in size");
    Ok(files)
}

/// The footer in one range, and then all behind the data in another.
fn summary(file: &mut RemoteFile) -> anyhow::Result<mcap::Summary> {
    let options = SummaryReaderOptions::default().with_file_size(file.bytes);
    let mut reader = SummaryReader::new_with_options(options);
    let (mut at, mut tail, mut tail_start) = (0, Vec::new(), file.bytes);
    while let Some(event) = reader.next_event() {
        match event? {
            SummaryReadEvent::SeekRequest(SeekFrom::Start(place)) => {
                if place < tail_start {
                    file.range(place..file.bytes, &mut tail)?;
                    tail_start = place;
                }
                at = usize::try_from(place - tail_start)?;
                reader.notify_seeked(place);
            }
            SummaryReadEvent::SeekRequest(other) => anyhow::bail!("no seek to {other:?}"),
            SummaryReadEvent::ReadRequest(bytes) => {
                let here = &tail[at..tail.len().min(at + bytes)];
                reader.insert(bytes)[..here.len()].copy_from_slice(here);
                reader.notify_read(here.len());
                at += here.len();
            }
        }
    }
    reader.finish().context("no summary")
}

/// What the messages of a part of the time are, and what it took to get them.
fn read(part: Range<f64>, url: &str) -> anyhow::Result<Value> {
    let mut file = RemoteFile::open(url)?;
    let summary = summary(&mut file)?;
    let stats = summary.stats.as_ref().context("no statistics")?;
    let span = (stats.message_end_time - stats.message_start_time) as f64;
    let at = |part: f64| stats.message_start_time + (span * part) as u64;
    let (start, end) =
        (at(part.start), if part.end < 1.0 { at(part.end) } else { stats.message_end_time });
    let options = IndexedReaderOptions::new().starting_at(start).ending_at(end);
    let mut reader = IndexedReader::new_with_options(&summary, options)?;
    let (mut digest, mut chunk) = (Digest::default(), Vec::new());
    while let Some(event) = reader.next_event() {
        match event? {
            IndexedReadEvent::ReadChunkRequest { offset, length } => {
                file.range(offset..offset + length as u64, &mut chunk)?;
                reader.insert_chunk_record_data(offset, &chunk)?;
            }
            IndexedReadEvent::Message { header, data } => {
                let channel = &summary.channels.get(&header.channel_id);
                let topic = &channel.context("a channel is missing")?.topic;
                let times = (header.log_time, header.publish_time);
                digest.message(topic, times, header.sequence, data);
            }
        }
    }
    Ok(json!({
        "start": start,
        "end": end,
        "bytes": file.bytes,
        "requests": file.requests,
        "chunks": summary.chunk_indexes.len(),
        "digest": digest.finish(),
    }))
}
