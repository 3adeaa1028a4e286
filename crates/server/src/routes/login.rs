//! Signing in: the page that begins it, the way to the provider, and the way back.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use rdl_model::ErrorKind;
use url::{Url, form_urlencoded};

use super::App;
use super::pages::{Page, escaped};
use super::params::Params;
use crate::auth::{Auth, Login, ProviderError, Returned};
use crate::problem::{Problem, ProblemBody};
use crate::settings::Secret;

/// The longest state that a page may give along, in bytes.
const MAX_STATE_BYTES: usize = 128;
/// The longest URL that a user may be sent back to, in bytes: it stands in a cookie.
const MAX_RETURN_TO_BYTES: usize = 1800;

/// The page on which a user signs in.
///
/// `return_to` is a path of this loader or a page of `CORS_ALLOWED_ORIGINS`. A page that opens this
/// one in a popup gives a random `state` along; it gets a one-time code and that state by a message
/// (`remote-data-loader:code`), or in the fragment of `return_to`, and redeems them at
/// `POST /v1/session`.
#[utoipa::path(get, path = "/login", operation_id = "getLogin", tag = "signing in",
    params(
        ("return_to" = Option<String>, Query, description = "Where the user goes on afterwards"),
        ("state" = Option<String>, Query,
         description = "The asking page's own random text; comes back. Needed if that page is elsewhere"),
    ),
    responses(
        (status = 200, description = "The page", content_type = "text/html"),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn login(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let Some(login) = app.auth.login() else { return Ok(no_login(&app.auth)) };
    let wanted = Wanted::parse(&app.auth, login, query.as_deref())?;
    let start = format!("{}?{}", login.page("oauth/start"), wanted.query());
    let host = wanted.return_to.host_str().unwrap_or_default();
    let goes_on = match login.is_own(&wanted.return_to) {
        true => String::new(),
        false => format!("<p>You go on at <strong>{}</strong>.</p>\n", escaped(host)),
    };
    let main = format!(
        "<h1>Sign in to see recordings</h1>\n{goes_on}\
         <p><a class=\"button\" id=\"sign-in\" href=\"{}\">Sign in</a></p>\n\
         <p id=\"status\" role=\"status\"></p>\n\
         <p><button class=\"button\" id=\"sign-out\" hidden>Sign out</button></p>",
        escaped(&start)
    );
    let data = [("return-to", wanted.return_to.as_str()), ("base", &login.page(""))];
    let page = Page {
        status: StatusCode::OK,
        title: "Sign in",
        script: Some("login.js"),
        data: &data,
        main: &main,
    };
    Ok(page.shown(&app.auth, login))
}

/// Goes to the provider.
///
/// The parameters are those of `/login`.
#[utoipa::path(get, path = "/oauth/start", operation_id = "getOauthStart", tag = "signing in",
    params(
        ("return_to" = Option<String>, Query, description = "Where the user goes on afterwards"),
        ("state" = Option<String>, Query, description = "The asking page's own; comes back"),
    ),
    responses(
        (status = 303, description = "To the provider"),
        (status = "default", description = "Why not", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
pub(super) async fn start(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(login) = app.auth.login() else { return Ok(no_login(&app.auth)) };
    let Wanted { return_to, state } = Wanted::parse(&app.auth, login, query.as_deref())?;
    match login.begin(&app.auth, &headers, return_to, state).await {
        Ok((url, cookies)) => {
            let mut response = StatusCode::SEE_OTHER.into_response();
            let headers = response.headers_mut();
            if let Ok(location) = HeaderValue::try_from(String::from(url)) {
                headers.insert(LOCATION, location);
            }
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
            Ok(response)
        }
        Err(error) => {
            tracing::warn!(%error, "nobody can sign in");
            let detail = format!("{error}. Please try again in a while.");
            Ok(failed(&app.auth, login, StatusCode::BAD_GATEWAY, "Signing in failed", &detail))
        }
    }
}

/// Where the provider sends the user back to.
///
/// The page hands a one-time code to the page that began.
#[utoipa::path(get, path = "/oauth/callback", operation_id = "getOauthCallback", tag = "signing in",
    params(
        ("state" = String, Query, description = "As it was given to the provider"),
        ("code" = Option<String>, Query, description = "The provider's code"),
        ("error" = Option<String>, Query, description = "Why there is none"),
        ("iss" = Option<String>, Query, description = "Who the provider is (RFC 9207)"),
    ),
    responses((status = 200, description = "The page", content_type = "text/html")))]
pub(super) async fn callback(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(login) = app.auth.login() else { return no_login(&app.auth) };
    // Providers add what they like: what is not known is ignored.
    let said = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    let answer = match (said("code"), said("error")) {
        (Some(code), None) => Ok(Secret::new(code)),
        (_, Some(error)) => Err(error),
        (None, None) => Err("no_code".to_owned()),
    };
    let state = said("state").unwrap_or_default();
    match login.returned(&app.auth, &headers, said("iss").as_deref(), &state, answer) {
        Some(returned) => came_back(&app.auth, login, returned),
        None => {
            let detail = "This sign-in was not begun in this browser, or took too long.";
            failed(&app.auth, login, StatusCode::BAD_REQUEST, "Signing in failed", detail)
        }
    }
}

/// Hands on what a login came to.
fn came_back(auth: &Auth, login: &Login, returned: Returned) -> Response {
    let Returned { return_to, state, code, cookie } = returned;
    let mut data = vec![("return-to", return_to.as_str())];
    data.extend(state.as_deref().map(|state| ("state", state)));
    let again = Wanted { return_to: return_to.clone(), state: state.clone() }.query();
    let again = format!("{}?{again}", login.page("login"));
    let (title, main) = match &code {
        Ok(code) => {
            data.push(("code", code));
            ("Signed in", "<h1>Almost there</h1>\n<p>You can close this window.</p>".to_owned())
        }
        Err(error) => {
            data.push(("error", error));
            let why = match error.as_str() {
                "access_denied" => "You did not agree, or may not use this loader.".to_owned(),
                error => format!("The identity provider says: {}.", escaped(error)),
            };
            let again = escaped(&again);
            let main = format!(
                "<h1>You are not signed in</h1>\n<p>{why}</p>\n\
                 <p><a class=\"button\" href=\"{again}\">Try again</a></p>"
            );
            ("Not signed in", main)
        }
    };
    let page = Page {
        status: StatusCode::OK,
        title,
        script: Some("callback.js"),
        data: &data,
        main: &main,
    };
    let mut response = page.shown(auth, login);
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// What a page wants of a login.
struct Wanted {
    return_to: Url,
    state: Option<String>,
}

impl Wanted {
    fn parse(auth: &Auth, login: &Login, query: Option<&str>) -> Result<Wanted, Problem> {
        let mut params = Params::parse(query, &["return_to", "state"])?;
        let return_to = params.take("return_to")?.unwrap_or_else(|| login.page("login"));
        let return_to = login
            .return_to(auth, &return_to)
            .filter(|url| url.as_str().len() <= MAX_RETURN_TO_BYTES)
            .ok_or_else(|| {
                Problem::bad_request(
                    "`return_to` accepts a path of this loader or a URL of an origin that \
                     CORS_ALLOWED_ORIGINS names, of at most 1800 bytes",
                )
            })?;
        let state = params.take("state")?;
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE_BYTES) {
            return Err(Problem::bad_request("`state` accepts at most 128 bytes"));
        }
        if state.is_none() && !login.is_own(&return_to) {
            // Else anybody could sign its users in as somebody else, by a link with a code.
            let detail = "`state` is needed for a page of another origin: random text, which it \
                          compares with what comes back";
            return Err(Problem::bad_request(detail));
        }
        Ok(Wanted { return_to, state })
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_to", self.return_to.as_str());
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.finish()
    }
}

fn failed(auth: &Auth, login: &Login, status: StatusCode, title: &str, why: &str) -> Response {
    let main = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p><a class=\"button\" href=\"{}\">Try again</a></p>",
        escaped(title),
        escaped(why),
        escaped(&login.page("login"))
    );
    let page = Page { status, title, script: None, data: &[], main: &main };
    page.shown(auth, login)
}

fn no_login(auth: &Auth) -> Response {
    let detail = match auth.is_disabled() {
        true => "nobody has to sign in here: DISABLE_AUTH is set",
        false => {
            "this loader has no login: its operator sets OAUTH_CLIENT_ID and the others; until then \
             send a token as `Authorization: Bearer <token>`"
        }
    };
    Problem::new(ErrorKind::NotFound, detail).into_response()
}

/// What a provider's failure means to whoever asked for a session.
impl From<ProviderError> for Problem {
    fn from(error: ProviderError) -> Problem {
        Problem::new(ErrorKind::BadGateway, error.to_string())
    }
}
