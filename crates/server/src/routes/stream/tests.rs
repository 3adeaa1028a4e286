use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;

/// Asks over a bare socket for an answer of `first` and, once that has come, `then`; gives every
/// byte that came.
async fn raw(first: &'static str, then: Option<EngineError>) -> String {
    let came = Arc::new(Notify::new());
    let seen = came.clone();
    let answer = move || async move {
        let rest = stream::once(async move { seen.notified().await })
            .flat_map(move |()| stream::iter(then.clone().map(Err)));
        mcap(None, stream::iter([Ok(Bytes::from(first))]).chain(rest))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(answer));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    socket.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    // A reset ends the reading as an end of file does.
    while let Ok(1..) = socket.read_buf(&mut bytes).await {
        if String::from_utf8_lossy(&bytes).contains(first) {
            came.notify_one();
        }
    }
    serving.abort();
    String::from_utf8(bytes).unwrap()
}

const END: &str = "\r\n0\r\n\r\n";

#[tokio::test]
async fn a_whole_answer_ends_with_the_last_chunk() {
    let text = raw("the bytes", None).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("content-type: application/mcap\r\n"), "{text}");
    assert!(text.contains("cache-control: no-store\r\n"), "{text}");
    assert!(text.contains("the bytes") && text.ends_with(END), "{text}");
}

#[tokio::test]
async fn an_error_cuts_the_answer_off() {
    let text = raw("the bytes", Some(EngineError::TaskDied)).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("the bytes") && !text.ends_with(END), "{text}");
}
