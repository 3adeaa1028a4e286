//! The demo, as `make demo` starts it.

use std::path::Path;

use rdl_testkit::{Process, get};
use serde_json::json;

use crate::running::{BINARY, validate, validate_file};

#[tokio::test]
async fn the_demo_plays_its_whole_drive() {
    let environment = [("ADDRESS", "127.0.0.1:0")];
    let demo = Process::start(Path::new(BINARY), &["demo"], &environment).await.unwrap();
    let recording = format!("{}/v1/recording?ds.recording=demo-drive", demo.url());
    let described = get(&recording, &[]).await.unwrap().json().unwrap();
    assert_eq!(described["name"], "A drive around the block");
    assert_eq!(described["start"], "2026-01-31T09:30:00.000000000Z");

    let url = format!("{}/v1/stream?ds.recording=demo-drive", demo.url());
    let whole = get(&url, &[]).await.unwrap();
    assert!(whole.status == 200 && whole.complete, "{}", demo.printed());
    let report = validate(&whole.body).await.unwrap();
    let counts = json!({
        "/camera/calibration": 1, "/camera/geotag": 60, "/camera/image": 300, "/diagnostics": 60,
        "/gps/fix": 300, "/imu": 6000, "/lidar/points": 600, "/log": 60, "/map": 1, "/odom": 1200,
        "/tf": 1200, "/tf_static": 1,
    });
    assert_eq!(report["topics"], counts);
    let described = get(&recording, &[]).await.unwrap().json().unwrap();
    assert_eq!(described["problems"], json!([]), "the demo's data has no problem");

    // As it is printed, and as it stands in the answer.
    let printed = demo.printed();
    let file = printed.lines().find(|line| line.contains("/v1/files/")).unwrap().trim();
    let whole = get(file, &[]).await.unwrap();
    let pinned = described["links"]["file"].as_str().unwrap();
    let same = get(&format!("{}{pinned}", demo.url()), &[]).await.unwrap();
    assert_eq!((whole.status, same.status), (200, 200));
    assert!(whole.body == same.body && described["fileBytes"] == whole.body.len());
    assert_eq!(validate_file(&whole.body).await.unwrap()["topics"], counts);

    let query = "topics=/odom&topics=/map&start=2026-01-31T09:30:25Z&end=2026-01-31T09:30:35Z\
                 &replayPolicy=lastPerChannel";
    let part = get(&format!("{url}&{query}"), &[]).await.unwrap();
    let report = validate(&part.body).await.unwrap();
    // Ten seconds with both ends, the newest before them, and the map from the start.
    assert_eq!(report["topics"], json!({"/map": 1, "/odom": 202}));
    assert_eq!(report["start"], 1_769_851_800_000_000_000_u64);
}
