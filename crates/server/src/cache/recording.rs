//! Which sources a recording has, by what the data backend answers now.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::anyhow;
use rdl_engine::{EngineError, FetchConfig, HttpClient, ManifestClient, ManifestParams, Token};
use rdl_model::SourceKey;

/// Whom to ask, and for what.
pub(super) struct RecordingPlan {
    pub(super) fetch: FetchConfig,
    pub(super) params: ManifestParams,
    pub(super) token: Option<Token>,
}

impl RecordingPlan {
    /// The keys of the sources that the manifest names. Those of static ones are in no cache: a
    /// file is stored under its validator too.
    pub(super) async fn keys(&self) -> anyhow::Result<HashSet<SourceKey>> {
        let config = Arc::new(self.fetch.clone());
        let http = HttpClient::new(config.clone())?;
        let manifests = ManifestClient::new(config, http);
        let manifest = manifests.fetch(&self.params, self.token.as_ref()).await;
        let manifest = manifest.map_err(|error| {
            let error = EngineError::Manifest(Arc::new(error));
            match error.user_message() {
                Some(message) => anyhow!("{message} ({error})"),
                None => anyhow!(error),
            }
        })?;
        let endpoint = &self.fetch.manifest_endpoint;
        Ok(manifest.sources.iter().map(|source| source.key(endpoint)).collect())
    }
}
