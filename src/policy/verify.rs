//! What a reverse proxy asks about a request that it holds, and how it is told whose it is.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, Method};

/// Caddy's and Traefik's name for the method of the request they hold.
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
/// The name that nginx's documentation uses.
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");

/// The method of the request that the proxy holds, from `X-Forwarded-Method` or `X-Original-Method`:
/// GET where it does not say; `None` where it says nonsense, or two things, one of which may be the
/// client's own.
#[must_use]
pub fn method(headers: &HeaderMap) -> Option<Method> {
    let lines = [X_FORWARDED_METHOD, X_ORIGINAL_METHOD];
    let mut lines = lines.iter().flat_map(|name| headers.get_all(name));
    let Some(first) = lines.next() else { return Some(Method::GET) };
    if lines.any(|line| line != first) {
        return None;
    }
    Method::from_bytes(first.as_bytes()).ok()
}

/// A user's id as the text of a header: visible ASCII stays, all else is percent-encoded as UTF-8,
/// `%` included, so that two ids never look the same and none ends the line.
#[must_use]
pub fn header_text(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_method_or_none() {
        for (lines, want) in [
            (&[][..], Some("GET")),
            (&[("x-forwarded-method", "POST")], Some("POST")),
            (&[("x-original-method", "DELETE")], Some("DELETE")),
            (&[("x-forwarded-method", "PUT"), ("x-original-method", "PUT")], Some("PUT")),
            // Methods are case-sensitive: this one is another than GET.
            (&[("x-forwarded-method", "get")], Some("get")),
            (&[("x-forwarded-method", "GET"), ("x-original-method", "POST")], None),
            (&[("x-forwarded-method", "GET"), ("x-forwarded-method", "POST")], None),
            (&[("x-forwarded-method", "")], None),
            (&[("x-forwarded-method", "GET, POST")], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let got = method(&headers);
            assert_eq!(got.as_ref().map(Method::as_str), want, "{lines:?}");
        }
    }

    #[test]
    fn ids_as_headers() {
        for (id, want) in [
            ("ada", "ada"),
            ("ada+x@example.com", "ada+x@example.com"),
            ("auth0|5f7", "auth0|5f7"),
            ("a b", "a%20b"),
            ("a%20b", "a%2520b"),
            ("b\u{fc}ro", "b%C3%BCro"),
            ("a\r\nX-Auth-User: root", "a%0D%0AX-Auth-User:%20root"),
            ("", ""),
        ] {
            assert_eq!(header_text(id), want);
        }
    }

    proptest! {
        #[test]
        fn every_id_can_be_carried_and_none_looks_like_another(a: String, b: String) {
            let (x, y) = (header_text(&a), header_text(&b));
            prop_assert!(HeaderValue::try_from(&x).is_ok());
            prop_assert_eq!(a == b, x == y);
        }
    }
}
