//! A running backend, and questions to it.

use std::path::Path;

use rdl_files_backend::{AccessRule, FilesBackend, FilesConfig, Place};
use rdl_testkit::{HttpAnswer, Message, decode, get};
use serde_json::Value;
use tokio::task::JoinHandle;

pub(crate) struct Running {
    pub(crate) url: String,
    serving: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn folder(path: &Path) -> Running {
        Running::start(FilesConfig::new(Place::folder(path).unwrap(), AccessRule::Anyone)).await
    }

    pub(crate) async fn start(config: FilesConfig) -> Running {
        let backend = FilesBackend::start(config).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving =
            tokio::spawn(async move { axum::serve(listener, backend.router()).await.unwrap() });
        Running { url, serving }
    }

    pub(crate) async fn get(&self, path: &str) -> HttpAnswer {
        get(&format!("{}{path}", self.url), &[]).await.unwrap()
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> HttpAnswer {
        get(&format!("{}{path}", self.url), headers).await.unwrap()
    }

    pub(crate) async fn recordings(&self) -> Vec<Value> {
        let answer = self.get("/recordings").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap().as_array().unwrap().clone()
    }

    pub(crate) async fn manifest(&self, recording: &str) -> HttpAnswer {
        self.get(&manifest_path(recording)).await
    }

    /// The sources of a recording, which the loader's own parser takes.
    pub(crate) async fn sources(&self, recording: &str) -> Vec<Value> {
        let answer = self.manifest(recording).await;
        assert_eq!(answer.status, 200, "{recording}: {}", answer.text());
        let endpoint = format!("{}/manifest", self.url).parse().unwrap();
        let limits = rdl_wire::ManifestLimits::default();
        let parsed = rdl_wire::parse_manifest(&answer.body, &endpoint, &limits, true).unwrap();
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        answer.json().unwrap()["sources"].as_array().unwrap().clone()
    }

    /// What a source holds.
    pub(crate) async fn messages(&self, source: &Value) -> Vec<Message> {
        let answer = self.get(&format!("/{}", source["url"].as_str().unwrap())).await;
        assert!(answer.status == 200 && answer.complete, "{source}: {}", answer.status);
        decode(&answer.body).unwrap().messages
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn manifest_path(recording: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("recording", recording)
        .finish();
    format!("/manifest?{query}")
}
