use bytes::Bytes;
use rdl_model::Problem;

use crate::{Index, Intake, IntakeError, IntakeEvent, IntakeOptions, PartWriter, end_of_body};

/// Turns a body into the one that its parts would make: without what cannot be used, and with its
/// messages in order as far as the sort buffer mends it.
///
/// Whoever has taken the beginning from parts goes on with it where the body itself has another
/// order. Memory: that of an [`Intake`].
pub struct SortedBody {
    intake: Intake,
    /// What it has besides chunks and attachments, which are given out at once.
    index: Index,
    writer: Option<PartWriter>,
}

impl SortedBody {
    /// At the first byte of a body.
    pub fn new(options: IntakeOptions) -> SortedBody {
        SortedBody { intake: Intake::new(options), index: Index::default(), writer: None }
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
        output.push(end_of_body(&self.index.metadata));
        Ok(output)
    }

    /// What was wrong with the body.
    pub fn into_problems(self) -> Vec<Problem> {
        self.index.problems
    }

    fn take_events(&mut self) -> Result<(), IntakeError> {
        while let Some(event) = self.intake.next_event() {
            match event {
                IntakeEvent::Profile(profile) => self.index.profile = profile,
                IntakeEvent::Channel(channel) => {
                    self.index.channels.insert(channel.id, channel);
                }
                IntakeEvent::Chunk { chunk, .. } => {
                    let channels = self.index.channels_of(&chunk.descriptor);
                    let written = self.writer().chunk(&chunk, &channels);
                    written.map_err(|_| IntakeError::NotRepeatable)?;
                }
                IntakeEvent::Attachment(attachment) => {
                    self.writer().attachment(&attachment);
                }
                IntakeEvent::Metadata(metadata) => self.index.metadata.push(metadata),
                IntakeEvent::Problem(problem) => problem.add_to(&mut self.index.problems),
            }
        }
        Ok(())
    }

    fn writer(&mut self) -> &mut PartWriter {
        self.writer.get_or_insert_with(|| PartWriter::unfinished(&self.index.profile))
    }

    fn take_output(&mut self) -> Vec<Bytes> {
        self.writer.as_mut().map(PartWriter::take_output).unwrap_or_default()
    }
}

/// What ends an intake for good may be done otherwise from the beginning.
fn mendable(error: IntakeError) -> IntakeError {
    if error.is_retryable() { error } else { IntakeError::NotRepeatable }
}
