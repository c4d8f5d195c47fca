//! What a report shows of addresses and headers. Reports are mailed around, so secrets stay out.

use crate::redact::redact;

/// Words in the names of headers whose values are nobody's business.
pub(crate) const SECRET: [&str; 7] =
    ["auth", "cookie", "csrf", "key", "secret", "session", "token"];

/// An address, whole or as a `Location` writes it, without what only its readers may know: user
/// name and password, and the values of query and fragment.
#[must_use]
pub fn shown_address(text: &str) -> String {
    let (text, fragment) = text.split_once('#').map_or((text, None), |(t, f)| (t, Some(f)));
    let (place, query) = text.split_once('?').map_or((text, None), |(p, q)| (p, Some(q)));
    let mut out = without_user(place);
    for (sign, values) in [('?', query), ('#', fragment)] {
        if let Some(values) = values {
            out.push(sign);
            out += &hidden(values);
        }
    }
    out
}

fn without_user(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("//") else { return place.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}//***@{host}{path}"),
        None => place.to_owned(),
    }
}

/// `a=1&b` → `a=***&***`: a word without a name may be a secret as well.
fn hidden(values: &str) -> String {
    let pairs = values.split('&').map(|pair| match pair.split_once('=') {
        Some((name, "")) => format!("{name}="),
        Some((name, _)) => format!("{name}=***"),
        None if pair.is_empty() => String::new(),
        None => "***".to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// The headers of a request. What the caller sets may be a secret under any name; what decides
/// about CORS and is none is shown.
pub(crate) fn of_request(headers: &[(String, String)]) -> Vec<[String; 2]> {
    shown(headers, |name, value| {
        let is_plain = name == "origin"
            || name == "content-type"
            || name.starts_with("accept")
            || name.starts_with("access-control-request-");
        if is_plain { value.to_owned() } else { "***".to_owned() }
    })
}

/// The headers of an answer.
pub(super) fn of_answer(headers: &[(String, String)]) -> Vec<[String; 2]> {
    shown(headers, |name, value| match name {
        "set-cookie" => redact(name, value),
        "location" | "content-location" | "refresh" | "link" => shown_address(value),
        "www-authenticate" => value.to_owned(),
        _ if name.starts_with("access-control-") => value.to_owned(),
        _ if SECRET.iter().any(|word| name.contains(word)) => "***".to_owned(),
        _ => value.to_owned(),
    })
}

fn shown(headers: &[(String, String)], value: impl Fn(&str, &str) -> String) -> Vec<[String; 2]> {
    let one =
        |(name, text): &(String, String)| [name.clone(), value(&name.to_ascii_lowercase(), text)];
    headers.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        for (text, want) in [
            ("https://a.example/items", "https://a.example/items"),
            (
                "https://a.example/i?api_key=s3cret&page=2",
                "https://a.example/i?api_key=***&page=***",
            ),
            ("/cb?code=s3cret#access_token=s3cret&x=", "/cb?code=***#access_token=***&x="),
            ("https://me:s3cret@a.example/x?s3cret", "https://***@a.example/x?***"),
            ("//me@a.example", "//***@a.example"),
            ("/users/@me?", "/users/@me?"),
            ("#s3cret", "#***"),
            ("a?b=c?d=e", "a?b=***"),
        ] {
            assert_eq!(shown_address(text), want);
        }
    }

    #[test]
    fn the_callers_headers_are_nobodys_business() {
        let owned = |headers: &[(&str, &str)]| {
            let all = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            all.collect::<Vec<_>>()
        };
        let values =
            |shown: Vec<[String; 2]>| shown.into_iter().map(|[_, v]| v).collect::<Vec<_>>();
        let sent = [
            ("X-Tenant", "s3cret"),
            ("Authorization", "s3cret"),
            ("Accept-Language", "de"),
            ("Content-Type", "application/json"),
            ("origin", "null"),
            ("access-control-request-headers", "x-tenant"),
        ];
        assert_eq!(
            values(of_request(&owned(&sent))),
            ["***", "***", "de", "application/json", "null", "x-tenant"]
        );
        let got = [
            ("set-cookie", "sid=s3cret; Path=/"),
            ("location", "/cb?code=s3cret"),
            ("x-session-id", "s3cret"),
            ("www-authenticate", "Bearer"),
            ("access-control-allow-headers", "x-key"),
            ("vary", "Origin"),
        ];
        let want = ["sid=***; Path=/", "/cb?code=***", "***", "Bearer", "x-key", "Origin"];
        assert_eq!(values(of_answer(&owned(&got))), want);
    }
}
