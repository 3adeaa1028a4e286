//! `POST /v1/links`: where a recording, or a part of it, is to be had.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use rdl_model::ErrorKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::answers::{view_path, with_query};
use super::authority::Authority;
use super::file_link::{FileLink, LinkAuthority};
use super::recording::FILE_PATIENCE;
use super::request::{StreamRequest, json_body};
use crate::auth::Expiry;
use crate::problem::{Problem, ProblemBody};

/// Paths on this loader.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = NewLinks)]
pub(crate) struct LinksAnswer {
    /// As one file that any MCAP tool reads. A part of a recording is made when the file is asked for
    /// first, and kept.
    #[schema(example = "/v1/files/eyJwIjpbXX0/recording.mcap")]
    pub(crate) file: String,
    /// As one MCAP stream.
    #[schema(example = "/v1/stream?ds.recording=first-recording")]
    pub(crate) stream: String,
    /// The page that shows it, with the part selected.
    #[serde(default)]
    #[schema(required, example = "/view?ds=remote-data-loader&ds.recording=first-recording")]
    pub(crate) view: String,
    /// Until when the file's link works without further authority; null: for ever, or for as long as
    /// the caller's token lasts, where that is not known.
    #[schema(required, format = DateTime)]
    pub(crate) expires: Option<String>,
}

/// Links to a recording, or to a part of it.
///
/// The manifest endpoint is asked whether the caller may see the recording. The body is that of
/// `POST /v1/stream`, less `partial`: a file is the same for everyone. Without topics, times, replay
/// policy, compression and attachments the file is the whole recording, with everything that it has.
#[utoipa::path(post, path = "/v1/links", operation_id = "postLinks", tag = "recordings",
    request_body = StreamRequest,
    security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "The links", body = LinksAnswer),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn post(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    authority: Authority,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Problem> {
    let request = json_body(query.as_deref(), &headers, body)?;
    if request.partial {
        let detail = "`partial`: a file is the same for everyone and lacks nothing; ask /v1/stream";
        return Err(Problem::bad_request(detail));
    }
    request.query()?;
    let recording =
        app.engine.recording(&request.manifest_params(), authority.token.clone()).await?;
    let stream = with_query("/v1/stream", &request.to_query());
    let view = view_path(&request.selection_query());
    let mut link = FileLink::of(request);
    link.authority = LinkAuthority::of(authority);
    if link.cut.is_none()
        && let Some(Ok(file)) = recording.file(FILE_PATIENCE).await
    {
        link.version = Some(file.version);
    }
    let file = link.path(&app.auth, recording.name()).ok_or_else(|| {
        let detail = "the selection, with your access token if there is one, is too long for a link; \
                      name fewer topics, or ask /v1/stream";
        Problem::new(ErrorKind::TooLarge, detail)
    })?;
    let expires = link.authority.and_then(|authority| authority.expires);
    let answer =
        LinksAnswer { file, stream, view, expires: expires.as_ref().map(Expiry::to_string) };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)))
}
