//! Loops, speeds, steps, selections and the keyboard.

use serde_json::{Value, json};

use super::{demo, seen_by};

#[tokio::test]
async fn somebody_plays_and_selects() {
    let demo = demo().await;
    let seen = seen_by("view_playing.mjs", &[demo.url()], &[]).await;
    println!("{}, {}", seen["speeds"], seen["looped"]);
    let number = |value: &Value| value.as_f64().unwrap();

    // From 10 s to 12 s, twice and more.
    let looped = &seen["looped"];
    assert!(looped["loops"].as_u64().unwrap() >= 2, "{looped}");
    assert!(number(&looped["least"]) >= 10.0 && number(&looped["most"]) <= 12.0, "{looped}");
    assert!(number(&looped["most"]) > 11.0, "{looped}");

    // How far it went in a second, less what the machine had else to do.
    let went = |speed: &str| number(&seen["speeds"][speed]);
    assert!((0.02..0.4).contains(&went("0.1")), "{}", seen["speeds"]);
    assert!((2.0..25.0).contains(&went("10")), "{}", seen["speeds"]);

    // A picture and a message of the odometry, 5 and 20 a second: every 50 ms.
    assert_eq!(
        seen["stepped"],
        json!(["09:30:30.050", "09:30:30.100", "09:30:30.050", "09:30:30.000"])
    );

    assert_eq!(seen["dragged"]["clock"], "09:30:30.000", "selecting does not seek");
    let text = seen["dragged"]["selected"].as_str().unwrap();
    assert!(text.starts_with("Selected 0:15.0"), "{text}");

    let reached: Vec<String> = serde_json::from_value(seen["keyboard"]["reached"].clone()).unwrap();
    let missed: Vec<String> = serde_json::from_value(seen["keyboard"]["missed"].clone()).unwrap();
    assert!(missed.is_empty(), "the tab key does not reach {missed:?}; it reaches {reached:?}");
    assert!(reached.len() > 40, "{reached:?}");
    assert_eq!(seen["keyboard"]["unseen"], json!([]), "the focus is to be seen");
    assert_eq!(seen["keyboard"]["order"], json!(["Filter topics", "Moment"]));
    assert_eq!(seen["keyboard"]["downloaded"], "A_drive_around_the_block.mcap");
}
