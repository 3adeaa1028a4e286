use clap::Parser;

use super::*;

#[derive(Parser, Debug)]
struct Flags {
    #[command(flatten)]
    server: ServerSettings,
    #[command(flatten)]
    auth: AuthSettings,
}

const ID: &str = "--oauth-client-id=loader";
const AUTHORIZE: &str = "--oauth-authorize-url=https://idp.example.com/authorize";
const TOKEN: &str = "--oauth-token-url=https://idp.example.com/token";
const CALLBACK: &str = "--oauth-callback-url=https://loader.example.com/oauth/callback";
const ISSUER: &str = "--oauth-issuer-url=https://idp.example.com";
const SECRET: &str = "--oauth-client-secret=hunter2";

/// Without the variables of whoever runs the tests.
fn config(flags: &[&str]) -> Result<AuthConfig, String> {
    use clap::{CommandFactory as _, FromArgMatches as _};
    let command = Flags::command().mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    let matches = command.try_get_matches_from(["loader"].iter().chain(flags));
    let flags = Flags::from_arg_matches(&matches.map_err(|error| error.to_string())?).unwrap();
    flags.auth.auth_config(&flags.server).map_err(|error| error.to_string())
}

fn login(flags: &[&str]) -> ProviderConfig {
    config(flags).unwrap().login.unwrap()
}

#[test]
fn an_existing_deployment_signs_users_in() {
    let login = login(&[ID, SECRET, AUTHORIZE, TOKEN, CALLBACK]);
    assert_eq!(login.base().as_str(), "https://loader.example.com/");
    assert_eq!(login.own_callback_path(), None);
    assert_eq!(login.scopes, ["openid", "offline_access"]);
    assert!(!format!("{login:?}").contains("hunter2"));
}

#[test]
fn without_any_of_it_there_is_no_login_and_without_a_part_no_start() {
    let none = config(&[]).unwrap();
    assert!(none.login.is_none() && none.keys.is_none() && none.link_grant.is_zero());
    for (flags, named) in [
        (&[ID][..], AUTHORIZE_URL),
        (&[ID, AUTHORIZE], TOKEN_URL),
        (&[ID, AUTHORIZE, TOKEN], CALLBACK_URL),
        (&[AUTHORIZE, TOKEN, CALLBACK], CLIENT_ID),
        (&[ID, ISSUER], CALLBACK_URL),
        (&[SECRET], AUTHORIZE_URL),
    ] {
        let error = config(flags).unwrap_err();
        assert!(error.starts_with(named), "{flags:?}: {error}");
        // Where nobody signs in, nothing is missing.
        assert!(config(&[flags, &["--disable-auth"]].concat()).unwrap().login.is_none());
    }
    login(&[ID, ISSUER, CALLBACK]);
}

#[test]
fn the_callback_may_lie_elsewhere_and_not_on_a_route() {
    let at = |path: &str| {
        let callback = format!("--oauth-callback-url=https://loader.example.com{path}");
        config(&[ID, ISSUER, &callback]).map(|config| config.login.unwrap())
    };
    let elsewhere = at("/auth/callback").unwrap();
    assert_eq!(elsewhere.own_callback_path(), Some("/auth/callback"));
    assert_eq!(elsewhere.base().as_str(), "https://loader.example.com/");
    let below = at("/loader/oauth/callback").unwrap();
    assert_eq!(below.own_callback_path(), None);
    assert_eq!(below.base().as_str(), "https://loader.example.com/loader/");
    assert_eq!(at("/views/oauth/callback").unwrap().own_callback_path(), None);
    for taken in ["", "/", "/v1/session", "/login", "/oauth/start", "/x?y=1", "/{x}", "/x#y"] {
        let error = at(taken).unwrap_err();
        assert!(error.starts_with(CALLBACK_URL), "{taken}: {error}");
    }
}

#[test]
fn secrets_go_nowhere_in_the_clear() {
    for wrong in ["http://idp.example.com/token", "idp", "ftp://x/y", "https://a:b@idp.example.com"]
    {
        let error = config(&[&format!("--oauth-token-url={wrong}")]).unwrap_err();
        assert!(error.contains("https URL"), "{error}");
    }
    for local in ["http://127.0.0.1:1/t", "http://localhost:1/t", "http://[::1]:1/t"] {
        let token = format!("--oauth-token-url={local}");
        login(&[ID, AUTHORIZE, CALLBACK, &token]);
    }
}

#[test]
fn a_key_that_is_none_is_refused_and_not_shown() {
    let key = "--cookie-encryption-key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert!(config(&[key]).unwrap().keys.is_some());
    let error = config(&["--cookie-encryption-key=hunter2"]).unwrap_err();
    assert!(error.starts_with(KEY) && !error.contains("hunter2"), "{error}");
}
