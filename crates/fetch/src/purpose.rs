use rdl_metrics::table;

use crate::FetchError;

/// What something is fetched for, as metrics tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A manifest.
    Manifest,
    /// The body of a source that is read once.
    Body,
    /// Ranges of a static source.
    Range,
}

impl Purpose {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Purpose::Manifest => "manifest",
            Purpose::Body => "body",
            Purpose::Range => "range",
        }
    }

    pub(crate) fn failed(self, error: &FetchError) {
        table::BACKEND_FAILURES.count([self.as_str(), error.kind().as_str()]);
    }
}
