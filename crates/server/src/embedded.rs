//! A data backend in the loader's own process: an ordinary one, asked over HTTP on the loopback
//! interface.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt as _;
use url::Url;

/// A data backend that serves until it is dropped.
pub(crate) struct EmbeddedBackend {
    manifest_endpoint: Url,
    serving: tokio::task::JoinHandle<()>,
}

impl EmbeddedBackend {
    /// Starts these routes, of which one is `/manifest`.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub(crate) async fn start(address: SocketAddr, router: Router) -> io::Result<EmbeddedBackend> {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let manifest_endpoint =
            Url::parse(&format!("http://{address}/manifest")).map_err(io::Error::other)?;
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the data backend of this process stopped");
            }
        });
        Ok(EmbeddedBackend { manifest_endpoint, serving })
    }

    /// Where a backend over files lists what there is.
    pub(crate) fn recordings(&self) -> String {
        let mut url = self.manifest_endpoint.clone();
        url.set_path("/recordings");
        url.into()
    }

    /// What the loader is to ask for manifests.
    pub(crate) fn manifest_endpoint(&self) -> &Url {
        &self.manifest_endpoint
    }
}

impl Drop for EmbeddedBackend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
