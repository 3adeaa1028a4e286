//! What is known of a file: from its summary, or from having read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdl_mcap_io::{ChannelDef, ChannelRecord, SchemaDef, Summary};
use rdl_model::TimeRange;

use crate::prefix::Prefix;

/// A topic as a manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) message_encoding: String,
    pub(crate) schema: Option<Arc<SchemaDef>>,
}

impl Topic {
    pub(crate) fn of(channel: &ChannelDef) -> Topic {
        Topic {
            name: channel.topic.clone(),
            message_encoding: channel.message_encoding.clone(),
            schema: channel.schema.clone(),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let schema = self
            .schema
            .as_ref()
            .map_or(0, |schema| schema.name.len() + schema.encoding.len() + schema.data.len());
        size_of::<Topic>() + self.name.len() + self.message_encoding.len() + schema
    }
}

/// How a file is served.
#[derive(Clone, Debug)]
pub(crate) enum Serving {
    /// As it is, by ranges.
    Whole,
    /// Its intact beginning, in segments that are streams.
    Prefix(Prefix),
    /// Not at all.
    Not,
}

/// What is known of a file.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) serving: Serving,
    /// The least and the greatest log time; `None` without messages.
    pub(crate) times: Option<TimeRange>,
    /// Each once. Of a file that is served whole their schemas are left out.
    pub(crate) topics: Arc<[Topic]>,
    /// What is wrong with it, for people.
    pub(crate) problems: Vec<String>,
}

impl Contents {
    pub(crate) fn unusable(why: impl Into<String>) -> Contents {
        let problems = vec![why.into()];
        Contents { serving: Serving::Not, times: None, topics: Arc::default(), problems }
    }

    /// `None` where the summary does not tell the times: the file has to be read.
    pub(crate) fn of_summary(summary: &Summary) -> Option<Contents> {
        let counted = summary.statistics.as_ref();
        let times = match counted {
            Some(found) if found.message_count == 0 => None,
            Some(found) if found.start <= found.end => {
                Some(TimeRange { start: found.start, end: found.end })
            }
            _ => {
                let chunks = summary.chunks.iter().map(|chunk| chunk.times);
                Some(chunks.reduce(TimeRange::union)?)
            }
        };
        let mut topics: Vec<Topic> = summary
            .channels
            .values()
            .map(|channel| Topic { schema: None, ..Topic::of(&channel.def) })
            .collect();
        topics.sort();
        topics.dedup();
        let topics = topics.into();
        Some(Contents { serving: Serving::Whole, times, topics, problems: Vec::new() })
    }

    /// What its topics take in memory, about, in bytes.
    pub(crate) fn topics_bytes(&self) -> usize {
        self.topics.iter().map(Topic::memory_bytes).sum()
    }

    /// What it takes besides, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let problems: usize = self.problems.iter().map(String::len).sum();
        let prefix = match &self.serving {
            Serving::Prefix(prefix) => prefix.memory_bytes(),
            Serving::Whole | Serving::Not => 0,
        };
        size_of::<Contents>() + problems + prefix
    }
}

/// The topics of these channels, each once, in their order.
pub(crate) fn topics_of<'a>(
    channels: impl IntoIterator<Item = &'a ChannelRecord>,
    schemas: &BTreeMap<u16, Arc<SchemaDef>>,
) -> Vec<Topic> {
    let mut topics: Vec<Topic> = Vec::new();
    for channel in channels {
        let schema = schemas.get(&channel.schema_id).cloned();
        let topic = Topic { schema, ..Topic::of(&channel.def) };
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    topics
}
