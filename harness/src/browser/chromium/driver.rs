//! Chromium as a [`Browser`] like the others.

use std::path::Path;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::browser::driver::{Answer, Browser, Enough, Sight, Tab};
use crate::browser::{BrowserEvidence, Chromium, Engine, JarCookie, Page};

impl Browser for Chromium {
    fn engine(&self) -> Engine {
        Engine::Chromium
    }

    fn sight(&self) -> Sight {
        Sight { requests: true, cors_errors: true, withheld_cookies: true }
    }

    fn profile(&self) -> &Path {
        self.profile_path()
    }

    fn version(&self) -> Answer<'_, String> {
        Self::version(self).boxed()
    }

    fn open<'a>(&'a self, url: &'a str) -> Answer<'a, Box<dyn Tab>> {
        async { Ok(Box::new(Self::open(self, url).await?) as Box<dyn Tab>) }.boxed()
    }

    fn cookies<'a>(&'a self, _documents: &'a [String]) -> Answer<'a, Vec<JarCookie>> {
        Self::cookies(self).boxed()
    }

    fn plant<'a>(&'a self, document: &'a str, cookie: &'a JarCookie) -> Answer<'a, ()> {
        async move {
            let mut planted = json!({
                "name": cookie.name, "value": cookie.value, "url": document, "path": cookie.path,
                "secure": cookie.secure, "httpOnly": cookie.http_only,
            });
            if let Some(same_site) = &cookie.same_site {
                planted["sameSite"] = json!(same_site);
            }
            if cookie.domain.starts_with('.') {
                planted["domain"] = json!(cookie.domain);
            }
            if let Some(site) = &cookie.partition_key {
                let ancestor = cookie.cross_site_ancestor.unwrap_or_default();
                planted["partitionKey"] =
                    json!({"topLevelSite": site, "hasCrossSiteAncestor": ancestor});
            }
            let params = self.in_context(json!({"cookies": [planted]}));
            self.tap().call(None, "Storage.setCookies", params).await?;
            Ok(())
        }
        .boxed()
    }

    fn clear_cookies<'a>(&'a self, _documents: &'a [String]) -> Answer<'a, ()> {
        Self::clear_cookies(self).boxed()
    }

    fn isolate(&self) -> Answer<'_, ()> {
        async {
            let fresh = self.tap().call(None, "Target.createBrowserContext", json!({})).await?;
            let fresh = fresh["browserContextId"].as_str().unwrap_or_default().to_owned();
            if let Some(old) = self.enter_context(fresh) {
                let params = json!({"browserContextId": old});
                self.tap().call(None, "Target.disposeBrowserContext", params).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Self::close(*self).boxed()
    }
}

impl Tab for Page {
    fn navigate<'a>(&'a self, url: &'a str) -> Answer<'a, ()> {
        Self::navigate(self, url).boxed()
    }

    fn probe<'a>(
        &'a self,
        call: &'a Value,
        probe_id: &'a str,
        enough: Enough<'a>,
    ) -> Answer<'a, (Value, Option<BrowserEvidence>)> {
        async move {
            let (value, evidence) = Self::probe_until(self, call, probe_id, enough).await?;
            Ok((value, Some(evidence)))
        }
        .boxed()
    }

    fn evaluate<'a>(&'a self, js: &'a str) -> Answer<'a, Value> {
        Self::evaluate(self, js).boxed()
    }
}
