//! `README.md` of the chart, generated from `values.yaml`: each value has its description in the
//! comment above it. The schema has the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::rendered::{chart, chart_file};

const INTRODUCTION: &str = "\
# The chart remote-data-loader

<!-- Generated from values.yaml: `make docs`. -->

Runs the loader in Kubernetes, and beside it, where you want one, a data backend over a bucket of MCAP
files. [docs/guides/deploy-with-helm.md](../../../docs/guides/deploy-with-helm.md) is the guide. There
can be one release in a namespace.

A name in brackets is the environment variable that a value becomes. What has no value here goes into
`remoteDataLoader.deployment.env`; [docs/CONFIG.md](../../../docs/CONFIG.md) has all there is.
";

/// One value, or a group of them.
struct Entry {
    /// `globals.cache.enabled`
    path: Vec<String>,
    description: String,
}

/// Every key of `values.yaml` with a comment above it.
fn described(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        if let Some(said) = content.strip_prefix("# ") {
            comment.push(said);
            continue;
        }
        let key = content.split_once(':').map(|(key, _)| key);
        if let Some(key) = key.filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            path.truncate((line.len() - content.len()) / 2);
            path.push(key.to_owned());
            if !comment.is_empty() {
                entries.push(Entry { path: path.clone(), description: comment.join(" ") });
            }
        }
        comment.clear();
    }
    entries
}

fn at<'a>(values: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(values, |value, key| &value[key.as_str()])
}

fn readme(text: &str) -> String {
    let values: Value = serde_saphyr::from_str(text).unwrap();
    let entries = described(text);
    let mut document = INTRODUCTION.to_owned();
    let mut last = "";
    for entry in &entries {
        let is_group = entries.iter().any(|other| {
            other.path.len() > entry.path.len() && other.path.starts_with(&entry.path)
        });
        let section = entry.path[0].as_str();
        if section != last {
            let _ = write!(document, "\n## {section}\n");
            if is_group {
                let _ = write!(document, "\n{}.\n", entry.description);
            }
            document.push_str("\n| value | default | |\n| --- | --- | --- |\n");
            last = section;
        }
        if !is_group {
            let default = at(&values, &entry.path).to_string();
            let description = entry.description.replace('|', "\\|");
            let _ =
                writeln!(document, "| `{}` | `{default}` | {description} |", entry.path.join("."));
        }
    }
    document
}

#[test]
fn docs_of_the_chart_are_current() {
    let path = chart().join("README.md");
    let current = readme(&chart_file("values.yaml"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == current, "{} is out of date: run `make docs`", path.display());
}

/// The schema describes every value, has no other, and says what `values.yaml` says.
#[test]
fn the_schema_has_every_value() {
    let text = chart_file("values.yaml");
    let entries = described(&text);
    let schema: Value = serde_json::from_str(&chart_file("values.schema.json")).unwrap();
    for entry in &entries {
        let found =
            entry.path.iter().fold(&schema, |schema, key| &schema["properties"][key.as_str()]);
        assert_eq!(found["description"], entry.description, "{}", entry.path.join("."));
    }
    let said: BTreeSet<&[String]> = entries.iter().map(|entry| entry.path.as_slice()).collect();
    let mut path = Vec::new();
    each_property(&schema, &mut path, &mut |path, schema| {
        let name = path.join(".");
        assert!(schema["description"].is_string(), "{name} is not described");
        let is_group = entries.iter().any(|entry| entry.path.starts_with(path));
        // Helm gives it to a chart that is part of another.
        assert!(
            said.contains(path) || is_group || name == "global",
            "{name} is not in values.yaml"
        );
    });
}

fn each_property(schema: &Value, path: &mut Vec<String>, see: &mut impl FnMut(&[String], &Value)) {
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        path.push(key.clone());
        see(path, below);
        if below["additionalProperties"] == false {
            each_property(below, path, see);
        }
        path.pop();
    }
}

/// Every value is set by one of the two files of values that are tried.
#[test]
fn every_value_is_tried() {
    let tried = ["known", "everything"].map(|name| {
        let text = chart_file(&format!("ci/{name}-values.yaml"));
        serde_saphyr::from_str::<Value>(&text).unwrap()
    });
    let text = chart_file("values.yaml");
    let entries = described(&text);
    let untried: Vec<String> = entries
        .iter()
        .filter(|entry| tried.iter().all(|values| at(values, &entry.path).is_null()))
        .map(|entry| entry.path.join("."))
        .collect();
    // These exclude what is set; other tests set them.
    let others = [
        "remoteDataLoader.podDisruptionBudget.maxUnavailable",
        "backend.auth.tokenSecret.name",
        "backend.auth.tokenSecret.key",
    ];
    assert_eq!(untried, others);
}
