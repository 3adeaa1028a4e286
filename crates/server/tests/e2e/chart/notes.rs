//! What is said after an installation, and what is looked up in the cluster. Helm shows notes of real
//! installations alone: here a copy of the chart has them as an object.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};

use super::rendered::{NAMESPACE, copy, oldest_kubernetes, set, template};

/// A cluster that has these secrets, and the chart with its notes as an object.
struct Installation {
    chart: tempfile::TempDir,
    cluster: String,
}

impl Installation {
    async fn into(secrets: Value) -> Installation {
        let copy = copy();
        let templates = copy.path().join("templates");
        let notes = std::fs::read_to_string(templates.join("NOTES.txt")).unwrap();
        let notes = format!("{{{{- define \"notes\" }}}}{notes}{{{{- end }}}}");
        std::fs::write(templates.join("_notes.tpl"), notes).unwrap();
        let object = "apiVersion: v1\nkind: Notes\nmetadata: { name: notes }\n\
                      text: {{ include \"notes\" . | toJson }}\n";
        std::fs::write(templates.join("notes.yaml"), object).unwrap();
        Installation { chart: copy, cluster: cluster(secrets).await }
    }

    /// What is rendered, and what is said.
    async fn with(&self, values: &[(&str, &str)]) -> (Vec<Value>, String) {
        let kubernetes = oldest_kubernetes();
        let fixed =
            ["--kube-version", &kubernetes, "--dry-run=server", "--kube-apiserver", &self.cluster];
        let arguments = [fixed.map(str::to_owned).as_slice(), &set(values)].concat();
        let text = template(self.chart.path(), &arguments).await.unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let notes = objects.iter().find(|object| object["kind"] == "Notes").unwrap();
        let notes = notes["text"].as_str().unwrap().to_owned();
        (objects, notes)
    }
}

/// As much of the API of Kubernetes as a lookup of secrets asks for: a fake of our own.
async fn cluster(secrets: Value) -> String {
    let resources = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1",
        "resources": [
            {"name": "secrets", "singularName": "secret", "namespaced": true, "kind": "Secret", "verbs": ["get", "list"]},
        ],
    });
    let secret = async move |Path((namespace, name)): Path<(String, String)>| {
        assert_eq!(namespace, NAMESPACE);
        match secrets.get(&name) {
            Some(data) => {
                let metadata = json!({"name": name, "namespace": namespace});
                let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": data});
                (http::StatusCode::OK, axum::Json(secret))
            }
            None => {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
                (http::StatusCode::NOT_FOUND, axum::Json(status))
            }
        }
    };
    let router = Router::new()
        .route("/api/v1", get(async || axum::Json(resources)))
        .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(secret));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// The lines below "Missing:", by the name that each begins with.
fn missing(notes: &str) -> Vec<&str> {
    let Some((_, list)) = notes.split_once("Missing:\n") else { return Vec::new() };
    list.lines().map(|line| line.strip_prefix("- ").unwrap().split(':').next().unwrap()).collect()
}

#[tokio::test]
async fn the_notes_say_what_to_open_and_what_is_missing() {
    let bare = Installation::into(json!({})).await;
    let (_, notes) = bare.with(&[]).await;
    assert!(
        notes.contains("kubectl --namespace robots port-forward service/remote-data-loader 8080"),
        "{notes}"
    );
    assert!(
        notes.contains(
            "  http://127.0.0.1:8080/view?ds=remote-data-loader&ds.recording=RECORDING\n"
        ),
        "{notes}"
    );
    assert_eq!(
        missing(&notes),
        [
            "remoteDataLoader.deployment.image",
            "globals.manifestEndpoint",
            "ingress.host",
            "OAUTH_CLIENT_ID and the other settings of signing in",
            "COOKIE_ENCRYPTION_KEY in the secret auth-credentials",
            "globals.cache",
        ]
    );

    let common = [
        ("remoteDataLoader.deployment.image", "registry.example.com/loader"),
        ("globals.manifestEndpoint", "https://data.example.com/manifest"),
        ("ingress.host", "loader.example.com"),
        ("globals.cache.enabled", "true"),
    ];
    let (_, notes) = bare.with(&common).await;
    assert!(
        notes.contains(
            "  http://loader.example.com/view?ds=remote-data-loader&ds.recording=RECORDING\n"
        ),
        "{notes}"
    );
    assert!(!notes.contains("port-forward") && !notes.contains("/login"), "{notes}");
    assert_eq!(
        missing(&notes)[2..],
        [
            "S3_COMPATIBLE_SERVICE_URL, S3_COMPATIBLE_ACCESS_KEY_ID and S3_COMPATIBLE_SECRET_ACCESS_KEY in \
         the secret cloud-credentials",
        ]
    );
    for (provider, value) in
        [("azure", "globals.azure.storageAccountName"), ("aws", "globals.aws.region")]
    {
        let values = [&common[..], &[("globals.cache.storageProvider", provider)]].concat();
        assert_eq!(missing(&bare.with(&values).await.1)[2..], [value]);
    }
    let plain = [
        &common[2..],
        &[("globals.manifestEndpoint", "http://backend/manifest"), ("globals.disableAuth", "true")],
    ]
    .concat();
    assert_eq!(missing(&bare.with(&plain).await.1)[1], "globals.allowHttpSources");

    let whole = Installation::into(json!({
        "cloud-credentials": {"S3_COMPATIBLE_SERVICE_URL": ""},
        "auth-credentials": {"OAUTH_CLIENT_ID": "", "COOKIE_ENCRYPTION_KEY": ""},
    }))
    .await;
    let tls = ("ingress.tls[0].secretName", "loader-tls");
    let (_, notes) = whole.with(&[&common[..], &[tls]].concat()).await;
    assert!(notes.ends_with("Sign in first: https://loader.example.com/login"), "{notes}");
    assert!(missing(&notes).is_empty());
}

#[tokio::test]
async fn the_notes_lead_to_the_backend_of_the_release() {
    let bare = Installation::into(json!({})).await;
    let (_, notes) = bare
        .with(&[
            ("globals.disableAuth", "true"),
            ("backend.enabled", "true"),
            ("backend.location", "s3://recordings"),
            ("backend.auth.mode", "none"),
        ])
        .await;
    assert!(notes.contains("port-forward service/remote-data-loader-backend 8081"), "{notes}");
    assert_eq!(
        missing(&notes),
        ["remoteDataLoader.deployment.image", "ingress.host", "globals.cache"]
    );
}

/// As in the known chart, the key counts when it is there, unless somebody says so.
#[tokio::test]
async fn the_secret_of_google_cloud_is_looked_up() {
    const NAME: &str = "gcp-cloud-credential";
    const VALUE: &str = "globals.gcp.useCredentialSecret";
    let with = Installation::into(json!({NAME: {"credentials.json": ""}})).await;
    let without = Installation::into(json!({})).await;
    for (installation, values, is_used) in [
        (&with, &[][..], true),
        (&without, &[], false),
        (&with, &[(VALUE, "false")], false),
        (&without, &[(VALUE, "true")], true),
    ] {
        let (objects, _) = installation.with(values).await;
        let loader = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let pod = &loader["spec"]["template"]["spec"];
        let variables = pod["containers"][0]["env"].as_array().unwrap();
        let found =
            variables.iter().find(|variable| variable["name"] == "GOOGLE_APPLICATION_CREDENTIALS");
        let path = found.map(|variable| variable["value"].as_str().unwrap());
        assert_eq!(path, is_used.then_some("/secrets/credentials.json"), "{values:?}");
        // A pod that is to have it does not start without.
        let is_needed = values.contains(&(VALUE, "true"));
        let optional = &pod["volumes"][0]["secret"]["optional"];
        assert_eq!(optional.as_bool(), (!is_needed).then_some(true), "{values:?}");
    }
}
