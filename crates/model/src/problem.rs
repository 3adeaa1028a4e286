use serde::{Deserialize, Serialize};

/// Something wrong with the data that did not stop it from being served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whether data is missing because of it.
    pub severity: Severity,
    /// What kind of problem; stable, for programs.
    pub code: ProblemCode,
    /// One sentence for a person: what is wrong, where, and what to do.
    pub message: String,
    /// The id (or, without one, the URL less its query) of the source.
    #[serde(default)]
    pub source: Option<String>,
    /// The topic, where only one is concerned.
    #[serde(default)]
    pub topic: Option<String>,
    /// How many times it was met.
    pub count: u64,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Everything is served; something was mended or is likely to surprise.
    Warning,
    /// Something could not be served.
    Error,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    /// Two sources of one manifest have the same id and different content.
    DuplicateSourceId,
    /// A declared time lies outside what 64-bit nanoseconds hold, and counts as unknown.
    TimeOutOfRange,
    /// A declared start lies after the declared end; both count as unknown.
    StartAfterEnd,
    /// A source's URL changes at every request although it has no id.
    SourceUrlNotStable,
    /// Messages lie outside the times that the manifest declares for their source.
    OutsideDeclaredBounds,
    /// A source has a topic that the manifest does not declare for it.
    UndeclaredTopic,
    /// A channel id was defined anew with other content; it became a channel of its own.
    ChannelRedefined,
    /// A schema id was defined anew with other content.
    SchemaRedefined,
    /// A message names a channel that was never defined.
    MessageWithoutChannel,
    /// A channel names a schema that was never defined.
    ChannelWithoutSchema,
    /// A checksum or the codec says that a chunk is damaged; it is left out.
    DamagedChunk,
    /// The checksum of an attachment is wrong; it is left out.
    DamagedAttachment,
    /// An attachment is larger than what is kept; it is left out.
    AttachmentTooLarge,
    /// The checksum over the data section is wrong although each chunk's is right.
    DataSectionCrc,
    /// The checksum over the summary section is wrong.
    SummaryCrc,
    /// What the summary says is not what the data says.
    SummaryMismatch,
    /// A chunk's header or message index says something else than its messages.
    ChunkHeaderMismatch,
    /// Messages came later than the sort buffer could mend.
    LateMessages,
    /// A record could not be parsed; it is left out.
    MalformedRecord,
    /// The file ends early; what came before is served.
    TruncatedFile,
    /// A source failed for good.
    SourceFailed,
    /// The body of a source differs from try to try.
    SourceNotRepeatable,
    /// A static source changed while it was read.
    SourceChanged,
    /// A static source cannot be read by ranges and is loaded like a streamed one.
    LoadedAsStreamed,
    /// So many chunks overlap that reading the recording as a file in order of time takes much
    /// memory.
    WideOverlap,
    /// The recording is too large, or has too many channels, to be one file.
    FileTooLarge,
}

impl ProblemCode {
    /// The code as it is written in JSON: `damaged-chunk`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DuplicateSourceId => "duplicate-source-id",
            Self::TimeOutOfRange => "time-out-of-range",
            Self::StartAfterEnd => "start-after-end",
            Self::SourceUrlNotStable => "source-url-not-stable",
            Self::OutsideDeclaredBounds => "outside-declared-bounds",
            Self::UndeclaredTopic => "undeclared-topic",
            Self::ChannelRedefined => "channel-redefined",
            Self::SchemaRedefined => "schema-redefined",
            Self::MessageWithoutChannel => "message-without-channel",
            Self::ChannelWithoutSchema => "channel-without-schema",
            Self::DamagedChunk => "damaged-chunk",
            Self::DamagedAttachment => "damaged-attachment",
            Self::AttachmentTooLarge => "attachment-too-large",
            Self::DataSectionCrc => "data-section-crc",
            Self::SummaryCrc => "summary-crc",
            Self::SummaryMismatch => "summary-mismatch",
            Self::ChunkHeaderMismatch => "chunk-header-mismatch",
            Self::LateMessages => "late-messages",
            Self::MalformedRecord => "malformed-record",
            Self::TruncatedFile => "truncated-file",
            Self::SourceFailed => "source-failed",
            Self::SourceNotRepeatable => "source-not-repeatable",
            Self::SourceChanged => "source-changed",
            Self::LoadedAsStreamed => "loaded-as-streamed",
            Self::WideOverlap => "wide-overlap",
            Self::FileTooLarge => "file-too-large",
        }
    }

    /// Whether data is missing because of it.
    pub fn severity(self) -> Severity {
        match self {
            Self::DuplicateSourceId
            | Self::MessageWithoutChannel
            | Self::DamagedChunk
            | Self::DamagedAttachment
            | Self::AttachmentTooLarge
            | Self::MalformedRecord
            | Self::TruncatedFile
            | Self::SourceFailed
            | Self::SourceNotRepeatable => Severity::Error,
            Self::TimeOutOfRange
            | Self::StartAfterEnd
            | Self::SourceUrlNotStable
            | Self::OutsideDeclaredBounds
            | Self::UndeclaredTopic
            | Self::ChannelRedefined
            | Self::SchemaRedefined
            | Self::ChannelWithoutSchema
            | Self::DataSectionCrc
            | Self::SummaryCrc
            | Self::SummaryMismatch
            | Self::ChunkHeaderMismatch
            | Self::LateMessages
            | Self::SourceChanged
            | Self::LoadedAsStreamed
            | Self::WideOverlap
            | Self::FileTooLarge => Severity::Warning,
        }
    }
}

impl Problem {
    /// A problem met once, of no particular source or topic.
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Problem {
        Problem {
            severity: code.severity(),
            code,
            message: message.into(),
            source: None,
            topic: None,
            count: 1,
        }
    }

    /// The same problem, of this source.
    #[must_use]
    pub fn of_source(mut self, source: impl Into<String>) -> Problem {
        self.source = Some(source.into());
        self
    }

    /// The same problem, of this topic.
    #[must_use]
    pub fn of_topic(mut self, topic: impl Into<String>) -> Problem {
        self.topic = Some(topic.into());
        self
    }

    /// Adds `problem` to `problems`; one of the same code, source and topic is counted instead,
    /// and keeps the message of the first.
    pub fn add_to(self, problems: &mut Vec<Problem>) {
        let same = problems.iter_mut().find(|known| {
            known.code == self.code && known.source == self.source && known.topic == self.topic
        });
        match same {
            Some(known) => known.count = known.count.saturating_add(self.count),
            None => problems.push(self),
        }
    }
}
