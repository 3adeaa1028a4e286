//! Who may see what.

use std::path::Path;

use rdl_files_backend::{AccessRule, FilesConfig, Place};
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
    let intact = "/intact/5-0123456789abcdef0123456789abcdef/a.mcap";
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
