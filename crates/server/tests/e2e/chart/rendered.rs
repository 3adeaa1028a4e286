//! Helm over the chart, and what it renders.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::running::needed;

/// The namespace of every release here.
pub(super) const NAMESPACE: &str = "robots";
/// The loader's Deployment, Service and so on.
pub(super) const LOADER: &str = "remote-data-loader";
/// The same of the backend of the release.
pub(super) const BACKEND: &str = "remote-data-loader-backend";

/// One set of values.
pub(super) struct Case {
    pub(super) name: &'static str,
    values: Values,
    /// Whether its objects are kept as a snapshot.
    pub(super) is_kept: bool,
}

enum Values {
    Set(&'static [(&'static str, &'static str)]),
    /// `ci/NAME-values.yaml`
    File,
}

const fn file(name: &'static str, is_kept: bool) -> Case {
    Case { name, values: Values::File, is_kept }
}

pub(super) const CASES: [Case; 10] = [
    Case { name: "defaults", values: Values::Set(&[]), is_kept: true },
    // What the test of the known chart sets.
    Case {
        name: "known-test",
        values: Values::Set(&[
            ("globals.disableAuth", "true"),
            ("globals.cache.storageProvider", "s3_compatible"),
            ("globals.manifestEndpoint", "https://manifest.foxglove.dev"),
        ]),
        is_kept: false,
    },
    file("known-defaults", false),
    file("known", true),
    file("aws", false),
    file("azure", false),
    file("google-cloud", false),
    file("s3-compatible", false),
    file("backend", true),
    file("everything", true),
];

/// The case of this name.
pub(super) fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap()
}

impl Case {
    /// For Helm.
    pub(super) fn arguments(&self) -> Vec<String> {
        match self.values {
            Values::Set(values) => set(values),
            Values::File => {
                let path = chart().join(format!("ci/{}-values.yaml", self.name));
                vec!["--values".to_owned(), path.to_str().unwrap().to_owned()]
            }
        }
    }

    pub(super) async fn render(&self) -> Rendered {
        render(&self.arguments()).await
    }

    /// With these values instead of its own.
    pub(super) async fn render_with(&self, values: &[(&str, &str)]) -> Rendered {
        render(&[self.arguments(), set(values)].concat()).await
    }
}

/// Single values, for Helm.
pub(super) fn set(values: &[(&str, &str)]) -> Vec<String> {
    let set = |(name, value): &(&str, &str)| ["--set".to_owned(), format!("{name}={value}")];
    values.iter().flat_map(set).collect()
}

/// What Helm would send to Kubernetes.
pub(super) struct Rendered {
    pub(super) text: String,
    pub(super) objects: Vec<Value>,
}

impl Rendered {
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    pub(super) fn find(&self, kind: &str, name: &str) -> &Value {
        let found = self.of_kind(kind).find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} in\n{}", self.text))
    }

    /// The one container of the Deployment of this name.
    pub(super) fn container(&self, deployment: &str) -> &Value {
        container(self.find("Deployment", deployment))
    }

    /// A variable that it gets, if it is set.
    pub(super) fn variable(&self, deployment: &str, name: &str) -> Option<&str> {
        let all = self.container(deployment)["env"].as_array().unwrap();
        all.iter().find(|variable| variable["name"] == name)?["value"].as_str()
    }
}

/// The one container of a Deployment.
pub(super) fn container(deployment: &Value) -> &Value {
    let containers = &deployment["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 1);
    &containers[0]
}

pub(super) async fn render(arguments: &[String]) -> Rendered {
    let text = try_render(&oldest_kubernetes(), arguments).await.unwrap();
    let objects = serde_saphyr::from_multiple(&text).unwrap();
    Rendered { text, objects }
}

/// What Helm renders for this version of Kubernetes, or what it complains of.
pub(super) async fn try_render(kubernetes: &str, arguments: &[String]) -> Result<String, String> {
    let version = ["--kube-version".to_owned(), kubernetes.to_owned()];
    template(&chart(), &[version.as_slice(), arguments].concat()).await
}

/// The same of another chart.
pub(super) async fn template(chart: &Path, arguments: &[String]) -> Result<String, String> {
    let chart = chart.to_str().unwrap();
    let fixed = ["template", "release", chart, "--namespace", NAMESPACE];
    helm(&[fixed.map(str::to_owned).as_slice(), arguments].concat()).await
}

/// Fails on what Helm warns of, too.
pub(super) async fn lint(arguments: Vec<String>) {
    let chart = chart();
    let fixed =
        ["lint", "--strict", chart.to_str().unwrap(), "--kube-version", &oldest_kubernetes()];
    let said = helm(&[fixed.map(str::to_owned).as_slice(), &arguments].concat()).await;
    assert!(said.as_ref().is_ok_and(|said| !said.contains("[WARNING]")), "{arguments:?}: {said:?}");
}

/// A copy of the chart, to change it.
pub(super) fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let templates = copy.path().join("templates");
    std::fs::create_dir(&templates).unwrap();
    for (from, to) in [(chart(), copy.path()), (chart().join("templates"), &templates)] {
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    copy
}

pub(super) async fn helm(arguments: &[String]) -> Result<String, String> {
    let output = tokio::process::Command::new(needed("RDL_TEST_HELM").unwrap())
        .args(arguments)
        // No cluster that whoever runs the tests may have.
        .env("KUBECONFIG", "/dev/null")
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub(super) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/remote-data-loader")
}

pub(super) fn chart_file(name: &str) -> String {
    std::fs::read_to_string(chart().join(name)).unwrap()
}

/// As the chart says it: `1.29`.
pub(super) fn oldest_kubernetes() -> String {
    let chart: Value = serde_saphyr::from_str(&chart_file("Chart.yaml")).unwrap();
    let accepted = chart["kubeVersion"].as_str().unwrap();
    accepted.strip_prefix(">=").and_then(|rest| rest.strip_suffix(".0-0")).unwrap().to_owned()
}
