//! URLs that carry their own authority: which query parameters make up a known signature.
//!
//! A signature changes from request to request and says nothing about the data, so it does not
//! count in a source's key. Only a *complete, known* set is taken for one: a parameter that merely
//! looks like a part of a signature may name the data, and stays.

use std::borrow::Cow;

use url::Url;

/// Parameters of an Azure shared access signature (service, account and user delegation).
const AZURE: [&str; 27] = [
    "sig", "sv", "se", "st", "sp", "sr", "si", "ss", "srt", "sip", "spr", "skoid", "sktid", "skt",
    "ske", "sks", "skv", "saoid", "suoid", "scid", "sdd", "ses", "rscc", "rscd", "rsce", "rscl",
    "rsct",
];

/// The known kinds of signature.
#[derive(Clone, Copy)]
enum Signature {
    /// AWS signature version 4: `X-Amz-*`.
    Amazon,
    /// Google Cloud Storage version 4: `X-Goog-*`.
    Google,
    /// AWS version 2 and Google's older form: an access id, `Signature` and `Expires`.
    AccessId,
    CloudFront,
    Azure,
}

impl Signature {
    const ALL: [Signature; 5] =
        [Self::Amazon, Self::Google, Self::AccessId, Self::CloudFront, Self::Azure];

    /// Whether these parameter names hold the whole signature.
    fn is_complete(self, names: &[Cow<'_, str>]) -> bool {
        let has = |name: &str| names.iter().any(|known| known == name);
        let has_any_case = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        match self {
            Self::Amazon => has_any_case("X-Amz-Signature"),
            Self::Google => has_any_case("X-Goog-Signature"),
            Self::AccessId => {
                (has("AWSAccessKeyId") || has("GoogleAccessId"))
                    && has("Signature")
                    && has("Expires")
            }
            Self::CloudFront => {
                has("Key-Pair-Id") && has("Signature") && (has("Expires") || has("Policy"))
            }
            Self::Azure => has("sig") && has("sv") && has("se"),
        }
    }

    /// Whether a parameter belongs to the signature.
    fn owns(self, name: &str) -> bool {
        let starts = |prefix: &str| {
            name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        match self {
            Self::Amazon => starts("X-Amz-"),
            Self::Google => starts("X-Goog-"),
            Self::AccessId => {
                matches!(name, "AWSAccessKeyId" | "GoogleAccessId" | "Signature" | "Expires")
                    || name.eq_ignore_ascii_case("x-amz-security-token")
            }
            Self::CloudFront => matches!(name, "Key-Pair-Id" | "Signature" | "Expires" | "Policy"),
            Self::Azure => AZURE.contains(&name),
        }
    }
}

/// Whether the URL carries its own authority: a complete, known signature, or user info. No bearer
/// token goes to such a URL; object stores refuse a second kind of authority.
pub fn is_signed(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || !signatures(url).is_empty()
}

/// The URL less its fragment and the parameters of every complete, known signature; what is left
/// of the query is left as it was written, in its order.
pub fn without_signature(url: &Url) -> Url {
    let mut stripped = url.clone();
    stripped.set_fragment(None);
    let signatures = signatures(url);
    let Some(query) = url.query().filter(|_| !signatures.is_empty()) else {
        return stripped;
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = name_of(pair);
            !signatures.iter().any(|signature| signature.owns(&name))
        })
        .collect();
    stripped.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
    stripped
}

fn signatures(url: &Url) -> Vec<Signature> {
    let Some(query) = url.query() else { return Vec::new() };
    let names: Vec<_> = query.split('&').map(name_of).collect();
    Signature::ALL.into_iter().filter(|signature| signature.is_complete(&names)).collect()
}

/// The decoded name of a `name=value` pair.
fn name_of(pair: &str) -> Cow<'_, str> {
    url::form_urlencoded::parse(pair.as_bytes()).next().map_or(Cow::Borrowed(""), |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(query: &str) -> Url {
        format!("https://store.example/data/a.mcap?{query}").parse().unwrap()
    }

    fn stripped(query: &str) -> String {
        without_signature(&url(query)).query().unwrap_or("").to_owned()
    }

    #[test]
    fn strips_complete_known_signatures() {
        for (query, left) in [
            ("X-Amz-Algorithm=a&X-Amz-Date=b&versionId=7&X-Amz-Signature=c", "versionId=7"),
            ("x-amz-date=b&x-amz-signature=c&a=1&a=2", "a=1&a=2"),
            ("X-Goog-Date=b&X-Goog-Signature=c&generation=3", "generation=3"),
            ("AWSAccessKeyId=a&Signature=b&Expires=1&x-amz-security-token=t&k=v", "k=v"),
            ("GoogleAccessId=a&Signature=b&Expires=1", ""),
            ("k=v&Key-Pair-Id=a&Signature=b&Expires=1", "k=v"),
            ("k=v&Key-Pair-Id=a&Signature=b&Policy=1", "k=v"),
            ("sv=1&se=2&sr=b&sp=r&sig=x&snapshot=5", "snapshot=5"),
            ("%58-Amz-Signature=c&X-Amz-Date=b&k=v", "k=v"),
        ] {
            assert_eq!(stripped(query), left, "{query}");
            assert!(is_signed(&url(query)), "{query}");
        }
    }

    #[test]
    fn leaves_what_is_not_a_complete_signature() {
        for query in [
            "X-Amz-Date=b&X-Amz-Credential=c",
            "Signature=b&Expires=1",
            "AWSAccessKeyId=a&Signature=b",
            "Key-Pair-Id=a&Signature=b",
            "sig=1&sv=2",
            "recording-id=first-recording&Expires=1",
            "a=%20+&&b",
        ] {
            assert_eq!(stripped(query), query);
            assert!(!is_signed(&url(query)), "{query}");
        }
    }

    #[test]
    fn user_info_is_authority() {
        assert!(is_signed(&"https://user:secret@store.example/a".parse().unwrap()));
    }

    proptest! {
        /// Whatever the values and wherever the parts stand, the same data has the same key and
        /// everything else stays, in order.
        #[test]
        fn only_the_signature_goes(
            kind in 0_usize..5,
            values in proptest::collection::vec("[a-zA-Z0-9%/+]{0,8}", 3),
            others in proptest::collection::vec(("[a-d]{1,3}", "[a-z0-9]{0,5}"), 0..6),
            places in proptest::collection::vec(any::<prop::sample::Index>(), 3),
        ) {
            let names: [&[&str]; 5] = [
                &["X-Amz-Signature", "X-Amz-Date", "X-Amz-Credential"],
                &["X-Goog-Signature", "X-Goog-Date", "X-Goog-Expires"],
                &["AWSAccessKeyId", "Signature", "Expires"],
                &["Key-Pair-Id", "Signature", "Policy"],
                &["sig", "sv", "se"],
            ];
            let others: Vec<String> = others.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let mut pairs = others.clone();
            for ((name, value), place) in names[kind].iter().zip(&values).zip(&places) {
                pairs.insert(place.index(pairs.len() + 1), format!("{name}={value}"));
            }
            let signed = url(&pairs.join("&"));
            prop_assert!(is_signed(&signed));
            let left = without_signature(&signed);
            prop_assert_eq!(left.query().unwrap_or(""), others.join("&"));
            prop_assert_eq!(without_signature(&left), left);
        }
    }
}
