//! What the kit makes of an input.

use std::time::Duration;

use remote_data_loader_backend::{
    AttachmentRecord, BodyOptions, BodyWriter, Channel, ChannelSet, Compression, Manifest, Message,
    MetadataRecord, Nanos, StaticSource, StreamedSource, TimeRange, WriteError, source_id,
    time_slices,
};

use crate::input::{Found, Input, Source, Step};

fn channels(input: &Input) -> (ChannelSet, Vec<Channel>) {
    let mut set = ChannelSet::new();
    let declared = input.channels.iter().map(|declared| {
        let kind = declared.r#type.message_type();
        set.add_with_metadata(&declared.topic, kind, declared.metadata.clone()).expect("a channel")
    });
    let declared = declared.collect();
    (set, declared)
}

pub(crate) fn manifest(input: &Input) -> String {
    let (channels, _) = channels(input);
    let mut sources = Vec::new();
    for source in &input.manifest.sources {
        match source {
            Source::Static { r#static } => sources.push(StaticSource::new(r#static).into()),
            Source::Streamed { url, id, start, end } => {
                let source = match (start.map(Nanos), end.map(Nanos)) {
                    (Some(start), Some(end)) => channels.source(url, start..=end),
                    (Some(start), None) => channels.source(url, start..),
                    (None, Some(end)) => channels.source(url, ..=end),
                    (None, None) => channels.source(url, ..),
                };
                let id = id.as_ref().map(source_id);
                sources.push(StreamedSource { id, ..source }.into());
            }
            Source::Slices { slices, url, id } => {
                let width = Duration::from_nanos(slices.width_nanos);
                for slice in time_slices(Nanos(slices.start), Nanos(slices.end), width) {
                    let filled = |text: &String| {
                        text.replace("{start}", &slice.start.0.to_string())
                            .replace("{end}", &slice.end.0.to_string())
                    };
                    let id = id.as_ref().map(|parts| source_id(parts.iter().map(filled)));
                    let source = channels.source(filled(url), slice);
                    sources.push(StreamedSource { id, ..source }.into());
                }
            }
        }
    }
    let manifest = Manifest { name: input.manifest.name.clone(), sources };
    serde_json::to_string(&manifest).expect("JSON")
}

/// All that the body gave; without its end where a step is refused, which is checked.
pub(crate) fn body(input: &Input, compression: Compression) -> Vec<u8> {
    let (set, declared) = channels(input);
    let given = &input.body.options;
    let defaults = BodyOptions::default();
    let mut body = BodyWriter::new(
        &set,
        BodyOptions {
            compression,
            chunk_bytes: given.chunk_bytes.unwrap_or(defaults.chunk_bytes),
            chunk_duration: given.chunk_duration_nanos.map(Duration::from_nanos),
            times: TimeRange {
                start: given.start.map_or(Nanos::MIN, Nanos),
                end: given.end.map_or(Nanos::MAX, Nanos),
            },
            max_message_bytes: given.max_message_bytes.unwrap_or(defaults.max_message_bytes),
            profile: given.profile.clone().unwrap_or_default(),
        },
    );
    let mut out = body.take().concat();
    for (at, step) in input.body.steps.iter().enumerate() {
        let done = take_step(&mut body, &declared, step);
        out.extend(body.take().concat());
        match input.body.refused.as_ref().filter(|refused| refused.step == at) {
            None => done.unwrap_or_else(|error| panic!("step {at}: {error}")),
            Some(refused) => {
                assert_eq!(done.expect_err("refused").name(), refused.error);
                assert_eq!(body.finish().expect_err("refused").name(), "ended");
                out.extend(body.take().concat());
                return out;
            }
        }
    }
    body.finish().expect("the end");
    out.extend(body.take().concat());
    out
}

fn take_step(body: &mut BodyWriter, declared: &[Channel], step: &Step) -> Result<(), WriteError> {
    match step {
        Step::Flush(_) => body.flush(),
        Step::Metadata { name, metadata } => {
            body.metadata(&MetadataRecord { name: name.clone(), metadata: metadata.clone() })
        }
        Step::Attachment(attachment) => body.attachment(&AttachmentRecord {
            name: attachment.name.clone(),
            media_type: attachment.media_type.clone(),
            log_time: Nanos(attachment.log_time),
            create_time: Nanos(attachment.create_time),
            data: attachment.data().into(),
        }),
        Step::Message(message) => {
            let id = message.channel_id.map(Channel::from_id);
            let channel = id.or_else(|| message.channel.map(|place| declared[place]));
            let log_time = Nanos(message.log_time);
            body.write(
                channel.expect("a channel"),
                Message {
                    log_time,
                    publish_time: message.publish_time.map_or(log_time, Nanos),
                    sequence: message.sequence.unwrap_or(0),
                    data: &message.data(),
                },
            )
        }
    }
}

/// What another reader finds in a body.
pub(crate) fn messages(body: &[u8]) -> Vec<Found> {
    let messages = mcap::MessageStream::new(body).expect("an MCAP");
    let found = messages.map(|message| {
        let message = message.expect("a message");
        let topic = message.channel.topic.clone();
        (topic, message.log_time, message.publish_time, message.sequence, message.data.into_owned())
    });
    found.collect()
}
