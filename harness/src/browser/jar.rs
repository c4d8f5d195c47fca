//! A cookie in a browser's jar, read from what each protocol calls one.

use serde::Serialize;
use serde_json::{Value, json};

/// A cookie in the browser's jar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JarCookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Its domain: with a leading dot if it goes to subdomains too, without if it is host-only.
    pub domain: String,
    /// Its path.
    pub path: String,
    /// Whether it has `Secure`.
    pub secure: bool,
    /// Whether it has `HttpOnly`.
    pub http_only: bool,
    /// Its `SameSite`, as in the attribute; `None` if the attribute is missing or the engine does
    /// not tell a missing one from its default.
    pub same_site: Option<String>,
    /// The top-level site it is partitioned by; `None` if it is not partitioned.
    pub partition_key: Option<String>,
    /// The other half of Chromium's partition: whether a frame of another site, or the cookie's own
    /// request, stands between. `None` in engines that make no such difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_site_ancestor: Option<bool>,
}

impl JarCookie {
    /// From the DevTools protocol's `Network.Cookie`.
    #[cfg(any(test, feature = "chromium"))]
    pub(crate) fn from_devtools(cookie: &Value) -> Self {
        // An object today, a plain string in older versions.
        let partition = &cookie["partitionKey"];
        let ancestor = partition["hasCrossSiteAncestor"].as_bool();
        let partition = partition["topLevelSite"].as_str().or_else(|| partition.as_str());
        Self {
            value: text(&cookie["value"]),
            same_site: cookie["sameSite"].as_str().map(str::to_owned),
            partition_key: partition.map(str::to_owned),
            cross_site_ancestor: ancestor,
            ..Self::common(cookie)
        }
    }

    /// From BiDi's `network.Cookie`, which does not tell its partition.
    pub(crate) fn from_bidi(cookie: &Value) -> Self {
        Self {
            value: bytes(&cookie["value"]),
            same_site: cookie["sameSite"].as_str().and_then(same_site),
            ..Self::common(cookie)
        }
    }

    /// From WebDriver's serialized cookie.
    pub(crate) fn from_webdriver(cookie: &Value) -> Self {
        Self {
            value: text(&cookie["value"]),
            same_site: cookie["sameSite"].as_str().and_then(same_site),
            ..Self::common(cookie)
        }
    }

    fn common(cookie: &Value) -> Self {
        let flag = |field: &str| cookie[field].as_bool().unwrap_or_default();
        Self {
            name: text(&cookie["name"]),
            value: String::new(),
            domain: text(&cookie["domain"]),
            path: text(&cookie["path"]),
            secure: flag("secure"),
            http_only: flag("httpOnly"),
            same_site: None,
            partition_key: None,
            cross_site_ancestor: None,
        }
    }

    /// As BiDi's `storage.setCookie` takes it.
    pub(crate) fn to_bidi(&self) -> Value {
        let mut cookie = self.to_webdriver();
        cookie["value"] = json!({"type": "string", "value": self.value});
        cookie["domain"] = json!(self.domain);
        cookie["sameSite"] = json!(self.same_site.as_deref().unwrap_or("Default").to_lowercase());
        cookie
    }

    /// As WebDriver's `Add Cookie` takes it; host-only, for the current document's host,
    /// unless its domain starts with a dot.
    pub(crate) fn to_webdriver(&self) -> Value {
        let mut cookie = json!({
            "name": self.name, "value": self.value, "path": self.path,
            "secure": self.secure, "httpOnly": self.http_only,
        });
        if let Some(same_site) = &self.same_site {
            cookie["sameSite"] = json!(same_site);
        }
        if self.domain.starts_with('.') {
            cookie["domain"] = json!(self.domain);
        }
        cookie
    }
}

/// BiDi's `network.BytesValue`: a string, or base64 of what is none. The latter stays as it is.
pub(crate) fn bytes(value: &Value) -> String {
    text(&value["value"])
}

fn same_site(word: &str) -> Option<String> {
    let mut letters = word.chars();
    let first = letters.next()?;
    // BiDi writes `lax`, WebDriver `Lax`; `default` means that the attribute is missing.
    (!word.eq_ignore_ascii_case("default"))
        .then(|| first.to_uppercase().chain(letters).collect::<String>())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devtools_cookie_is_read_with_both_forms_of_partition_key() {
        let object = json!({"name": "a", "value": "1", "domain": ".x.test", "path": "/",
            "secure": true, "httpOnly": true, "sameSite": "None",
            "partitionKey": {"topLevelSite": "https://top.test", "hasCrossSiteAncestor": true}});
        let cookie = JarCookie::from_devtools(&object);
        assert_eq!(cookie.partition_key.as_deref(), Some("https://top.test"));
        assert!(cookie.secure && cookie.http_only && cookie.cross_site_ancestor == Some(true));
        let string = json!({"name": "a", "partitionKey": "https://top.test"});
        assert_eq!(JarCookie::from_devtools(&string).partition_key, cookie.partition_key);
        assert_eq!(JarCookie::from_devtools(&json!({"name": "a"})).same_site, None);
    }

    #[test]
    fn a_bidi_cookie_goes_in_as_it_came_out() {
        let came = json!({"name": "a", "value": {"type": "string", "value": "1"}, "path": "/",
            "domain": "api.example.net", "secure": true, "httpOnly": true, "sameSite": "none",
            "size": 2, "invented": 1});
        let cookie = JarCookie::from_bidi(&came);
        assert_eq!((cookie.value.as_str(), cookie.same_site.as_deref()), ("1", Some("None")));
        let goes = cookie.to_bidi();
        for field in ["name", "value", "path", "domain", "secure", "httpOnly", "sameSite"] {
            assert_eq!(goes[field], came[field], "{field}");
        }
        let default = json!({"name": "a", "sameSite": "default"});
        assert_eq!(JarCookie::from_bidi(&default).same_site, None);
    }

    #[test]
    fn a_webdriver_cookie_of_one_host_stays_host_only() {
        let came = json!({"name": "a", "value": "1", "path": "/x", "domain": "localhost",
            "secure": false, "httpOnly": true, "sameSite": "Lax"});
        let goes = JarCookie::from_webdriver(&came).to_webdriver();
        assert_eq!(goes["domain"], Value::Null);
        assert_eq!(goes["sameSite"], "Lax");
        let wide = json!({"name": "a", "domain": ".example.com"});
        assert_eq!(JarCookie::from_webdriver(&wide).to_webdriver()["domain"], ".example.com");
    }
}
