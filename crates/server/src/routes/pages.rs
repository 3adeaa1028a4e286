//! The few pages that the loader itself shows: signing in, and what went wrong with it.
//!
//! No script and no style stands in a page, so that a policy (CSP) can forbid them all but our own.

use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use crate::auth::{Auth, Login};

const STYLE: &str = include_str!("pages/style.css");
const LOGIN_SCRIPT: &str = include_str!("pages/login.js");
const CALLBACK_SCRIPT: &str = include_str!("pages/callback.js");

/// What scripts, styles and images are made of and where they come from. A page may be opened by
/// another and keeps its opener: the policy about that stays at its default.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// Text that stands in HTML, or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// A page of this loader.
pub(super) struct Page<'a> {
    pub(super) status: StatusCode,
    pub(super) title: &'a str,
    /// The name of its script.
    pub(super) script: Option<&'a str>,
    /// What the script is told: names and values of `data-` attributes.
    pub(super) data: &'a [(&'a str, &'a str)],
    /// HTML.
    pub(super) main: &'a str,
}

impl Page<'_> {
    /// As a browser gets it.
    pub(super) fn shown(self, auth: &Auth, login: &Login) -> Response {
        let Page { status, main, .. } = self;
        let (title, base) = (escaped(self.title), escaped(&login.page("")));
        let script = self.script.map_or_else(String::new, |name| {
            format!("<script type=\"module\" src=\"{base}login/{name}\"></script>\n")
        });
        let data: String = self
            .data
            .iter()
            .map(|(name, value)| format!(" data-{name}=\"{}\"", escaped(value)))
            .collect();
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n\
             <link rel=\"stylesheet\" href=\"{base}login/style.css\">\n{script}\
             <body{data}>\n<main>\n{main}\n</main>\n"
        );
        let policy = match auth.frame_ancestors() {
            "" => POLICY.to_owned(),
            others => format!("{POLICY} {others}"),
        };
        let mut response = (status, Html(html)).into_response();
        let headers = response.headers_mut();
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Their URLs may hold codes.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// What the pages are made of.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// The script of the page that begins a login.
pub(super) async fn login_script() -> Response {
    asset("text/javascript; charset=utf-8", LOGIN_SCRIPT)
}

/// The script of the page to which the provider sends the user back.
pub(super) async fn callback_script() -> Response {
    asset("text/javascript; charset=utf-8", CALLBACK_SCRIPT)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let text = r#""><script>alert('&')</script>"#;
        let expected = "&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;";
        assert_eq!(escaped(text), expected);
    }
}
