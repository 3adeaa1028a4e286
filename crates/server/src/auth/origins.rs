//! Whose pages may ask in a user's name: this loader's own, and those of the allowed origins.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use url::{Origin, Url};

/// This loader's own origin and those that `CORS_ALLOWED_ORIGINS` names.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    /// Where browsers find this loader, where that was said.
    base: Option<Url>,
    allowed: Vec<Origin>,
}

/// What the page of a request is to this loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// One of its own, or an allowed one.
    Known,
    /// The page of another origin.
    Stranger,
    /// The request does not say: most programs do not, browsers do with every POST.
    Unsaid,
}

impl Origins {
    pub(crate) fn new(base: Option<Url>, allowed: &[Url]) -> Origins {
        Origins { base, allowed: allowed.iter().map(Url::origin).collect() }
    }

    /// Who asks (RFC 6454 section 7).
    pub(crate) fn asker(&self, headers: &HeaderMap) -> Asker {
        let Some(origin) = headers.get(ORIGIN) else { return Asker::Unsaid };
        let Some(url) = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()) else {
            // `null`: a page that hides where it is from.
            return Asker::Stranger;
        };
        let is_own = match &self.base {
            Some(base) => base.origin() == url.origin(),
            // Where nobody said what we are called, we are what we are asked as.
            None => headers.get(HOST).is_some_and(|host| host.as_bytes() == authority(&url)),
        };
        if is_own || self.is_allowed(&url) { Asker::Known } else { Asker::Stranger }
    }

    /// Where a user may be sent after signing in: a path here, or a page of an allowed origin.
    pub(crate) fn return_to(&self, base: &Url, text: &str) -> Option<Url> {
        let mut url = base.join(text).ok()?;
        let is_web = matches!(url.scheme(), "http" | "https");
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_known = url.origin() == base.origin() || self.is_allowed(&url);
        // The code takes its place.
        url.set_fragment(None);
        (is_web && is_plain && is_known).then_some(url)
    }

    fn is_allowed(&self, url: &Url) -> bool {
        self.allowed.contains(&url.origin())
    }
}

/// Host and port as a `Host` header has them.
fn authority(url: &Url) -> &[u8] {
    url[url::Position::BeforeHost..url::Position::AfterPort].as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(base: Option<&str>) -> Origins {
        let allowed = ["https://app.example.com", "http://viewer.example.com:8080"];
        let allowed: Vec<Url> = allowed.iter().map(|url| url.parse().unwrap()).collect();
        Origins::new(base.map(|base| base.parse().unwrap()), &allowed)
    }

    fn headers(origin: &str) -> HeaderMap {
        let host = "loader.example.com:8443".parse().unwrap();
        HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap()), (HOST, host)])
    }

    #[test]
    fn pages_are_known_by_their_exact_origin() {
        for base in [Some("https://loader.example.com:8443"), None] {
            let origins = origins(base);
            for known in [
                "https://loader.example.com:8443",
                "https://app.example.com",
                "https://app.example.com:443",
                "http://viewer.example.com:8080",
            ] {
                assert_eq!(origins.asker(&headers(known)), Asker::Known, "{known}");
            }
            for stranger in [
                "null",
                "https://app.example.com.evil.com",
                "https://evil.com",
                "http://app.example.com",
                "https://viewer.example.com:8080",
                "https://loader.example.com",
                "https://xloader.example.com:8443",
            ] {
                assert_eq!(origins.asker(&headers(stranger)), Asker::Stranger, "{stranger}");
            }
            assert_eq!(origins.asker(&HeaderMap::new()), Asker::Unsaid);
        }
        let plain = headers("http://loader.example.com:8443");
        assert_eq!(origins(Some("https://loader.example.com:8443")).asker(&plain), Asker::Stranger);
    }

    #[test]
    fn users_are_sent_to_no_stranger() {
        let base: Url = "https://loader.example.com/base/".parse().unwrap();
        let origins = origins(Some(base.as_str()));
        let to = |text: &str| origins.return_to(&base, text).map(String::from);
        for (text, expected) in [
            ("/view?ds.a=1#x", "https://loader.example.com/view?ds.a=1"),
            ("https:evil.com/x", "https://loader.example.com/base/evil.com/x"),
            ("login", "https://loader.example.com/base/login"),
            ("https://app.example.com/view", "https://app.example.com/view"),
            ("https://loader.example.com", "https://loader.example.com/"),
        ] {
            assert_eq!(to(text).as_deref(), Some(expected));
        }
        for stranger in [
            "//evil.com",
            r"/\evil.com",
            r"\\evil.com",
            "/\t/evil.com",
            "https://evil.com",
            "https://app.example.com@evil.com",
            "https://me:secret@app.example.com",
            "http://app.example.com",
            "http://loader.example.com",
            "javascript:alert(1)",
            "data:text/html,x",
            "blob:https://app.example.com/1",
            "https://app.example.com.evil.com",
        ] {
            assert_eq!(to(stranger), None, "{stranger}");
        }
    }
}
