use rdl_engine::{SourceInfo, SourceKind};

use super::*;

fn info(states: &[SourceStatus]) -> SourcesInfo {
    let source = |status: &SourceStatus| SourceInfo {
        id: "a".into(),
        kind: SourceKind::Streamed,
        start: None,
        end: None,
        status: *status,
        loaded_until: None,
        bytes: None,
        message_count: None,
        error: None,
    };
    SourcesInfo { sources: states.iter().map(source).collect(), problems: Vec::new() }
}

#[test]
fn watching_ends_when_nothing_moves() {
    use SourceStatus::{Cached, Failed, Indexed, Loading, Pending};
    for (states, is_settled, prefetch, expected) in [
        (&[][..], true, true, Outlook::Done),
        (&[Cached, Indexed], true, true, Outlook::Done),
        (&[Cached, Indexed], false, true, Outlook::Moving),
        (&[Cached, Loading], true, true, Outlook::Moving),
        (&[Cached, Pending], true, true, Outlook::Stuck),
        (&[Cached, Pending], true, false, Outlook::Done),
        (&[Failed, Pending], true, true, Outlook::Stuck),
        (&[Failed, Pending], true, false, Outlook::Failed),
        (&[Failed, Loading], false, false, Outlook::Moving),
    ] {
        assert_eq!(outlook(&info(states), is_settled, prefetch), expected, "{states:?}");
    }
}
