//! How bodies come.

use std::time::Duration;

use super::{no_sources, why_unread};
use crate::examine::Compared;
use crate::findings::Findings;
use crate::observe::{End, Left, Observations, Reading, SourceSeen};
use crate::shown::{count, tamed};

/// A body that comes sooner says nothing about how it is made.
const SLOW: Duration = Duration::from_secs(2);
/// A body that is smaller says nothing either, in bytes.
const LARGE: u64 = 256 << 10;
/// A pause that a viewer notices.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// The readings of every source, and what to say where there is none.
fn each_reading(
    seen: &Observations,
    findings: &mut Findings,
    judge: impl Fn(&SourceSeen, &Reading, &mut Findings),
) {
    if seen.sources.is_empty() {
        no_sources(seen, findings);
    }
    for source in &seen.sources {
        match &source.first {
            Some(reading) => judge(source, reading, findings),
            None => findings.unseen(source.place(), why_unread(source)),
        }
    }
}

pub(crate) fn answers(seen: &Observations, findings: &mut Findings) {
    each_reading(seen, findings, |source, reading, findings| match &reading.head {
        Err(failure) if failure.is_elsewhere() => findings.unseen(source.place(), &*failure.what),
        Err(failure) => findings.wrong(source.place(), &*failure.what),
        Ok(head) if head.status == 200 => findings.right(),
        Ok(head) => {
            let hint = match head.status {
                401 | 403 if head.token_dropped => {
                    "; it redirects to another origin, where no token is sent: sign the URL instead"
                }
                401 | 403 if source.is_signed() => {
                    "; the URL is signed, so no token is sent: has the signature expired?"
                }
                401 | 403 if !seen.has_token => "; give a token with --token",
                401 | 403 => "; it got the token that got the manifest",
                206 => "; nobody asked for a range",
                _ => "",
            };
            findings.wrong(source.place(), format!("it {}{hint}", head.answered()));
        }
    });
}

pub(crate) fn identity(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        if let Ok(body) = &manifest.first
            && let Some(encoding) = &body.head.encoding
        {
            let what = format!("the manifest has Content-Encoding: {}", tamed(encoding));
            findings.wrong(super::manifest::place(manifest), what);
        }
    }
    each_reading(seen, findings, |source, reading, findings| match &reading.head {
        Ok(head) if head.status == 200 => match &head.encoding {
            Some(encoding) => {
                let what = format!("it has Content-Encoding: {}", tamed(encoding));
                findings.wrong(source.place(), what);
            }
            None => findings.right(),
        },
        _ => findings.unseen(source.place(), "it did not answer 200"),
    });
}

pub(crate) fn same_twice(seen: &Observations, findings: &mut Findings) {
    each_reading(seen, findings, |source, first, findings| {
        let second = source.second.as_ref();
        let compared = second.and_then(|two| Some((first.facts.as_ref()?, two, two.compared?)));
        let Some((one, two, compared)) = compared else {
            findings.unseen(source.place(), "it was not read twice");
            return;
        };
        let whole = first.end == End::Whole && two.end == End::Whole;
        match compared {
            Compared::Differ(from, _) if from == one.messages.min(two.messages) && whole => {
                let (one, two) = (count(one.messages, "message"), count(two.messages, "message"));
                findings.wrong(source.place(), format!("it had {one} at first, then {two}"));
            }
            Compared::Differ(from, to) => {
                let what = if to <= from + 1 {
                    format!("message {to} was another at the second reading")
                } else {
                    format!("a message from {} to {to} was another at the second reading", from + 1)
                };
                findings.wrong(source.place(), what);
            }
            Compared::Same(_) => findings.right(),
            Compared::Begin(messages) => {
                let same = count(messages, "message");
                let why = match &two.end {
                    End::Broken(why) | End::Cut(why) => why.clone(),
                    _ => why_unread(source),
                };
                findings.unseen(source.place(), format!("the first {same} were the same; {why}"));
            }
        }
    });
}

pub(crate) fn client_leaves(seen: &Observations, findings: &mut Findings) {
    each_reading(seen, findings, |source, first, findings| {
        let left = source.second.as_ref().filter(|_| source.left != Left::No);
        let Some(second) = left else {
            // A client that could not even come in the middle: the second reading tells.
            match source.second.as_ref().map(|second| &second.head) {
                Some(Err(failure)) if failure.is_elsewhere() => {
                    findings.unseen(source.place(), &*failure.what);
                }
                Some(Err(failure)) => {
                    findings.wrong(source.place(), format!("asked again: {}", failure.what));
                }
                Some(Ok(head)) if head.status != 200 => {
                    findings.wrong(source.place(), format!("asked again it {}", head.answered()));
                }
                _ => findings.unseen(source.place(), "it could not be left in the middle"),
            }
            return;
        };
        match &second.head {
            Err(failure) if failure.is_elsewhere() => {
                findings.unseen(source.place(), &*failure.what);
            }
            Err(failure) => {
                let what = format!("asked again after a client had left: {}", failure.what);
                findings.wrong(source.place(), what);
            }
            Ok(head) if head.status != 200 => {
                let what = format!("asked again after a client had left, it {}", head.answered());
                findings.wrong(source.place(), what);
            }
            Ok(_) => match &second.end {
                End::Broken(why) if first.end == End::Whole => {
                    let what = format!("asked again after a client had left, it broke off: {why}");
                    findings.wrong(source.place(), what);
                }
                _ if source.left == Left::AtTheEnd => {
                    let what =
                        "all of it, or nearly, came at once: it could not be left in the middle";
                    findings.unseen(source.place(), what);
                }
                _ => match &second.broke {
                    Some(broke) => {
                        let what = format!(
                            "asked again after a client had left, it broke off {broke}; then it did not"
                        );
                        findings.advise(source.place(), what);
                    }
                    None => findings.right(),
                },
            },
        }
    });
}

pub(crate) fn streams(seen: &Observations, findings: &mut Findings) {
    slow_bodies(seen, findings, |source, reading, findings| {
        let (first, total) = (reading.first_byte, reading.total);
        if first * 10 >= total * 8 && first >= SLOW {
            let what = format!(
                "its first byte came after {:.1} s of {:.1} s: all of it seems to be made before \
                 any of it is sent",
                first.as_secs_f32(),
                total.as_secs_f32()
            );
            findings.wrong(source.place(), what);
        } else if first * 2 <= total {
            findings.right();
        } else {
            let what = format!(
                "its first byte came after {:.1} s of {:.1} s, which does not tell",
                first.as_secs_f32(),
                total.as_secs_f32()
            );
            findings.unseen(source.place(), what);
        }
    });
}

pub(crate) fn flushes(seen: &Observations, findings: &mut Findings) {
    slow_bodies(seen, findings, |source, reading, findings| {
        if reading.longest_pause >= LONG_PAUSE {
            let what = format!(
                "nothing came for {:.1} s in the middle of it: flush what is ready",
                reading.longest_pause.as_secs_f32()
            );
            findings.wrong(source.place(), what);
        } else {
            findings.right();
        }
    });
}

/// What comes quickly, or is small, tells nothing.
fn slow_bodies(
    seen: &Observations,
    findings: &mut Findings,
    judge: impl Fn(&SourceSeen, &Reading, &mut Findings),
) {
    if seen.sources.is_empty() {
        no_sources(seen, findings);
    }
    for source in seen.sources.iter().filter(|source| !source.is_static()) {
        if let (Some(reading), Some(facts)) = (&source.first, source.facts())
            && reading.total >= SLOW
            && facts.bytes >= LARGE
            && facts.has_header
        {
            judge(source, reading, findings);
        }
    }
}
