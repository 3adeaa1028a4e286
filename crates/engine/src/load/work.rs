//! The part of a load that burns CPU and writes files; runs on blocking threads.

use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{
    Index, IndexedAttachment, IndexedChunk, Intake, IntakeError, IntakeEvent, IntakeOptions,
};
use rdl_model::Problem;
use rdl_store::{Attempt, StoreError};

use super::LoadMode;
use crate::EngineError;
use crate::shared::Shared;
use crate::source::{Attachment, AttachmentPlace, Chunk, Generation, Phase, Place, Source};

/// One attempt at a body: the bytes go in, the generation grows.
pub(super) struct LoadWork {
    intake: Intake,
    attempt: Attempt,
    generation: Arc<Generation>,
    /// What goes into the bucket beside the parts; the generation holds the same.
    index: Index,
    source_name: Arc<str>,
    truncated_is_final: bool,
}

/// Why a load's work stopped.
pub(super) enum LoadFault {
    /// The body is not what it should be.
    Data(IntakeError),
    /// The loader's own fault.
    Engine(EngineError),
}

impl From<StoreError> for LoadFault {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<IntakeError> for LoadFault {
    fn from(error: IntakeError) -> Self {
        Self::Data(error)
    }
}

impl LoadWork {
    pub(super) async fn begin(
        shared: &Arc<Shared>,
        source: &Arc<Source>,
        generation: &Arc<Generation>,
        mode: LoadMode,
    ) -> Result<LoadWork, EngineError> {
        let mut options = IntakeOptions::default();
        options.limits.max_chunk_bytes = shared.config.max_chunk_bytes;
        options.limits.max_message_bytes = shared.config.max_message_bytes;
        let attempt = shared.store(move |store| store.begin(&mode.key, mode.keep)).await??;
        generation.change(|state| state.files = Some(attempt.files()));
        Ok(LoadWork {
            intake: Intake::new(options),
            attempt,
            generation: generation.clone(),
            index: Index::default(),
            source_name: source.name.clone(),
            truncated_is_final: mode.truncated_is_final,
        })
    }

    /// Takes bytes of the body.
    pub(super) fn take(&mut self, batch: Vec<Bytes>) -> Result<(), LoadFault> {
        for bytes in batch {
            let pushed = self.intake.push(bytes);
            self.publish()?;
            match pushed {
                // A chunk that was never closed: what follows is noise, and the end tells.
                Err(error) if self.truncated_is_final && error.is_retryable() => {}
                pushed => pushed?,
            }
        }
        Ok(())
    }

    /// Lets go of what can be let go of before a chunk is full, so that followers see it.
    pub(super) fn flush_early(&mut self) -> Result<(), LoadFault> {
        self.intake.flush_early();
        self.publish()?;
        self.attempt.close_part()?;
        Ok(())
    }

    /// The connection broke; the body comes again from its first byte.
    pub(super) fn restart(&mut self) {
        self.intake.restart();
    }

    /// The body ended.
    pub(super) fn finish(&mut self) -> Result<(), LoadFault> {
        let finished = match self.intake.finish() {
            Err(IntakeError::Truncated { .. }) if self.truncated_is_final => {
                self.intake.finish_truncated()
            }
            finished => finished,
        };
        self.publish()?;
        finished.map_err(LoadFault::Data)
    }

    /// The last byte was verified: stores the index and tells everyone.
    pub(super) fn complete(self) -> Result<(), LoadFault> {
        self.attempt.complete(&self.index)?;
        self.generation.change(|state| state.phase = Phase::Complete);
        Ok(())
    }

    /// Stores what the intake gives and lets the generation grow by it.
    fn publish(&mut self) -> Result<(), LoadFault> {
        let before = Grown::of(&self.index);
        while let Some(event) = self.intake.next_event() {
            self.store(event)?;
        }
        let frontier = self.intake.frontier();
        let index = &self.index;
        self.generation.change(|state| {
            state.profile.clone_from(&index.profile);
            if state.channels.len() != index.channels.len() {
                state.channels.clone_from(&index.channels);
            }
            state.chunks.extend(index.chunks[before.chunks..].iter().map(|chunk| Chunk {
                descriptor: chunk.descriptor.clone(),
                place: Place::Stored(chunk.position),
            }));
            state.metadata.extend_from_slice(&index.metadata[before.metadata..]);
            state.attachments.extend(index.attachments[before.attachments..].iter().map(
                |attachment| Attachment { place: AttachmentPlace::Stored(attachment.position) },
            ));
            state.problems.clone_from(&index.problems);
            if let (Phase::Loading { frontier: known }, Some(reached)) =
                (&mut state.phase, frontier)
            {
                *known = reached;
            }
        });
        Ok(())
    }

    fn store(&mut self, event: IntakeEvent) -> Result<(), LoadFault> {
        match event {
            IntakeEvent::Profile(profile) => {
                self.attempt.set_profile(&profile);
                self.index.profile = profile;
            }
            IntakeEvent::Channel(channel) => {
                self.index.channels.insert(channel.id, channel);
            }
            IntakeEvent::Chunk(chunk) => {
                let channels = self.index.channels_of(&chunk.descriptor);
                let position = self.attempt.append_chunk(&chunk, &channels)?;
                let descriptor = Arc::new(chunk.descriptor);
                self.index.chunks.push(IndexedChunk { descriptor, position });
            }
            IntakeEvent::Metadata(metadata) => self.index.metadata.push(metadata),
            IntakeEvent::Attachment(attachment) => {
                let position = self.attempt.append_attachment(&attachment)?;
                self.index.attachments.push(IndexedAttachment {
                    name: attachment.name,
                    media_type: attachment.media_type,
                    log_time: attachment.log_time,
                    position,
                });
            }
            IntakeEvent::Problem(problem) => {
                let problem = Problem { source: Some(self.source_name.to_string()), ..problem };
                problem.add_to(&mut self.index.problems);
            }
        }
        Ok(())
    }
}

/// How long an index's lists were.
struct Grown {
    chunks: usize,
    metadata: usize,
    attachments: usize,
}

impl Grown {
    fn of(index: &Index) -> Grown {
        Grown {
            chunks: index.chunks.len(),
            metadata: index.metadata.len(),
            attachments: index.attachments.len(),
        }
    }
}
