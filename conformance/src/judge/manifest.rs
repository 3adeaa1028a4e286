use crate::findings::Findings;
use crate::observe::{ManifestSeen, Observations};
use crate::report::Place;
use crate::shown::tamed;

pub(super) fn place(manifest: &ManifestSeen) -> Place {
    Place { manifest: Some(manifest.number), ..Place::default() }
}

pub(super) const NO_MANIFEST: &str = "no manifest was read";

pub(crate) fn answers(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        let at = place(manifest);
        match &manifest.first {
            Err(failure) if failure.is_elsewhere() => findings.unseen(at, &*failure.what),
            Err(failure) => findings.wrong(at, format!("{}: {}", manifest.shown, failure.what)),
            Ok(body) if body.head.status == 200 => match &body.broken {
                Some(broken) => findings.wrong(at, format!("{}: {broken}", manifest.shown)),
                None => match &manifest.broke {
                    Some(broke) => {
                        let what = format!("{}: {broke}; asked again, it answered", manifest.shown);
                        findings.advise(at, what);
                    }
                    None => findings.right(),
                },
            },
            Ok(body) => {
                let hint = match body.head.status {
                    401 | 403 if body.head.token_dropped => {
                        "; it redirects to another origin, where no token is sent"
                    }
                    401 | 403 if !seen.has_token => {
                        "; give a token with --token or REMOTE_DATA_LOADER_TOKEN"
                    }
                    401 | 403 => "; is the token still good?",
                    404 => "; is the URL whole, with the parameters that name a recording?",
                    _ => "",
                };
                findings.wrong(at, format!("{} {}{hint}", manifest.shown, body.head.answered()));
            }
        }
    }
}

/// Whether there is a body of a 200; says so where there is not.
fn has_body(manifest: &ManifestSeen, findings: &mut Findings) -> bool {
    let usable = |body: &crate::observe::BodySeen| {
        body.head.status == 200 && body.broken.is_none() && body.head.encoding.is_none()
    };
    let has = manifest.first.as_ref().is_ok_and(usable);
    if !has {
        findings.unseen(place(manifest), NO_MANIFEST);
    }
    has
}

pub(crate) fn json(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        if has_body(manifest, findings) {
            match &manifest.not_json {
                Some(what) => findings.wrong(place(manifest), &**what),
                None => findings.right(),
            }
        }
    }
}

pub(crate) fn schema(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        match &manifest.schema_faults {
            None => findings.unseen(place(manifest), NO_MANIFEST),
            Some(faults) if faults.is_empty() => findings.right(),
            Some(faults) => {
                for (path, what) in faults {
                    let path = (!path.is_empty()).then(|| path.clone());
                    findings.wrong(Place { path, ..place(manifest) }, &**what);
                }
            }
        }
    }
}

pub(crate) fn valid(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        match &manifest.parsed {
            None if manifest.schema_faults.is_some() => {
                findings.unseen(place(manifest), "its JSON Schema does not allow it");
            }
            None => findings.unseen(place(manifest), NO_MANIFEST),
            Some(Ok(_)) => findings.right(),
            Some(Err(error)) => {
                let path = (!error.path().is_empty()).then(|| tamed(error.path()));
                let text = error.to_string();
                let what = text.strip_prefix(&format!("{}: ", error.path())).unwrap_or(&text);
                findings.wrong(Place { path, ..place(manifest) }, tamed(what));
            }
        }
    }
}
