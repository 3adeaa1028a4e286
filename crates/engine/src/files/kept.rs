//! A file for whoever was granted its sources before, and cannot ask for them any more: the operator
//! lets links outlive the token of their user.
//!
//! Nobody is asked anything in that user's name, and no load is started. What is not here, or whole in
//! the bucket, is not served.

use std::sync::Arc;

use rdl_fetch::AskedManifest;
use rdl_wire::{Manifest, Source as DeclaredSource, StaticSource};
use tokio::time::Instant;

use super::{FileRequest, opening};
use crate::engine::Engine;
use crate::recording::{RecordedSource, Recording};
use crate::source::Source;
use crate::standing::Rights;
use crate::viewers::Held;
use crate::{EngineError, SourceKind};

/// The recording of which the file is a version, as far as that says: its sources.
pub(super) async fn recording(
    engine: &Engine,
    request: &FileRequest,
) -> Result<Recording, EngineError> {
    let shared = engine.shared();
    let contents = match request.version {
        Some(version) => opening::contents(shared, version).await,
        None => None,
    };
    let contents = contents.ok_or(EngineError::GrantEnded)?;
    let source = |key| {
        // One that nobody has asked for here: whether it is a file is not known, nor needed, since only
        // what was loaded lies in the bucket.
        let unknown = || Arc::new(Source::new(key, "a source of a link", SourceKind::Streamed));
        shared.registry.find(&key).unwrap_or_else(unknown)
    };
    let recorded = |key| RecordedSource { source: source(key), held: Held::of_kept(key) };
    let sources: Vec<_> = contents.sources.iter().map(|body| recorded(body.key)).collect();
    let url = shared.config.fetch.manifest_endpoint.clone();
    let declared = DeclaredSource::Static(StaticSource { url });
    let manifest =
        Manifest { name: None, sources: vec![declared; sources.len()], problems: Vec::new() };
    // Without a token: nobody is asked later, either.
    let grant = engine.grant(&request.params, None);
    let granted = AskedManifest { manifest: Arc::new(manifest), asked: Instant::now() };
    let rights = Rights::new(shared, grant, granted);
    Ok(Recording::with_sources(shared.clone(), rights, sources))
}
