//! `Authorization: Bearer …` (RFC 6750 section 2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::reply::Refusal;

/// The token that a request carries.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(Refusal::unauthorized("sign in: this backend wants a bearer token"));
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    });
    match (token, values.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(Refusal::unauthorized("the Authorization header is not one bearer token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_and_nothing_else() {
        let ask = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer_token(&headers).map(str::to_owned).map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(ask(&["Bearer a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(ask(&["bearer  x "]), Ok("x".to_owned()));
        for wrong in
            [&[][..], &["Basic eA=="], &["Bearer"], &["Bearer "], &["Bearer a", "Bearer b"]]
        {
            assert_eq!(ask(wrong), Err(401), "{wrong:?}");
        }
    }
}
