//! A whole recording as a file: where everything lies in it, and who has it.

use std::sync::Arc;

use rdl_mcap_io::{ChunkDescriptor, NewIds};
use rdl_merge::{FileLayout, LaidSource};
use rdl_model::ChunkRef;
use rdl_store::ScratchFile;

use super::identity;
use super::version::{Body, Contents, FileVersion};
use crate::EngineError;
use crate::shared::Shared;
use crate::source::{Attachment, Described, Generation, Phase, Source};

/// More chunks that overlap than this, and whoever reads the file in order of time holds too many
/// open.
const MOST_OVERLAPPING: usize = 32;

/// A whole recording in one version.
pub(super) struct LaidFile {
    version: FileVersion,
    bodies: Vec<Body>,
    memory_bytes: usize,
    pub(super) layout: FileLayout,
    /// What no source has.
    pub(super) own: Arc<ScratchFile>,
    pub(super) sources: Vec<FileSource>,
}

/// One source of a file, in one body.
#[derive(Clone)]
pub(super) struct FileSource {
    pub(super) body: Body,
    pub(super) source: Arc<Source>,
    pub(super) generation: Arc<Generation>,
    /// As they were laid out, whatever becomes of them in the generation.
    pub(super) chunks: Arc<[Arc<ChunkDescriptor>]>,
    /// Whether these are what the summary of a static file claims.
    pub(super) are_claims: bool,
    /// Those of its attachments that no source before it has.
    pub(super) attachments: Vec<Attachment>,
}

impl FileSource {
    /// What a generation that is complete has, always the same. CPU work.
    pub(super) fn new(source: &Arc<Source>, generation: &Arc<Generation>) -> FileSource {
        let described = generation.described(|state| Described {
            identity: identity::of(state, generation),
            chunks: match &state.claims {
                Some(claims) => claims.chunks.clone(),
                None => state.chunks.iter().map(|chunk| chunk.descriptor.clone()).collect(),
            },
        });
        let state = generation.state();
        FileSource {
            body: Body { key: source.key, identity: described.identity },
            source: source.clone(),
            generation: generation.clone(),
            chunks: described.chunks.clone(),
            are_claims: state.claims.is_some(),
            attachments: state.attachments.clone(),
        }
    }

    fn laid(&self) -> LaidSource {
        let state = self.generation.state();
        let claims = state.claims.as_deref();
        let attachments = self.attachments.iter();
        LaidSource {
            profile: state.profile.clone(),
            // Reading a chunk may add channels that the summary does not name.
            channels: claims.map_or(&state.channels, |claims| &claims.channels).clone(),
            schemas: claims.map(|claims| claims.schemas.clone()).unwrap_or_default(),
            chunks: self.chunks.to_vec(),
            are_claims: self.are_claims,
            metadata: state.metadata.clone(),
            attachments: attachments
                .map(|attachment| (attachment.head.clone(), attachment.place.record_bytes()))
                .collect(),
        }
    }

    /// Whether a static file was found to be another one since.
    fn has_changed(&self) -> bool {
        if matches!(self.generation.state().phase, Phase::Superseded(_)) {
            return true;
        }
        let current = self.source.current();
        if !self.are_claims || Arc::ptr_eq(&current, &self.generation) {
            return false;
        }
        let ours = self.generation.state().identity.clone();
        let ours = ours.filter(|ours| ours.validator.is_some());
        let state = current.state();
        // One that is just being looked at, or cannot be, tells nothing.
        matches!(state.phase, Phase::Complete) && ours.is_some() && state.identity != ours
    }
}

impl LaidFile {
    /// Lays the sources out. Blocks, and is CPU work.
    pub(super) fn build(
        shared: &Shared,
        contents: &Contents,
        sources: Vec<FileSource>,
    ) -> Result<LaidFile, EngineError> {
        let laid: Vec<LaidSource> = sources.iter().map(FileSource::laid).collect();
        let mut layout = FileLayout::new(&laid)?;
        drop(laid);
        let own = shared.store.scratch()?;
        for bytes in std::mem::take(&mut layout.own) {
            shared.with_room(bytes.len() as u64, || own.append(&bytes))?;
        }
        layout.pieces.shrink_to_fit();
        let known = sources.iter().map(|source| source.generation.state().memory_bytes());
        let memory_bytes = known.sum::<usize>() + size_of_val(layout.pieces.as_slice());
        Ok(LaidFile {
            version: contents.version(),
            bodies: contents.sources.clone(),
            memory_bytes,
            layout,
            own: Arc::new(own),
            sources,
        })
    }

    pub(super) fn version(&self) -> FileVersion {
        self.version
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    pub(super) fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// How many chunks overlap somewhere, if those are too many to be held open by a reader.
    pub(super) fn wide_overlap(&self) -> Option<usize> {
        Some(self.layout.most_overlapping).filter(|chunks| *chunks > MOST_OVERLAPPING)
    }

    /// Why its bytes cannot be had any more, if a source is found to be another one.
    pub(super) fn changed(&self) -> Option<EngineError> {
        let changed = self.sources.iter().find(|source| source.has_changed())?;
        let why = format!("source {} is another one now", changed.source.name);
        Some(EngineError::FileGone { why: why.into() })
    }

    pub(super) fn chunk(&self, at: ChunkRef) -> (&FileSource, &NewIds, &Arc<ChunkDescriptor>) {
        let source = &self.sources[at.source as usize];
        (source, &self.layout.ids[at.source as usize], &source.chunks[at.chunk as usize])
    }
}
