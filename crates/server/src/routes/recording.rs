//! `GET /v1/recording`: what is known of a recording. Starts no load.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use http::header::CACHE_CONTROL;

use super::App;
use super::answers::RecordingAnswer;
use super::authority::Authority;
use super::params::Params;
use crate::problem::{Problem, ProblemBody};

/// What is known of a recording.
///
/// Starts no load, but indexes static sources for at most 5 s; what is not known then stays
/// `pending`. Parameters written `ds.<name>=<value>` reach the manifest endpoint as
/// `<name>=<value>`, in their order, repeated ones too; `ds` and `ds.dataLoaderUrl` are ignored.
#[utoipa::path(get, path = "/v1/recording", operation_id = "getRecording", tag = "recordings",
    params(("ds.{name}" = Option<String>, Query,
            description = "A manifest parameter; any number of them")),
    security((), ("bearer" = [])),
    responses(
        (status = 200, description = "What is known", body = RecordingAnswer),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Authority(token): Authority,
) -> Result<impl IntoResponse, Problem> {
    let params = Params::parse(query.as_deref(), &[])?;
    let recording = app.engine.recording(&params.manifest, token).await?;
    let answer = RecordingAnswer::new(recording.describe().await, &params.manifest);
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)))
}
