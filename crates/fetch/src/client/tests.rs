use std::time::Duration;

use rdl_model::ErrorKind;

use super::*;
use crate::TokenPolicy;
use crate::testing::{Backend, Reply, SECRET, assert_discreet, client, config, token};

async fn get(http: &HttpClient, url: &Url) -> Result<u16, FetchError> {
    let answer = http.get(url, Some(&token()), &HeaderMap::new()).await;
    if let Err(error) = &answer {
        assert_discreet(error);
    }
    answer.map(|answer| answer.response.status().as_u16())
}

fn bearer() -> String {
    format!("Bearer {SECRET}")
}

#[tokio::test]
async fn sends_a_plain_get_with_the_token() {
    let backend = Backend::start(|_| Reply::new(200, &[], b"hi")).await;
    let http = client(backend.config());
    assert_eq!(get(&http, &backend.at("/data?b=2&a=1&a=1")).await.unwrap(), 200);
    let [seen] = backend.seen().try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/data?b=2&a=1&a=1"));
    assert_eq!(seen.token(), Some(bearer().as_str()));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn the_token_stays_on_one_origin() {
    let other = Backend::start(|seen| match seen.target.as_str() {
        "/back" => Reply::redirect("/end"),
        _ => Reply::new(200, &[], b""),
    })
    .await;
    let to = other.at("/back").to_string();
    let first = Backend::start(move |seen| match seen.target.as_str() {
        "/same" => Reply::redirect("/there"),
        "/away" => Reply::redirect(&to),
        _ => Reply::new(200, &[], b""),
    })
    .await;
    let http = client(first.config());
    get(&http, &first.at("/same")).await.unwrap();
    assert!(first.seen().iter().all(|seen| seen.token() == Some(bearer().as_str())));
    get(&http, &first.at("/away")).await.unwrap();
    assert_eq!(other.seen().len(), 2);
    assert!(other.seen().iter().all(|seen| seen.token().is_none()));
}

#[tokio::test]
async fn a_token_once_dropped_does_not_come_back() {
    let first = Backend::start(|seen| match seen.target.as_str() {
        "/home" => Reply::new(200, &[], b""),
        target => Reply::redirect(target.strip_prefix("/?to=").unwrap()),
    })
    .await;
    let home = first.at("/home").to_string();
    let other = Backend::start(move |_| Reply::redirect(&home)).await;
    let http = client(first.config());
    get(&http, &first.at(&format!("/?to={}", other.url))).await.unwrap();
    let seen = first.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].token().is_some() && seen[1].token().is_none());
}

#[tokio::test]
async fn signed_urls_get_no_token_at_any_hop() {
    let signed = "/signed?X-Amz-Signature=1&X-Amz-Date=2";
    let backend = Backend::start(move |seen| match seen.target.as_str() {
        "/go" => Reply::redirect(signed),
        _ => Reply::new(200, &[], b""),
    })
    .await;
    let http = client(backend.config());
    get(&http, &backend.at(signed)).await.unwrap();
    get(&http, &backend.at("/go")).await.unwrap();
    let mut with_user = backend.at("/user");
    with_user.set_username("me").unwrap();
    with_user.set_password(Some(SECRET)).unwrap();
    get(&http, &with_user).await.unwrap();
    let tokens: Vec<bool> = backend
        .seen()
        .iter()
        .map(|seen| seen.token().is_some_and(|token| token.starts_with("Bearer")))
        .collect();
    assert_eq!(tokens, [false, true, false, false]);
    assert!(backend.seen()[3].token().unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn the_policy_names_the_origins() {
    let source = Backend::start(|_| Reply::new(200, &[], b"")).await;
    let manifest = Backend::start(|_| Reply::new(200, &[], b"")).await;
    for (policy, sent) in [
        (TokenPolicy::EverySource, true),
        (TokenPolicy::only([&source.url]), true),
        (TokenPolicy::Only(Vec::new()), false),
        (TokenPolicy::only([&"https://elsewhere.example".parse().unwrap()]), false),
    ] {
        let http = client(FetchConfig { token_policy: policy.clone(), ..manifest.config() });
        get(&http, &source.at("/data")).await.unwrap();
        get(&http, &manifest.at("/data")).await.unwrap();
        assert_eq!(source.seen().last().unwrap().token().is_some(), sent, "{policy:?}");
        assert!(manifest.seen().last().unwrap().token().is_some());
    }
}

#[tokio::test]
async fn redirects_are_bounded_and_checked() {
    let backend = Backend::start(|seen| match seen.target.split_once('/').unwrap().1 {
        "0" => Reply::new(200, &[], b""),
        "nowhere" => Reply::new(302, &[], b""),
        "odd" => Reply::redirect("http://[oops"),
        "file" => Reply::redirect("file:///etc/passwd"),
        "metadata" => Reply::redirect("http://169.254.169.254/latest?s3cr3t"),
        left => Reply::redirect(&format!("/{}", left.parse::<u32>().unwrap() - 1)),
    })
    .await;
    let http = client(backend.config());
    assert_eq!(get(&http, &backend.at("/5")).await.unwrap(), 200);
    for (path, expected) in [
        ("/6", "more than 5 redirects"),
        ("/nowhere", "without a usable Location"),
        ("/odd", "without a usable Location"),
        ("/file", "the scheme file"),
        ("/metadata", "169.254.169.254 is a link-local"),
    ] {
        let error = get(&http, &backend.at(path)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::BadGateway, false));
    }
}

#[tokio::test]
async fn plain_http_needs_leave() {
    let backend = Backend::start(|_| Reply::new(200, &[], b"")).await;
    let http = client(FetchConfig { allow_http_sources: false, ..backend.config() });
    let error = get(&http, &backend.at("/p?k=s3cr3t")).await.unwrap_err();
    assert!(error.to_string().contains("ALLOW_HTTP_SOURCES"), "{error}");
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn names_that_resolve_to_special_addresses_are_refused() {
    let backend = Backend::start(|_| Reply::new(200, &[], b"")).await;
    let port = backend.url.port().unwrap();
    let resolver = GuardedResolver::with(|name| {
        let address = if name == "good.example" { "127.0.0.1:0" } else { "169.254.169.254:0" };
        Box::pin(async move { Ok(vec![address.parse().unwrap()]) })
    });
    let http = HttpClient::with_resolver(Arc::new(backend.config()), &resolver).unwrap();
    let url = |host: &str| format!("http://{host}:{port}/p?k={SECRET}").parse::<Url>().unwrap();
    assert_eq!(get(&http, &url("good.example")).await.unwrap(), 200);
    let error = get(&http, &url("evil.example")).await.unwrap_err();
    assert!(matches!(error, FetchError::NotAllowed { .. }), "{error:?}");
    assert!(error.to_string().contains("169.254.169.254"), "{error}");
}

/// A client to which every name is at 127.0.0.1, and which denies these networks.
fn denying(config: FetchConfig, networks: &[&str]) -> HttpClient {
    let denied_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    let resolver =
        GuardedResolver::with(|_| Box::pin(async { Ok(vec!["127.0.0.1:0".parse().unwrap()]) }));
    let config = FetchConfig { denied_networks, ..config };
    HttpClient::with_resolver(Arc::new(config), &resolver).unwrap()
}

async fn is_denied(http: &HttpClient, url: &str) {
    let error = get(http, &url.parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, FetchError::NotAllowed { .. }), "{url}: {error:?}");
    assert!(error.to_string().contains("DENY_SOURCE_CIDRS"), "{url}: {error}");
    assert!(!error.is_retryable() && error.kind() == ErrorKind::BadGateway);
}

#[tokio::test]
async fn denied_networks_are_refused_at_every_hop() {
    let source = Backend::start(|_| Reply::new(200, &[], b"")).await;
    let port = source.url.port().unwrap();
    let to = source.url.to_string();
    let endpoint = Backend::start(move |seen| match seen.target.as_str() {
        "/away" => Reply::redirect(&to),
        _ => Reply::new(200, &[], b""),
    })
    .await;
    let http = denying(endpoint.config(), &["fd00::/8", "127.0.0.0/8"]);
    is_denied(&http, &format!("http://127.0.0.1:{port}/p?k={SECRET}")).await;
    is_denied(&http, &format!("http://source.example:{port}/p?k={SECRET}")).await;
    is_denied(&http, &format!("http://[::ffff:127.0.0.1]:{port}/")).await;
    is_denied(&http, &format!("http://[64:ff9b::7f00:1]:{port}/")).await;
    is_denied(&http, "http://[fd00::7]/").await;
    is_denied(&http, endpoint.at("/away").as_str()).await;
    assert!(source.seen().is_empty());
    // Another network, and none.
    for networks in [&["10.0.0.0/8"][..], &[]] {
        let http = denying(endpoint.config(), networks);
        assert_eq!(get(&http, &source.at("/")).await.unwrap(), 200);
        assert_eq!(get(&http, &endpoint.at("/away")).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn the_manifest_endpoints_own_origin_may_lie_in_a_denied_network() {
    let endpoint = Backend::start(|seen| match seen.target.as_str() {
        "/metadata" => Reply::redirect("http://169.254.169.254/latest"),
        "/same" => Reply::redirect("/data"),
        _ => Reply::new(200, &[], b""),
    })
    .await;
    let other = Backend::start(|_| Reply::new(200, &[], b"")).await;
    let ports = [&endpoint, &other].map(|backend| backend.url.port().unwrap());
    for host in ["127.0.0.1", "backend.example"] {
        let [own, other] = ports.map(|port| format!("http://{host}:{port}"));
        let config = config(format!("{own}/manifest").parse().unwrap());
        let http = denying(config, &["127.0.0.0/8"]);
        for path in ["manifest", "data", "same"] {
            let url = format!("{own}/{path}").parse().unwrap();
            assert_eq!(get(&http, &url).await.unwrap(), 200);
        }
        is_denied(&http, &format!("{other}/data")).await;
        let metadata = format!("{own}/metadata").parse().unwrap();
        let error = get(&http, &metadata).await.unwrap_err();
        assert!(error.to_string().contains("link-local"), "{error}");
    }
    // The same address under another name is another origin.
    let own = format!("http://backend.example:{}/manifest", ports[0]).parse().unwrap();
    let http = denying(config(own), &["127.0.0.0/8"]);
    is_denied(&http, endpoint.at("/data").as_str()).await;
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn silence_and_broken_connections_are_told_apart() {
    let backend = Backend::start(|seen| match seen.target.as_str() {
        "/silent?k=s3cr3t" => Reply::nothing().then_hang(),
        _ => Reply::nothing(),
    })
    .await;
    let patient = client(backend.config());
    let error = get(&patient, &backend.at("/broken?k=s3cr3t")).await.unwrap_err();
    assert!(matches!(error, FetchError::Broken { .. }), "{error:?}");
    assert!(error.is_retryable() && !error.is_timeout());
    let hasty =
        client(FetchConfig { first_byte_timeout: Duration::from_millis(50), ..backend.config() });
    let error = get(&hasty, &backend.at("/silent?k=s3cr3t")).await.unwrap_err();
    assert!(error.is_timeout() && error.is_retryable(), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::GatewayTimeout);
}

#[tokio::test]
async fn nobody_listening_is_a_broken_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Url = format!("http://me:{SECRET}@{}/p?k={SECRET}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let error = get(&client(config(url.clone())), &url).await.unwrap_err();
    assert!(matches!(error, FetchError::Broken { .. }), "{error:?}");
    assert!(error.to_string().contains("no connection"), "{error}");
}

#[tokio::test]
async fn compressed_answers_and_unusable_tokens_are_errors() {
    let backend = Backend::start(|_| Reply::new(200, &[("Content-Encoding", "gzip")], b"x")).await;
    let http = client(backend.config());
    let error = get(&http, &backend.at("/")).await.unwrap_err();
    assert!(error.to_string().contains("identity"), "{error}");
    let token = Token::new(format!("{SECRET}\n"));
    let answer = http.get(&backend.url, Some(&token), &HeaderMap::new()).await;
    let error = answer.map(|_| ()).unwrap_err();
    assert_discreet(&error);
    assert!(error.is_refusal());
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
}

#[test]
fn nothing_prints_secrets() {
    let endpoint: Url = format!("https://me:{SECRET}@h.example/m?k={SECRET}").parse().unwrap();
    let access = crate::testing::access(endpoint.clone());
    let shown = format!("{:?} {:?} {} {access:?}", FetchConfig::new(endpoint), token(), token());
    assert!(!shown.contains(SECRET), "{shown}");
}
