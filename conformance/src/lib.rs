//! Black-box checks of any data backend: what it answers, rule by rule.
//!
//! [`check`] asks the manifest endpoints and every source that they name ([`observe`]), and judges
//! what was seen by one table of rules ([`RULES`]) into a [`Report`], which is printed as text or
//! as JSON. Nothing here shares code with the loader's own way to fetch: what is checked is what
//! any client would see. MCAP is looked at while it streams, in bounded memory.
//!
//! Invariants: every rule is in every report, once; what was left unread is never a pass; no token
//! and no query, user info or fragment of a URL is in a report; the token goes only where the
//! loader would send it.
//!
//! To add a rule: a line in the table in `rules.rs`, a function in `judge/` that reads it from the
//! [`Observations`](observe::Observations), a backend in `tests/` that breaks it, and a paragraph in
//! the guide.

mod examine;
mod findings;
mod http_client;
mod judge;
mod observe;
mod options;
mod report;
mod rules;
mod shown;

pub use options::{CheckOptions, Progress, Token};
pub use report::{Finding, Outcome, Place, Report, RuleReport, Style, Summary};
pub use rules::{RULES, Rule, Severity};

/// Checks the backend. Fails only when TLS cannot be set up; everything else is in the report.
///
/// Requests stop when the future is dropped.
pub async fn check(options: &CheckOptions) -> Result<Report, SetupError> {
    check_until(options, std::future::pending()).await
}

/// The same until `stop` resolves: what was not reached by then is not observed.
pub async fn check_until(
    options: &CheckOptions,
    stop: impl Future<Output = ()>,
) -> Result<Report, SetupError> {
    let client = http_client::Client::new(options)?;
    let seen = observe::observe(&client, options, stop).await;
    let mut report = judge::judge(&seen);
    report.mask(|text| client.secrets.masked(text));
    Ok(report)
}

/// The HTTP client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct SetupError(String);
