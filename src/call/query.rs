//! Query strings: decoded once, and what is named twice is refused, because two readers of it
//! would see two different things.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::error::ApiError;
use crate::secret::Secret;

/// Longer values are refused: they would go into URLs and cookies.
const MAX_HINT_BYTES: usize = 255;
/// The longest code and state that any provider sends.
const MAX_CODE_BYTES: usize = 4096;

/// `GET /api/auth/login`.
#[derive(Debug, Default)]
pub(crate) struct LoginQuery {
    pub(crate) return_url: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) idp_hint: Option<String>,
    pub(crate) tenant_name: Option<String>,
    pub(crate) tenant_custom_domain: Option<String>,
}

/// `GET /api/auth/callback`: RFC 6749 §4.1.2, RFC 9207.
#[derive(Debug)]
pub(crate) struct CallbackQuery {
    pub(crate) state: Option<String>,
    pub(crate) code: Option<Secret<String>>,
    pub(crate) error: Option<String>,
    pub(crate) issuer: Option<String>,
}

impl LoginQuery {
    /// # Errors
    ///
    /// [`ApiError::InvalidQuery`] for a parameter that is given twice, or a hint that is too long or
    /// has control characters.
    pub(crate) fn parse(raw: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            let (name, place, limit) = match &*name {
                // A return URL that is too long is refused like any other bad one, by the default.
                "return_url" => ("return_url", &mut query.return_url, usize::MAX),
                "login_hint" => ("login_hint", &mut query.login_hint, MAX_HINT_BYTES),
                "idp_hint" => ("idp_hint", &mut query.idp_hint, MAX_HINT_BYTES),
                "tenant_name" => ("tenant_name", &mut query.tenant_name, MAX_HINT_BYTES),
                "tenant_custom_domain" => {
                    ("tenant_custom_domain", &mut query.tenant_custom_domain, MAX_HINT_BYTES)
                }
                _ => continue,
            };
            if name != "return_url" && value.chars().any(char::is_control) {
                let expected = "without control characters";
                return Err(ApiError::InvalidQuery { name, expected });
            }
            put(name, place, value, limit)?;
        }
        Ok(query)
    }
}

impl CallbackQuery {
    /// # Errors
    ///
    /// As [`LoginQuery::parse`].
    pub(crate) fn parse(raw: &str) -> Result<Self, ApiError> {
        let (mut state, mut code, mut error, mut issuer) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            let (name, place) = match &*name {
                "state" => ("state", &mut state),
                "code" => ("code", &mut code),
                "error" => ("error", &mut error),
                "iss" => ("iss", &mut issuer),
                _ => continue,
            };
            put(name, place, value, MAX_CODE_BYTES)?;
        }
        Ok(Self { state, code: code.map(Secret::new), error, issuer })
    }
}

fn put(
    name: &'static str,
    place: &mut Option<String>,
    value: Cow<'_, str>,
    limit: usize,
) -> Result<(), ApiError> {
    if place.is_some() {
        return Err(ApiError::InvalidQuery { name, expected: "given once" });
    }
    if value.len() > limit {
        return Err(ApiError::InvalidQuery { name, expected: "shorter" });
    }
    *place = Some(value.into_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoded_once_and_no_more() {
        for (raw, want) in [
            ("return_url=https%3A%2F%2Fapp%2F", Some("https://app/")),
            ("return_url=https%253A%252F%252Fapp", Some("https%3A%2F%2Fapp")),
            ("return_url=https%3A%2F%2Fapp%2Fa%2520b", Some("https://app/a%20b")),
            ("return_url=%2Fa+b", Some("/a b")),
            ("return_url=", Some("")),
            ("return_url", Some("")),
            ("return%5Furl=%2F", Some("/")),
            ("Return_Url=/", None),
            ("x=1&return_url=/&y", Some("/")),
            ("", None),
        ] {
            let query = LoginQuery::parse(raw).unwrap();
            assert_eq!(query.return_url.as_deref(), want, "{raw}");
        }
    }

    #[test]
    fn what_is_named_twice_is_refused() {
        for (raw, name) in [
            ("return_url=/a&return_url=/a", Some("return_url")),
            ("return_url=/a&return%5furl=/b", Some("return_url")),
            ("login_hint=a&x=1&login_hint=b", Some("login_hint")),
            (&format!("tenant_name={}", "x".repeat(256)), Some("tenant_name")),
            ("login_hint=a%0d%0ab", Some("login_hint")),
            ("idp_hint=%00", Some("idp_hint")),
            ("tenant_custom_domain=a%C2%85b", Some("tenant_custom_domain")),
            ("unknown=1&unknown=2", None),
        ] {
            let got = LoginQuery::parse(raw).err().map(|e| e.code());
            assert_eq!(got, name.map(|_| "invalid_query"), "{raw}");
        }
        for raw in ["state=a&state=a", "code=a&code=b", "iss=a&iss=a", "error=a&error=b"] {
            assert!(CallbackQuery::parse(raw).is_err(), "{raw}");
        }
        let query = CallbackQuery::parse("code=c%2B&state=s.0&iss=https%3A%2F%2Fidp&x=1").unwrap();
        assert_eq!(query.code.unwrap().expose(), "c+");
    }
}
