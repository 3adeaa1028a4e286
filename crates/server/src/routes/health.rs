//! For whoever operates the service: `/liveness` and `/readiness`. Not logged, without CORS.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rdl_model::ErrorKind;

use super::App;
use crate::problem::Problem;

/// 200 as long as the process runs.
#[utoipa::path(get, path = "/liveness", tag = "operations",
    responses((status = 200, description = "The process runs")))]
pub(super) async fn liveness() -> StatusCode {
    StatusCode::OK
}

/// 200 when requests can be answered.
#[utoipa::path(get, path = "/readiness", tag = "operations",
    responses(
        (status = 200, description = "Requests can be answered"),
        (status = 503, description = "They cannot, and why", body = crate::problem::ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn readiness(State(app): State<App>) -> Response {
    match app.lifecycle.readiness(&app.engine) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(why) => Problem::new(ErrorKind::Unavailable, why).into_response(),
    }
}
