//! What a check found, for programs and for people. The JSON is described in the guide
//! `docs/guides/check-a-backend.md`, and stable.

mod text;

use serde::Serialize;

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It holds wherever it was looked at, and everything was looked at.
    #[serde(rename = "pass")]
    Pass,
    /// It is broken.
    #[serde(rename = "fail")]
    Fail,
    /// It could be better.
    #[serde(rename = "advice")]
    Advice,
    /// Something that it is about was not seen.
    #[serde(rename = "not observed")]
    NotObserved,
}

impl Outcome {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Advice => "advice",
            Self::NotObserved => "not observed",
        }
    }
}

/// Where something was found; only what applies is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Which of the manifests given, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<usize>,
    /// The id of the source, or its URL less query, user info and fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The JSON path in the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The how manieth message of the source, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    /// Where the record, or the chunk that has it, starts in the body, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// The log time, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// One thing that a rule has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is to the rule; never a pass.
    pub outcome: Outcome,
    /// What was found, one line.
    pub found: String,
    /// Where.
    #[serde(rename = "where")]
    pub place: Place,
    /// How many times it was met there.
    pub times: u64,
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// Which rules it stands among.
    pub group: &'static str,
    /// Its stable name.
    pub name: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// What it expects.
    pub expected: &'static str,
    /// The first finding, or how much was right.
    pub found: String,
    /// Where the first finding is.
    #[serde(rename = "where")]
    pub place: Option<Place>,
    /// How many things were right.
    pub right: u64,
    /// How many were not, or were not seen.
    pub count: u64,
    /// The first of them; what failed comes first.
    pub findings: Vec<Finding>,
}

/// A manifest that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManifestReport {
    /// Its number in every [`Place`].
    pub number: usize,
    /// Its URL less query, user info and fragment.
    pub url: String,
    /// How many sources it names; none where it could not be read.
    pub sources: Option<usize>,
}

/// How many rules came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Rules that hold.
    pub pass: usize,
    /// Rules that are broken.
    pub fail: usize,
    /// Rules with advice.
    pub advice: usize,
    /// Rules that were not, or not wholly, observed.
    pub not_observed: usize,
    /// Sources that were read.
    pub sources: usize,
    /// Bytes that were read of them.
    pub bytes: u64,
    /// Messages that were read of them, in the first reading.
    pub messages: u64,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of this form; 1.
    pub version: u32,
    /// What was checked.
    pub manifests: Vec<ManifestReport>,
    /// Every rule, once, in the order of [`crate::RULES`].
    pub rules: Vec<RuleReport>,
    /// The counts.
    pub summary: Summary,
}

/// How a report is printed as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns; at least 60 are used.
    pub width: usize,
    /// Whether outcomes are coloured.
    pub colours: bool,
}

impl Report {
    /// Masks what comes from a backend.
    pub(crate) fn mask(&mut self, masked: impl Fn(&str) -> String) {
        let mask = |text: &mut String| *text = masked(text);
        let place = |place: &mut Place| {
            [&mut place.source, &mut place.path, &mut place.topic]
                .into_iter()
                .flatten()
                .for_each(mask);
        };
        self.manifests.iter_mut().for_each(|manifest| mask(&mut manifest.url));
        for rule in &mut self.rules {
            mask(&mut rule.found);
            rule.place.iter_mut().for_each(place);
            for finding in &mut rule.findings {
                mask(&mut finding.found);
                place(&mut finding.place);
            }
        }
    }

    /// The rules that are broken.
    pub fn failed(&self) -> impl Iterator<Item = &RuleReport> {
        self.rules.iter().filter(|rule| rule.outcome == Outcome::Fail)
    }

    /// What became of the rule of this name.
    pub fn outcome(&self, name: &str) -> Option<Outcome> {
        self.rules.iter().find(|rule| rule.name == name).map(|rule| rule.outcome)
    }
}
