//! Who may see what.

use std::path::Path;

use rdl_files_backend::{AccessRule, FilesConfig, JwtRule, Place, PrefixRule};
use rdl_testkit::{Drive, FileSpec};

use crate::running::{Running, manifest_path};

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_token_guards_everything() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileSpec::default().write(&Drive::default().generate().merged());
    write(folder.path(), "a.mcap", &file);
    let place = Place::folder(folder.path()).unwrap();
    let rule = AccessRule::Token("hunter2".to_owned());
    assert!(!format!("{rule:?}").contains("hunter2"));
    let backend = Running::start(FilesConfig::new(place, rule)).await;
    let manifest = manifest_path("a");
    let intact = "/intact/0-5-0123456789abcdef0123456789abcdef/a.mcap";
    for path in [manifest.as_str(), "/recordings", "/files/a.mcap", intact, "/files/none.mcap"] {
        for headers in [
            &[][..],
            &[("authorization", "Bearer hunter")],
            &[("authorization", "Bearer hunter22")],
            &[("authorization", "Basic hunter2")],
            &[("authorization", "hunter2")],
        ] {
            let answer = backend.get_with(path, headers).await;
            assert_eq!(answer.status, 401, "{path} {headers:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(!answer.text().contains("hunter"), "{}", answer.text());
        }
    }
    let good = [("authorization", "Bearer hunter2")];
    assert_eq!(backend.get_with(&manifest, &good).await.status, 200);
    assert_eq!(backend.get_with("/recordings", &good).await.status, 200);
    assert_eq!(backend.get_with("/files/a.mcap", &good).await.body, file);
}

/// A provider with one key, which signs what it is told to.
struct Provider {
    url: url::Url,
    key: jsonwebtoken::EncodingKey,
}

impl Provider {
    async fn start() -> Provider {
        use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
        let der = rcgen::KeyPair::generate().unwrap().serialize_der();
        let key = EncodingKey::from_ec_der(&der);
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        let keys = serde_json::json!({ "keys": [jwk] });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
        let route = axum::routing::get(async move || axum::Json(keys.clone()));
        let router = axum::Router::new().route("/jwks", route);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Provider { url, key }
    }

    /// The header of a request of somebody of this team.
    fn bearer(&self, team: &serde_json::Value) -> String {
        use jsonwebtoken::{Algorithm, Header, encode, get_current_timestamp};
        let claims =
            serde_json::json!({"aud": "files", "exp": get_current_timestamp() + 60, "team": team});
        format!("Bearer {}", encode(&Header::new(Algorithm::ES256), &claims, &self.key).unwrap())
    }
}

#[tokio::test]
async fn a_token_shows_what_its_claim_names_and_of_the_rest_not_even_that_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileSpec::default().write(&Drive::default().generate().merged());
    let cut = &file[..file.len() / 2];
    for name in ["red/a.mcap", "red/b/c.mcap", "blue/a.mcap", "reddish/a.mcap", "red.mcap"] {
        write(folder.path(), name, &file);
    }
    write(folder.path(), "blue/cut.mcap", cut);
    let provider = Provider::start().await;
    let rule = AccessRule::Jwt(JwtRule {
        jwks_url: provider.url.clone(),
        audience: "files".to_owned(),
        issuer: None,
        prefix: Some(PrefixRule::new("team".to_owned(), "{}/".to_owned()).unwrap()),
    });
    let place = Place::folder(folder.path()).unwrap();
    let backend = Running::start(FilesConfig::new(place, rule)).await;
    let names = async |bearer: &str| {
        let answer = backend.get_with("/recordings", &[("authorization", bearer)]).await;
        let listed = answer.json().unwrap();
        let names = listed.as_array().unwrap().iter();
        names.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let red = provider.bearer(&serde_json::json!("red"));
    // That somebody else has a file `red.mcap` is neither told nor in the way.
    assert_eq!(names(&red).await, ["red", "red/a", "red/b", "red/b/c"]);
    let both = provider.bearer(&serde_json::json!(["red", "blue"]));
    assert_eq!(names(&both).await.len(), 7);

    let both = [("authorization", both.as_str())];
    let manifest = backend.get_with(&manifest_path("blue/cut"), &both).await.json().unwrap();
    let intact = format!("/{}", manifest["sources"][0]["url"].as_str().unwrap());
    assert_eq!(backend.get_with(&intact, &both).await.status, 200);
    let red = [("authorization", red.as_str())];
    assert_eq!(backend.get_with("/files/red/a.mcap", &red).await.body, file);
    let manifest = backend.get_with(&manifest_path("red"), &red).await.json().unwrap();
    assert_eq!(manifest["sources"][0]["url"], "files/red/a.mcap");
    for (theirs, none) in [
        (manifest_path("blue"), manifest_path("none")),
        (manifest_path("blue/a"), manifest_path("blue/z")),
        (manifest_path("reddish/a"), manifest_path("reddish/z")),
        ("/files/blue/a.mcap".to_owned(), "/files/blue/z.mcap".to_owned()),
        (intact.clone(), intact.replace("blue/cut", "blue/zzz")),
    ] {
        let theirs = backend.get_with(&theirs, &red).await;
        let none = backend.get_with(&none, &red).await;
        assert_eq!((theirs.status, none.status), (404, 404));
        let words = theirs.text().split('"').step_by(2).collect::<String>();
        assert_eq!(words, none.text().split('"').step_by(2).collect::<String>());
    }
    let mixed = format!("{}&recording=blue", manifest_path("red/a"));
    assert_eq!(backend.get_with(&mixed, &red).await.status, 404);
    let nothing = provider.bearer(&serde_json::json!(""));
    let answer = backend.get_with("/recordings", &[("authorization", &nothing)]).await;
    assert_eq!(answer.status, 403);
    assert!(!answer.text().contains("red"), "{}", answer.text());
}
