//! Writing a recording, message by message: it may be larger than memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rdl_mcap_io::{
    CanonicalIds, ChannelDef, ChannelRecord, Compression, MessageView, OutputOptions, OutputPiece,
    OutputWriter, SchemaDef,
};
use rdl_model::Nanos;
use rdl_testkit::{Random, rfc3339};
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::scenario::{Scenario, SourcePlan, Topic};

/// How the channels are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ids {
    /// As the loader keeps them, so that chunks may stay as they are.
    Canonical,
    /// 1, 2, 3, as most programs do: every chunk is rewritten once.
    Foreign,
}

/// Writes a recording into a folder: a file for each source, two manifests, and the digest that
/// the merged recording must have.
///
/// # Errors
///
/// If the files cannot be written.
pub fn write(
    scenario: Scenario,
    payload_bytes: u64,
    compression: Compression,
    ids: Ids,
    folder: &Path,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let plans = scenario.sources(payload_bytes);
    let mut sources = Vec::new();
    let mut heap = BinaryHeap::new();
    for (number, plan) in plans.iter().enumerate() {
        let options = OutputOptions {
            compression,
            chunk_target_bytes: scenario.chunk_bytes(),
            library: "rdl-bench".to_owned(),
            ..OutputOptions::default()
        };
        let source = Source::create(plan, ids, options, folder)?;
        heap.extend(
            (0..source.tracks.len()).map(|at| Reverse((source.tracks[at].next, number, at))),
        );
        sources.push(source);
    }
    let mut digest = Digest::default();
    let mut data = Vec::new();
    while let Some(Reverse((time, number, at))) = heap.pop() {
        let source = &mut sources[number];
        source.tracks[at].fill(&mut data);
        source.message(at, time, &data)?;
        let track = &mut source.tracks[at];
        digest.message(&track.channel.def.topic, (time, time), track.count, &data);
        track.advance();
        if track.next < plans[number].nanos.end {
            heap.push(Reverse((track.next, number, at)));
        }
    }
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("recording");
    let mut entries = Vec::new();
    for (source, plan) in sources.iter_mut().zip(&plans) {
        source.finish()?;
        entries.push(streamed_entry(name, plan, source));
    }
    let static_entry = |entry: &Value| json!({"url": entry["url"], "supportsRangeRequests": true});
    let statics: Vec<Value> = entries.iter().map(static_entry).collect();
    std::fs::write(folder.join("manifest"), json!({"name": name, "sources": entries}).to_string())?;
    std::fs::write(
        folder.join("manifest-static"),
        json!({"name": name, "sources": statics}).to_string(),
    )?;
    std::fs::write(folder.join("digest"), digest.finish() + "\n")?;
    Ok(())
}

/// A topic that is being written.
struct Track {
    channel: Arc<ChannelRecord>,
    topic: Topic,
    random: Random,
    /// When its next message is logged.
    next: u64,
    count: u32,
    start: u64,
}

impl Track {
    fn new(channel: Arc<ChannelRecord>, topic: &Topic, start: u64) -> Track {
        let seed =
            topic.name.bytes().fold(start, |seed, byte| seed.rotate_left(7) ^ u64::from(byte));
        let topic = topic.clone();
        let mut track =
            Track { channel, topic, random: Random::new(seed), next: 0, count: 0, start };
        track.schedule();
        track
    }

    fn advance(&mut self) {
        self.count += 1;
        self.schedule();
    }

    /// At its pace, shaken by up to a quarter of its period.
    fn schedule(&mut self) {
        let shake = self.random.next_u64() % (self.topic.period_nanos / 4);
        self.next = self.start + u64::from(self.count) * self.topic.period_nanos + shake;
    }

    /// Half noise and half structure, which compresses to about a half.
    fn fill(&mut self, data: &mut Vec<u8>) {
        let (least, greatest) = self.topic.bytes;
        let bytes = least + self.random.next_u64() % (greatest - least + 1);
        data.clear();
        while (data.len() as u64) < bytes {
            for _ in 0..4 {
                data.extend_from_slice(&self.random.next_u64().to_le_bytes());
            }
            for word in 0..5_u64 {
                data.extend_from_slice(&(u64::from(self.count) + word).to_le_bytes());
            }
        }
        data.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}

/// A source that is being written.
struct Source {
    tracks: Vec<Track>,
    writer: OutputWriter,
    file: BufWriter<File>,
    /// Of its first and its last message.
    times: (u64, u64),
}

impl Source {
    fn create(
        plan: &SourcePlan,
        ids: Ids,
        options: OutputOptions,
        folder: &Path,
    ) -> anyhow::Result<Source> {
        let mut canonical = CanonicalIds::new();
        let mut tracks = Vec::new();
        for (number, topic) in (1..).zip(&plan.topics) {
            let canonical = canonical.channel(channel_of(topic))?;
            let channel = match ids {
                Ids::Canonical => canonical,
                Ids::Foreign => {
                    let def = canonical.def.clone();
                    Arc::new(ChannelRecord { id: number, schema_id: number, def })
                }
            };
            tracks.push(Track::new(channel, topic, plan.nanos.start));
        }
        let file = File::create(folder.join(&plan.name).with_extension("mcap"))?;
        let writer = OutputWriter::new(options);
        Ok(Source { tracks, writer, file: BufWriter::new(file), times: (u64::MAX, 0) })
    }

    fn message(&mut self, at: usize, time: u64, data: &[u8]) -> anyhow::Result<()> {
        let track = &self.tracks[at];
        let message = MessageView {
            channel: track.channel.id,
            sequence: track.count,
            log_time: Nanos(time),
            publish_time: Nanos(time),
            data,
        };
        self.writer.message(&track.channel, message)?;
        self.times = (self.times.0.min(time), self.times.1.max(time));
        self.drain()
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        for piece in self.writer.take_output() {
            match piece {
                OutputPiece::Bytes(bytes) => self.file.write_all(&bytes)?,
                OutputPiece::Elsewhere(_) => bail!("no chunk was passed on"),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.writer.finish()?;
        self.drain()?;
        Ok(self.file.flush()?)
    }
}

fn channel_of(topic: &Topic) -> ChannelDef {
    let name = topic.name.replace('/', "_");
    let data = Bytes::from(format!("{{\"type\": \"object\", \"title\": \"{name}\"}}"));
    ChannelDef {
        topic: topic.name.clone(),
        message_encoding: "json".to_owned(),
        schema: Some(Arc::new(SchemaDef { name, encoding: "jsonschema".to_owned(), data })),
        metadata: [("recorder".to_owned(), "rdl-bench".to_owned())].into(),
    }
}

fn streamed_entry(recording: &str, plan: &SourcePlan, source: &Source) -> Value {
    let topic = |(id, track): (usize, &Track)| {
        let def = &track.channel.def;
        json!({"name": def.topic, "messageEncoding": def.message_encoding, "schemaId": id + 1})
    };
    let schema = |(id, track): (usize, &Track)| {
        let schema = track.channel.def.schema.as_ref();
        json!({
            "id": id + 1,
            "name": schema.map(|schema| &schema.name),
            "encoding": schema.map(|schema| &schema.encoding),
            "data": schema.map(|schema| BASE64_STANDARD.encode(&schema.data)),
        })
    };
    let tracks = || source.tracks.iter().enumerate();
    json!({
        "url": format!("/{recording}/{}.mcap", plan.name),
        "id": format!("{recording}/{}", plan.name),
        "topics": tracks().map(topic).collect::<Vec<_>>(),
        "schemas": tracks().map(schema).collect::<Vec<_>>(),
        "startTime": rfc3339(source.times.0),
        "endTime": rfc3339(source.times.1),
    })
}
