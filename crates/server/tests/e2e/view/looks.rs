//! How the page looks, beside pictures of it that are stored.

use std::path::Path;

use super::{demo, seen_by};

/// The share of pixels that may differ visibly: by more than 48 of 255 in a colour.
const TOLERANCE: f64 = 0.003;
/// The most that a stored picture takes.
const MOST_BYTES: u64 = 150_000;

#[tokio::test]
async fn the_page_looks_as_it_did() {
    let demo = demo().await;
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/view/screenshots");
    // Beside the temporary files of tests lies what people look at.
    let seen = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
    std::fs::create_dir_all(&seen).unwrap();
    let seen = seen.canonicalize().unwrap();
    // Fonts are drawn alike on every machine.
    let environment = [
        ("STORED", stored.to_str().unwrap()),
        ("SEEN", seen.to_str().unwrap()),
        (
            "CHROMIUM_ARGUMENTS",
            "--font-render-hinting=none --disable-lcd-text --force-color-profile=srgb",
        ),
    ];
    let found = seen_by("view_looks.mjs", &[demo.url()], &environment).await;
    println!("{}", found["pictures"]);
    let mut wrong = Vec::new();
    for (name, picture) in found["pictures"].as_object().unwrap() {
        let file = stored.join(format!("{name}.png"));
        let bytes = std::fs::metadata(&file).map_or(0, |file| file.len());
        assert!(bytes < MOST_BYTES, "{} has {bytes} bytes", file.display());
        match picture["differs"].as_f64() {
            Some(share) if share <= TOLERANCE => {}
            Some(share) => wrong.push(format!("{name}.png: {:.2} % differ", share * 100.0)),
            None => wrong.push(format!("{name}.png: there is none of this size")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{}: {}; if that is meant: UPDATE_SCREENSHOTS=1",
        seen.display(),
        wrong.join(", ")
    );
}
