//! The Helm chart: rendered by Helm with many values, held against Kubernetes' own schemas, and the
//! real binary started with exactly what it says.
//!
//! `ci/` in the chart's folder has the values. What is rendered is kept as snapshots: a change in
//! what a deployment gets is seen in review.

mod documents;
mod effects;
mod notes;
mod objects;
mod refused;
mod rendered;
mod started;

use std::path::Path;
use std::process::Stdio;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use self::rendered::{CASES, Rendered, chart_file, lint, oldest_kubernetes};
use crate::running::needed;

/// Every case, rendered.
async fn all() -> Vec<(&'static str, Rendered)> {
    let rendering = CASES.iter().map(|case| async { (case.name, case.render().await) });
    join_all(rendering).await
}

#[tokio::test]
async fn helm_finds_nothing_to_complain_of() {
    join_all(CASES.iter().map(|case| lint(case.arguments()))).await;
}

/// Of every version from the oldest that the chart accepts to the newest that the validator knows.
#[tokio::test]
async fn kubernetes_knows_every_field() {
    let mut objects = Vec::new();
    for (case, rendered) in all().await {
        let named = |object: &Value| json!({"case": case, "object": object});
        objects.extend(rendered.objects.iter().map(named));
    }
    let oldest = oldest_kubernetes();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python");
    let mut child = tokio::process::Command::new(needed("RDL_TEST_PYTHON").unwrap())
        .arg(scripts.join("validate_kubernetes.py"))
        .arg(&oldest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(&objects).unwrap();
    child.stdin.take().unwrap().write_all(&input).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // The validator saw what it was to see.
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["objects"], objects.len());
    assert_eq!(said["versions"][0], oldest.as_str());
}

#[tokio::test]
async fn what_is_rendered_is_known() {
    for case in CASES.iter().filter(|case| case.is_kept) {
        insta::assert_snapshot!(case.name, case.render().await.text);
    }
}

/// The values of the guide are accepted, one after the other and together.
#[tokio::test]
async fn the_guide_has_values_that_work() {
    let guide = include_str!("../../../../docs/guides/deploy-with-helm.md");
    let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = Vec::new();
    for (number, block) in blocks.enumerate() {
        let path = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&path, block).unwrap();
        arguments.extend(["--values".to_owned(), path.to_str().unwrap().to_owned()]);
        rendered::render(&arguments).await;
    }
    assert_eq!(arguments.len(), 4);
}

/// Providers put marks of their own on versions.
#[tokio::test]
async fn kubernetes_may_not_be_older_than_is_said() {
    let refusal = rendered::try_render("1.28.9", &[]).await.unwrap_err();
    assert!(
        refusal.contains(">=1.29.0-0 which is incompatible with Kubernetes v1.28.9"),
        "{refusal}"
    );
    rendered::try_render("1.29.0-eks-1234567", &[]).await.unwrap();
}

#[test]
fn the_chart_has_the_version_of_the_workspace() {
    let chart: Value = serde_saphyr::from_str(&chart_file("Chart.yaml")).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
