//! An identity provider's public keys, asked for and kept.

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
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

type Renewal = Shared<BoxFuture<'static, ()>>;

#[derive(Default)]
struct Kept {
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
    /// When an unknown key last had the provider asked: anybody can name one, with no token.
    asked: Option<Instant>,
    /// When the age of the keys last did, which nobody can put off.
    renewed: Option<Instant>,
    /// Whether the provider gave no keys when it was asked last.
    has_failed: bool,
    renewal: Option<Renewal>,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    url: Url,
    client: reqwest::Client,
    kept: Mutex<Kept>,
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
        Ok(Keys(Arc::new(Inner { url, client, kept: Mutex::default() })))
    }

    /// Asks for the keys; that the provider is away is only logged.
    pub(super) async fn prepare(&self) {
        let renewal = self.renewal(&mut self.0.kept.lock());
        renewal.await;
    }

    /// The key of this id; without one the only key there is for this algorithm. Whoever has a key
    /// that is known waits for nobody.
    pub(super) async fn key(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, KeysError> {
        let renewal = {
            let mut kept = self.0.kept.lock();
            if let Some(key) = kept.find(id, algorithm) {
                if is_over(kept.fetched, FRESH_FOR) && is_over(kept.renewed, ASK_AGAIN) {
                    kept.renewed = Some(Instant::now());
                    drop(self.renewal(&mut kept));
                }
                return Ok(key);
            }
            if kept.renewal.is_none() && is_over(kept.asked, ASK_AGAIN) {
                kept.asked = Some(Instant::now());
                drop(self.renewal(&mut kept));
            }
            kept.renewal.clone()
        };
        if let Some(renewal) = renewal {
            renewal.await;
        }
        let kept = self.0.kept.lock();
        kept.find(id, algorithm).ok_or({
            // The key may be one that could not be had.
            match kept.has_failed || is_over(kept.fetched, KEPT_FOR) {
                true => KeysError::Unavailable,
                false => KeysError::Unknown,
            }
        })
    }

    /// As if the provider had been asked long ago.
    #[cfg(test)]
    pub(super) fn forget_when_asked(&self) {
        self.0.kept.lock().asked = None;
    }

    /// The renewal that is under way; one is begun where there is none. It ends whoever waits for it
    /// goes away.
    fn renewal(&self, kept: &mut Kept) -> Renewal {
        if let Some(renewal) = &kept.renewal {
            return renewal.clone();
        }
        let keys = self.clone();
        let task = tokio::spawn(async move { keys.renew().await });
        let renewal = async move { drop(task.await) }.boxed().shared();
        kept.renewal.insert(renewal).clone()
    }

    async fn renew(&self) {
        let fetched = self.fetch().await;
        let mut kept = self.0.kept.lock();
        kept.renewal = None;
        kept.has_failed = fetched.is_err();
        match fetched {
            Ok(keys) => {
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

impl Kept {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        match is_over(self.fetched, KEPT_FOR) {
            true => None,
            false => find(&self.keys, id, algorithm),
        }
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
