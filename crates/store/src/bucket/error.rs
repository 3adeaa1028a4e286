use std::time::Duration;

use object_store::path::Path;

/// How much of what a store answers is told to people, in bytes.
const TOLD_BYTES: usize = 300;

/// Why the bucket did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action}{space}{path} in the bucket: {what}", space = if path.is_empty() { "" } else { " " })]
pub struct BucketError {
    action: &'static str,
    path: String,
    kind: BucketErrorKind,
    what: String,
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketErrorKind {
    /// There is no such object, or no such bucket.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// The credentials are wrong, or do not allow it.
    Refused,
    /// What was found is not what was written there.
    Damaged,
    /// It cannot be told, and may pass.
    Unavailable,
    /// The configuration names something that cannot be.
    Misconfigured,
}

impl BucketError {
    /// What the store said when it was to do `action` with the object of this path.
    pub fn of(action: &'static str, path: &Path, error: &object_store::Error) -> BucketError {
        use object_store::Error;
        let kind = match error {
            Error::NotFound { .. } => BucketErrorKind::NotFound,
            Error::AlreadyExists { .. } | Error::Precondition { .. } => {
                BucketErrorKind::AlreadyExists
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                BucketErrorKind::Refused
            }
            error => {
                let sort = refusal_of_a_list(error).or_else(|| failure_of_one_of_many(error));
                sort.unwrap_or(BucketErrorKind::Unavailable)
            }
        };
        BucketError { action, path: path.to_string(), kind, what: told(error) }
    }

    pub(super) fn unusable(path: &Path, what: &str) -> BucketError {
        let kind = BucketErrorKind::Damaged;
        BucketError { action: "use", path: path.to_string(), kind, what: what.to_owned() }
    }

    /// The store contradicts itself, which may pass.
    pub(super) fn inconsistent(action: &'static str, path: &Path, what: &str) -> BucketError {
        let kind = BucketErrorKind::Unavailable;
        BucketError { action, path: path.to_string(), kind, what: what.to_owned() }
    }

    pub(super) fn misconfigured(what: impl std::fmt::Display) -> BucketError {
        let kind = BucketErrorKind::Misconfigured;
        BucketError { action: "use", path: "anything".into(), kind, what: what.to_string() }
    }

    /// There was no answer within this time.
    pub fn timed_out(action: &'static str, within: Duration) -> BucketError {
        let (path, kind) = (String::new(), BucketErrorKind::Unavailable);
        let what = format!("no answer within {} s", within.as_secs_f32());
        BucketError { action, path, kind, what }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> BucketErrorKind {
        self.kind
    }

    /// Whether a further try may do better.
    pub fn may_pass(&self) -> bool {
        matches!(self.kind, BucketErrorKind::Unavailable | BucketErrorKind::Refused)
    }
}

/// What a list that was refused says: `object_store` has a kind of its own for every other request.
fn refusal_of_a_list(error: &object_store::Error) -> Option<BucketErrorKind> {
    let text = error.to_string();
    let status = text.contains("list request").then(|| text.split_once("status code: "))??.1;
    match status.get(..3)? {
        "404" => Some(BucketErrorKind::NotFound),
        "401" | "403" => Some(BucketErrorKind::Refused),
        _ => None,
    }
}

/// What became of one object where many were to be removed by one request. Not every store that
/// speaks S3 is content when an object is gone already.
fn failure_of_one_of_many(error: &object_store::Error) -> Option<BucketErrorKind> {
    let text = error.to_string();
    let (_, code) =
        text.contains("DeleteObjects request").then(|| text.split_once("(code: "))??;
    match code.split(')').next()? {
        "NoSuchKey" => Some(BucketErrorKind::NotFound),
        "AccessDenied" => Some(BucketErrorKind::Refused),
        _ => None,
    }
}

/// What the store said, innermost first, without the queries of URLs: they may hold signatures.
fn told(error: &object_store::Error) -> String {
    let mut text = without_documents(&without_queries(&error.to_string()));
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.len() > TOLD_BYTES {
        let end = (0..=TOLD_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Of an error as XML only its code and message: the rest repeats keys and signatures.
fn without_documents(text: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    };
    let starts = ["<?xml", "<Error"].iter().filter_map(|start| text.find(start));
    let Some(start) = starts.min() else { return text.to_owned() };
    let told: Vec<&str> = ["Code", "Message"].into_iter().filter_map(element).collect();
    format!("{}{}", &text[..start], told.join(": "))
}

fn without_queries(text: &str) -> String {
    // A query may have parentheses in it; of what follows one, too much is left out.
    let ends = |end: char| end.is_whitespace() || "\"<>".contains(end);
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive(ends) {
        match word.find('?') {
            Some(at) if word[..at].contains("://") => {
                kept.push_str(&word[..at]);
                kept.extend(word.chars().next_back().filter(|last| ends(*last)));
            }
            _ => kept.push_str(word),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_document_the_code_and_the_message_are_told() {
        let text = "status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>AccessDenied\
                    </Code><Message>No.</Message><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(without_documents(text), "status code: 403 Forbidden: AccessDenied: No.");
        assert_eq!(without_documents("a < b"), "a < b");
    }

    #[test]
    fn an_object_that_somebody_else_removes_is_not_found() {
        let failed = |code: &str| object_store::Error::Generic {
            store: "S3",
            source: format!("DeleteObjects request failed for key a/b: No. (code: {code})").into(),
        };
        let kind = |code| BucketError::of("remove", &Path::from("a"), &failed(code)).kind();
        assert_eq!(kind("NoSuchKey"), BucketErrorKind::NotFound);
        assert_eq!(kind("AccessDenied"), BucketErrorKind::Refused);
        assert_eq!(kind("InternalError"), BucketErrorKind::Unavailable);
    }

    #[test]
    fn queries_of_urls_are_not_told() {
        let text = "Error performing GET https://a.blob/x/y?a=t(e)m&sig=SECRET&se=1 in 3ms - (http://h/p?token=T) done?";
        let told = without_queries(text);
        assert!(!told.contains("SECRET") && !told.contains("token"), "{told}");
        assert!(told.contains("https://a.blob/x/y in 3ms") && told.ends_with("done?"), "{told}");
    }
}
