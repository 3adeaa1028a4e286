//! What leaves the loader and comes back to it, and nobody else may read or make: encrypted and
//! authenticated with XChaCha20-Poly1305, under random nonces of 192 bits, so that replicas may
//! share a key.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::Serialize;
use serde::de::DeserializeOwned;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// More keys than a rotation has.
const MOST_KEYS: usize = 8;

/// What something is sealed for. What was sealed for one purpose opens for no other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A session, in its cookie.
    Session,
    /// A login under way, in its cookie.
    Login,
    /// A one-time code.
    Code,
    /// A link to a file.
    Link,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::Session => b"session 1",
            Purpose::Login => b"login 1",
            Purpose::Code => b"code 1",
            Purpose::Link => b"link 1",
        }
    }
}

/// The keys: the first seals, each opens. Never printed.
pub(crate) struct Keys(Vec<XChaCha20Poly1305>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Keys separated by commas, each of 32 bytes in base64 or hex. The error says what is accepted.
    pub(crate) fn parse(text: &str) -> Result<Keys, String> {
        let wrong = || {
            "accepts keys of 32 bytes in base64 or hex, separated by commas, the one that encrypts \
             first: openssl rand -base64 32"
                .to_owned()
        };
        let keys: Option<Vec<_>> = text.split(',').map(|key| parse_key(key.trim())).collect();
        match keys {
            Some(keys) if keys.len() <= MOST_KEYS => Ok(Keys(keys)),
            _ => Err(wrong()),
        }
    }

    /// One key that nobody else has.
    pub(crate) fn random() -> Keys {
        Keys(vec![XChaCha20Poly1305::new(&Key::generate())])
    }

    /// As text that a URL and a cookie can hold, a third longer than the JSON of `value`.
    pub(crate) fn seal(&self, purpose: Purpose, value: &impl Serialize) -> String {
        let text = serde_json::to_vec(value).unwrap_or_default();
        let nonce = XNonce::generate();
        let payload = Payload { msg: &text, aad: purpose.label() };
        let sealed = self.0.first().and_then(|key| key.encrypt(&nonce, payload).ok());
        let mut out = nonce.to_vec();
        // Without it nothing opens.
        out.extend(sealed.unwrap_or_default());
        URL_SAFE_NO_PAD.encode(out)
    }

    /// What was sealed for this purpose with one of the keys; `None` of anything else.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: Purpose, sealed: &str) -> Option<T> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let payload = || Payload { msg: sealed, aad: purpose.label() };
        let text = self.0.iter().find_map(|key| key.decrypt(&nonce, payload()).ok())?;
        serde_json::from_slice(&text).ok()
    }
}

fn parse_key(text: &str) -> Option<XChaCha20Poly1305> {
    let bytes = match text.len() {
        64 => from_hex(text)?,
        _ => from_base64(text)?,
    };
    let key: [u8; KEY_BYTES] = bytes.try_into().ok()?;
    Some(XChaCha20Poly1305::new(&Key::from(key)))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digits = std::str::from_utf8(pair).ok()?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
            u8::from_str_radix(digits, 16).ok()
        })
        .collect()
}

/// In either alphabet, padded or not.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

    fn keys(text: &str) -> Keys {
        Keys::parse(text).unwrap()
    }

    #[test]
    fn a_key_is_one_however_it_is_written() {
        let sealed = keys(KEY).seal(Purpose::Session, &"text");
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        for same in [KEY, KEY.trim_end_matches('='), hex, &format!(" {KEY} ")] {
            let opened: Option<String> = keys(same).open(Purpose::Session, &sealed);
            assert_eq!(opened.as_deref(), Some("text"));
        }
        let plus = "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8=";
        let sealed = keys(plus).seal(Purpose::Session, &1);
        let url_safe = plus.replace('+', "-").replace('/', "_");
        assert_eq!(keys(&url_safe).open(Purpose::Session, &sealed), Some(1));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let many = [KEY; MOST_KEYS + 1].join(",");
        let secret = "hunter2";
        for wrong in ["", ",", secret, &KEY[4..], &OTHER[2..], &format!("{KEY},"), &many] {
            let error = Keys::parse(wrong).unwrap_err();
            assert!(error.contains("32 bytes") && !error.contains(secret), "{error}");
        }
        let shown = format!("{:?}", keys(KEY));
        assert_eq!(shown, "Keys(…)");
    }

    #[test]
    fn an_old_key_opens_and_the_first_one_seals() {
        let old = keys(KEY).seal(Purpose::Link, &7);
        let rotated = keys(&format!("{OTHER},{KEY}"));
        assert_eq!(rotated.open(Purpose::Link, &old), Some(7));
        let new = rotated.seal(Purpose::Link, &8);
        assert_eq!(keys(OTHER).open(Purpose::Link, &new), Some(8));
        assert_eq!(keys(KEY).open::<u32>(Purpose::Link, &new), None);
        assert_eq!(Keys::random().open::<u32>(Purpose::Link, &new), None);
    }

    #[test]
    fn what_was_touched_or_is_for_another_purpose_does_not_open() {
        let keys = keys(KEY);
        let sealed = keys.seal(Purpose::Session, &"a value");
        assert_ne!(sealed, keys.seal(Purpose::Session, &"a value"), "the nonce is random");
        for purpose in [Purpose::Login, Purpose::Code, Purpose::Link] {
            assert_eq!(keys.open::<String>(purpose, &sealed), None, "{purpose:?}");
        }
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = URL_SAFE_NO_PAD.encode(flipped);
            assert_eq!(keys.open::<String>(Purpose::Session, &flipped), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(keys.open::<String>(Purpose::Session, &sealed[..length]), None);
        }
    }
}
