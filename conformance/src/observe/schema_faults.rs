//! A manifest against its JSON Schema, in bounded memory.
//!
//! A validator tells everything that it finds, and a body of 16 MiB holds eight million faults. So
//! the schema is held against a source at a time, a few of its topics and schemas at a time, and
//! values that are not to be lists or objects are empty ones. It ends at [`MOST_FAULTS`].

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use rdl_wire::manifest_json_schema;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::shown::tamed;

/// How many faults are told.
const MOST_FAULTS: usize = 20;
/// How many sources are looked at; the schema allows no more.
const MOST_SOURCES: usize = 10_000;
/// How many topics, or schemas, are looked at at a time.
const AT_A_TIME: usize = 256;
/// Everything that the schema speaks of; it ignores the rest.
const KNOWN: [&str; 13] = [
    "name",
    "sources",
    "url",
    "id",
    "topics",
    "schemas",
    "startTime",
    "endTime",
    "supportsRangeRequests",
    "messageEncoding",
    "schemaId",
    "encoding",
    "data",
];

/// JSON path, and what is wrong there.
pub(super) type Faults = Vec<(String, String)>;

/// What the schema does not allow in `body`, which is JSON. No text of it, which may be a signed URL.
pub(super) fn schema_faults(body: &str) -> Faults {
    let validator = match jsonschema::draft202012::new(&manifest_json_schema()) {
        Ok(validator) => validator,
        Err(error) => return vec![(String::new(), format!("the schema itself is wrong: {error}"))],
    };
    let mut looking = Looking { validator, faults: Vec::new() };
    if let Err(error) = looking.manifest(body) {
        // It was read as JSON before: this is a text or number that no value can hold.
        let what = format!("it cannot be read, at line {} column {}", error.line(), error.column());
        looking.faults.push((String::new(), what));
    }
    looking.faults
}

/// The body as JSON whatever it says; nothing of it is kept.
pub(super) fn read_json(body: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(body).map(|_| ())
}

struct Looking {
    validator: Validator,
    faults: Faults,
}

type Read<T> = Result<T, serde_json::Error>;

impl Looking {
    fn is_full(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    fn manifest(&mut self, body: &str) -> Read<()> {
        let raw: &RawValue = serde_json::from_str(body)?;
        let mut fields = match Fields::of(raw)? {
            Some(fields) => fields,
            None => {
                self.validate(&leaf(raw)?, &Shift::default());
                return Ok(());
            }
        };
        let sources = fields.remove("sources").filter(|raw| is_list(raw));
        let mut top = leaves(fields)?;
        let Some(sources) = sources else {
            // Whatever else stands there is told as what it is.
            if let Some(raw) = Fields::of(raw)?.and_then(|mut all| all.remove("sources")) {
                top.insert("sources".to_owned(), leaf(raw)?);
            }
            self.validate(&Value::Object(top), &Shift::default());
            return Ok(());
        };
        top.insert("sources".to_owned(), Value::Array(Vec::new()));
        self.validate(&Value::Object(top), &Shift::default());
        each_window(sources, AT_A_TIME, |start, window| {
            for (at, source) in window.iter().enumerate() {
                let at = start + at;
                if at == MOST_SOURCES {
                    let what = format!("it has more than {MOST_SOURCES} items");
                    self.faults.push(("sources".to_owned(), what));
                }
                if at >= MOST_SOURCES || self.is_full() {
                    return Ok(ControlFlow::Break(()));
                }
                self.source(source, at)?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// One source: without its topics and schemas, then some of them at a time.
    fn source(&mut self, raw: &RawValue, at: usize) -> Read<()> {
        let Some(mut fields) = Fields::of(raw)? else {
            self.in_source(leaf(raw)?, &Shift { source: at, ..Shift::default() });
            return Ok(());
        };
        let lists = ["topics", "schemas"]
            .map(|name| (name, fields.get(name).copied().filter(|raw| is_list(raw))));
        for (name, list) in &lists {
            if list.is_some() {
                fields.remove(name);
            }
        }
        let mut plain = leaves(fields)?;
        for (name, _) in lists.iter().filter(|(_, list)| list.is_some()) {
            plain.insert((*name).to_owned(), Value::Array(Vec::new()));
        }
        let known = self.faults.len();
        self.in_source(Value::Object(plain.clone()), &Shift { source: at, ..Shift::default() });
        // What is wrong with the source itself would be told again with each of them.
        let of_list = self.faults.len() > known;
        for (name, list) in lists {
            let Some(list) = list else { continue };
            each_window(list, AT_A_TIME, |start, window| {
                if self.is_full() {
                    return Ok(ControlFlow::Break(()));
                }
                let items = window.iter().map(|item| object(item)).collect::<Read<_>>()?;
                let mut source = plain.clone();
                source.insert(name.to_owned(), Value::Array(items));
                let only = of_list.then_some(name);
                self.in_source(Value::Object(source), &Shift { source: at, list: start, only });
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    fn in_source(&mut self, source: Value, shift: &Shift) {
        self.validate(
            &Value::Object(Map::from_iter([("sources".to_owned(), Value::Array(vec![source]))])),
            shift,
        );
    }

    fn validate(&mut self, value: &Value, shift: &Shift) {
        for error in self.validator.iter_errors(value) {
            if self.faults.len() >= MOST_FAULTS {
                return;
            }
            let mut tell = |error: &ValidationError<'_>| {
                let steps = error.instance_path().as_str();
                let is_wanted = shift.only.is_none_or(|list| {
                    steps.strip_prefix("/sources/0/").is_some_and(|rest| rest.starts_with(list))
                });
                if is_wanted && self.faults.len() < MOST_FAULTS {
                    let what = tamed(&error.masked_with("it").to_string());
                    self.faults.push((shift.path(steps), what));
                }
            };
            explain(&error, value, &mut tell);
        }
    }
}

/// Of a source that is neither streamed nor static: what it lacks to be what it says it is.
fn explain(
    error: &ValidationError<'_>,
    value: &Value,
    tell: &mut impl FnMut(&ValidationError<'_>),
) {
    if let ValidationErrorKind::AnyOf { context } = error.kind() {
        let source = value.pointer(error.instance_path().as_str());
        let says_static = source.is_some_and(|source| source["supportsRangeRequests"] == true);
        // The variants stand in the schema as in the types: static, streamed.
        if let Some(errors) = context.get(usize::from(!says_static)).filter(|it| !it.is_empty()) {
            errors.iter().for_each(tell);
            return;
        }
    }
    tell(error);
}

/// Where what is looked at stands in the whole.
#[derive(Clone, Debug, Default)]
struct Shift {
    source: usize,
    /// Of the first topic, or schema.
    list: usize,
    /// Only what is wrong in this list is new.
    only: Option<&'static str>,
}

impl Shift {
    /// `/sources/0/topics/2` as `sources[3].topics[258]`.
    fn path(&self, steps: &str) -> String {
        let mut text = String::new();
        for (depth, step) in steps.split('/').filter(|step| !step.is_empty()).enumerate() {
            if let Ok(number) = step.parse::<usize>() {
                let shift = match depth {
                    1 => self.source,
                    3 => self.list,
                    _ => 0,
                };
                text.push_str(&format!("[{}]", number + shift));
            } else {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&tamed(step));
            }
        }
        text
    }
}

fn is_list(raw: &RawValue) -> bool {
    raw.get().starts_with('[')
}

/// The value; of a list or an object only that it is one.
fn leaf(raw: &RawValue) -> Read<Value> {
    match raw.get().as_bytes().first() {
        Some(b'[') => Ok(Value::Array(Vec::new())),
        Some(b'{') => Ok(Value::Object(Map::new())),
        _ => serde_json::from_str(raw.get()),
    }
}

/// An object of leaves, or a leaf.
fn object(raw: &RawValue) -> Read<Value> {
    match Fields::of(raw)? {
        Some(fields) => leaves(fields).map(Value::Object),
        None => leaf(raw),
    }
}

fn leaves(fields: HashMap<&'static str, &RawValue>) -> Read<Map<String, Value>> {
    fields.into_iter().map(|(name, raw)| Ok((name.to_owned(), leaf(raw)?))).collect()
}

/// The known fields of an object, the last of each.
struct Fields;

impl Fields {
    /// None: it is no object.
    fn of(raw: &RawValue) -> Read<Option<HashMap<&'static str, &RawValue>>> {
        if !raw.get().starts_with('{') {
            return Ok(None);
        }
        Fields.deserialize(&mut serde_json::Deserializer::from_str(raw.get())).map(Some)
    }
}

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = HashMap<&'static str, &'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = HashMap<&'static str, &'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = HashMap::new();
        while let Some(Known(known)) = map.next_key()? {
            match known {
                Some(name) => {
                    fields.insert(name, map.next_value()?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// A name, if it is known.
struct Known(Option<&'static str>);

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Known, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Known;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Known, E> {
                Ok(Known(KNOWN.into_iter().find(|known| *known == name)))
            }
        }
        from.deserialize_str(Name)
    }
}

/// Gives out the items of a list, so many at a time, with the number of the first.
fn each_window<'de>(
    raw: &'de RawValue,
    most: usize,
    give: impl FnMut(usize, &[&'de RawValue]) -> Read<ControlFlow<()>>,
) -> Read<()> {
    let mut failed = None;
    let mut stopped = false;
    let windows = Windows { most, give, failed: &mut failed, stopped: &mut stopped };
    let read = windows.deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
    match failed {
        Some(error) => Err(error),
        None if stopped => Ok(()),
        None => read,
    }
}

struct Windows<'a, F> {
    most: usize,
    give: F,
    failed: &'a mut Option<serde_json::Error>,
    stopped: &'a mut bool,
}

impl<'de, F> DeserializeSeed<'de> for Windows<'_, F>
where
    F: FnMut(usize, &[&'de RawValue]) -> Read<ControlFlow<()>>,
{
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, F> Visitor<'de> for Windows<'_, F>
where
    F: FnMut(usize, &[&'de RawValue]) -> Read<ControlFlow<()>>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut start = 0;
        loop {
            let mut window = Vec::new();
            while window.len() < self.most
                && let Some(item) = seq.next_element()?
            {
                window.push(item);
            }
            if window.is_empty() {
                return Ok(());
            }
            match (self.give)(start, &window) {
                Ok(ControlFlow::Continue(())) => start += window.len(),
                Ok(ControlFlow::Break(())) => {
                    *self.stopped = true;
                    return Err(A::Error::custom("enough"));
                }
                Err(error) => {
                    *self.failed = Some(error);
                    return Err(A::Error::custom("unreadable"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(manifest: &Value) -> Faults {
        schema_faults(&manifest.to_string())
    }

    fn streamed(topics: &Value) -> Value {
        json!({"url": "https://h/a", "topics": topics, "schemas": [],
            "startTime": "2026-01-31T09:30:00Z", "endTime": "2026-01-31T09:30:00Z"})
    }

    #[test]
    fn faults_name_their_place_and_nothing_of_the_manifest() {
        let in_source = |source: Value| faults(&json!({ "sources": [source] }));
        let secret = "https://h/a?X-Amz-Signature=secret";
        let mut source = streamed(&json!([]));
        source["url"] = json!([secret]);
        let found = in_source(source);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "sources[0].url");
        assert!(!found[0].1.contains("secret"), "{found:?}");
        let found = in_source(json!({"url": secret, "supportsRangeRequests": true, "extra": 1}));
        assert_eq!(found, []);
        let found = in_source(json!({"url": 7, "supportsRangeRequests": true}));
        assert_eq!(found[0].0, "sources[0].url");
        let found = in_source(json!({"url": secret}));
        assert!(found.iter().any(|(_, what)| what.contains("topics")), "{found:?}");
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }

    #[test]
    fn the_whole_is_looked_at_too() {
        for (manifest, path) in [
            (json!([]), ""),
            (json!({}), ""),
            (json!({"sources": {}}), "sources"),
            (json!({"sources": [], "name": [1]}), "name"),
            (json!({"sources": [7]}), "sources[0]"),
        ] {
            let found = faults(&manifest);
            assert_eq!(found.len(), 1, "{manifest}: {found:?}");
            assert_eq!(found[0].0, path, "{manifest}: {found:?}");
        }
        assert_eq!(faults(&json!({"sources": [], "name": null})), []);
    }

    #[test]
    fn a_fault_far_behind_is_found_where_it_is() {
        let topic = json!({"name": "/a", "messageEncoding": "json", "schemaId": null});
        let mut topics = vec![topic; 1000];
        topics[700]["name"] = json!({});
        let found = faults(&json!({"sources": [streamed(&json!([])), streamed(&json!(topics))]}));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "sources[1].topics[700].name");
    }

    #[test]
    fn what_is_wrong_with_a_source_is_told_once() {
        let topic = json!({"name": "/a", "messageEncoding": "json"});
        let mut source = streamed(&json!(vec![topic; 1000]));
        source["url"] = json!(7);
        source["topics"][999]["name"] = json!(7);
        let found = faults(&json!({ "sources": [source] }));
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["sources[0].url", "sources[0].topics[999].name"]);
    }

    #[test]
    fn a_million_faults_are_a_few() {
        for many in [r#"0"#, r#"{"id":0}"#, "[]"] {
            let list = format!("[{}{many}]", format!("{many},").repeat(1_000_000));
            for body in [
                format!(
                    r#"{{"sources":[{{"url":"a","topics":{list},"schemas":[],"startTime":"a","endTime":"a"}}]}}"#
                ),
                format!(r#"{{"sources":[{{"url":{list},"supportsRangeRequests":true}}]}}"#),
                format!(r#"{{"sources":{list}}}"#),
                format!(r#"{{"name":{list},"sources":[]}}"#),
            ] {
                let found = schema_faults(&body);
                assert!((1..=MOST_FAULTS).contains(&found.len()), "{}", found.len());
            }
        }
        let many =
            format!("[{}]", vec![r#"{"url":"a","supportsRangeRequests":true}"#; 10_001].join(","));
        let found = schema_faults(&format!(r#"{{"sources":{many}}}"#));
        assert_eq!(found, [("sources".to_owned(), "it has more than 10000 items".to_owned())]);
    }
}
