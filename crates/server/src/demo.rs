//! The `demo` subcommand: a generated drive of a minute, an embedded data backend that serves it,
//! and what to try with the loader in front of it.
//!
//! The backend is an ordinary one, asked over HTTP on the loopback interface. Nothing is read
//! from disk and nothing is fetched from elsewhere.

mod backend;
mod camera;
mod drive;
mod lidar;
mod messages;
mod sources;
mod topics;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rdl_engine::ManifestParams;

use crate::embedded::EmbeddedBackend;
use crate::routes::file_path;

pub(crate) use backend::backend_router;

/// Starts the demo's data backend on a free port of the loopback interface.
///
/// # Errors
///
/// If no port can be bound.
pub(crate) async fn start_backend() -> io::Result<EmbeddedBackend> {
    EmbeddedBackend::start((Ipv4Addr::LOCALHOST, 0).into(), backend_router()).await
}

/// What to try with a loader that serves the demo at `loader`, as text for a terminal.
pub(crate) fn introduction(loader: SocketAddr) -> String {
    let recording = backend::RECORDING;
    let query = format!("ds.recording={recording}");
    let params = ManifestParams(vec![("recording".to_owned(), recording.to_owned())]);
    let file = file_path(params, recording);
    format!(
        "\
The demo is ready, listening on http://{loader}: a drive of one minute, generated as it is asked for.

Look at it:
  http://{loader}/view?ds=remote-data-loader&{query}

What is known of it:
  curl 'http://{loader}/v1/recording?{query}'

All of it as one file, which any tool that reads an MCAP over HTTP opens:
  http://{loader}{file}

The IMU and the camera, merged, as an MCAP file:
  curl -o drive.mcap 'http://{loader}/v1/stream?{query}&topics=/imu&topics=/camera/image'

Ten seconds from the middle, with the newest earlier message of every topic (the map, the transforms):
  curl -o part.mcap 'http://{loader}/v1/stream?{query}&start=2026-01-31T09:30:25Z&end=2026-01-31T09:30:35Z&replayPolicy=lastPerChannel'

Watch it load:
  curl -N 'http://{loader}/v1/events?{query}&prefetch=true'

All of it, with a progress bar:
  remote-data-loader export --loader http://{loader} -p recording={recording} -o drive.mcap

Stop with Ctrl-C.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_backend_answers_on_its_port() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let backend = start_backend().await.unwrap();
        let port = backend.manifest_endpoint().port().unwrap();
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let request = "GET /manifest?recording=demo-drive HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("demo-drive-lidar-5"), "{answer}");
    }

    #[test]
    fn the_introduction_names_the_loader() {
        let text = introduction(SocketAddr::from(([127, 0, 0, 1], 8080)));
        assert!(text.contains("http://127.0.0.1:8080/v1/stream?ds.recording=demo-drive"), "{text}");
    }
}
