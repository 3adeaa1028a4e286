use axum::Router;
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode};
use parking_lot::Mutex;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// A provider that publishes these keys, and counts how often it is asked.
struct Provider {
    url: Url,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    is_away: Arc<AtomicBool>,
}

impl Provider {
    async fn start() -> Provider {
        let keys: Arc<Mutex<Vec<Value>>> = Arc::default();
        let asked: Arc<AtomicUsize> = Arc::default();
        let is_away: Arc<AtomicBool> = Arc::default();
        let (published, counted, away) = (keys.clone(), asked.clone(), is_away.clone());
        let answer = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let keys = published.lock().clone();
            let status = match away.load(Ordering::SeqCst) {
                true => http::StatusCode::BAD_GATEWAY,
                false => http::StatusCode::OK,
            };
            async move { (status, axum::Json(json!({ "keys": keys }))) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().route("/jwks", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Provider { url, keys, asked, is_away }
    }

    fn publish(&self, id: &str, key: &EncodingKey, algorithm: Algorithm) {
        let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        self.keys.lock().push(serde_json::to_value(jwk).unwrap());
    }

    fn check(&self, prefix: Option<PrefixRule>) -> JwtCheck {
        let rule = JwtRule {
            jwks_url: self.url.clone(),
            audience: "files".to_owned(),
            issuer: Some("https://idp.example.com".to_owned()),
            prefix,
        };
        JwtCheck::new(rule).unwrap()
    }
}

fn ec_key() -> EncodingKey {
    EncodingKey::from_ec_der(&rcgen::KeyPair::generate().unwrap().serialize_der())
}

/// PKCS #8 without the public key (RFC 8410 section 7).
fn ed_der() -> Vec<u8> {
    const BEFORE_SEED: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    [&BEFORE_SEED[..], &[7; 32]].concat()
}

fn claims() -> Value {
    let now = jsonwebtoken::get_current_timestamp();
    json!({"aud": "files", "iss": "https://idp.example.com", "exp": now + 600, "sub": "ann"})
}

fn sign(claims: &Value, id: Option<&str>, key: &EncodingKey, algorithm: Algorithm) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

async fn status(check: &JwtCheck, token: &str) -> u16 {
    check.scope(token).await.map_or_else(|refusal| refusal.status().as_u16(), |_| 200)
}

#[tokio::test]
async fn signatures_of_public_keys_are_accepted_and_others_are_not() {
    let provider = Provider::start().await;
    let ec = ec_key();
    let ed = EncodingKey::from_ed_der(&ed_der());
    let rsa = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let rsa = EncodingKey::from_rsa_der(rsa.to_pkcs1_der().unwrap().as_bytes());
    provider.publish("ec", &ec, Algorithm::ES256);
    provider.publish("rsa", &rsa, Algorithm::RS256);
    provider.publish("ed", &ed, Algorithm::EdDSA);
    provider.keys.lock().push(json!({"kty": "new", "kid": "of a kind that is not known"}));
    let check = provider.check(None);
    for (id, key, algorithm) in [
        ("ec", &ec, Algorithm::ES256),
        ("rsa", &rsa, Algorithm::RS256),
        ("ed", &ed, Algorithm::EdDSA),
    ] {
        assert_eq!(status(&check, &sign(&claims(), Some(id), key, algorithm)).await, 200, "{id}");
        // The only key of its kind needs no name.
        assert_eq!(status(&check, &sign(&claims(), None, key, algorithm)).await, 200, "{id}");
        let other = ec_key();
        let forged = sign(&claims(), Some(id), &other, Algorithm::ES256);
        assert_eq!(status(&check, &forged).await, 401, "{id}");
    }
    // The public key taken for a secret, and no signature at all.
    let public = serde_json::to_vec(&provider.keys.lock()[1]).unwrap();
    let secret = EncodingKey::from_secret(&public);
    let hmac = sign(&claims(), Some("rsa"), &secret, Algorithm::HS256);
    assert_eq!(status(&check, &hmac).await, 401);
    let none = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJmaWxlcyIsImV4cCI6OTk5OTk5OTk5OX0.";
    assert_eq!(status(&check, none).await, 401);
    assert_eq!(status(&check, "opaque").await, 401);
    let tampered = sign(&claims(), Some("ec"), &ec, Algorithm::ES256);
    let (head, rest) = tampered.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = sign(&json!({"aud": "files"}), None, &ec, Algorithm::ES256);
    let body = other.split('.').nth(1).unwrap();
    assert_eq!(status(&check, &format!("{head}.{body}.{signature}")).await, 401);
}

#[tokio::test]
async fn every_claim_counts() {
    let provider = Provider::start().await;
    let key = ec_key();
    provider.publish("a", &key, Algorithm::ES256);
    let check = provider.check(None);
    let now = jsonwebtoken::get_current_timestamp();
    let mut wrong = Vec::new();
    for (name, value) in [
        ("aud", json!("others")),
        ("aud", json!(["others", "more"])),
        ("iss", json!("https://elsewhere.example.com")),
        ("exp", json!(now - 60)),
        ("nbf", json!(now + 60)),
    ] {
        let mut claims = claims();
        claims[name] = value;
        wrong.push(claims);
    }
    for name in ["aud", "iss", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        wrong.push(claims);
    }
    for claims in wrong {
        let token = sign(&claims, Some("a"), &key, Algorithm::ES256);
        assert_eq!(status(&check, &token).await, 401, "{claims}");
    }
    let mut many = claims();
    many["aud"] = json!(["others", "files"]);
    assert_eq!(status(&check, &sign(&many, Some("a"), &key, Algorithm::ES256)).await, 200);
}

#[tokio::test]
async fn an_unknown_key_has_the_provider_asked_and_not_again_at_once() {
    let provider = Provider::start().await;
    let (old, new) = (ec_key(), ec_key());
    provider.publish("old", &old, Algorithm::ES256);
    let check = provider.check(None);
    let asked = || provider.asked.load(Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(
            status(&check, &sign(&claims(), Some("old"), &old, Algorithm::ES256)).await,
            200
        );
    }
    assert_eq!(asked(), 1);
    provider.publish("new", &new, Algorithm::ES256);
    let token = sign(&claims(), Some("new"), &new, Algorithm::ES256);
    // Whoever invents names of keys has the provider left in peace.
    assert_eq!(status(&check, &token).await, 401);
    assert_eq!(asked(), 1);
    check.keys.forget_when_asked();
    assert_eq!(status(&check, &token).await, 200);
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn whoever_goes_away_does_not_keep_others_from_new_keys() {
    let provider = Provider::start().await;
    let new = ec_key();
    let check = provider.check(None);
    provider.publish("new", &new, Algorithm::ES256);
    // Somebody with no token of ours asks, and is gone before the provider is.
    let invented = sign(&claims(), Some("invented"), &ec_key(), Algorithm::ES256);
    assert!(futures::FutureExt::now_or_never(check.scope(&invented)).is_none());
    assert_eq!(status(&check, &sign(&claims(), Some("new"), &new, Algorithm::ES256)).await, 200);
}

#[tokio::test]
async fn a_provider_that_fails_is_no_reason_to_sign_in_again() {
    let provider = Provider::start().await;
    let (old, new) = (ec_key(), ec_key());
    provider.publish("old", &old, Algorithm::ES256);
    let check = provider.check(None);
    check.prepare().await;
    let token = sign(&claims(), Some("new"), &new, Algorithm::ES256);
    provider.is_away.store(true, Ordering::SeqCst);
    assert_eq!(status(&check, &token).await, 503);
    // Keys that are known still count.
    assert_eq!(status(&check, &sign(&claims(), Some("old"), &old, Algorithm::ES256)).await, 200);
    provider.is_away.store(false, Ordering::SeqCst);
    check.keys.forget_when_asked();
    assert_eq!(status(&check, &token).await, 401);
}

#[tokio::test]
async fn without_keys_nobody_is_refused_for_good() {
    let url: Url = "http://127.0.0.1:1/jwks".parse().unwrap();
    let rule = JwtRule { jwks_url: url, audience: "files".to_owned(), issuer: None, prefix: None };
    let check = JwtCheck::new(rule).unwrap();
    check.prepare().await;
    assert_eq!(status(&check, &sign(&claims(), None, &ec_key(), Algorithm::ES256)).await, 503);
}

#[test]
fn a_claim_names_prefixes_and_never_everything_by_being_empty() {
    let rule = |pattern: &str| PrefixRule::new("team".to_owned(), pattern.to_owned());
    let prefixes = |pattern: &str, value: Value| {
        let claims = json!({ "team": value });
        rule(pattern).unwrap().prefixes(claims.as_object().unwrap())
    };
    assert_eq!(prefixes("{}/", json!("red")), Some(vec!["red/".to_owned()]));
    let two = prefixes("teams/{}/", json!(["red", "", "blue"]));
    assert_eq!(two, Some(vec!["teams/red/".to_owned(), "teams/blue/".to_owned()]));
    for value in [json!(""), json!(" "), json!([]), json!([""]), json!(7), json!(null)] {
        assert_eq!(prefixes("{}", value.clone()), None, "{value}");
    }
    assert_eq!(prefixes("{}/", json!(["red", 7])), None);
    for pattern in ["", "red/", "{}/{}", "{ }"] {
        assert!(rule(pattern).is_err(), "{pattern}");
    }
    let scope = Scope::Prefixes(vec!["red/".to_owned()]);
    assert!(scope.covers("red/a.mcap") && scope.covers("red/") && scope.covers("red/x/"));
    assert!(!scope.covers("reddish/a.mcap") && !scope.covers("red.mcap"));
}
