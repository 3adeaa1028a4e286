//! What is selected goes elsewhere: to other viewers, into a shell, into a program.

use std::path::Path;
use std::process::Output;

use rdl_testkit::get;
use serde_json::json;
use tokio::process::Command;

use super::{demo, seen_by};
use crate::running::{needed, validate_file};

/// What is copied from the viewer, as it is run elsewhere: in a folder of its own.
pub(crate) struct Elsewhere {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Elsewhere {
    pub(crate) fn new(environment: &[(&'static str, String)]) -> Elsewhere {
        Elsewhere { folder: tempfile::tempdir().unwrap(), environment: environment.to_vec() }
    }

    async fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.output().await.unwrap()
    }

    /// What the file has that a copied curl command wrote.
    pub(crate) async fn curl(&self, command: &str) -> serde_json::Value {
        let output = self.run(Path::new("/bin/sh"), &["-c", command]).await;
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        validate_file(&std::fs::read(self.file()).unwrap()).await.unwrap()
    }

    /// What a copied program printed.
    pub(crate) async fn python(&self, program: &str) -> String {
        let python = needed("RDL_TEST_PYTHON").unwrap();
        let output = self.run(&python, &["-c", program]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("selection.mcap")
    }
}

#[tokio::test]
async fn what_is_selected_is_handed_on() {
    let demo = demo().await;
    let url = demo.url();
    // A page of http on another host may not copy.
    let elsewhere = url.replace("127.0.0.1", "loader.test");
    let resolve = [("CHROMIUM_ARGUMENTS", "--host-resolver-rules=MAP *.test 127.0.0.1")];
    let seen = seen_by("view_handing_on.mjs", &[url.clone(), elsewhere], &resolve).await;
    let text = |name: &str| seen[name].as_str().unwrap();

    for (name, path) in
        [("foxglove", "https://app.foxglove.dev/"), ("lichtblick", "https://lichtblick.test/")]
    {
        let opened = &seen[name];
        assert!(opened["url"].as_str().unwrap().starts_with(path), "{opened}");
        assert_eq!(opened["ds"], "remote-file", "{opened}");
        assert!(
            opened["file"].as_str().unwrap().starts_with(&format!("{url}/v1/files/")),
            "{opened}"
        );
        let file = opened["file"].as_str().unwrap();
        let first = get(file, &[("range", "bytes=0-7")]).await.unwrap();
        assert_eq!((first.status, first.body.as_slice()), (206, &b"\x89MCAP0\r\n"[..]), "{name}");
        let whole = validate_file(&get(file, &[]).await.unwrap().body).await.unwrap();
        let topics = whole["topics"].as_object().unwrap().len();
        assert_eq!(topics, if name == "foxglove" { 12 } else { 1 }, "{name}: {whole}");
    }
    let seen_there = "at=2026-01-31T09:30:10Z&start=2026-01-31T09:30:10Z\
                      &end=2026-01-31T09:30:20Z&topics=/imu\
                      &panel=image:/camera/image&panel=raw:/odom&panel=log:/log";
    assert!(text("copiedLink").ends_with(seen_there), "{}", text("copiedLink"));
    assert_eq!(seen["clockOfTheLink"], "09:30:10.000");

    let elsewhere = Elsewhere::new(&[]);
    let report = elsewhere.curl(text("curl")).await;
    // Ten seconds of a hundred messages each with both ends, and the newest before.
    assert_eq!(report["topics"], json!({ "/imu": 1002 }));
    let python = Elsewhere::new(&[]).python(text("python")).await;
    assert_eq!(python.lines().filter(|line| line.contains(" /imu ")).count(), 1002);
    // What the server refuses is no file.
    let wrong = text("curl").replace("/v1/files/", "/v1/nothing/");
    std::fs::remove_file(elsewhere.file()).unwrap();
    let refused = elsewhere.run(Path::new("/bin/sh"), &["-c", &wrong]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("404"), "{said}");
    assert!(!elsewhere.file().exists());

    assert!(text("byHandSaid").contains("by hand"), "{}", text("byHandSaid"));
    assert!(text("byHand").starts_with("curl ") && text("byHand").contains("loader.test"));
    assert_eq!(seen["byHandSelected"], true);
    assert_eq!(seen["byHandCopied"], seen["byHand"], "by the keyboard");
}
