//! Objects name each other, and each is there under that name.

use serde_json::Value;

use super::rendered::{LOADER, Rendered, container};

#[tokio::test]
async fn objects_find_each_other() {
    for (case, rendered) in super::all().await {
        println!("{case}");
        for deployment in rendered.of_kind("Deployment") {
            pods_are_whole(deployment);
        }
        for service in rendered.of_kind("Service") {
            let deployment = of_same_name(&rendered, service);
            assert_selects(&service["spec"]["selector"], labels_of_pods(deployment));
            for port in list(&service["spec"]["ports"]) {
                let target = named(&container(deployment)["ports"], &port["targetPort"]);
                assert_eq!(target["containerPort"], port["port"]);
            }
        }
        let loader = rendered.find("Deployment", LOADER);
        let service = rendered.find("Service", LOADER);
        for ingress in rendered.of_kind("Ingress") {
            let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
            assert_eq!(backend["name"], LOADER);
            let ports = list(&service["spec"]["ports"]);
            assert!(ports.iter().any(|port| port["port"] == backend["port"]["number"]));
        }
        for scaler in rendered.of_kind("HorizontalPodAutoscaler") {
            assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], LOADER);
            // Else every upgrade sets it back.
            assert_eq!(loader["spec"]["replicas"], Value::Null);
        }
        for budget in rendered.of_kind("PodDisruptionBudget") {
            assert_selects(&budget["spec"]["selector"]["matchLabels"], labels_of_pods(loader));
        }
        for policy in rendered.of_kind("NetworkPolicy") {
            let target = of_same_name(&rendered, policy);
            let selector = &policy["spec"]["podSelector"]["matchLabels"];
            assert_selects(selector, labels_of_pods(target));
            for port in list(&policy["spec"]["ingress"]).iter().map(|rule| &rule["ports"][0]) {
                named(&container(target)["ports"], &port["port"]);
            }
        }
        for monitor in rendered.of_kind("ServiceMonitor") {
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            assert_selects(selector, &service["metadata"]["labels"]);
            named(&service["spec"]["ports"], &monitor["spec"]["endpoints"][0]["port"]);
        }
    }
}

fn pods_are_whole(deployment: &Value) {
    assert_selects(&deployment["spec"]["selector"]["matchLabels"], labels_of_pods(deployment));
    let container = container(deployment);
    for mount in list(&container["volumeMounts"]) {
        named(&deployment["spec"]["template"]["spec"]["volumes"], &mount["name"]);
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        named(&container["ports"], &container[probe]["httpGet"]["port"]);
    }
}

fn of_same_name<'a>(rendered: &'a Rendered, object: &Value) -> &'a Value {
    rendered.find("Deployment", object["metadata"]["name"].as_str().unwrap())
}

fn labels_of_pods(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["metadata"]["labels"]
}

fn list(list: &Value) -> &[Value] {
    list.as_array().unwrap()
}

fn named<'a>(entries: &'a Value, name: &Value) -> &'a Value {
    let found = list(entries).iter().find(|entry| entry["name"] == *name);
    found.unwrap_or_else(|| panic!("{name} is not in {entries}"))
}

fn assert_selects(selector: &Value, labels: &Value) {
    let selector = selector.as_object().unwrap();
    assert!(!selector.is_empty());
    for (name, value) in selector {
        assert_eq!(labels[name], *value, "{name}");
    }
}
