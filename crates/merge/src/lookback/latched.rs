//! Which channels are latched: a late subscriber gets what was published before it came.

use rdl_mcap_io::ChannelDef;

/// Several broadcasters share this topic, each with transforms of its own.
pub(super) const STATIC_TRANSFORMS: &str = "/tf_static";

/// Whether each earlier message of a channel may still be in force: static transforms, and what
/// ROS 2 publishes with the durability "transient local".
pub(super) fn is_latched(def: &ChannelDef) -> bool {
    def.topic == STATIC_TRANSFORMS
        || def.metadata.get("offered_qos_profiles").is_some_and(|profiles| is_durable(profiles))
}

/// `offered_qos_profiles` is YAML, a list of one profile a publisher, in which rosbag2 writes
/// `durability: 1` (the value of `RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL`) and, from version 9
/// of its metadata on, `durability: transient_local`.
fn is_durable(profiles: &str) -> bool {
    profiles.split("durability").skip(1).any(|rest| {
        let punctuation = |char: char| char.is_ascii_whitespace() || matches!(char, '"' | '\'');
        let Some(value) = rest.trim_start_matches(punctuation).strip_prefix(':') else {
            return false;
        };
        let value = value.trim_start_matches(punctuation);
        let end = value.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let value = &value[..end.unwrap_or(value.len())];
        value == "1" || value.eq_ignore_ascii_case("transient_local")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_rosbag2_writes() {
        let numbers = "- history: 3\n  depth: 0\n  reliability: 1\n  durability: 1\n  deadline:\n    sec: 9223372036\n    nsec: 854775807\n  avoid_ros_namespace_conventions: false";
        let names = "- history: keep_last\n  depth: 1\n  reliability: reliable\n  durability: transient_local\n  liveliness: automatic\n";
        let second = "- durability: volatile\n- durability: transient_local";
        for profiles in [numbers, names, second, "[{\"durability\": \"TRANSIENT_LOCAL\"}]"] {
            assert!(is_durable(profiles), "{profiles}");
        }
    }

    #[test]
    fn other_durabilities_are_not_latched() {
        let volatile = "- history: 1\n  reliability: 1\n  durability: 2\n  depth: 1";
        let others = ["", "durability", "durability:", "durability: 10", "durability: volatile"];
        for profiles in others.into_iter().chain([volatile]) {
            assert!(!is_durable(profiles), "{profiles}");
        }
    }
}
