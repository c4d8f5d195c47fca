//! `--print-config`: what is in force, as a configuration that says the same.

use std::fmt::Display;
use std::time::Duration;

use toml::{Table, Value};

use crate::config::{Config, StoreConfig};
use crate::policy::csrf::CsrfMode;
use crate::store::Evict;

impl Config {
    /// This configuration as TOML: what was written in the file and in the environment, and the
    /// defaults of everything else. Secrets are shown as `***`. What has no default and was not
    /// written is left out.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut shown = Shown(Table::new());
        for (key, value) in &self.written {
            shown.default(key, value.clone());
        }
        self.show_server(&mut shown);
        self.show_cors(&mut shown);
        self.show_session(&mut shown);
        self.show_identity(&mut shown);
        shown.default("log.level", self.log.level.to_string().to_ascii_lowercase());
        shown.default("log.format", if self.log.json { "json" } else { "text" });
        shown.default("dev.enabled", self.dev);
        toml::to_string(&shown.0).unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn show_server(&self, shown: &mut Shown) {
        let server = &self.server;
        shown.default("server.listen", texts(&server.listen));
        shown.default("server.admin_listen", texts(&server.admin_listen));
        shown.default("server.public_origin", server.public_origin.to_string());
        shown.default("server.shutdown_grace", duration(server.shutdown_grace));
        shown.default("server.max_body_bytes", number(server.max_body_bytes));
        shown.default("server.max_connections", number(server.max_connections));
        shown.default("server.trusted_proxies", Vec::<Value>::new());
        shown.default("server.limits.head", duration(server.limits.head));
        shown.default("server.limits.head_bytes", number(server.limits.head_bytes));
        shown.default("server.limits.body", duration(server.limits.body));
        shown.default("server.limits.min_rate", number(server.limits.min_rate));
        shown.default("server.limits.write", duration(server.limits.write));
        shown.default("server.limits.idle", duration(server.limits.idle));
        shown.default("server.http2.enabled", server.http2.enabled);
        shown.default("server.http2.prior_knowledge", server.http2.prior_knowledge);
        shown.default("server.http2.max_streams", i64::from(server.http2.max_streams));
        shown.default("server.http2.max_resets", number(server.http2.max_resets));
    }

    fn show_cors(&self, shown: &mut Shown) {
        shown.default("cors.allow_credentials", self.cors.allows_credentials());
        // The token's header is always among the exposed ones, written or not.
        for key in [
            "allow_origins",
            "allow_origin_patterns",
            "allow_methods",
            "allow_headers",
            "expose_headers",
        ] {
            shown.default(&format!("cors.{key}"), Vec::<Value>::new());
        }
        shown.default("cors.debug", self.cors.is_debug());
        shown.default("cors.dangerous_allow_insecure_origins", false);
        shown.default("cors.dangerous_allow_public_suffixes", false);
        let csrf = &self.csrf;
        shown.default(
            "csrf.mode",
            match csrf.rules.mode {
                CsrfMode::Token => "token",
                CsrfMode::Header => "header",
                CsrfMode::Origin => "origin",
            },
        );
        shown.default("csrf.header_name", csrf.rules.header.name().as_str());
        shown.default("csrf.cookie_name", csrf.cookie.name());
        shown.default("csrf.safe_methods", csrf.rules.safe_methods);
    }

    fn show_session(&self, shown: &mut Shown) {
        let session = &self.session;
        shown.default(
            "session.store",
            match session.store {
                StoreConfig::Memory { .. } => "memory",
                StoreConfig::Cookie => "cookie",
                StoreConfig::Redis(_) => "redis",
            },
        );
        if let StoreConfig::Redis(redis) = &session.store {
            shown.default("redis.cluster", redis.cluster);
        }
        let (lifetimes, limits) = (session.lifetimes, session.limits);
        shown.default("session.idle_timeout", duration(lifetimes.idle));
        shown.default("session.absolute_timeout", duration(lifetimes.absolute));
        shown.default("session.cookie_name", session.cookie.name());
        let same_site = session.cookie.same_site().to_string().to_ascii_lowercase();
        shown.default("session.same_site", same_site);
        shown.default("session.partitioned", false);
        shown.default("session.dangerous_allow_cross_site", false);
        shown.default("session.max_sessions", number(limits.max_sessions));
        shown.default("session.max_sessions_per_user", number(limits.max_sessions_per_user));
        shown.default("session.max_bytes", number(limits.max_bytes));
        shown.default(
            "session.evict",
            match limits.evict {
                Evict::Nobody => "none",
                Evict::LeastRecentlyUsed => "lru",
            },
        );
    }

    fn show_identity(&self, shown: &mut Shown) {
        if let Some(oidc) = &self.oidc {
            shown.default("oidc.scopes", texts(&oidc.scopes));
            shown.default("oidc.redirect_uri", oidc.redirect_uri.as_str());
            shown.default("oidc.userinfo", oidc.userinfo);
        }
        shown.default("return_url.default", self.return_url.default.as_str());
        shown.default("return_url.allowed_origins", texts(&self.return_url.allowed_origins));
        // It was written as text, or made of an origin.
        let post_logout_url = self.logout.post_logout_url.to_str().unwrap_or_default();
        shown.default("logout.post_logout_url", post_logout_url);
        shown.default("logout.revoke", self.logout.revoke);
        shown.default("logout.rp_initiated", self.logout.rp_initiated);
        shown.default("token.expose", self.token.expose);
        shown.default("token.expiry_buffer", duration(self.token.expiry_buffer));
        shown.default("rate_limit.enabled", self.login_quota.is_some());
        if let Some(quota) = self.login_quota {
            shown.default("rate_limit.login_attempts", i64::from(quota.attempts));
            shown.default("rate_limit.login_window", duration(quota.window));
        }
    }
}

struct Shown(Table);

impl Shown {
    /// Shows this value, unless another is shown already.
    fn default(&mut self, key: &str, value: impl Into<Value>) {
        let (sections, key) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.0;
        for section in sections.split('.') {
            let entry = table.entry(section).or_insert_with(|| Table::new().into());
            let Value::Table(inner) = entry else { return };
            table = inner;
        }
        table.entry(key).or_insert_with(|| value.into());
    }
}

fn texts(values: &[impl Display]) -> Vec<Value> {
    values.iter().map(|value| value.to_string().into()).collect()
}

fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn number(number: usize) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, DEVELOPMENT, Environment};

    fn printed(text: &str, variables: &[(&str, &str)]) -> String {
        let variables = variables.iter().map(|(name, text)| (name.into(), text.into()));
        let environment = Environment::from_variables(variables);
        let config =
            Config::parse_with(text, Path::new("tests/benches/withcreds.toml"), environment);
        config.unwrap_or_else(|errors| panic!("{errors:?}")).to_toml()
    }

    const PRODUCTION: &str = "
        [server]
        public_origin = 'https://api.example.com'
        limits.idle = '90s'
        [cors]
        allow_origins = ['https://app.example.com']
        [auth]
        users_file = 'peers-users.toml'
        [rate_limit]
        enabled = false
    ";

    #[test]
    fn what_is_printed_says_the_same() {
        for text in [DEVELOPMENT, PRODUCTION] {
            let once = printed(text, &[]);
            assert_eq!(printed(&once, &[]), once);
        }
        let text = printed(PRODUCTION, &[]);
        for line in [
            "idle = \"90s\"",
            "head = \"10s\"",
            "cookie_name = \"__Host-session\"",
            "allow_credentials = true",
            "max_streams = 100",
            "enabled = false",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn the_environment_comes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "a long secret of a client\n").unwrap();
        let text = printed(
            PRODUCTION,
            &[
                ("WITHCREDS_SERVER__LIMITS__IDLE", "2m"),
                ("WITHCREDS_SERVER__MAX_CONNECTIONS", "77"),
                ("WITHCREDS_CORS__ALLOW_ORIGINS", "https://a.example.com, https://b.example.com"),
                ("WITHCREDS_OIDC__ISSUER", "https://login.example.com"),
                ("WITHCREDS_OIDC__CLIENT_ID", "shop"),
                ("WITHCREDS_OIDC__CLIENT_SECRET_FILE", file.to_str().unwrap()),
                ("WITHCREDS_OIDC__CLAIMS", "{ tenant_id = 'organization' }"),
                ("WITHCREDS_RATE_LIMIT__ENABLED", "true"),
            ],
        );
        for line in [
            "idle = \"2m\"",
            "max_connections = 77",
            "allow_origins = [\"https://a.example.com\", \"https://b.example.com\"]",
            "client_secret = \"***\"",
            "tenant_id = \"organization\"",
            "login_attempts = 10",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("a long secret"), "{text}");
    }

    #[test]
    fn mistakes_in_the_environment_name_the_variable() {
        for (name, value, code, mend) in [
            ("WITHCREDS_SESSION__IDLE_TIMEOUT", "soon", "malformed", "60m"),
            ("WITHCREDS_SERVER__MAX_CONNECTIONS", "many", "wrong_type", "expected type"),
            ("WITHCREDS_SERVER__LIMITS__HEAD", "2h", "out_of_range", "10s"),
            (
                "WITHCREDS_SESSION__IDLE_TIMEOUTS",
                "30m",
                "unknown_key",
                "WITHCREDS_SESSION__IDLE_TIMEOUT`",
            ),
            ("WITHCREDS_NOTHING__LIKE_IT", "1", "unknown_key", "unset it"),
            ("WITHCREDS_SESSION__KEYS_FILE", "does/not/exist", "secret_unreadable", "path"),
            ("WITHCREDS_SESSION__KEYS", "aaaaaaaaaaaaaaaa", "session_key_short", "keygen"),
        ] {
            let environment = Environment::from_variables([(name.into(), value.into())]);
            let path = Path::new("tests/benches/withcreds.toml");
            let errors = Config::parse_with(PRODUCTION, path, environment).expect_err(name);
            let error = errors.iter().find(|error| error.file.contains(name));
            let error = error.unwrap_or_else(|| panic!("{name}: {errors:?}"));
            assert_eq!((error.code, error.line), (code, 0), "{error}");
            assert!(error.mend.contains(mend), "{error}");
            let secret = name.contains("__KEYS") && error.to_string().contains(value);
            assert!(!secret, "{error}");
        }
    }
}
