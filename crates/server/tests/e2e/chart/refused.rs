//! Wrong values are refused before anything is installed, by their names.

use futures::future::join_all;

use super::rendered::{chart_file, copy, oldest_kubernetes, set, template, try_render};

const DEPLOYMENT: &str = "remoteDataLoader.deployment";

async fn refusal(values: &[(&str, &str)]) -> String {
    match try_render(&oldest_kubernetes(), &set(values)).await {
        Ok(_) => panic!("{values:?} is accepted"),
        Err(refusal) => refusal,
    }
}

/// What the schema says of one value. A name that begins with a dot is one of the Deployment.
#[tokio::test]
async fn the_schema_names_the_value_and_what_it_accepts() {
    let refused = [
        (
            "globals.manifestendpoint=x",
            "at '/globals': additional properties 'manifestendpoint' not allowed",
        ),
        (
            "globals.manifestEndpoint=data.example.com",
            "at '/globals/manifestEndpoint': 'data.example.com' does not match pattern '^(https?://",
        ),
        ("globals.disableAuth=yes", "at '/globals/disableAuth': got string, want boolean"),
        (
            "globals.manifestCache.ttlMs=30001",
            "at '/globals/manifestCache/ttlMs': maximum: got 30,001, want 30,000",
        ),
        (
            "globals.manifestCache.maxCapacity=0",
            "at '/globals/manifestCache/maxCapacity': minimum: got 0, want 1",
        ),
        (
            "globals.cache.storageProvider=s3",
            "at '/globals/cache/storageProvider': value must be one of 'aws', 'azure', 'google_cloud', 's3_compatible', 'in_memory'",
        ),
        (
            "globals.cache.enabled=true,globals.cache.bucketName=",
            "at '/globals/cache/bucketName': minLength: got 0, want 1",
        ),
        (
            "globals.cache.maxBytesWaitMs=-1",
            "at '/globals/cache/maxBytesWaitMs': minimum: got -1, want 0",
        ),
        (
            "globals.secrets={Not_A_Name}",
            "at '/globals/secrets/0': 'Not_A_Name' does not match pattern",
        ),
        ("globals.proxy=null", "at '/globals': missing property 'proxy'"),
        (
            "globals.corsAllowedOrigins={https://a.example.com/path}",
            "at '/globals/corsAllowedOrigins/0': 'https://a.example.com/path' does not match pattern",
        ),
        (
            "globals.denySourceCidrs={10.0.0.0}",
            "at '/globals/denySourceCidrs/0': '10.0.0.0' does not match pattern",
        ),
        (
            "remoteDataLoader.autoscaling.minReplicas=0",
            "at '/remoteDataLoader/autoscaling/minReplicas': minimum: got 0, want 1",
        ),
        (
            "remoteDataLoader.autoscaling.maxReplicas=many",
            "at '/remoteDataLoader/autoscaling/maxReplicas': got string, want integer",
        ),
        (
            "remoteDataLoader.podDisruptionBudget.minAvailable=1,remoteDataLoader.podDisruptionBudget.maxUnavailable=1",
            "at '/remoteDataLoader/podDisruptionBudget/maxUnavailable': got number, want null",
        ),
        (
            "remoteDataLoader.podDisruptionBudget.minAvailable=half",
            "at '/remoteDataLoader/podDisruptionBudget/minAvailable': 'half' does not match pattern '^[0-9]+%$'",
        ),
        (
            ".replica=2",
            "at '/remoteDataLoader/deployment': additional properties 'replica' not allowed",
        ),
        (".image=", "at '/remoteDataLoader/deployment/image': '' does not match pattern"),
        (
            ".diskStore.sizeLimit=5GB",
            "at '/remoteDataLoader/deployment/diskStore/sizeLimit': '5GB' does not match pattern",
        ),
        (
            ".terminationGracePeriodSeconds=0",
            "at '/remoteDataLoader/deployment/terminationGracePeriodSeconds': minimum: got 0, want 5",
        ),
        (
            ".memoryLimitBytes=1000",
            "at '/remoteDataLoader/deployment/memoryLimitBytes': minimum: got 1,000, want 1.6777216×10⁰⁷",
        ),
        (".env[0].value=x", "at '/remoteDataLoader/deployment/env/0': missing property 'name'"),
        (
            ".env[0].name=A,.env[0].value=x,.env[0].valueFrom.fieldRef.fieldPath=spec.nodeName",
            "at '/remoteDataLoader/deployment/env/0/value': got string, want null",
        ),
        (
            ".resources.limits.gpus=1",
            "at '/remoteDataLoader/deployment/resources/limits': additional properties 'gpus' not allowed",
        ),
        (
            ".serviceAccount.enabled=true,.serviceAccount.existingName=other",
            "at '/remoteDataLoader/deployment/serviceAccount/existingName': value must be ''",
        ),
        (
            "backend.enabled=true,backend.auth.mode=none",
            "at '/backend/location': '' does not match pattern '^(s3|gs|az)://",
        ),
        (
            "backend.enabled=true,backend.location=s3://a",
            "at '/backend/auth/mode': value must be one of 'none', 'token', 'jwt'",
        ),
        (
            "backend.auth.mode=token",
            "at '/backend/auth/tokenSecret/name': minLength: got 0, want 1",
        ),
        (
            "backend.auth.mode=jwt,backend.auth.jwt.audience=a",
            "at '/backend/auth/jwt/jwksUrl': minLength: got 0, want 1",
        ),
        (
            "backend.auth.jwt.prefix=team/",
            "at '/backend/auth/jwt/prefixClaim': minLength: got 0, want 1",
        ),
        ("backend.signedUrlMs=1000", "at '/backend/signedUrlMs': minimum: got 1,000, want 60,000"),
    ];
    join_all(refused.map(|(values, expected)| async move {
        let values: Vec<(String, &str)> = values
            .split(',')
            .map(|value| {
                let (name, value) = value.split_once('=').unwrap();
                (
                    if name.starts_with('.') {
                        format!("{DEPLOYMENT}{name}")
                    } else {
                        name.to_owned()
                    },
                    value,
                )
            })
            .collect();
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (&**name, *value)).collect();
        let refusal = refusal(&values).await;
        assert!(refusal.contains(expected), "{values:?}\n{expected}\n{refusal}");
    }))
    .await;
}

/// What no schema can say the templates do.
#[tokio::test]
async fn values_that_contradict_each_other_are_refused() {
    const SIZE: &str = "remoteDataLoader.deployment.diskStore.sizeLimit";
    const BYTES: &str = "remoteDataLoader.deployment.diskStore.maxBytes";
    const MEMORY: &str = "remoteDataLoader.deployment.memoryLimitBytes";
    const ON: &str = "true";
    let open =
        [("backend.enabled", ON), ("backend.location", "s3://a"), ("backend.auth.mode", "none")];
    let token = [
        ("backend.enabled", ON),
        ("backend.location", "s3://a"),
        ("backend.auth.mode", "token"),
        ("backend.auth.tokenSecret.name", "token"),
        ("globals.disableAuth", ON),
    ];
    for (values, expected) in [
        (
            &[("remoteDataLoader.autoscaling.minReplicas", "7")][..],
            "autoscaling.maxReplicas is 5, less than minReplicas 7",
        ),
        (
            &[(SIZE, "1Gi"), (BYTES, "1073741825")],
            "diskStore.maxBytes is 1073741825, more than its sizeLimit 1Gi",
        ),
        (
            &[(MEMORY, "209715200")],
            "memoryLimitBytes is 209715200, and the process needs about 60 MiB besides: that is more than resources.limits.memory 250Mi",
        ),
        (
            &[("remoteDataLoader.deployment.shutdownDelaySeconds", "26")],
            "shutdownDelaySeconds is 26, and terminationGracePeriodSeconds 30: the delay has to be at least 5 less",
        ),
        (
            &[("globals.cache.enabled", ON), ("globals.cache.partListTouchIntervalMs", "20000")],
            "globals.cache.partListTouchIntervalMs is 20000; it has to be below maxIncompletePartListAgeMs (20000)",
        ),
        (
            &[
                ("remoteDataLoader.networkPolicy.enabled", ON),
                ("remoteDataLoader.serviceMonitor.enabled", ON),
            ],
            "name Prometheus in networkPolicy.metricsFrom",
        ),
        (
            &open,
            "backend.auth.mode is none, and globals.disableAuth is false: nobody would check tokens",
        ),
        (&token, "globals.disableAuth is true, and backend.auth.mode is token"),
        (&[("backend", "null")], "backend is missing. Was it set to null"),
    ] {
        let refusal = refusal(values).await;
        assert!(refusal.contains(expected), "{values:?}\n{expected}\n{refusal}");
    }
}

/// `helm upgrade --reuse-values` takes the defaults of the chart that was there before.
#[tokio::test]
async fn values_of_the_known_chart_alone_are_refused_with_what_to_do() {
    let chart = copy();
    std::fs::write(chart.path().join("values.yaml"), chart_file("ci/known-values.yaml")).unwrap();
    let version = ["--kube-version".to_owned(), oldest_kubernetes()];
    let refusal = template(chart.path(), &version).await.unwrap_err();
    assert!(refusal.contains("globals.existingSecrets is missing"), "{refusal}");
    assert!(refusal.contains("Upgrade with --reset-then-reuse-values"), "{refusal}");
}
