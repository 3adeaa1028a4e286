//! `docs/METRICS.md`, generated from the table of metrics.

use std::fmt::Write as _;

use rdl_metrics::Definition;

const INTRODUCTION: &str = "\
# Metrics

<!-- Generated from the table of metrics: `make docs`. -->

`serve` answers `GET /metrics` on an address of its own, `PROMETHEUS_ADDRESS` (0.0.0.0:6001), in the
text format of Prometheus. Every name has `remote_data_loader_` before it, or what
`PROMETHEUS_METRICS_NAMESPACE` and `PROMETHEUS_METRICS_SUBSYSTEM` say. A metric appears with its first
value. No label holds what a user, a recording or a backend is called.

[deploy/grafana](../deploy/grafana) has a dashboard, [deploy/prometheus](../deploy/prometheus) alert
rules.

| metric | kind | unit | labels | what it tells |
| --- | --- | --- | --- | --- |
";

/// The whole document.
fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for Definition { name, kind, unit, labels, help } in rdl_metrics::ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, unit, labels) = (kind.as_str(), unit.as_str(), labels.join(", "));
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    text
}

#[test]
fn docs_metrics_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
    let expected = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), expected, "run `make docs`");
}

#[test]
fn names_follow_the_conventions() {
    use rdl_metrics::{Kind, Unit};
    let mut names: Vec<&str> = rdl_metrics::ALL.iter().map(|definition| definition.name).collect();
    for Definition { name, kind, unit, help, .. } in rdl_metrics::ALL {
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert_eq!(name.contains("bytes"), *unit == Unit::Bytes, "{name}");
        assert_eq!(name.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
        assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rdl_metrics::ALL.len());
}
