use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rdl_model::Problem;

use crate::{
    ChannelRecord, Intake, IntakeError, IntakeEvent, IntakeOptions, MetadataRecord, PartWriter,
    end_of_body,
};

/// Turns a body into the one that its parts would make: without what cannot be used, and with its
/// messages in order as far as the sort buffer mends it.
///
/// Whoever has taken the beginning from parts goes on with it where the body itself has another
/// order. Memory: that of an [`Intake`].
pub struct SortedBody {
    intake: Intake,
    channels: BTreeMap<u16, Arc<ChannelRecord>>,
    writer: Option<PartWriter>,
    profile: String,
    metadata: Vec<MetadataRecord>,
    problems: Vec<Problem>,
}

impl SortedBody {
    /// At the first byte of a body.
    pub fn new(options: IntakeOptions) -> SortedBody {
        SortedBody {
            intake: Intake::new(options),
            channels: BTreeMap::new(),
            writer: None,
            profile: String::new(),
            metadata: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Takes the next bytes of the body, and gives what can leave.
    ///
    /// # Errors
    ///
    /// Those of [`Intake::push`]; [`IntakeError::NotRepeatable`] where it cannot be done, as with
    /// records that do not fit into memory.
    pub fn push(&mut self, bytes: Bytes) -> Result<Vec<Bytes>, IntakeError> {
        let mut pushed = self.intake.push(bytes);
        self.take_events()?;
        while pushed.is_ok() && self.intake.has_more() {
            pushed = self.intake.resume();
            self.take_events()?;
        }
        pushed.map_err(mendable)?;
        self.intake.flush_early();
        self.take_events()?;
        Ok(self.take_output())
    }

    /// What is left at the end of the body.
    ///
    /// # Errors
    ///
    /// As those of [`SortedBody::push`].
    pub fn finish(&mut self) -> Result<Vec<Bytes>, IntakeError> {
        let finished = self.intake.finish();
        self.take_events()?;
        finished.map_err(mendable)?;
        self.writer();
        let mut output = self.take_output();
        output.push(end_of_body(&self.metadata));
        Ok(output)
    }

    /// What was wrong with the body.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn take_events(&mut self) -> Result<(), IntakeError> {
        while let Some(event) = self.intake.next_event() {
            match event {
                IntakeEvent::Profile(profile) => self.profile = profile,
                IntakeEvent::Channel(channel) => {
                    self.channels.insert(channel.id, channel);
                }
                IntakeEvent::Chunk { chunk, .. } => {
                    let ids = chunk.descriptor.channel_ids();
                    let channels: Vec<_> =
                        ids.iter().filter_map(|id| self.channels.get(id).cloned()).collect();
                    let written = self.writer().chunk(&chunk, &channels);
                    written.map_err(|_| IntakeError::NotRepeatable)?;
                }
                IntakeEvent::Attachment(attachment) => {
                    self.writer().attachment(&attachment);
                }
                IntakeEvent::Metadata(metadata) => self.metadata.push(metadata),
                IntakeEvent::Problem(problem) => problem.add_to(&mut self.problems),
            }
        }
        Ok(())
    }

    fn writer(&mut self) -> &mut PartWriter {
        self.writer.get_or_insert_with(|| PartWriter::unfinished(&self.profile))
    }

    fn take_output(&mut self) -> Vec<Bytes> {
        self.writer.as_mut().map(PartWriter::take_output).unwrap_or_default()
    }
}

/// What ends an intake for good may be done otherwise from the beginning.
fn mendable(error: IntakeError) -> IntakeError {
    if error.is_retryable() { error } else { IntakeError::NotRepeatable }
}
