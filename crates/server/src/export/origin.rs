//! Where an export's bytes come from.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use rdl_engine::{Engine, EngineError, Query, Recording, Token};
use reqwest::{StatusCode, redirect};
use url::Url;

use super::args::OriginPlan;
use super::download::{NoFile, download};
use super::progress::Progress;
use crate::problem::ProblemBody;
use crate::routes::{LinksAnswer, StreamRequest};

/// The longest problem that is read of a loader, in bytes.
const MAX_PROBLEM_BYTES: usize = 64 << 10;
/// How long loads are waited for before a recording is read again.
const COMPLETION_PATIENCE: Duration = Duration::from_secs(600);

/// Where an export's bytes come from.
pub(super) enum Origin {
    /// A data backend, asked by an engine of our own.
    Backend { engine: Arc<Engine>, recording: Recording, query: Query },
    /// A running loader.
    Loader { client: reqwest::Client, loader: Url, request: StreamRequest, token: Option<Token> },
}

impl Origin {
    /// Gets ready; a backend is asked for the manifest.
    pub(super) async fn start(
        plan: OriginPlan,
        request: StreamRequest,
        query: Query,
        token: Option<Token>,
    ) -> anyhow::Result<Origin> {
        match plan {
            OriginPlan::Backend(config) => {
                let engine = Engine::start(*config).await.context("cannot start")?;
                match engine.recording(&request.manifest_params(), token).await {
                    Ok(recording) => Ok(Origin::Backend { engine, recording, query }),
                    Err(error) => {
                        engine.shutdown().await;
                        Err(told(error))
                    }
                }
            }
            OriginPlan::Loader(loader) => {
                Ok(Origin::Loader { client: client(&loader)?, loader, request, token })
            }
        }
    }

    /// Asks; resolves when the first message, or its absence, is known. A loader is asked for a file,
    /// over every broken connection; with `partial`, which no file can be, and where there can be
    /// none, for the stream.
    pub(super) async fn open<'a>(
        &self,
        progress: &'a Progress,
    ) -> anyhow::Result<BoxStream<'a, anyhow::Result<Bytes>>> {
        match self {
            Origin::Backend { recording, query, .. } => {
                let pieces = recording.stream(query.clone()).await.map_err(told)?;
                Ok(pieces.map_err(told).boxed())
            }
            Origin::Loader { client, loader, request, token } => {
                if !request.partial {
                    match open_file(client, loader, request, token.as_ref(), progress).await {
                        Err(error) if error.is::<NoFile>() => {
                            progress.say(&format!("taking the stream: {error}"));
                        }
                        opened => return opened,
                    }
                }
                let url = at(loader, "/v1/stream")?;
                let answer = post(client, url, request, token.as_ref()).await?;
                let broken = "the loader aborted its answer; its log says why; ask again";
                let pieces = answer
                    .bytes_stream()
                    .map_err(move |error| anyhow!(error.without_url()).context(broken));
                Ok(pieces.boxed())
            }
        }
    }

    /// Whether asking again may give messages that came too late to be put in order: a file has been
    /// made as often as that helps.
    pub(super) fn may_give_more(&self) -> bool {
        match self {
            Origin::Backend { .. } => true,
            Origin::Loader { request, .. } => request.partial,
        }
    }

    /// Waits until no source is being loaded any more, where we can know.
    pub(super) async fn complete(&self) {
        let Origin::Backend { recording, .. } = self else { return };
        let settled = async {
            while !recording.is_settled() {
                // A change between the question and the waiting is noticed a second later.
                let _ = tokio::time::timeout(Duration::from_secs(1), recording.changed()).await;
            }
        };
        // What is read again is right in any case.
        let _ = tokio::time::timeout(COMPLETION_PATIENCE, settled).await;
    }

    /// Leaves nothing behind.
    pub(super) async fn stop(self) {
        if let Origin::Backend { engine, .. } = self {
            engine.shutdown().await;
        }
    }
}

/// A loader's file; resolves when its first bytes are here.
async fn open_file<'a>(
    client: &reqwest::Client,
    loader: &Url,
    request: &StreamRequest,
    token: Option<&Token>,
    progress: &'a Progress,
) -> anyhow::Result<BoxStream<'a, anyhow::Result<Bytes>>> {
    let url = link(client, loader, request, token).await?;
    let mut pieces = download(client, url, token.cloned(), progress).boxed();
    let first = pieces.next().await.transpose()?;
    Ok(futures::stream::iter(first.map(Ok)).chain(pieces).boxed())
}

/// The link to the file that a request comes to.
pub(super) async fn link(
    client: &reqwest::Client,
    loader: &Url,
    request: &StreamRequest,
    token: Option<&Token>,
) -> anyhow::Result<Url> {
    let answer = post(client, at(loader, "/v1/links")?, request, token).await?;
    let links: LinksAnswer = answer
        .json()
        .await
        .map_err(reqwest::Error::without_url)
        .context("cannot read the loader's links; is this the URL of a loader?")?;
    at(loader, &links.file)
}

/// A path of a loader that may lie under one itself.
fn at(loader: &Url, path: &str) -> anyhow::Result<Url> {
    let url = format!("{}{path}", loader.as_str().trim_end_matches('/'));
    Url::parse(&url).context("cannot make the loader's URL")
}

async fn post(
    client: &reqwest::Client,
    url: Url,
    request: &StreamRequest,
    token: Option<&Token>,
) -> anyhow::Result<reqwest::Response> {
    let mut asked = client.post(url).json(request);
    if let Some(token) = token {
        asked = asked.bearer_auth(token.expose());
    }
    let answer = asked
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .context("cannot reach the loader")?;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::PAYLOAD_TOO_LARGE => bail!(NoFile(refusal(answer).await)),
        _ => bail!(refusal(answer).await),
    }
}

pub(super) fn client(url: &Url) -> anyhow::Result<reqwest::Client> {
    // Fails when there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("remote-data-loader/", env!("CARGO_PKG_VERSION")))
        // A redirected POST would become a GET.
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .tcp_keepalive(Duration::from_secs(30));
    // Plain http works on a machine without root certificates too.
    let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    builder.build().context("cannot make an HTTP client")
}

/// What the data backend says to the user goes first.
fn told(error: EngineError) -> anyhow::Error {
    match error.user_message() {
        Some(message) => anyhow!("{message} ({error})"),
        None => error.into(),
    }
}

pub(super) async fn refusal(mut answer: reqwest::Response) -> String {
    let status = answer.status();
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_PROBLEM_BYTES {
            break;
        }
    }
    match serde_json::from_slice::<ProblemBody>(&body) {
        Ok(problem) => format!("the loader answered {status}: {}", problem.detail),
        Err(_) if status.is_redirection() => {
            format!("the loader answered {status}; give the URL that it redirects to")
        }
        Err(_) => format!("the loader answered {status}; is this the URL of a loader?"),
    }
}
