use schemars::generate::SchemaSettings;

use crate::json;

/// The JSON Schema (draft 2020-12) of a manifest, generated from [`json::Manifest`].
pub fn manifest_json_schema() -> serde_json::Value {
    let schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<json::Manifest>();
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    const EXAMPLE: &str = include_str!("../tests/example_manifest.json");

    #[test]
    fn the_published_schema_is_the_generated_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manifest.schema.json");
        let mut generated = serde_json::to_string_pretty(&manifest_json_schema()).unwrap();
        generated.push('\n');
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == generated,
            "docs/manifest.schema.json has drifted from the types: run this test with UPDATE_DOCS=1"
        );
    }

    #[test]
    fn the_schema_tells_good_from_bad() {
        let validator = jsonschema::draft202012::new(&manifest_json_schema()).unwrap();
        let example: Value = serde_json::from_str(EXAMPLE).unwrap();
        assert!(validator.is_valid(&example));
        assert!(validator.is_valid(&json!({ "name": null, "sources": [] })));
        let fixed = json!({ "url": "/a.mcap", "supportsRangeRequests": true, "extra": 1 });
        assert!(validator.is_valid(&json!({ "sources": [fixed] })));

        let changed = |pointer: &str, value: Value| {
            let mut manifest = example.clone();
            *manifest.pointer_mut(pointer).unwrap() = value;
            manifest
        };
        assert!(validator.is_valid(&changed("/sources/0/topics/0/schemaId", Value::Null)));
        assert!(validator.is_valid(&changed("/sources/0/id", Value::Null)));
        for bad in [
            json!([]),
            json!({ "name": "no sources" }),
            json!({ "sources": [{ "url": "/a.mcap" }] }),
            json!({ "sources": [{ "url": "/a.mcap", "supportsRangeRequests": false }] }),
            changed("/name", json!(1)),
            changed("/sources/0/url", Value::Null),
            changed("/sources/0/topics/0/schemaId", json!(0)),
            changed("/sources/0/schemas/0/id", json!(65_536)),
            changed("/sources/0/schemas/0/data", json!(1)),
            changed("/sources/0/startTime", json!(0)),
        ] {
            assert!(!validator.is_valid(&bad), "{bad}");
        }
    }
}
