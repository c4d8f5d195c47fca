//! The part of the service's configuration that its answers depend on.

use toml::{Table, Value};

use crate::scenario::{Address, Origin, Scheme};

/// What the service is configured to do, as far as a browser notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `cors.allow_origins`.
    pub allow_origins: Vec<String>,
    /// `cors.allow_origin_patterns`.
    pub allow_origin_patterns: Vec<String>,
    /// `cors.allow_credentials`.
    pub allow_credentials: bool,
    /// `cors.allow_methods`.
    pub allow_methods: Vec<String>,
    /// `cors.allow_headers`.
    pub allow_headers: Vec<String>,
    /// `cors.expose_headers`.
    pub expose_headers: Vec<String>,
    /// `cors.max_age_s`.
    pub max_age: Option<u32>,
    /// `session.cookie_name`.
    pub cookie_name: String,
    /// Whether the cookies are `Secure`.
    pub secure: bool,
    /// The rest of the session cookie's attributes.
    pub attributes: String,
}

impl Policy {
    /// What `service = true` means: the page is listed, everything is allowed to it, and the
    /// cookies suit the two origins.
    #[must_use]
    pub fn of(page: &Origin, backend: &Origin) -> Self {
        let star = || vec!["*".to_owned()];
        let same_site = if page.is_same_site(backend, true) { "Lax" } else { "None" };
        Self {
            allow_origins: vec![page.text().to_owned()],
            allow_origin_patterns: Vec::new(),
            allow_credentials: true,
            allow_methods: star(),
            allow_headers: star(),
            ..Self::bare(backend.scheme() == Scheme::Https, same_site)
        }
    }

    fn bare(secure: bool, same_site: &str) -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_origin_patterns: Vec::new(),
            allow_credentials: false,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: vec!["x-csrf-token".to_owned()],
            max_age: None,
            cookie_name: if secure { "__Host-session" } else { "session" }.to_owned(),
            secure,
            attributes: format!("; SameSite={same_site}"),
        }
    }

    /// What a configuration file of the service means for a backend that answers under an origin.
    ///
    /// # Errors
    ///
    /// The text is no TOML. What the service itself would refuse is for `withcreds check` to say.
    pub fn read(text: &str, backend: &Origin) -> Result<Self, toml::de::Error> {
        let table: Table = toml::from_str(text)?;
        let key = |section: &str, key: &str| table.get(section).and_then(|s| s.get(key));
        let list = |name: &str| {
            let items = key("cors", name).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let text = |section: &str, name: &str| key(section, name).and_then(Value::as_str);
        let https = match text("server", "public_origin").and_then(Address::parse) {
            Some(public) => public.origin().scheme() == Scheme::Https,
            None => backend.scheme() == Scheme::Https,
        };
        let same_site = text("session", "same_site").unwrap_or("lax").to_ascii_lowercase();
        let mut policy = Self::bare(https, &same_site);
        policy.allow_origins = list("allow_origins");
        policy.allow_origin_patterns = list("allow_origin_patterns");
        let any = !policy.allow_origins.is_empty() || !policy.allow_origin_patterns.is_empty();
        policy.allow_credentials =
            key("cors", "allow_credentials").and_then(Value::as_bool).unwrap_or(any);
        policy.allow_methods = list("allow_methods");
        policy.allow_headers = list("allow_headers");
        policy.expose_headers.extend(list("expose_headers"));
        let seconds = key("cors", "max_age_s").and_then(Value::as_integer);
        policy.max_age = seconds.and_then(|seconds| u32::try_from(seconds).ok());
        if let Some(name) = text("session", "cookie_name") {
            name.clone_into(&mut policy.cookie_name);
        }
        if let Some(domain) = text("session", "domain") {
            policy.attributes.push_str("; Domain=");
            policy.attributes.push_str(domain);
        }
        if key("session", "partitioned").and_then(Value::as_bool) == Some(true) {
            policy.attributes.push_str("; Partitioned");
        }
        Ok(policy)
    }

    /// Whether an origin, as a browser sends it, is listed.
    #[must_use]
    pub fn lists(&self, origin: &str) -> bool {
        self.allow_origins.iter().any(|listed| listed == origin)
            || self.allow_origin_patterns.iter().any(|pattern| matches(pattern, origin))
    }
}

/// `https://*.example.com[:port|:*]`: whole labels, never the apex; `http://localhost:*`.
fn matches(pattern: &str, origin: &str) -> bool {
    let parts = |text: &str| -> Option<(String, String, String)> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        Some((scheme.to_owned(), host.to_owned(), port.to_owned()))
    };
    let (Some((scheme, host, port)), Some((o_scheme, o_host, o_port))) =
        (parts(pattern), parts(origin))
    else {
        return false;
    };
    let host_fits = match host.strip_prefix("*.") {
        Some(apex) => o_host
            .strip_suffix(apex)
            .and_then(|labels| labels.strip_suffix('.'))
            .is_some_and(|labels| labels.split('.').all(|label| !label.is_empty())),
        None => host == o_host,
    };
    scheme == o_scheme && host_fits && (port == "*" || port == o_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_as_the_service_documents_it() {
        let backend = Address::parse("https://api.example.com").expect("an address");
        let policy = Policy::read(
            "[cors]\nallow_origins = ['https://app.example.com']\nallow_headers = ['*']\nmax_age_s = 60\n\
             expose_headers = ['x-id']\n[session]\nsame_site = 'strict'\ndomain = 'example.com'\ncookie_name = 'sid'\n",
            backend.origin(),
        )
        .expect("a policy");
        assert!(policy.allow_credentials && policy.secure);
        assert_eq!(policy.cookie_name, "sid");
        assert_eq!(policy.attributes, "; SameSite=strict; Domain=example.com");
        assert_eq!(policy.expose_headers, ["x-csrf-token", "x-id"]);
        assert_eq!((policy.max_age, policy.allow_methods.len()), (Some(60), 0));
        let off = Policy::read("[cors]\nallow_credentials = false", backend.origin());
        assert!(!off.expect("a policy").allow_credentials);
        assert!(Policy::read("[cors", backend.origin()).is_err());
    }

    #[test]
    fn patterns_cover_whole_labels() {
        for (pattern, origin, fits) in [
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://aexample.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com", "http://a.example.com", false),
            ("https://*.example.com", "https://a.example.com:8443", false),
            ("https://*.example.com:*", "https://a.example.com:8443", true),
            ("https://*.example.com:*", "https://a.example.com", true),
            ("http://localhost:*", "http://localhost:3000", true),
            ("http://localhost:*", "http://localhost.evil.test:3000", false),
            ("http://localhost:*", "null", false),
        ] {
            assert_eq!(matches(pattern, origin), fits, "{pattern} {origin}");
        }
    }
}
