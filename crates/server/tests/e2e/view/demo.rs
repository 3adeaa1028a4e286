//! Somebody looks at the demo's drive.

use serde_json::{Value, json};

use super::{demo, seen_by};
use crate::running::validate_file;

#[tokio::test]
async fn somebody_looks_at_the_demo() {
    let (demo, other) = (demo().await, demo().await);
    let downloads = tempfile::tempdir().unwrap();
    let folder = downloads.path().to_str().unwrap();
    let arguments = [demo.url(), other.url()];
    let seen = seen_by("view.mjs", &arguments, &[("DOWNLOADS", folder)]).await;
    println!(
        "first picture after {} ms, a seek after {} ms, the longest frame of {} ms, {}",
        seen["firstPictureMs"], seen["seekMs"], seen["longestFrameMs"], seen["memory"]
    );

    assert_eq!(seen["title"], "A drive around the block");
    assert_eq!(seen["topics"].as_array().unwrap().len(), 12);
    assert_eq!(seen["filtered"], json!(["/camera/image"]));
    assert_eq!(seen["picture"], json!([320, 180]));
    assert_eq!(seen["clock"], "09:30:00.000");
    let odometry = seen["odometry"].to_string();
    assert!(odometry.contains("base_link") && odometry.contains(r"x\n-40\n"), "{odometry}");
    let seconds_of = |clock: &Value| -> f64 {
        clock.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
    };
    let seconds = |what: &str| seconds_of(&seen[what]["to"]) - seconds_of(&seen[what]["from"]);
    assert!((seconds("keyed") - 1.0).abs() < 0.01, "{}", seen["keyed"]);
    assert_eq!(seen["plotted"], json!(["/odom.pose.position.x"]));

    // Five seconds, less what the machine had else to do.
    let clocks =
        json!({ "from": seen["played"]["from"]["clock"], "to": seen["played"]["to"]["clock"] });
    let seconds = seconds_of(&clocks["to"]) - seconds_of(&clocks["from"]);
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

    // Two loops later the tab has what it had.
    let memory = |at: &str, what: &str| seen["memory"][at][what].as_f64().unwrap();
    assert!(memory("late", "bytes") < memory("early", "bytes") + 10e6, "{}", seen["memory"]);
    assert!(memory("late", "nodes") < memory("early", "nodes") + 500.0, "{}", seen["memory"]);

    assert_eq!(seen["overflow"], 0, "nothing reaches beyond a phone's screen");
    let said = |name: &str| seen[name].as_str().unwrap();
    assert!(said("unknown").contains("There is no such recording"), "{}", said("unknown"));
    assert!(said("nameless").contains("names no recording"), "{}", said("nameless"));
    let asked = seen["asked"].to_string();
    assert!(asked.contains(&other.url()), "{asked}");
}
