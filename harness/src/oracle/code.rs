//! The rules by name: the catalogue's codes, each with the section that it comes from and its mend.

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $id:literal, $spec:expr, $mend:literal;)+) => {
        /// Why something did not work. `explain CODE` tells the whole story.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $id] $variant),+ }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The catalogue's name.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),+ }
            }

            /// The section that decides.
            #[must_use]
            pub fn spec(self) -> &'static str {
                match self { $(Self::$variant => $spec),+ }
            }

            /// What to do about it, in one line.
            #[must_use]
            pub fn mend(self) -> &'static str {
                match self { $(Self::$variant => $mend),+ }
            }
        }
    };
}

/// The sections, under the names that they have.
pub(crate) mod spec {
    pub(crate) const CHECK: &str =
        "Fetch, CORS check: https://fetch.spec.whatwg.org/#concept-cors-check";
    pub(crate) const PREFLIGHT: &str =
        "Fetch, CORS-preflight fetch: https://fetch.spec.whatwg.org/#cors-preflight-fetch";
    pub(crate) const CACHE: &str =
        "Fetch, CORS-preflight cache: https://fetch.spec.whatwg.org/#concept-cache";
    pub(crate) const MAIN: &str =
        "Fetch, main fetch: https://fetch.spec.whatwg.org/#concept-main-fetch";
    pub(crate) const REDIRECT: &str =
        "Fetch, HTTP-redirect fetch: https://fetch.spec.whatwg.org/#concept-http-redirect-fetch";
    pub(crate) const NETWORK: &str =
        "Fetch, HTTP-network fetch: https://fetch.spec.whatwg.org/#concept-http-network-fetch";
    pub(crate) const CREDENTIALS: &str = "Fetch, HTTP-network-or-cache fetch: https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch";
    pub(crate) const FILTERED: &str = "Fetch, CORS filtered response: https://fetch.spec.whatwg.org/#concept-filtered-response-cors";
    pub(crate) const OPAQUE: &str = "Fetch, opaque filtered response: https://fetch.spec.whatwg.org/#concept-filtered-response-opaque";
    pub(crate) const FORBIDDEN: &str = "Fetch, forbidden response-header name: https://fetch.spec.whatwg.org/#forbidden-response-header-name";
    pub(crate) const ORIGIN: &str = "Fetch, serializing a request origin: https://fetch.spec.whatwg.org/#serializing-a-request-origin";
    pub(crate) const CONSTRUCT: &str =
        "Fetch, Request constructor: https://fetch.spec.whatwg.org/#dom-request";
    pub(crate) const SAFELIST: &str = "Fetch, CORS-safelisted request-header: https://fetch.spec.whatwg.org/#cors-safelisted-request-header";
    pub(crate) const BAD_PORT: &str =
        "Fetch, port blocking: https://fetch.spec.whatwg.org/#port-blocking";
    pub(crate) const VARY: &str = "Fetch, CORS protocol and HTTP caches: https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches";
    pub(crate) const MIXED: &str =
        "Mixed Content: https://www.w3.org/TR/mixed-content/#should-block-fetch";
    pub(crate) const SAME_SITE: &str = "RFC 6265bis §5.2, same-site and cross-site requests: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-same-site-and-cross-site-re";
    pub(crate) const LAX: &str = "RFC 6265bis §5.6.7, the SameSite attribute: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-the-samesite-attribute-2";
    pub(crate) const SYNTAX: &str = "RFC 6265bis §5.6, the Set-Cookie header field: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-the-set-cookie-header-field-2";
    pub(crate) const STORE: &str = "RFC 6265bis §5.7, storage model: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-storage-model";
    pub(crate) const RETRIEVE: &str = "RFC 6265bis §5.8.3, retrieval algorithm: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-retrieval-algorithm";
    pub(crate) const PREFIX: &str = "RFC 6265bis §5.4, cookie name prefixes: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-cookie-name-prefixes-2";
    pub(crate) const PATH: &str = "RFC 6265bis §5.1.4, paths and path-match: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-paths-and-path-match";
    pub(crate) const THIRD_PARTY: &str = "RFC 6265bis §7.1, third-party cookies: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-third-party-cookies";
    pub(crate) const CHIPS: &str = "CHIPS, partitioned cookies: https://www.ietf.org/archive/id/draft-cutler-httpbis-partitioned-cookies-01.html";
    pub(crate) const STATUS: &str =
        "RFC 9110 §15.5.2, 401: https://httpwg.org/specs/rfc9110.html#status.401";
}

codes! {
    AcaoMissing = "acao-missing", spec::CHECK, "Answer with Access-Control-Allow-Origin: the page's exact origin, and Vary: Origin.";
    AcaoWildcardWithCredentials = "acao-wildcard-with-credentials", spec::CHECK, "Name the page's origin instead of *; or make the request without credentials.";
    AcaoDuplicateHeader = "acao-duplicate-header", spec::CHECK, "Let one layer write the header: the proxy or the application, not both.";
    AcaoList = "acao-list", spec::CHECK, "Answer with the one origin that asked, not with the list of all that may.";
    AcaoTrailingSlashOrPath = "acao-trailing-slash-or-path", spec::CHECK, "An origin is scheme, host and port: remove the slash and what follows it.";
    AcaoOriginMismatch = "acao-origin-mismatch", spec::CHECK, "Put the page's exact origin on the server's list, scheme and port included.";
    AcacMissing = "acac-missing", spec::CHECK, "Answer with Access-Control-Allow-Credentials: true, on the preflight and on the actual answer.";
    AcacWrongValue = "acac-wrong-value", spec::CHECK, "The only value is true, in lower case.";
    OriginNullFileOrSandbox = "origin-null-file-or-sandbox", spec::ORIGIN, "Serve the page over http(s) and without a sandbox; never allow null with credentials.";
    RedirectTaintedOriginNull = "redirect-tainted-origin-null", spec::ORIGIN, "Call the final address directly: after a redirect from one foreign origin to another, Origin is null.";
    RedirectHopWithoutCors = "redirect-hop-without-cors", spec::CHECK, "Put the CORS headers on the redirect too, or call the final address.";
    IdpRedirectInFetch = "idp-redirect-in-fetch", spec::REDIRECT, "Answer API calls with 401 instead of a redirect to the login; on 401, navigate the page.";
    ErrorResponseWithoutCorsHeaders = "error-response-without-cors-headers", spec::CHECK, "Look at the error itself; and let the CORS layer wrap error answers too.";
    CorsOnlyOnPreflight = "cors-only-on-preflight", spec::CHECK, "Put the CORS headers on the actual answer as well: the preflight's are not enough.";
    PreflightRedirect = "preflight-redirect", spec::PREFLIGHT, "Answer OPTIONS without a redirect; call the final address (https, slash).";
    PreflightAuth401 = "preflight-auth-401", spec::PREFLIGHT, "Let preflights pass before authentication: they never carry credentials.";
    PreflightNotRouted = "preflight-not-routed", spec::PREFLIGHT, "Answer OPTIONS for every path, before routing.";
    PreflightOddStatus = "preflight-odd-status", spec::PREFLIGHT, "Answer preflights with 204 or another status from 200 to 299.";
    ProxyOrWafAnswersOptions = "proxy-or-waf-answers-options", spec::PREFLIGHT, "Nothing in the answer speaks CORS: see whether a proxy, WAF or ingress answers OPTIONS itself.";
    AllowListUnparsable = "allow-list-unparsable", spec::PREFLIGHT, "Write names separated by commas, each a token without spaces.";
    PreflightMethodNotAllowed = "preflight-method-not-allowed", spec::PREFLIGHT, "List the method in Access-Control-Allow-Methods, in upper case; send PATCH in upper case.";
    PreflightHeaderNotAllowed = "preflight-header-not-allowed", spec::PREFLIGHT, "List the header in Access-Control-Allow-Headers, or do not send it.";
    TracingHeaderInjected = "tracing-header-injected", spec::PREFLIGHT, "Allow the tracing header, or limit the tracing library to your own origins.";
    HeadersSetOnRequest = "headers-set-on-request", spec::PREFLIGHT, "Remove it: Access-Control-Allow-* are headers of the answer, not of the request.";
    WildcardHeadersMethodsWithCredentials = "wildcard-headers-methods-with-credentials", spec::PREFLIGHT, "With credentials * is a name like any other: list what is allowed.";
    AuthorizationNotCoveredByWildcard = "authorization-not-covered-by-wildcard", spec::PREFLIGHT, "List Authorization by name beside the *.";
    ContentTypeJsonTriggersPreflight = "content-type-json-triggers-preflight", spec::SAFELIST, "Expected: answer the OPTIONS request that comes first.";
    RequestModeSameOrigin = "request-mode-same-origin", spec::MAIN, "Leave mode: 'same-origin' out for another origin.";
    RedirectContainsCredentials = "redirect-contains-credentials", spec::REDIRECT, "Redirect to an address without user name and password.";
    RedirectNotFollowed = "redirect-not-followed", spec::REDIRECT, "Leave redirect: 'error' out, or call the final address.";
    RedirectLeadsNowhere = "redirect-leads-nowhere", spec::REDIRECT, "Send a Location that is an http or https address.";
    RedirectLoop = "redirect-loop", spec::REDIRECT, "Break the loop: a browser follows twenty redirects.";
    RequestRefusedByClient = "request-refused-by-client", spec::CONSTRUCT, "Mend the call: the script gets an error before anything is sent.";
    NoCorsOpaque = "no-cors-opaque", spec::OPAQUE, "Remove mode: 'no-cors' and let the server allow the page.";
    ExposeHeadersMissing = "expose-headers-missing", spec::FILTERED, "List the header in Access-Control-Expose-Headers, by name.";
    SetCookieNotReadableByScript = "set-cookie-not-readable-by-script", spec::FORBIDDEN, "Do not try: the browser keeps Set-Cookie to itself.";
    VaryOriginMissingCache = "vary-origin-missing-cache", spec::VARY, "Send Vary: Origin on every answer of that address.";
    ConnectionRefusedWrongPort = "connection-refused-wrong-port", spec::NETWORK, "Start the server, or correct the address.";
    TlsUntrustedCertificate = "tls-untrusted-certificate", spec::NETWORK, "Use a certificate that the browser trusts, for this very host name.";
    BlockedByClient = "blocked-by-client", spec::NETWORK, "An extension stopped it: try without, or rename the path.";
    DnsFailureOrBadPort = "dns-failure-or-bad-port", spec::BAD_PORT, "Use another port: browsers refuse this one.";
    MixedContent = "mixed-content", spec::MIXED, "Serve the backend over https as well.";
    ClientCredentialsNotEnabled = "client-credentials-not-enabled", spec::CREDENTIALS, "Set credentials: 'include' (withCredentials = true) on every call, the login included.";
    SamesiteLaxDefaultCrossSite = "samesite-lax-default-cross-site", spec::LAX, "Serve page and backend under one site; or SameSite=None; Secure, where third-party cookies live.";
    SamesiteStrictAfterRedirect = "samesite-strict-after-redirect", spec::LAX, "Use SameSite=Lax for a session that must survive a link from elsewhere.";
    LaxPostFormPostCallback = "lax-post-form-post-callback", spec::LAX, "Let the provider answer by GET (response_mode=query), or use SameSite=None; Secure for that cookie.";
    SchemefulSameSite = "schemeful-same-site", spec::SAME_SITE, "Use https for page and backend: the scheme is part of the site.";
    LocalhostVs127Site = "localhost-vs-127-site", spec::SAME_SITE, "Use one host name for page and backend: localhost and 127.0.0.1 are two sites.";
    SamesiteNoneWithoutSecure = "samesite-none-without-secure", spec::STORE, "Add Secure, and serve over https.";
    SecureCookieOverHttp = "secure-cookie-over-http", spec::STORE, "Serve over https; or leave Secure out in development.";
    SafariSecureLocalhost = "safari-secure-localhost", spec::STORE, "Leave Secure out on http://localhost, or use https with a local certificate.";
    CookieDomainInvalid = "cookie-domain-invalid", spec::STORE, "Leave Domain out, or name a parent domain of the host that sets the cookie.";
    CookieDomainPublicSuffix = "cookie-domain-public-suffix", spec::STORE, "Nobody owns a public suffix: use a domain of your own.";
    CookiePathMismatch = "cookie-path-mismatch", spec::PATH, "Set the cookie with Path=/.";
    CookiePrefixViolation = "cookie-prefix-violation", spec::PREFIX, "__Host- needs Secure, Path=/ and no Domain; __Secure- needs Secure.";
    CookieTooLargeOrBadChars = "cookie-too-large-or-bad-chars", spec::SYNTAX, "Keep name and value under 4096 bytes together, without control characters.";
    CookieDeleteAttributesMismatch = "cookie-delete-attributes-mismatch", spec::STORE, "Delete it with the Domain and Path that it was set with.";
    CookieShadowedDuplicate = "cookie-shadowed-duplicate", spec::RETRIEVE, "Two cookies of one name travel together: clear both, or rename one.";
    PartitionedWithoutSecure = "partitioned-without-secure", spec::CHIPS, "Partitioned needs Secure.";
    PartitionedOtherTopLevel = "partitioned-other-top-level", spec::CHIPS, "Expected: a partitioned cookie exists once for each top-level site.";
    ThirdPartyCookiesBlocked = "third-party-cookies-blocked", spec::THIRD_PARTY, "Serve page and backend under one registrable domain; or Partitioned; or the Storage Access API.";
    FirefoxTotalCookieProtection = "firefox-total-cookie-protection", spec::THIRD_PARTY, "Serve page and backend under one registrable domain; or the Storage Access API.";
    ServerSessionRejected = "server-session-rejected", spec::STATUS, "The cookie arrived: look at the server's session store, secret and expiry.";

    SameOrigin = "same-origin", spec::MAIN, "";
    NavigationNeedsNoCors = "navigation-needs-no-cors", spec::MAIN, "";
    PreflightNeeded = "preflight-needed", spec::SAFELIST, "";
    PreflightCached = "preflight-cached", spec::CACHE, "";
    PreflightPassed = "preflight-passed", spec::PREFLIGHT, "";
    CorsPassed = "cors-passed", spec::CHECK, "";
    CookieSent = "cookie-sent", spec::RETRIEVE, "";
    CookieStored = "cookie-stored", spec::STORE, "";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_every_fault_has_a_mend() {
        let mut ids: Vec<_> = Code::ALL.iter().map(|code| code.id()).collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all);
        for code in Code::ALL {
            assert!(code.spec().contains(": https://"), "{}", code.id());
            // Notes come last: what went well needs no mend.
            assert_eq!(code.mend().is_empty(), *code >= Code::SameOrigin, "{}", code.id());
        }
    }
}
