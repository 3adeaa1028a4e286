use axum::extract::Request;
use http::{HeaderName, HeaderValue};
use oauth2::CsrfToken;

/// The header in which a request is named, by whoever sent it or by us.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name that is taken over, in characters.
const MOST_CHARS: usize = 64;

/// What a request is called in its answer, in the log and in traces.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// What whoever sent it calls it, if that is harmless; else something that no other is called.
    pub(super) fn of(request: &Request) -> RequestId {
        let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let is_harmless = |id: &&str| {
            let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
            !id.is_empty() && id.len() <= MOST_CHARS && id.chars().all(harmless)
        };
        match given.filter(is_harmless) {
            Some(id) => RequestId(id.to_owned()),
            None => RequestId(CsrfToken::new_random().into_secret()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_a_harmless_name_is_taken_over() {
        let of = |id: &str| {
            let request = Request::builder().header(REQUEST_ID, id).body(Body::empty());
            RequestId::of(&request.unwrap()).as_str().to_owned()
        };
        assert_eq!(of("0f8fad5b-d9cb.469f_a165:1"), "0f8fad5b-d9cb.469f_a165:1");
        let long = "a".repeat(MOST_CHARS + 1);
        for odd in ["", " ", "a b", "<script>", "a\"b", &long] {
            let id = of(odd);
            assert!(id != odd && id.len() >= 16, "{odd}: {id}");
        }
        assert_ne!(of(""), of(""));
    }
}
