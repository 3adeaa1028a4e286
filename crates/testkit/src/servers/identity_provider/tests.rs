use super::*;

const ISSUER: &str = "https://idp.accounts.test";
const REDIRECT_URI: &str = "https://loader.robots.test/oauth/callback";
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn provider(access_token_format: TokenFormat, access_token_seconds: u32) -> IdentityProvider {
    let options = ProviderOptions {
        issuer: ISSUER,
        redirect_uri: REDIRECT_URI,
        post_logout_redirect_uri: "https://loader.robots.test/",
        access_token_seconds,
        access_token_format,
    };
    IdentityProvider::start(options).await.unwrap()
}

/// A browser of a few lines, behind the TLS proxy that is not there.
#[derive(Default)]
struct Person {
    cookies: Vec<String>,
}

impl Person {
    /// Where the answer leads, if anywhere.
    async fn goes(
        &mut self,
        provider: &IdentityProvider,
        url: &str,
        form: Option<&str>,
    ) -> Option<String> {
        let url = url.replace(ISSUER, &provider.url());
        let cookies = self.cookies.join("; ");
        let headers = [("x-forwarded-proto", "https"), ("cookie", &cookies), FORM];
        let method = if form.is_some() { "POST" } else { "GET" };
        let answer = send(method, &url, &headers, form.unwrap_or("").as_bytes()).await.unwrap();
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (cookie, _) = set.split_once(';').unwrap();
            let (name, _) = cookie.split_once('=').unwrap();
            self.cookies.retain(|kept| !kept.starts_with(&format!("{name}=")));
            self.cookies.push(cookie.to_owned());
        }
        assert!(answer.status < 400, "{url}: {} {}", answer.status, answer.text());
        let to = answer.header("location")?;
        // It knows its address by the headers alone; a TLS proxy passes its own host on.
        let to = to.replace(&provider.url().replace("http:", "https:"), ISSUER);
        Some(if to.starts_with('/') { format!("{ISSUER}{to}") } else { to })
    }

    /// Signs in as `anna`, consents, and comes back with a code.
    async fn signs_in(&mut self, provider: &IdentityProvider, client: &str, more: &str) -> String {
        let url = format!(
            "{ISSUER}/auth?response_type=code&client_id={client}&redirect_uri={REDIRECT_URI}&\
             scope=openid%20offline_access&state=abc&code_challenge={CHALLENGE}&\
             code_challenge_method=S256{more}"
        );
        let mut at = self.goes(provider, &url, None).await.unwrap();
        let mut forms = ["prompt=login&login=anna&password=any", "prompt=consent"].into_iter();
        while !at.starts_with(REDIRECT_URI) {
            let form = if at.contains("/interaction/") { forms.next() } else { None };
            at = self.goes(provider, &at, form).await.unwrap();
        }
        at.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).unwrap().to_owned()
    }
}

async fn token(provider: &IdentityProvider, form: &str) -> (u16, Value) {
    let url = format!("{}/token", provider.url());
    let answer = send("POST", &url, &[FORM], form.as_bytes()).await.unwrap();
    (answer.status, answer.json().unwrap())
}

fn with_secret(form: &str) -> String {
    let secret = IdentityProvider::CLIENT_SECRET;
    let secret = secret.replace('%', "%25").replace('+', "%2B");
    format!("{form}&client_id={}&client_secret={secret}", IdentityProvider::CLIENT_ID)
}

fn redeeming(code: &str) -> String {
    format!(
        "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT_URI}&\
         code_verifier={VERIFIER}"
    )
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_else(|| panic!("{name} in {answer}"))
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_ends_its_family() {
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        let provider = provider(format, 300).await;
        let client = IdentityProvider::CLIENT_ID;
        let audience = "&audience=urn:robots";
        let code = Person::default().signs_in(&provider, client, audience).await;
        assert_eq!(provider.count("authorization.success").await.unwrap(), 1);
        let wrong = redeeming(&code) + "&client_id=loader&client_secret=wrong";
        assert_eq!(token(&provider, &wrong).await.0, 401);
        let (status, first) = token(&provider, &with_secret(&redeeming(&code))).await;
        assert_eq!(status, 200, "{first}");
        let access = text(&first, "access_token");
        assert_eq!(access.contains('.'), format == TokenFormat::Jwt);
        assert_eq!(provider.user(access).await.unwrap().as_deref(), Some("anna"));
        assert_eq!(provider.audience(access).await.unwrap().as_deref(), Some("urn:robots"));

        let refreshing = |answer: &Value| {
            let token = text(answer, "refresh_token");
            with_secret(&format!("grant_type=refresh_token&refresh_token={token}"))
        };
        let (status, second) = token(&provider, &refreshing(&first)).await;
        assert_eq!(status, 200, "{second}");
        let (status, again) = token(&provider, &refreshing(&first)).await;
        assert_eq!((status, text(&again, "error")), (400, "invalid_grant"));
        assert_eq!(token(&provider, &refreshing(&second)).await.0, 400);
        for ended in [&first, &second] {
            assert_eq!(provider.user(text(ended, "access_token")).await.unwrap(), None);
        }
        for (event, expected) in
            [("grant.success", 2), ("refresh_token.consumed", 1), ("grant.revoked", 1)]
        {
            assert_eq!(provider.count(event).await.unwrap(), expected, "{event}");
        }
        let secrets = provider.secrets().await.unwrap();
        let second = text(&second, "refresh_token");
        assert!([code.as_str(), access, second].iter().all(|s| secrets.iter().any(|t| t == s)));
    }
}

#[tokio::test]
async fn an_access_token_ends_and_a_client_needs_no_secret() {
    let provider = provider(TokenFormat::Opaque, 2).await;
    let client = IdentityProvider::PUBLIC_CLIENT_ID;
    let code = Person::default().signs_in(&provider, client, "").await;
    let redeeming = format!("{}&client_id={client}", redeeming(&code));
    let without_proof = redeeming.replace(VERIFIER, CHALLENGE);
    assert_eq!(token(&provider, &without_proof).await.0, 400);
    let (status, tokens) = token(&provider, &redeeming).await;
    assert_eq!(status, 200, "{tokens}");
    let access = text(&tokens, "access_token");
    assert_eq!(provider.user(access).await.unwrap().as_deref(), Some("anna"));
    while provider.user(access).await.unwrap().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn it_goes_away_and_comes_back() {
    let provider = provider(TokenFormat::Jwt, 300).await;
    let discovery = format!("{}/.well-known/openid-configuration", provider.url());
    provider.go_away().await.unwrap();
    assert!(get(&discovery, &[]).await.is_err());
    provider.come_back().await.unwrap();
    let metadata = get(&discovery, &[]).await.unwrap().json().unwrap();
    assert_eq!(metadata["issuer"], ISSUER);
    let endpoints = ["authorization", "token", "revocation", "end_session"];
    for endpoint in endpoints.map(|name| format!("{name}_endpoint")) {
        assert!(metadata[&endpoint].is_string(), "{endpoint}");
    }
}
