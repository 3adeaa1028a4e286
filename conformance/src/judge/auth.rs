//! Who may.

use super::manifest::{NO_MANIFEST, place};
use crate::findings::Findings;
use crate::http_client::{Head, USER_MESSAGE};
use crate::observe::{Observations, Refusal};
use crate::report::Place;

const NOT_ASKED: &str = "--expect-auth was not given";

/// Judges what was answered to somebody who may not.
fn refusal(seen: Option<&Refusal>, who: &str, at: &Place, findings: &mut Findings) -> bool {
    match seen {
        None => {
            findings.unseen(at.clone(), format!("it was not asked {who}"));
            false
        }
        Some(Err(failure)) => {
            findings.unseen(at.clone(), format!("asked {who}: {}", failure.what));
            false
        }
        Some(Ok(head)) if matches!(head.status, 401 | 403) => true,
        Some(Ok(head)) => {
            findings.wrong(at.clone(), format!("asked {who}, it {}", head.answered()));
            false
        }
    }
}

pub(crate) fn manifest(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        let at = place(manifest);
        if !seen.expect_auth {
            findings.unseen(at, NOT_ASKED);
            continue;
        }
        if manifest.refused_http {
            findings.unseen(at, NO_MANIFEST);
            continue;
        }
        let without = refusal(manifest.without_token.as_ref(), "without a token", &at, findings);
        let wrong = refusal(manifest.wrong_token.as_ref(), "with a wrong token", &at, findings);
        let forged = forged(manifest.forged_token.as_ref(), seen.has_token, &at, findings);
        if without && wrong && forged {
            findings.right();
        }
    }
}

/// The same of somebody who changed the end of the token; there is none without a token.
fn forged(seen: Option<&Refusal>, has_token: bool, at: &Place, findings: &mut Findings) -> bool {
    !has_token || refusal(seen, "with the token and another end", at, findings)
}

pub(crate) fn data(seen: &Observations, findings: &mut Findings) {
    if !seen.expect_auth {
        findings.unseen(Place::default(), NOT_ASKED);
        return;
    }
    if seen.sources.is_empty() {
        super::no_sources(seen, findings);
    }
    for source in &seen.sources {
        let at = source.place();
        if source.is_signed() {
            // The URL is the authority.
            continue;
        }
        if source.skipped.is_some() {
            findings.unseen(at, super::why_unread(source));
            continue;
        }
        let without = refusal(source.without_token.as_ref(), "without a token", &at, findings);
        let wrong = refusal(source.wrong_token.as_ref(), "with a wrong token", &at, findings);
        let forged = forged(source.forged_token.as_ref(), seen.has_token, &at, findings);
        if without && wrong && forged {
            findings.right();
        }
    }
}

/// Every error reply that was seen.
pub(crate) fn error_message(seen: &Observations, findings: &mut Findings) {
    let mut judge = |head: &Head, what: &str, at: Place| {
        if head.status < 400 {
            return;
        }
        if head.status >= 500 {
            findings
                .wrong(at, format!("{what} it {}: a 4xx says whose fault it is", head.answered()));
        } else if head.user_message.is_none() {
            let what = format!("{what} it {} without {USER_MESSAGE}", head.answered());
            findings.wrong(at, what);
        } else {
            findings.right();
        }
    };
    for manifest in &seen.manifests {
        if let Some(head) = &manifest.nonsense {
            judge(head, "asked for something that there is not,", place(manifest));
        }
        if let Ok(body) = &manifest.first {
            judge(&body.head, "asked for the manifest,", place(manifest));
        }
        for refused in [&manifest.without_token, &manifest.wrong_token, &manifest.forged_token] {
            if let Some(Ok(head)) = refused {
                judge(head, "asked without a good token,", place(manifest));
            }
        }
    }
    for source in &seen.sources {
        for refused in [&source.without_token, &source.wrong_token, &source.forged_token] {
            if let Some(Ok(head)) = refused {
                judge(head, "asked without a good token,", source.place());
            }
        }
    }
}
