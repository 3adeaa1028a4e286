//! What single values do.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rendered::{BACKEND, LOADER, NAMESPACE, case, container, render, set};

const CONFIG: &str = include_str!("../../../../../docs/CONFIG.md");

/// No variable is empty, none comes twice, and the command that gets it knows it.
#[tokio::test]
async fn the_binary_knows_every_variable() {
    let (_, of_all) = CONFIG.split_once("\n## Credentials of the bucket").unwrap();
    for (case, rendered) in super::all().await {
        for container in rendered.of_kind("Deployment").map(container) {
            let command = container["args"][0].as_str().unwrap();
            let heading = format!("\n## `remote-data-loader {command}`");
            let (_, section) = CONFIG.split_once(&heading).unwrap();
            let section = section.split("\n## ").next().unwrap();
            let quoted =
                [section, of_all].into_iter().flat_map(|text| text.split('`').skip(1).step_by(2));
            let known: BTreeSet<&str> = quoted.collect();
            let mut seen = BTreeSet::new();
            for variable in container["env"].as_array().unwrap() {
                let name = variable["name"].as_str().unwrap();
                assert!(known.contains(name), "{case}: {command} does not know {name}");
                assert!(seen.insert(name), "{case}: {name} comes twice");
                let is_empty = variable["value"].as_str().is_none_or(str::is_empty);
                assert!(!is_empty || variable["valueFrom"].is_object(), "{case}: {name} is empty");
            }
        }
    }
}

/// By the names and at the place that existing deployments use.
#[tokio::test]
async fn existing_secrets_are_found() {
    let rendered = render(&[]).await;
    let from = rendered.container(LOADER)["envFrom"].as_array().unwrap();
    let from: Vec<&str> =
        from.iter().flat_map(|entry| entry["secretRef"]["name"].as_str()).collect();
    assert_eq!(from, ["cloud-credentials", "auth-credentials"]);
    let volumes = &rendered.find("Deployment", LOADER)["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[0]["secret"]["secretName"], "gcp-cloud-credential");
    let mount = &rendered.container(LOADER)["volumeMounts"][0];
    assert_eq!((&mount["name"], &mount["mountPath"]), (&volumes[0]["name"], &"/secrets".into()));
}

/// In the known chart the greatest number is set from the least.
#[tokio::test]
async fn autoscaling_scales() {
    let rendered = render(&[]).await;
    let scaler = &rendered.find("HorizontalPodAutoscaler", LOADER)["spec"];
    assert_eq!((&scaler["minReplicas"], &scaler["maxReplicas"]), (&1.into(), &5.into()));
}

/// A node can be drained whatever nobody said.
#[tokio::test]
async fn one_replica_may_be_away_unless_somebody_says_otherwise() {
    const BUDGET: &str = "remoteDataLoader.podDisruptionBudget";
    let (enabled, most) = (format!("{BUDGET}.enabled"), format!("{BUDGET}.maxUnavailable"));
    for (values, expected) in [
        (&[(&*enabled, "true")][..], 1.into()),
        (&[(&*enabled, "true"), (&*most, "0")], 0.into()),
        (&[(&*enabled, "true"), (&*most, "25%")], "25%".into()),
    ] {
        let rendered = render(&set(values)).await;
        let budget = &rendered.find("PodDisruptionBudget", LOADER)["spec"];
        assert_eq!((&budget["maxUnavailable"], &budget["minAvailable"]), (&expected, &Value::Null));
    }
}

#[tokio::test]
async fn the_loader_asks_the_backend_of_the_release_unless_it_is_told_otherwise() {
    let backend = case("backend");
    let rendered = backend.render().await;
    let service = &rendered.find("Service", BACKEND);
    let host = format!("{}.{NAMESPACE}.svc", service["metadata"]["name"].as_str().unwrap());
    let endpoint = format!("http://{host}:{}/manifest", service["spec"]["ports"][0]["port"]);
    assert_eq!(rendered.variable(LOADER, "MANIFEST_ENDPOINT"), Some(endpoint.as_str()));
    assert_eq!(rendered.variable(LOADER, "ALLOW_HTTP_SOURCES"), Some("true"));
    let direct = format!("localhost,{host}");
    assert_eq!(rendered.variable(LOADER, "NO_PROXY"), Some(direct.as_str()));

    let elsewhere = "https://data.example.com/manifest";
    let rendered = backend.render_with(&[("globals.manifestEndpoint", elsewhere)]).await;
    assert_eq!(rendered.variable(LOADER, "MANIFEST_ENDPOINT"), Some(elsewhere));
    assert_eq!(rendered.variable(LOADER, "ALLOW_HTTP_SOURCES"), None);
    rendered.find("Deployment", BACKEND);
}

#[tokio::test]
async fn the_disk_store_fits_its_volume() {
    const GIB: u64 = 1 << 30;
    for (size, bytes) in [
        ("5Gi", 5 * GIB / 10 * 9),
        ("100Gi", 100 * GIB / 10 * 9),
        ("2T", 1_800_000_000_000),
        ("20000000000", 18_000_000_000),
    ] {
        let rendered =
            render(&set(&[("remoteDataLoader.deployment.diskStore.sizeLimit", size)])).await;
        let volumes = &rendered.find("Deployment", LOADER)["spec"]["template"]["spec"]["volumes"];
        assert_eq!(volumes[1]["emptyDir"]["sizeLimit"], size);
        let folder = rendered.variable(LOADER, "REQUEST_CACHE_DISK_FOLDER").unwrap();
        assert_eq!(rendered.container(LOADER)["volumeMounts"][1]["mountPath"], folder);
        let bound = rendered.variable(LOADER, "REQUEST_CACHE_MAX_BYTES");
        assert_eq!(bound, Some(bytes.to_string().as_str()), "{size}");
    }
}

#[tokio::test]
async fn memory_fits_the_limit_of_the_pod() {
    const MIB: u64 = 1 << 20;
    for (limit, bytes) in [
        // The loader's own default fits.
        ("250Mi", None),
        ("4Gi", None),
        ("1.5Gi", None),
        ("200Mi", Some(110 * MIB)),
        ("0.125Gi", Some(38 * MIB)),
        ("90Mi", Some(16 * MIB)),
    ] {
        let values = [("remoteDataLoader.deployment.resources.limits.memory", limit)];
        let rendered = render(&set(&values)).await;
        let bound = rendered.variable(LOADER, "MEMORY_LIMIT_BYTES");
        assert_eq!(bound, bytes.map(|bytes| bytes.to_string()).as_deref(), "{limit}");
    }
}

#[tokio::test]
async fn the_process_ends_before_it_is_killed() {
    const GRACE: &str = "remoteDataLoader.deployment.terminationGracePeriodSeconds";
    const DELAY: &str = "remoteDataLoader.deployment.shutdownDelaySeconds";
    for (values, grace, delay) in [
        (&[][..], "30000", None),
        (&[(GRACE, "3600")], "3600000", None),
        (&[(GRACE, "10")], "10000", None),
        (&[(GRACE, "7")], "7000", Some("2000")),
        (&[(GRACE, "5")], "5000", Some("0")),
        (&[(GRACE, "60"), (DELAY, "55")], "60000", Some("55000")),
        (&[(DELAY, "0")], "30000", Some("0")),
    ] {
        let rendered = case("backend").render_with(values).await;
        for deployment in [LOADER, BACKEND] {
            assert_eq!(rendered.variable(deployment, "SHUTDOWN_GRACE_MS"), Some(grace));
            assert_eq!(rendered.variable(deployment, "SHUTDOWN_DELAY_MS"), delay, "{values:?}");
        }
    }
}

/// Who takes a default away gets what is unset.
#[tokio::test]
async fn null_is_unset() {
    let nothing = [
        "globals.secrets",
        "globals.extraLabels",
        "globals.imagePullSecrets",
        "globals.corsAllowedOrigins",
        "globals.proxy.enabled",
        "globals.cache.prefix",
        "ingress.annotations",
        "ingress.tls",
        "remoteDataLoader.service.annotations",
        "remoteDataLoader.deployment.env",
        "remoteDataLoader.deployment.resources",
        "remoteDataLoader.deployment.podLabels",
        "remoteDataLoader.deployment.securityContext",
        "remoteDataLoader.deployment.diskStore.volume",
        "backend.env",
        "backend.podLabels",
        "backend.secrets",
    ];
    let backend = case("backend");
    let before = backend.render().await;
    let after = backend.render_with(&nothing.map(|value| (value, "null"))).await;
    assert_eq!(after.objects.len(), before.objects.len());
    assert_eq!(after.container(LOADER)["resources"], Value::Null);
    assert_eq!(after.variable(LOADER, "HTTPS_PROXY"), None);
}

#[tokio::test]
async fn an_image_may_say_its_version() {
    let ours = concat!("registry.example.com:5000/loader:", env!("CARGO_PKG_VERSION"));
    for (image, rendered_image) in [
        ("registry.example.com:5000/loader", ours),
        ("registry.example.com:5000/loader:v2", "registry.example.com:5000/loader:v2"),
        ("registry.example.com/loader@sha256:00", "registry.example.com/loader@sha256:00"),
    ] {
        let rendered = render(&set(&[("remoteDataLoader.deployment.image", image)])).await;
        assert_eq!(rendered.container(LOADER)["image"], rendered_image);
    }
}
