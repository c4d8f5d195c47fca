//! The browser's half of CORS, as far as one answer shows it:
//! [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check) and
//! [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch).

/// Lines of headers, names in lower case.
pub(crate) type Lines = Vec<(String, String)>;

/// Whether a browser would let the page go on. `None` where it would not ask: there is no origin.
pub(crate) fn allows(
    method: &str,
    request: &Lines,
    status: u16,
    answer: &Lines,
    credentials: bool,
) -> Option<bool> {
    let origin = values(request, "origin").into_iter().next().filter(|o| !o.is_empty())?;
    let asked = values(request, "access-control-request-method").into_iter().next();
    Some(match asked.filter(|_| method == "OPTIONS") {
        None => passes_check(&origin, answer, credentials),
        Some(asked) => {
            passes_check(&origin, answer, credentials)
                && (200..300).contains(&status)
                && allows_method(&asked, answer, credentials)
                && elements(request, "access-control-request-headers")
                    .iter()
                    .all(|name| allows_header(name, answer, credentials))
        }
    })
}

fn passes_check(origin: &str, answer: &Lines, credentials: bool) -> bool {
    let allowed = values(answer, "access-control-allow-origin");
    let granted = match &allowed[..] {
        [one] => one == origin || (one == "*" && !credentials),
        _ => false,
    };
    granted && (!credentials || values(answer, "access-control-allow-credentials") == ["true"])
}

fn allows_method(asked: &str, answer: &Lines, credentials: bool) -> bool {
    let listed = elements(answer, "access-control-allow-methods");
    ["GET", "HEAD", "POST"].contains(&asked)
        || listed.iter().any(|m| m == asked || (m == "*" && !credentials))
}

fn allows_header(name: &str, answer: &Lines, credentials: bool) -> bool {
    elements(answer, "access-control-allow-headers").iter().any(|listed| {
        let star = listed == "*" && !credentials && !name.eq_ignore_ascii_case("authorization");
        listed.eq_ignore_ascii_case(name) || star
    })
}

/// The values of all lines of a name.
pub(crate) fn values(lines: &Lines, name: &str) -> Vec<String> {
    lines.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect()
}

/// The elements of all lines of a name, as they are written.
pub(crate) fn elements(lines: &Lines, name: &str) -> Vec<String> {
    let values = values(lines, name);
    let elements = values.iter().flat_map(|v| v.split(',')).map(str::trim);
    elements.filter(|e| !e.is_empty()).map(str::to_owned).collect()
}
