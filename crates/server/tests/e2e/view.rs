//! The viewer, as somebody uses it in Chromium: `tests/node/view.mjs` plays it.

use std::path::Path;

use rdl_testkit::Process;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::running::{BINARY, needed, validate_file};

#[tokio::test]
async fn somebody_looks_at_the_demo() {
    needed("RDL_TEST_NODE_MODULES").unwrap();
    needed("RDL_TEST_CHROMIUM").unwrap();
    let start = || Process::start(Path::new(BINARY), &["demo"], &[("ADDRESS", "127.0.0.1:0")]);
    let (demo, other) = (start().await.unwrap(), start().await.unwrap());
    let downloads = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/view.mjs");
    let output = Command::new("node")
        .args([script.as_os_str(), demo.url().as_ref(), other.url().as_ref()])
        .env("DOWNLOADS", downloads.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", demo.printed());
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!(
        "first picture after {} ms, a seek after {} ms",
        seen["firstPictureMs"], seen["seekMs"]
    );

    assert_eq!(seen["errors"], json!([]), "the page has no errors and keeps to its policy");
    assert_eq!(seen["title"], "A drive around the block");
    assert_eq!(seen["topics"].as_array().unwrap().len(), 12);
    assert_eq!(seen["filtered"], json!(["/camera/image"]));
    assert_eq!(seen["picture"], json!([320, 180]));
    assert_eq!(seen["clock"], "09:30:00.000");
    let odometry = seen["odometry"].to_string();
    assert!(odometry.contains("base_link") && odometry.contains(r"x\n-40\n"), "{odometry}");
    assert_eq!(seen["afterKey"], "09:30:31.000");
    assert_eq!(seen["plotted"], json!(["/odom.pose.position.x"]));

    // Five seconds, less what the machine had else to do.
    let played = |at: &str| -> f64 {
        let clock = seen["played"][at]["clock"].as_str().unwrap();
        clock.rsplit(':').next().unwrap().parse().unwrap()
    };
    let seconds = played("to") - played("from");
    assert!((2.0..8.0).contains(&seconds), "{seconds} s were played in five");
    let cursor = |at: &str| seen["played"][at]["cursor"].as_f64().unwrap();
    assert!(cursor("to") > cursor("from") + 5.0, "{}", seen["played"]);
    let panels = json!(["/camera/image", "/odom", "/log", "Plot"]);
    assert_eq!(seen["reloaded"]["panels"], panels);
    assert_eq!(seen["reloaded"]["isSameLink"], true);

    assert_eq!(seen["download"]["name"], "A_drive_around_the_block.mcap");
    let file = std::fs::read(seen["download"]["path"].as_str().unwrap()).unwrap();
    let report = validate_file(&file).await.unwrap();
    // Ten seconds of a hundred messages each, and the newest before.
    assert!((1000..=1002).contains(&report["topics"]["/imu"].as_u64().unwrap()), "{report}");
    assert_eq!(report["topics"].as_object().unwrap().len(), 1);

    assert_eq!(seen["overflow"], 0, "nothing reaches beyond a phone's screen");
    let said = |name: &str| seen[name].as_str().unwrap();
    assert!(said("unknown").contains("There is no such recording"), "{}", said("unknown"));
    assert!(said("nameless").contains("names no recording"), "{}", said("nameless"));
    assert!(said("failed").contains("the camera's server is away"), "{}", said("failed"));
    assert_eq!(seen["afterRetry"], "09:30:20.000");
    let asked = seen["asked"].to_string();
    assert!(asked.contains(&other.url()), "{asked}");
}
