//! The query string of a request: manifest parameters, and the parameters of the route.

use std::collections::BTreeMap;

use rdl_engine::ManifestParams;
use url::form_urlencoded;

use crate::problem::Problem;

/// What stands before the name of a manifest parameter.
const PREFIX: &str = "ds.";
/// What a viewer's link says to the viewer and not to us.
const IGNORED: [&str; 2] = ["ds", "ds.dataLoaderUrl"];

/// A parsed query string. A route takes from it what it knows.
#[derive(Debug, Default)]
pub(super) struct Params {
    /// The manifest parameters in their order, duplicates kept.
    pub(super) manifest: ManifestParams,
    own: BTreeMap<String, Vec<String>>,
}

impl Params {
    /// Parses a query string in which only `known` may stand besides manifest parameters.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Params, Problem> {
        let mut params = Params::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if IGNORED.contains(&&*name) {
                continue;
            }
            match name.strip_prefix(PREFIX) {
                Some("") => {
                    return Err(Problem::bad_request("a manifest parameter `ds.` needs a name"));
                }
                Some(manifest) => params.manifest.0.push((manifest.to_owned(), value.into_owned())),
                None if known.contains(&&*name) => {
                    params.own.entry(name.into_owned()).or_default().push(value.into_owned());
                }
                None => return Err(unknown(&name, known)),
            }
        }
        Ok(params)
    }

    /// A parameter that may be repeated; `None` when it is absent.
    pub(super) fn take_all(&mut self, name: &str) -> Option<Vec<String>> {
        self.own.remove(name)
    }

    /// A parameter that may stand once.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.own.remove(name).as_deref() {
            None => Ok(None),
            Some([value]) => Ok(Some(value.clone())),
            Some(_) => Err(Problem::bad_request(format!("`{name}` stands more than once"))),
        }
    }

    /// A boolean that may stand once; `false` when it is absent.
    pub(super) fn take_bool(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name)?.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Problem::bad_request(format!("`{name}` accepts true, false, 1 or 0"))),
        }
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let name: String = name.chars().take(64).collect();
    let own: String = known.iter().map(|known| format!(", {known}")).collect();
    Problem::bad_request(format!(
        "unknown query parameter `{name}`; known are ds.<name>{own} (what the manifest endpoint \
         should get is written ds.<name>=<value>)"
    ))
}

/// Manifest parameters as they stand in a query string.
pub(super) fn to_query(manifest: &ManifestParams) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &manifest.0 {
        query.append_pair(&format!("{PREFIX}{name}"), value);
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(query: &str, known: &[&str]) -> String {
        Params::parse(Some(query), known).unwrap_err().body().detail
    }

    #[test]
    fn manifest_parameters_keep_order_and_duplicates() {
        let query = "ds.b=2&topics=/x&ds.a=1&ds=remote-data-loader&ds.b=%26+%C3%A9\
                     &ds.dataLoaderUrl=http%3A%2F%2Fhere&ds.empty";
        let params = Params::parse(Some(query), &["topics"]).unwrap();
        let expected = [("b", "2"), ("a", "1"), ("b", "& é"), ("empty", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(params.manifest.0, expected);
        let again = Params::parse(Some(&to_query(&params.manifest)), &[]).unwrap();
        assert_eq!(again.manifest, params.manifest);
    }

    #[test]
    fn an_unknown_parameter_lists_the_known_ones() {
        let detail = detail("ds.a=1&topic=/x", &["topics", "start"]);
        assert!(detail.contains("`topic`"), "{detail}");
        assert!(detail.contains("ds.<name>, topics, start"), "{detail}");
    }

    #[test]
    fn a_manifest_parameter_needs_a_name() {
        assert!(detail("ds.=1", &[]).contains("needs a name"));
    }

    #[test]
    fn what_may_stand_once_stands_once() {
        let mut params = Params::parse(Some("start=1&start=2&t=a&t=b"), &["start", "t"]).unwrap();
        assert_eq!(params.take_all("t").unwrap(), ["a", "b"]);
        assert!(params.take("start").unwrap_err().body().detail.contains("`start`"));
        assert_eq!(params.take("end").unwrap(), None);
    }

    #[test]
    fn booleans_are_four_words() {
        for (text, expected) in [("true", true), ("1", true), ("false", false), ("0", false)] {
            let mut params = Params::parse(Some(&format!("x={text}")), &["x"]).unwrap();
            assert_eq!(params.take_bool("x").unwrap(), expected);
        }
        for text in ["", "yes", "TRUE", "2"] {
            let mut params = Params::parse(Some(&format!("x={text}")), &["x"]).unwrap();
            assert!(params.take_bool("x").is_err(), "{text:?}");
        }
    }
}
