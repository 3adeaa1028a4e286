//! An identity provider's public keys, asked for and kept.

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use url::Url;

use crate::error::StartError;

/// The largest set of keys that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// How long the provider may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A key that is not known has the provider asked again, but not sooner than this.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// After this long the keys are asked for anew: one may have been withdrawn.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// Keys that could not be renewed for this long count no more.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysError {
    /// There is no such key.
    Unknown,
    /// The provider does not answer.
    Unavailable,
}

#[derive(Default)]
struct Kept {
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
    asked: Option<Instant>,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    url: Url,
    client: reqwest::Client,
    kept: Mutex<Kept>,
    /// Those whose key is not known wait for one of them to ask.
    turn: tokio::sync::Mutex<()>,
}

impl Keys {
    pub(super) fn new(url: Url) -> Result<Keys, StartError> {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            // Fails when the process has installed one itself, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let client = reqwest::Client::builder()
            .connect_timeout(ANSWER_WITHIN)
            .timeout(ANSWER_WITHIN)
            // Keys that come from elsewhere than was said are nobody's.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| StartError::Keys(error.without_url().to_string()))?;
        let (kept, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Keys(Arc::new(Inner { url, client, kept, turn })))
    }

    /// Asks for the keys; that the provider is away is only logged.
    pub(super) async fn prepare(&self) {
        if self.may_ask() {
            self.renew().await;
        }
    }

    /// The key of this id; without one the only key there is for this algorithm. Whoever has a key
    /// that is known waits for nobody.
    pub(super) async fn key(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, KeysError> {
        if let Some(key) = self.known(id, algorithm) {
            let is_old = is_over(self.0.kept.lock().fetched, FRESH_FOR);
            if is_old && self.may_ask() {
                let keys = self.clone();
                tokio::spawn(async move { keys.renew().await });
            }
            return Ok(key);
        }
        let _turn = self.0.turn.lock().await;
        if self.known(id, algorithm).is_none() && self.may_ask() {
            self.renew().await;
        }
        self.known(id, algorithm).ok_or_else(|| {
            match is_over(self.0.kept.lock().fetched, KEPT_FOR) {
                true => KeysError::Unavailable,
                false => KeysError::Unknown,
            }
        })
    }

    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let kept = self.0.kept.lock();
        if is_over(kept.fetched, KEPT_FOR) {
            return None;
        }
        find(&kept.keys, id, algorithm)
    }

    /// Whether the provider was left in peace for long enough; whoever is told so asks.
    fn may_ask(&self) -> bool {
        let mut kept = self.0.kept.lock();
        let may_ask = is_over(kept.asked, ASK_AGAIN);
        if may_ask {
            kept.asked = Some(Instant::now());
        }
        may_ask
    }

    /// As if the provider had been asked long ago.
    #[cfg(test)]
    pub(super) fn forget_when_asked(&self) {
        self.0.kept.lock().asked = None;
    }

    async fn renew(&self) {
        match self.fetch().await {
            Ok(keys) => {
                let mut kept = self.0.kept.lock();
                kept.keys = keys;
                kept.fetched = Some(Instant::now());
            }
            Err(error) => tracing::warn!(error, "the keys of tokens could not be renewed"),
        }
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, String> {
        let told = |error: reqwest::Error| error.without_url().to_string();
        let mut answer = self.0.client.get(self.0.url.clone()).send().await.map_err(told)?;
        if !answer.status().is_success() {
            return Err(format!("the provider answered {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(told)? {
            if body.len() + piece.len() > MAX_BYTES {
                return Err(format!("the provider sent more than {MAX_BYTES} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        // Providers publish keys of kinds that we do not know besides those that we do.
        let set: serde_json::Value =
            serde_json::from_slice(&body).map_err(|_| "the provider sent no JSON".to_owned())?;
        let keys = set.get("keys").and_then(serde_json::Value::as_array);
        let keys = keys.ok_or("the provider sent no set of keys")?;
        let keys = keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok());
        Ok(keys.collect())
    }
}

fn is_over(since: Option<Instant>, time: Duration) -> bool {
    since.is_none_or(|since| since.elapsed() >= time)
}

fn find(keys: &[Jwk], id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let signs = |key: &&Jwk| {
        key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
            && is_for(key, algorithm)
    };
    let mut fitting = keys.iter().filter(signs);
    let key = match id {
        Some(id) => fitting.find(|key| key.common.key_id.as_deref() == Some(id))?,
        None => {
            let only = fitting.next()?;
            if fitting.next().is_some() {
                return None;
            }
            only
        }
    };
    DecodingKey::from_jwk(key).ok()
}

/// Whether the key is of the algorithm's kind, and not said to be for another one.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve};
    let is_of_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => {
            key.curve == EllipticCurve::P384
        }
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => {
            key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    let says = key.common.key_algorithm.as_ref();
    is_of_kind && says.is_none_or(|says| *says == KeyAlgorithm::from(algorithm))
}
