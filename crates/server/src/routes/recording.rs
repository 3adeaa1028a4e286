//! `GET /v1/recording`: what is known of a recording. Starts no load.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use http::header::CACHE_CONTROL;

use rdl_engine::EngineError;
use rdl_model::{ErrorKind, Problem as DataProblem, ProblemCode};

use super::App;
use super::answers::RecordingAnswer;
use super::authority::Authority;
use super::file_link::{FileLink, LinkAuthority};
use super::params::Params;
use crate::problem::{Problem, ProblemBody};

/// How long it may take to lay out a recording of which everything is known.
pub(super) const FILE_PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a recording.
///
/// Starts no load, but indexes static sources for at most 5 s; what is not known then stays
/// `pending`. Parameters written `ds.<name>=<value>` reach the manifest endpoint as
/// `<name>=<value>`, in their order, repeated ones too; `ds` and `ds.dataLoaderUrl` are ignored.
#[utoipa::path(get, path = "/v1/recording", operation_id = "getRecording", tag = "recordings",
    params(("ds.{name}" = Option<String>, Query,
            description = "A manifest parameter; any number of them")),
    security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "What is known", body = RecordingAnswer),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    authority: Authority,
) -> Result<impl IntoResponse, Problem> {
    let params = Params::parse(query.as_deref(), &[])?;
    let mut recording = app.engine.recording(&params.manifest, authority.token.clone()).await?;
    let mut info = recording.describe().await?;
    let mut file = recording.file(FILE_PATIENCE).await;
    // That took a while, and what the manifest endpoint said may be older than it may be.
    while let Some(now) = recording.still_granted().await? {
        (info, file) = (now.snapshot().await?, now.file(FILE_PATIENCE).await);
        recording = now;
    }
    let file = match file {
        Some(Ok(file)) => Some(file),
        Some(Err(error)) => {
            info.problems.extend(no_file(&error));
            None
        }
        None => None,
    };
    info.problems.extend(file.and_then(|file| file.wide_overlap).map(wide_overlap));
    let link = FileLink {
        params: params.manifest.clone(),
        cut: None,
        version: file.map(|file| file.version),
        authority: LinkAuthority::of(authority),
    };
    let path = link.path_or_bare(&app.auth, info.name.as_deref());
    let answer = RecordingAnswer::new(info, file, &params.manifest, path);
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)))
}

/// Nothing is wrong with the data, and yet there can be no file of it.
fn no_file(error: &EngineError) -> Option<DataProblem> {
    let is_too_large = error.kind() == ErrorKind::TooLarge;
    is_too_large.then(|| DataProblem::new(ProblemCode::FileTooLarge, error.to_string()))
}

fn wide_overlap(chunks: usize) -> DataProblem {
    let message = format!(
        "{chunks} chunks overlap at one time: whoever reads the file in order of time holds as many \
         open; prefer the stream"
    );
    DataProblem::new(ProblemCode::WideOverlap, message)
}
