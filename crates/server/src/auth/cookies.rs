//! Cookies: the session's, which may need several, and those of logins under way.
//!
//! All have the `__Host-` prefix: they are for this host alone, and no other host can set them.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// What a browser keeps in one cookie, less its name.
const PIECE_BYTES: usize = 4000;
/// Into how many cookies a session may be split: servers in front limit the size of headers.
const MOST_PIECES: usize = 4;

/// Where a session is at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// On pages of this loader's own site.
    OwnSite,
    /// On pages of one other site, in a partition of its own there.
    OtherSite,
}

/// Both, in the order in which they count.
const HOMES: [Home; 2] = [Home::OwnSite, Home::OtherSite];

impl Home {
    fn name(self) -> &'static str {
        match self {
            Home::OwnSite => "__Host-rdl-session",
            Home::OtherSite => "__Host-rdl-embedded",
        }
    }

    fn cookie(self, name: String, value: String, kept_for: Duration) -> HeaderValue {
        let cookie = cookie(name, value, kept_for);
        set(&match self {
            Home::OwnSite => cookie.same_site(SameSite::Lax).build(),
            Home::OtherSite => cookie.same_site(SameSite::None).partitioned(true).build(),
        })
    }
}

/// The sealed session that a request carries, and where it is at home.
pub(crate) fn session(headers: &HeaderMap) -> Option<(Home, String)> {
    HOMES.into_iter().find_map(|home| {
        let piece = |at: usize| value(headers, &format!("{}.{at}", home.name()));
        let first = piece(0)?;
        // The first says how many there are: of an older, longer session others may be left.
        let (count, start) = first.split_once('.')?;
        let count = count.parse().ok().filter(|count| (1..=MOST_PIECES).contains(count))?;
        let mut sealed = start.to_owned();
        for at in 1..count {
            sealed.push_str(&piece(at)?);
        }
        Some((home, sealed))
    })
}

/// Whether a request carries cookies of a session, whole or not.
pub(crate) fn has_session(headers: &HeaderMap) -> bool {
    HOMES.iter().any(|home| value(headers, &format!("{}.0", home.name())).is_some())
}

/// The cookies that put a sealed session there, in place of those that `headers` show; `None` when
/// it is too long.
pub(crate) fn put_session(
    headers: &HeaderMap,
    home: Home,
    sealed: &str,
    kept_for: Duration,
) -> Option<Vec<HeaderValue>> {
    // base64: every byte is a character.
    let pieces: Vec<&str> = (0..sealed.len())
        .step_by(PIECE_BYTES)
        .map(|at| &sealed[at..sealed.len().min(at + PIECE_BYTES)])
        .collect();
    if !(1..=MOST_PIECES).contains(&pieces.len()) {
        return None;
    }
    let count = pieces.len();
    let pieces = pieces.iter().enumerate().map(|(at, piece)| {
        let piece = if at == 0 { format!("{count}.{piece}") } else { (*piece).to_owned() };
        home.cookie(format!("{}.{at}", home.name()), piece, kept_for)
    });
    Some(pieces.chain(removed(headers, home, count)).collect())
}

/// The cookies that remove every session that `headers` show.
pub(crate) fn remove_session(headers: &HeaderMap) -> Vec<HeaderValue> {
    HOMES.into_iter().flat_map(|home| removed(headers, home, 0)).collect()
}

fn removed(headers: &HeaderMap, home: Home, from: usize) -> impl Iterator<Item = HeaderValue> {
    (from..MOST_PIECES)
        .map(move |at| format!("{}.{at}", home.name()))
        .filter(|name| value(headers, name).is_some())
        .map(move |name| home.cookie(name, String::new(), Duration::ZERO))
}

const LOGIN: &str = "__Host-rdl-login-";

/// The sealed login under way of this id.
pub(crate) fn login(headers: &HeaderMap, id: &str) -> Option<String> {
    value(headers, &format!("{LOGIN}{id}"))
}

/// The ids of the logins under way.
pub(crate) fn logins(headers: &HeaderMap) -> Vec<String> {
    let names = all(headers).map(|cookie| cookie.name().to_owned());
    names.filter_map(|name| Some(name.strip_prefix(LOGIN)?.to_owned())).collect()
}

/// The cookie of a login under way. It comes back with the navigation from the provider.
pub(crate) fn put_login(id: &str, sealed: String, kept_for: Duration) -> HeaderValue {
    set(&cookie(format!("{LOGIN}{id}"), sealed, kept_for).same_site(SameSite::Lax).build())
}

/// The cookie that removes a login under way.
pub(crate) fn remove_login(id: &str) -> HeaderValue {
    put_login(id, String::new(), Duration::ZERO)
}

fn cookie(name: String, value: String, kept_for: Duration) -> cookie::CookieBuilder<'static> {
    let seconds = i64::try_from(kept_for.as_secs()).unwrap_or(i64::MAX);
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(true)
        .max_age(cookie::time::Duration::seconds(seconds))
}

fn set(cookie: &Cookie<'_>) -> HeaderValue {
    // Names and values are of letters that every header can hold.
    HeaderValue::try_from(cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    all(headers).find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

fn all(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(Cookie::split_parse).filter_map(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser sends after it got these.
    fn sent(cookies: &[HeaderValue]) -> HeaderMap {
        let pairs = cookies.iter().filter_map(|cookie| {
            let text = cookie.to_str().unwrap();
            let pair = text.split(';').next().unwrap();
            (!text.contains("Max-Age=0")).then_some(pair)
        });
        let line = pairs.collect::<Vec<_>>().join("; ");
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(line).unwrap())])
    }

    const DAY: Duration = Duration::from_secs(86400);

    #[test]
    fn a_session_is_as_safe_as_a_cookie_can_be() {
        let none = HeaderMap::new();
        let own = put_session(&none, Home::OwnSite, "sealed", DAY).unwrap();
        let expected = "__Host-rdl-session.0=1.sealed; HttpOnly; SameSite=Lax; Secure; Path=/; \
                        Max-Age=86400";
        assert_eq!(own, [expected]);
        let other = put_session(&none, Home::OtherSite, "sealed", DAY).unwrap();
        let expected = "__Host-rdl-embedded.0=1.sealed; HttpOnly; SameSite=None; Partitioned; \
                        Secure; Path=/; Max-Age=86400";
        assert_eq!(other, [expected]);
        for (home, cookies) in [(Home::OwnSite, own), (Home::OtherSite, other)] {
            let headers = sent(&cookies);
            assert_eq!(session(&headers), Some((home, "sealed".to_owned())));
            let removed = remove_session(&headers);
            assert_eq!(session(&sent(&removed)), None);
            assert_eq!(removed.len(), 1);
        }
    }

    #[test]
    fn a_long_session_is_split_and_a_shorter_one_takes_its_place() {
        let long: String = ('a'..='z').cycle().take(2 * PIECE_BYTES + 1).collect();
        let cookies = put_session(&HeaderMap::new(), Home::OwnSite, &long, DAY).unwrap();
        assert_eq!(cookies.len(), 3);
        for cookie in &cookies {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            assert!(pair.len() <= 4096, "{}", pair.len());
        }
        let headers = sent(&cookies);
        assert_eq!(session(&headers), Some((Home::OwnSite, long.clone())));
        let shorter = put_session(&headers, Home::OwnSite, "short", DAY).unwrap();
        assert_eq!(shorter.len(), 3, "two pieces go");
        assert_eq!(session(&sent(&shorter)).unwrap().1, "short");
        // What is left of the longer one does no harm.
        let mut both = sent(&shorter);
        both.append(COOKIE, "__Host-rdl-session.1=left".parse().unwrap());
        assert_eq!(session(&both).unwrap().1, "short");
        let without_a_piece = sent(&cookies[..2]);
        assert_eq!(session(&without_a_piece), None);
        assert!(has_session(&without_a_piece) && !has_session(&HeaderMap::new()));
        let too_long = "x".repeat(MOST_PIECES * PIECE_BYTES + 1);
        assert!(put_session(&headers, Home::OwnSite, &too_long, DAY).is_none());
        assert!(put_session(&headers, Home::OwnSite, "", DAY).is_none());
    }

    #[test]
    fn a_count_that_is_none_is_no_session() {
        for value in ["", "x.y", "0.y", "5.y", "-1.y", "99999999999999999999.y", "2.y"] {
            let line = format!("__Host-rdl-session.0={value}");
            let headers = HeaderMap::from_iter([(COOKIE, line.parse().unwrap())]);
            assert_eq!(session(&headers), None, "{value}");
        }
    }

    #[test]
    fn several_logins_may_be_under_way() {
        let headers = sent(&[put_login("a", "1".into(), DAY), put_login("b", "2".into(), DAY)]);
        assert_eq!(logins(&headers), ["a", "b"]);
        assert_eq!(login(&headers, "b").as_deref(), Some("2"));
        assert_eq!(login(&headers, "c"), None);
        assert!(remove_login("a").to_str().unwrap().contains("Max-Age=0"));
    }
}
