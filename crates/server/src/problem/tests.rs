use axum::body::to_bytes;
use rdl_engine::EngineError;

use super::*;

const KINDS: [ErrorKind; 10] = [
    ErrorKind::BadRequest,
    ErrorKind::Unauthorized,
    ErrorKind::Forbidden,
    ErrorKind::NotFound,
    ErrorKind::Gone,
    ErrorKind::TooLarge,
    ErrorKind::BadGateway,
    ErrorKind::Unavailable,
    ErrorKind::GatewayTimeout,
    ErrorKind::Internal,
];

/// Status, headers and body as they go over the wire.
async fn wire(problem: Problem) -> String {
    let response = problem.into_response();
    let mut text = format!("{}\n", response.status());
    for (name, value) in response.headers() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    text + &format!("{body:#}\n")
}

#[tokio::test]
async fn every_kind_has_a_status_and_a_code() {
    let mut text = String::new();
    for kind in KINDS {
        text += &wire(Problem::new(kind, "what is wrong and what to do")).await;
    }
    text += &wire(Problem::method_not_allowed()).await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_backends_message_goes_to_the_user() {
    let problem = Problem {
        user_message: Some(for_header("no seat\r\nleft: ä")),
        detail: for_header("no seat\r\nleft: ä").into(),
        ..Problem::new(ErrorKind::Forbidden, "")
    };
    insta::assert_snapshot!(wire(problem).await);
}

#[tokio::test]
async fn what_the_loader_did_wrong_is_for_the_log() {
    let problem = Problem::from(EngineError::TaskDied);
    let response = problem.clone().into_response();
    let cause = response.extensions().get::<Cause>().unwrap();
    assert_eq!(cause.0, EngineError::TaskDied.to_string());
    let wire = wire(problem).await;
    assert!(wire.starts_with("500") && !wire.contains("task"), "{wire}");
}

#[tokio::test]
async fn not_ready_says_when_to_ask_again() {
    let wire = wire(Problem::from(EngineError::ShuttingDown)).await;
    assert!(wire.starts_with("503"), "{wire}");
    assert!(wire.contains("retry-after: 1\n"), "{wire}");
    assert!(wire.contains(&EngineError::ShuttingDown.to_string()), "{wire}");
}

#[test]
fn a_long_message_is_cut() {
    assert_eq!(for_header(&"é".repeat(5000)).chars().count(), MAX_USER_MESSAGE_CHARS);
}
