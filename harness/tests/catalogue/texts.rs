//! What browsers write: the beginnings that messages share, and whole ones, each with its bug.

pub(crate) const CORS: &str = "Access to fetch at 'https://api.example.com/api/items?page=2' from origin \
                    'https://app.example.com' has been blocked by CORS policy: ";
pub(crate) const PREFLIGHT: &str =
    "Response to preflight request doesn't pass access control check: ";
pub(crate) const FIREFOX: &str = "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote \
                       resource at https://api.example.com/api/items. (Reason: ";

/// The literal texts of three engines, and what each must be taken for.
pub(crate) const CHROMIUM: &[(&str, &str)] = &[
    (
        "No 'Access-Control-Allow-Origin' header is present on the requested resource.",
        "acao-missing",
    ),
    (
        "No 'Access-Control-Allow-Origin' header is present on the requested resource. If an opaque response serves your needs, set the request's mode to 'no-cors' to fetch the resource with CORS disabled.",
        "acao-missing",
    ),
    (
        "The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' when the request's credentials mode is 'include'.",
        "acao-wildcard-with-credentials",
    ),
    (
        "The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' when the request's credentials mode is 'include'. The credentials mode of requests initiated by the XMLHttpRequest is controlled by the withCredentials attribute.",
        "acao-wildcard-with-credentials",
    ),
    (
        "The value of the 'Access-Control-Allow-Credentials' header in the response is '' which must be 'true' when the request's credentials mode is 'include'.",
        "acac-missing",
    ),
    (
        "The value of the 'Access-Control-Allow-Credentials' header in the response is 'True' which must be 'true' when the request's credentials mode is 'include'.",
        "acac-wrong-value",
    ),
    (
        "The 'Access-Control-Allow-Origin' header has a value 'https://www.example.com' that is not equal to the supplied origin. Have the server send the header with a valid value.",
        "acao-origin-mismatch",
    ),
    (
        "The 'Access-Control-Allow-Origin' header has a value 'https://app.example.com/' that is not equal to the supplied origin. Have the server send the header with a valid value.",
        "acao-trailing-slash-or-path",
    ),
    (
        "The 'Access-Control-Allow-Origin' header contains the invalid value 'app.example.com'.",
        "acao-origin-mismatch",
    ),
    (
        "The 'Access-Control-Allow-Origin' header contains multiple values '*, *', but only one is allowed.",
        "acao-duplicate-header",
    ),
    (
        "The 'Access-Control-Allow-Origin' header contains multiple values 'https://app.example.com, https://app.example.com', but only one is allowed.",
        "acao-duplicate-header",
    ),
    (
        "The 'Access-Control-Allow-Origin' header contains multiple values 'https://a.example.com, https://b.example.com', but only one is allowed.",
        "acao-list",
    ),
    ("It does not have HTTP ok status.", "preflight-auth-401"),
    ("Redirect is not allowed for a preflight request.", "preflight-redirect"),
    (
        "Method PUT is not allowed by Access-Control-Allow-Methods in preflight response.",
        "preflight-method-not-allowed",
    ),
    (
        "Request header field x-csrf is not allowed by Access-Control-Allow-Headers in preflight response.",
        "preflight-header-not-allowed",
    ),
    (
        "Request header field sentry-trace is not allowed by Access-Control-Allow-Headers in preflight response.",
        "tracing-header-injected",
    ),
    (
        "Request header field access-control-allow-origin is not allowed by Access-Control-Allow-Headers in preflight response.",
        "headers-set-on-request",
    ),
    (
        "Cannot parse Access-Control-Allow-Methods response header field in preflight response.",
        "allow-list-unparsable",
    ),
    (
        "Cannot parse Access-Control-Allow-Headers response header field in preflight response.",
        "allow-list-unparsable",
    ),
    (
        "Redirect location '' contains a username and password, which is disallowed for cross-origin requests.",
        "redirect-contains-credentials",
    ),
    (
        "Redirect location 'https://u:p@files.example.net/' contains a username and password, which is disallowed for cross-origin requests.",
        "redirect-contains-credentials",
    ),
    (
        "Cross origin requests are only supported for protocol schemes: chrome, chrome-extension, chrome-untrusted, data, http, https, isolated-app.",
        "origin-null-file-or-sandbox",
    ),
    (
        "Permission was denied for this request to access the `loopback` address space.",
        "local-network-access-denied",
    ),
];

/// Texts that are whole as they are.
pub(crate) const WHOLE: &[(&str, &str)] = &[
    // Chromium
    (
        "Fetch API cannot load https://api.example.com/x. Request mode is \"same-origin\" but the URL's origin is not same as the request origin https://app.example.com.",
        "request-mode-same-origin",
    ),
    ("Failed to load resource: net::ERR_CONNECTION_REFUSED", "connection-refused-wrong-port"),
    ("GET http://localhost:8765/x net::ERR_CONNECTION_REFUSED", "connection-refused-wrong-port"),
    ("Failed to load resource: net::ERR_NAME_NOT_RESOLVED", "dns-failure-or-bad-port"),
    ("Failed to load resource: net::ERR_UNSAFE_PORT", "dns-failure-or-bad-port"),
    ("Failed to load resource: net::ERR_CERT_AUTHORITY_INVALID", "tls-untrusted-certificate"),
    ("Failed to load resource: net::ERR_BLOCKED_BY_CLIENT", "blocked-by-client"),
    ("Failed to load resource: net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin", "corp-coep-blocked"),
    (
        "Mixed Content: The page at 'https://app.example.com/' was loaded over HTTPS, but requested an insecure resource 'http://api.example.com/x'. This request has been blocked; the content must be served over HTTPS.",
        "mixed-content",
    ),
    (
        "Mixed Content: The page at 'https://app.example.com/' was loaded over HTTPS, but requested an insecure XMLHttpRequest endpoint 'http://api.example.com/x'. This request has been blocked; the content must be served over HTTPS.",
        "mixed-content",
    ),
    (
        "Connecting to 'https://api.example.com/x' violates the following Content Security Policy directive: \"connect-src 'self'\". The action has been blocked.",
        "csp-connect-src",
    ),
    (
        "Refused to connect to 'https://api.example.com/x' because it violates the following Content Security Policy directive: \"connect-src 'self'\".",
        "csp-connect-src",
    ),
    // Chromium, older wordings
    (
        "XMLHttpRequest cannot load http://api.example.com/x. No 'Access-Control-Allow-Origin' header is present on the requested resource. Origin 'http://app.example.com' is therefore not allowed access.",
        "acao-missing",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. No 'Access-Control-Allow-Origin' header is present on the requested resource. Origin 'http://app.example.com' is therefore not allowed access. The response had HTTP status code 500.",
        "error-response-without-cors-headers",
    ),
    (
        "Fetch API cannot load http://api.example.com/x. No 'Access-Control-Allow-Origin' header is present on the requested resource. Origin 'http://app.example.com' is therefore not allowed access. If an opaque response serves your needs, set the request's mode to 'no-cors' to fetch the resource with CORS disabled.",
        "acao-missing",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. A wildcard '*' cannot be used in the 'Access-Control-Allow-Origin' header when the credentials flag is true. Origin 'http://app.example.com' is therefore not allowed access. The credentials mode of an XMLHttpRequest is controlled by the withCredentials attribute.",
        "acao-wildcard-with-credentials",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. Credentials flag is 'true', but the 'Access-Control-Allow-Credentials' header is ''. It must be 'true' to allow credentials. Origin 'http://app.example.com' is therefore not allowed access.",
        "acac-missing",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. The 'Access-Control-Allow-Origin' header has a value 'http://www.example.com' that is not equal to the supplied origin. Origin 'http://app.example.com' is therefore not allowed access.",
        "acao-origin-mismatch",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. The 'Access-Control-Allow-Origin' header contains multiple values '*, *', but only one is allowed. Origin 'http://app.example.com' is therefore not allowed access.",
        "acao-duplicate-header",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. Response for preflight has invalid HTTP status code 405",
        "preflight-not-routed",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. Response for preflight has invalid HTTP status code 401",
        "preflight-auth-401",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. Response for preflight is invalid (redirect)",
        "preflight-redirect",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. The request was redirected to 'https://api.example.com/x', which is disallowed for cross-origin requests that require preflight.",
        "preflight-redirect",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. Request header field X-CSRF is not allowed by Access-Control-Allow-Headers in preflight response.",
        "preflight-header-not-allowed",
    ),
    (
        "XMLHttpRequest cannot load file:///home/me/data.json. Cross origin requests are only supported for protocol schemes: http, data, chrome, chrome-extension, https.",
        "origin-null-file-or-sandbox",
    ),
    (
        "XMLHttpRequest cannot load http://api.example.com/x. Origin null is not allowed by Access-Control-Allow-Origin.",
        "origin-null-file-or-sandbox",
    ),
    (
        "Failed to load http://api.example.com/x: No 'Access-Control-Allow-Origin' header is present on the requested resource. Origin 'http://app.example.com' is therefore not allowed access.",
        "acao-missing",
    ),
    (
        "Redirect from 'https://api.example.com/x' to 'https://login.example.net/authorize?to=/at/x' has been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present on the requested resource. Origin 'https://app.example.com' is therefore not allowed access.",
        "idp-redirect-in-fetch",
    ),
    // Chromium, with more around it
    (
        "Access to fetch at 'https://api.example.com/x' from origin 'null' has been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present on the requested resource.",
        "origin-null-file-or-sandbox",
    ),
    (
        "Access to fetch at 'https://login.example.net/authorize?x=1' (redirected from 'https://api.example.com/x') from origin 'https://app.example.com' has been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present on the requested resource.",
        "idp-redirect-in-fetch",
    ),
    (
        "Access to fetch at 'https://files.example.net/x' (redirected from 'https://api.example.com/x') from origin 'https://app.example.com' has been blocked by CORS policy: The 'Access-Control-Allow-Origin' header has a value 'https://app.example.com' that is not equal to the supplied origin. Have the server send the header with a valid value.",
        "redirect-tainted-origin-null",
    ),
    // Firefox
    (
        "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote resource at ‘https://api.example.com/x’. (Reason: Credential is not supported if the CORS header ‘Access-Control-Allow-Origin’ is ‘*’).",
        "acao-wildcard-with-credentials",
    ),
    (
        "Security Error: Content at https://app.example.com/ may not load data from https://api.example.com/x.",
        "request-mode-same-origin",
    ),
    ("Blocked loading mixed active content “http://api.example.com/x”", "mixed-content"),
    (
        "Content-Security-Policy: The page’s settings blocked the loading of a resource (connect-src) at https://api.example.com/x because it violates the following directive: “connect-src 'self'”",
        "csp-connect-src",
    ),
    (
        "Cookie “sid” has been rejected because it is in a cross-site context and its “SameSite” is “Lax” or “Strict”.",
        "samesite-lax-default-cross-site",
    ),
    (
        "Cookie “sid” rejected because it has the “SameSite=None” attribute but is missing the “secure” attribute.",
        "samesite-none-without-secure",
    ),
    (
        "Cookie “sid” has been rejected because a non-HTTPS cookie can’t be set as “secure”.",
        "secure-cookie-over-http",
    ),
    ("Cookie “b” has been rejected for invalid domain.", "cookie-domain-invalid"),
    ("Cookie “__Host-t” has been rejected for invalid prefix.", "cookie-prefix-violation"),
    (
        "Cookie “ab” has been rejected for invalid characters in the name.",
        "cookie-too-large-or-bad-chars",
    ),
    (
        "Cookie “sid” with the “SameSite” attribute value “Lax” or “Strict” was omitted because of a cross-site redirect.",
        "samesite-strict-after-redirect",
    ),
    // WebKit
    (
        "Origin https://app.example.com is not allowed by Access-Control-Allow-Origin. Status code: 200",
        "acao-missing",
    ),
    (
        "Origin https://app.example.com is not allowed by Access-Control-Allow-Origin. Status code: 502",
        "error-response-without-cors-headers",
    ),
    (
        "Cannot use wildcard in Access-Control-Allow-Origin when credentials flag is true.",
        "acao-wildcard-with-credentials",
    ),
    (
        "Credentials flag is true, but Access-Control-Allow-Credentials is not \"true\".",
        "acac-missing",
    ),
    ("Access-Control-Allow-Origin cannot contain more than one origin.", "acao-duplicate-header"),
    ("Preflight response is not successful. Status code: 403", "preflight-auth-401"),
    ("Preflight response is not successful. Status code: 404", "preflight-not-routed"),
    ("Preflight response is not successful. Status code: 301", "preflight-redirect"),
    ("Preflight response is not successful. Status code: 699", "preflight-odd-status"),
    ("Method PUT is not allowed by Access-Control-Allow-Methods.", "preflight-method-not-allowed"),
    (
        "Request header field X-CSRF is not allowed by Access-Control-Allow-Headers.",
        "preflight-header-not-allowed",
    ),
    (
        "redirection URL https://u:p@files.example.net/x has credentials",
        "redirect-contains-credentials",
    ),
    (
        "not allowed to follow a cross-origin CORS redirection with non CORS scheme",
        "origin-null-file-or-sandbox",
    ),
    (
        "Fetch API cannot load https://api.example.com/x due to access control checks.",
        "connection-refused-wrong-port",
    ),
    (
        "XMLHttpRequest cannot load https://api.example.com/x due to access control checks.",
        "connection-refused-wrong-port",
    ),
    (
        "[blocked] The page at https://app.example.com/ was not allowed to display insecure content from http://api.example.com/x.",
        "mixed-content",
    ),
    (
        "[blocked] The page at https://app.example.com/ was not allowed to run insecure content from http://api.example.com/x.",
        "mixed-content",
    ),
    (
        "Refused to connect to https://api.example.com/x because it does not appear in the connect-src directive of the Content Security Policy.",
        "csp-connect-src",
    ),
];

pub(crate) const FIREFOX_REASONS: &[(&str, &str)] = &[
    ("CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 200.", "acao-missing"),
    (
        "CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 500.",
        "error-response-without-cors-headers",
    ),
    ("CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 301.", "preflight-redirect"),
    ("expected ‘true’ in CORS header ‘Access-Control-Allow-Credentials’).", "acac-missing"),
    (
        "CORS header ‘Access-Control-Allow-Origin’ does not match ‘https://www.example.com’).",
        "acao-origin-mismatch",
    ),
    (
        "CORS header ‘Access-Control-Allow-Origin’ does not match ‘https://a.example.com, https://b.example.com’).",
        "acao-list",
    ),
    (
        "CORS header ‘Access-Control-Allow-Origin’ does not match ‘https://app.example.com/’).",
        "acao-trailing-slash-or-path",
    ),
    ("Multiple CORS header ‘Access-Control-Allow-Origin’ not allowed).", "acao-duplicate-header"),
    ("CORS preflight response did not succeed). Status code: 403.", "preflight-auth-401"),
    ("CORS preflight response did not succeed). Status code: 405.", "preflight-not-routed"),
    ("CORS preflight response did not succeed). Status code: 699.", "preflight-odd-status"),
    ("CORS request external redirect not allowed).", "preflight-redirect"),
    (
        "Did not find method in CORS header ‘Access-Control-Allow-Methods’).",
        "preflight-method-not-allowed",
    ),
    (
        "header ‘x-csrf’ is not allowed according to header ‘Access-Control-Allow-Headers’ from CORS preflight response).",
        "preflight-header-not-allowed",
    ),
    (
        "header ‘baggage’ is not allowed according to header ‘Access-Control-Allow-Headers’ from CORS preflight response).",
        "tracing-header-injected",
    ),
    (
        "invalid token ‘Bad method name’ in CORS header ‘Access-Control-Allow-Methods’).",
        "allow-list-unparsable",
    ),
    ("CORS request not http).", "origin-null-file-or-sandbox"),
    ("CORS request did not succeed). Status code: (null).", "connection-refused-wrong-port"),
];

/// Every text of the table, alone and with what the engine prints before it.
pub(crate) fn texts() -> Vec<(String, &'static str)> {
    let own = |text: &str| text.to_owned();
    let mut all: Vec<(String, &str)> = WHOLE.iter().map(|(text, id)| (own(text), *id)).collect();
    for (tail, id) in CHROMIUM {
        all.push((own(tail), id));
        all.push((format!("{CORS}{tail}"), id));
        all.push((format!("{CORS}{PREFLIGHT}{tail}"), id));
        all.push((format!("{}{tail}", CORS.replace("fetch at", "XMLHttpRequest at")), id));
    }
    for (reason, id) in FIREFOX_REASONS {
        all.push((own(reason), id));
        all.push((format!("{FIREFOX}{reason}"), id));
    }
    all
}
