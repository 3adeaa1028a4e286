//! What people have to see who sign in in the loader's own viewer.

use serde_json::{Value, json};

use crate::view::handing_on::Elsewhere;

pub(super) fn loaders_viewer(seen: &Value) {
    assert!(seen["before"].as_str().unwrap().contains("Sign in to see this recording"), "{seen}");
    assert!(seen["topics"].as_u64().unwrap() > 1, "{seen}");
    // Its messages are nothing that could be decoded.
    assert!(seen["panel"].as_str().unwrap().contains("Shown as bytes"), "{seen}");
}

/// The copied commands open the file for whoever has no session.
pub(super) async fn handed_on(seen: &Value, environment: &[(&'static str, String)]) {
    let text = |name: &str| seen[name].as_str().unwrap();
    for name in ["curl", "Python"] {
        let said = text(&format!("{name}Said"));
        assert!(said.contains(", good until 20"), "{said}");
    }
    let report = Elsewhere::new(environment).curl(text("curl")).await;
    let count = report["topics"]["/group0/topic0"].as_u64().unwrap();
    assert!(count > 100 && report["topics"].as_object().unwrap().len() == 1, "{report}");
    let printed = Elsewhere::new(environment).python(text("Python")).await;
    assert_eq!(printed.lines().count() as u64, count);
}

pub(super) fn another_loader(seen: &Value) {
    let before = seen["before"].as_str().unwrap();
    assert!(before.contains("The loader at loader.robots.test"), "{before}");
    assert!(seen["played"]["to"].as_str() > seen["played"]["from"].as_str(), "{seen}");
    let said = seen["sentElsewhere"].as_str().unwrap();
    assert!(said.contains("This loader has no page to sign in at"), "{said}");
    assert!(!said.contains("elsewhere.test"), "{said}");
    assert_eq!(seen["buttons"], 0);
}

pub(super) fn session_ends(seen: &Value) {
    assert_eq!(seen["inSilence"]["troubles"], 0, "{seen}");
    let refreshes = seen["inSilence"]["refreshes"].as_array().unwrap();
    assert!(refreshes.len() >= 2 && refreshes.iter().all(|status| status == 200), "{seen}");
    let said = seen["said"].as_str().unwrap();
    assert!(said.contains("Your session has ended") && said.contains("Sign in"), "{said}");
    let seconds = |what: &str| -> f64 {
        let (minutes, seconds) = seen[what].as_str().unwrap()[3..].split_once(':').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    // At the speed of ten.
    let gone_on = seconds("wentOnAt") - seconds("stoppedAt");
    assert!((0.0..5.0).contains(&gone_on), "{seen}");
    assert_eq!(seen["troublesAfter"], json!(0));
}
