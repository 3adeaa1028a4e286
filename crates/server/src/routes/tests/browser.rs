//! A browser as far as it keeps cookies, and a loader that users sign in at.

use std::collections::HashMap;

use http::header::SET_COOKIE;
use serde_json::{Value, json};
use url::Url;

use super::provider::Provider;
use super::*;
use crate::auth::Keys;
use crate::settings::{ProviderConfig, Secret};

pub(super) const OWN: &str = "https://loader.example.com";
/// Allowed by `Service`.
pub(super) const VIEWER: &str = "https://app.example.com";
pub(super) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(super) const OTHER_KEY: &str =
    "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

pub(super) fn config(provider: &Provider, keys: &str) -> AuthConfig {
    let at = |path: &str| Some(format!("{}{path}", provider.url).parse().unwrap());
    AuthConfig {
        is_disabled: false,
        login: Some(ProviderConfig {
            client_id: "loader".into(),
            client_secret: Some(Secret::new("hunter2")),
            callback: format!("{OWN}/oauth/callback").parse().unwrap(),
            scopes: vec!["openid".into(), "offline_access".into()],
            audience: Some("urn:backend".into()),
            issuer: None,
            authorize: at("/authorize"),
            token: at("/token"),
            revoke: at("/revoke"),
            logout: at("/end"),
        }),
        keys: Some(Keys::parse(keys).unwrap()),
        ..AuthConfig::disabled()
    }
}

/// A browser as far as it keeps cookies, with one page open.
pub(super) struct Browser<'a> {
    pub(super) service: &'a Service,
    pub(super) cookies: HashMap<String, String>,
    pub(super) origin: &'a str,
}

impl<'a> Browser<'a> {
    pub(super) fn at(service: &'a Service, origin: &'a str) -> Browser<'a> {
        Browser { service, cookies: HashMap::new(), origin }
    }

    pub(super) async fn ask(&mut self, method: Method, path: &str, body: &str) -> Answer {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let site = if self.origin == OWN { "same-origin" } else { "cross-site" };
        let mut headers = vec![("cookie", cookies.as_str()), ("sec-fetch-site", site)];
        if method == Method::POST {
            headers.extend([("origin", self.origin), ("content-type", "application/json")]);
        }
        let answer = self.service.ask(method, path, &headers, body).await;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            match text.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.into(), value.into()),
            };
        }
        answer
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, "").await
    }

    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, &body.to_string()).await
    }

    /// Goes to the provider; gives what it is asked.
    pub(super) async fn start(&mut self, query: &str) -> HashMap<String, String> {
        let answer = self.get(&format!("/oauth/start?{query}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        let url: Url = answer.header("location").unwrap().parse().unwrap();
        url.query_pairs().into_owned().collect()
    }

    /// The whole way up to the one-time code.
    pub(super) async fn code(&mut self, provider: &Provider, query: &str) -> String {
        let asked = self.start(query).await;
        let (challenge, state) = (&asked["code_challenge"], &asked["state"]);
        let code = format!("code-{challenge}");
        provider.agree(&code, challenge);
        let answer = self.get(&format!("/oauth/callback?code={code}&state={state}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        attribute(&answer.text(), "code").unwrap()
    }

    pub(super) async fn sign_in(&mut self, provider: &Provider) {
        let code = self.code(provider, &format!("return_to={}/view&state=s", self.origin)).await;
        let answer = self.post("/v1/session", &json!({ "code": code, "state": "s" })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }

    /// Whether somebody is signed in.
    pub(super) async fn is_signed_in(&mut self) -> bool {
        self.get("/v1/session").await.json()["signedIn"].as_bool().unwrap()
    }

    pub(super) fn session(&self) -> HashMap<String, String> {
        let is_session = |(name, _): &(&String, &String)| !name.contains("-login-");
        let session = self.cookies.iter().filter(is_session);
        session.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(super) fn attribute(html: &str, name: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!(" data-{name}=\""))?;
    Some(rest.split('"').next()?.to_owned())
}
