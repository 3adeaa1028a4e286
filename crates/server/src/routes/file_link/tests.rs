use http::header::AUTHORIZATION;

use super::*;
use crate::routes::TimeText;
use crate::settings::AuthConfig;

fn link(version: Option<&str>) -> FileLink {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let params = ManifestParams(vec![pair("recording", "a/b ,é"), pair("x", ""), pair("x", "2")]);
    let cut = StreamRequest { topics: Some(vec!["/a,b".into()]), ..StreamRequest::default() };
    let cut = version.is_none().then_some(cut);
    let version = version.map(|version| version.parse().unwrap());
    FileLink { params, cut, version, authority: None }
}

fn disabled() -> Auth {
    Auth::new(AuthConfig::disabled()).unwrap()
}

fn enabled() -> Auth {
    Auth::new(AuthConfig { is_disabled: false, ..AuthConfig::disabled() }).unwrap()
}

/// The token in a path.
fn token_in(path: &str) -> &str {
    path.split('/').nth(3).unwrap()
}

fn with_authority(link: FileLink, token: &str, expires: Option<Expiry>) -> FileLink {
    FileLink { authority: Some(LinkAuthority { token: Token::new(token), expires }), ..link }
}

#[test]
fn a_link_says_all_in_its_path_with_characters_that_every_reader_takes() {
    for version in [None, Some("0123456789abcdef0123456789abcdef")] {
        let link = link(version);
        let path = link.path(&disabled(), Some("A drive, rainy")).unwrap();
        let harmless = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        assert!(path.chars().all(harmless), "{path}");
        let [_, _, _, token, name] = path.split('/').collect::<Vec<_>>()[..] else {
            panic!("{path}")
        };
        assert_eq!(name, "A_drive__rainy.mcap");
        assert_eq!(FileLink::parse(&disabled(), token).unwrap(), link);
    }
}

#[test]
fn a_damaged_token_names_nothing() {
    let whole = link(Some("0123456789abcdef0123456789abcdef")).bare_token();
    let json = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for token in [
        "",
        "e30",
        &whole[..whole.len() - 3],
        &whole.replacen('e', "!", 1),
        &json(r#"{"p":[],"v":"xyz"}"#),
        &json(r#"{"p":[],"w":1}"#),
        &json(r#"{"p":[["a"]]}"#),
        &json(r#"{"p":[],"c":{"topic":"/a"}}"#),
        &json(r#"{"p":[],"c":{"partial":true}}"#),
        &"e".repeat(MAX_TOKEN_BYTES + 4),
    ] {
        for auth in [disabled(), enabled()] {
            assert!(FileLink::parse(&auth, token).is_err(), "{token}");
        }
    }
}

#[test]
fn a_request_for_everything_is_the_recording_and_any_other_a_cut() {
    let params = OrderedParams(vec![("a".into(), "b".into())]);
    let all = StreamRequest { manifest_params: params, ..StreamRequest::default() };
    let lookback = Some(DEFAULT_LOOKBACK_SECONDS);
    for all in [all.clone(), StreamRequest { replay_lookback_seconds: lookback, ..all.clone() }] {
        let link = FileLink::of(all);
        assert_eq!((link.params.0.len(), &link.cut), (1, &None));
    }
    for cut in [
        StreamRequest { topics: Some(Vec::new()), ..all.clone() },
        StreamRequest { attachments: true, ..all.clone() },
        StreamRequest { start: Some("5".parse().map(TimeText).unwrap()), ..all.clone() },
    ] {
        let link = FileLink::of(cut);
        assert!(link.cut.is_some_and(|cut| cut.manifest_params.0.is_empty()));
    }
}

#[test]
fn a_long_selection_fits_up_to_where_paths_are_cut_off() {
    let topics = |count: usize| {
        let topics = (0..count).map(|at| format!("/a/topic/with/a/long/name/number/{at}"));
        let request = StreamRequest { topics: Some(topics.collect()), ..StreamRequest::default() };
        FileLink::of(request)
    };
    let link = topics(250);
    let path = link.path(&disabled(), None).unwrap();
    assert_eq!(FileLink::parse(&disabled(), token_in(&path)).unwrap(), link);
    assert_eq!(topics(2000).path(&disabled(), None), None);
}

#[test]
fn with_auth_a_link_is_sealed_and_carries_the_access_token() {
    let auth = enabled();
    let soon = Expiry::after(Duration::from_secs(60));
    let link = with_authority(link(None), "access-secret", Some(soon));
    let path = link.path(&auth, None).unwrap();
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    assert!(path.chars().all(harmless) && path.len() < 5 << 10, "{path}");
    assert!(
        !String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(token_in(&path)).unwrap())
            .contains("secret")
    );
    assert_eq!(FileLink::parse(&auth, token_in(&path)).unwrap(), link);
    let request = link.clone().request(&auth, &HeaderMap::new()).unwrap();
    assert_eq!(request.token, Some(Token::new("access-secret")));
    let own = HeaderMap::from_iter([(AUTHORIZATION, "Bearer own".parse().unwrap())]);
    let request = link.clone().request(&auth, &own).unwrap();
    assert_eq!(request.token, Some(Token::new("own")));
    // Another key, and no key at all.
    assert!(FileLink::parse(&enabled(), token_in(&path)).is_err());
    assert!(FileLink::parse(&disabled(), token_in(&path)).is_err());
    // Without auth there is nobody whose authority it could carry.
    let open = link.path(&disabled(), None).unwrap();
    assert_eq!(FileLink::parse(&disabled(), token_in(&open)).unwrap().authority, None);
}

#[test]
fn what_anybody_can_write_carries_no_authority() {
    let auth = enabled();
    let forged = URL_SAFE_NO_PAD.encode(r#"{"p":[],"a":"stolen","e":99999999999}"#);
    let link = FileLink::parse(&auth, &forged).unwrap();
    assert_eq!(link.authority, None);
    assert!(link.request(&auth, &HeaderMap::new()).is_err());
}

#[test]
fn an_expired_link_is_for_whoever_has_authority_of_their_own() {
    let auth = enabled();
    let past = Expiry::after(Duration::ZERO);
    let link = with_authority(link(None), "ended", Some(past));
    let problem = link.clone().request(&auth, &HeaderMap::new()).unwrap_err().body();
    assert_eq!((problem.status, problem.code.as_str()), (401, "token-expired"));
    let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer own".parse().unwrap())]);
    let request = link.request(&auth, &headers).unwrap();
    assert_eq!(request.token, Some(Token::new("own")));
}

#[test]
fn a_link_may_outlive_its_token_for_what_is_kept_of_one_version() {
    let grant = Duration::from_secs(60);
    let config = AuthConfig { is_disabled: false, link_grant: grant, ..AuthConfig::disabled() };
    let auth = Auth::new(config).unwrap();
    let now = Expiry::after(Duration::ZERO);
    let pinned = with_authority(link(Some("0123456789abcdef0123456789abcdef")), "a", Some(now));
    let request = pinned.clone().request(&auth, &HeaderMap::new()).unwrap();
    assert!(request.kept_only && request.token.is_none());
    // Whoever has authority asks with it; what the link was granted is not known without a version.
    let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer own".parse().unwrap())]);
    assert!(!pinned.clone().request(&auth, &headers).unwrap().kept_only);
    let unpinned = FileLink { version: None, ..pinned.clone() };
    assert!(unpinned.request(&auth, &HeaderMap::new()).is_err());
    assert!(pinned.request(&enabled(), &HeaderMap::new()).is_err(), "it is off");
}

#[test]
fn what_does_not_fit_with_its_authority_goes_without() {
    let auth = enabled();
    let long = with_authority(link(None), &"x".repeat(4000), None);
    assert_eq!(long.path(&auth, None), None);
    let bare = long.path_or_bare(&auth, None);
    let parsed = FileLink::parse(&auth, token_in(&bare)).unwrap();
    assert_eq!(parsed, FileLink { authority: None, ..long });
    let jwt = with_authority(link(None), &"x".repeat(2700), None);
    assert!(token_in(&jwt.path(&auth, None).unwrap()).len() <= 4096);
}
