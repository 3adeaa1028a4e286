//! Names that want to lead elsewhere, and odd ones that are meant.

use rdl_testkit::{Drive, FileSpec, check_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::running::Running;

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("served");
    std::fs::create_dir_all(root.join("in")).unwrap();
    let secret = FileSpec::default().write(&Drive::default().generate().merged());
    std::fs::write(outside.path().join("secret.mcap"), &secret).unwrap();
    std::fs::write(root.join("in/a.mcap"), &secret).unwrap();
    std::os::unix::fs::symlink("../secret.mcap", root.join("link.mcap")).unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    std::os::unix::fs::symlink("in", root.join("same")).unwrap();
    std::os::unix::fs::symlink("in/a.mcap", root.join("inside.mcap")).unwrap();
    std::os::unix::fs::symlink("nowhere.mcap", root.join("broken.mcap")).unwrap();
    let backend = Running::folder(&root).await;
    let listed = backend.recordings().await;
    let names: Vec<&str> = listed.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["in", "in/a", "inside"]);

    let absolute = outside.path().join("secret.mcap");
    let absolute = absolute.to_str().unwrap();
    for path in [
        "../secret.mcap",
        "in/../../secret.mcap",
        "%2e%2e/secret.mcap",
        "%2E%2E%2Fsecret.mcap",
        "in%2f..%2f..%2fsecret.mcap",
        "%252e%252e/secret.mcap",
        "..%5csecret.mcap",
        "..\\secret.mcap",
        "./in/a.mcap",
        "in//a.mcap",
        "%00/../secret.mcap",
        "in/a.mcap%00.mcap",
        "in/a.mcap%0a.mcap",
        "%c0%ae%c0%ae/secret.mcap",
        "%ff.mcap",
        "link.mcap",
        "up/secret.mcap",
        "up/served/in/a.mcap",
        "same/a.mcap",
        "broken.mcap",
        absolute,
        &absolute.replace('/', "%2F"),
    ] {
        for front in ["/files/", "/intact/0-5-0123456789abcdef0123456789abcdef/"] {
            let status = raw_status(&backend.url, &format!("{front}{path}")).await;
            assert!(matches!(status, 400 | 404), "{front}{path}: {status}");
        }
        let recording = path.strip_suffix(".mcap").unwrap();
        for query in [recording.to_owned(), recording.replace('\\', "%5C")] {
            let status = raw_status(&backend.url, &format!("/manifest?recording={query}")).await;
            assert!(matches!(status, 400 | 404), "{query}: {status}");
        }
    }
    assert_eq!(backend.get("/files/inside.mcap").await.body, secret);
}

/// As it is written: comfortable clients tidy paths up.
async fn raw_status(url: &str, path: &str) -> u16 {
    let authority = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ended = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn whatever_is_listed_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let messages = Drive::default().generate().merged();
    let whole = FileSpec::default().write(&messages);
    let names = [
        "plain",
        "with space",
        "hash#1",
        "question?mark",
        "100%",
        "%2e%2e",
        "a+b&c=d;e",
        "größe",
        "日本語 🤖",
        "comma, \"quote\" 'single'",
        "<b>|*`^{}[]~$!@:",
        "dots...and..more",
        "-flag",
        "day/run",
        "odd # dir/odd ? file",
        "twice",
        "twice/inner",
    ];
    for name in names {
        let path = folder.path().join(format!("{name}.mcap"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &whole).unwrap();
        // The same cut off, which is served from another path.
        let cut = folder.path().join(format!("{name} cut.mcap"));
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    }
    for unlisted in ["new\nline.mcap", "back\\slash.mcap", "upper.MCAP", ".hidden.mcap"] {
        std::fs::write(folder.path().join(unlisted), &whole).unwrap();
    }
    let backend = Running::folder(folder.path()).await;
    let listed = backend.recordings().await;
    // Each file twice, and the three folders.
    assert_eq!(listed.len(), names.len() * 2 + 3);
    for entry in &listed {
        let name = entry["name"].as_str().unwrap();
        for source in backend.sources(name).await {
            let found = backend.messages(&source).await;
            match name.contains(" cut") || source["url"].as_str().unwrap().contains("%20cut") {
                true => rdl_testkit::check_beginning(&found, &messages).unwrap(),
                false => check_all(&found, &messages).unwrap(),
            }
        }
    }
    // A folder that is called like a file.
    assert!(listed.iter().any(|entry| entry["name"] == "twice/"));
    assert_eq!(backend.sources("twice").await[0]["url"], "files/twice.mcap");
    assert_eq!(backend.sources("twice/").await.len(), 2);
    assert_eq!(backend.sources("day/").await.len(), 2);
}
