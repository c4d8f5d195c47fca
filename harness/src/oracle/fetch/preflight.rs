//! The CORS protocol's part of a fetch: preflight, and the check of what comes back.

use crate::oracle::answers::{Reply, Response, ask};
use crate::oracle::cors::{self, Asked, Circumstances, Violation};
use crate::oracle::fetch::{Flight, Stop};
use crate::oracle::preflight_cache::Key;
use crate::oracle::service::Call;
use crate::oracle::{Code, Finding, headers};
use crate::scenario::{Credentials, Hop, Nullable};

impl Flight<'_, '_> {
    pub(super) fn needs_preflight(&mut self) -> bool {
        let names = self.names();
        let safe_method = headers::is_safelisted_method(&self.request.method);
        if safe_method && names.is_empty() {
            return false;
        }
        let origin = self.serialized_origin();
        let key = self.cache_key(&origin);
        let (cache, now) = (&self.world.cache, self.world.now_ms);
        let method_known = safe_method || cache.has_method(&key, &self.request.method, now);
        let cached = method_known && names.iter().all(|name| cache.has_name(&key, name, now));
        let finding = if cached {
            let values = [self.request.method.as_str(), self.url().origin().host()];
            Finding::new(Code::PreflightCached, "an earlier preflight covers {} to {}", values)
        } else {
            self.why_preflight(&names, safe_method)
        };
        self.why.push(finding);
        !cached
    }

    pub(super) fn why_preflight(&self, names: &[&str], safe_method: bool) -> Finding {
        let method = self.request.method.as_str();
        let host = self.url().origin().host();
        if !safe_method {
            let template = "a preflight comes first: no form could send {} to {}";
            return Finding::new(Code::PreflightNeeded, template, [method, host]);
        }
        if names == ["content-type"] {
            let template = "a preflight comes first: no form could send this Content-Type to {}";
            return Finding::new(Code::ContentTypeJsonTriggersPreflight, template, [host]).advice();
        }
        let template = "a preflight comes first: no form could send {} to {}";
        Finding::new(Code::PreflightNeeded, template, [&names.join(", "), host])
    }

    pub(super) fn cache_key<'k>(&'k self, origin: &'k str) -> Key<'k> {
        Key {
            partition: self.browser.case.page.origin().site(),
            origin,
            url: self.url().cache_key(),
            include: self.includes(),
        }
    }

    /// [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch).
    pub(super) fn preflight(&mut self) -> Result<bool, Stop> {
        let knobs = &self.browser.profile.knobs;
        let origin = match &self.client {
            Some(client) if knobs.preflight_origin_survives_redirect => client.text().to_owned(),
            _ => self.serialized_origin(),
        };
        let names = headers::unsafe_names(&self.request.headers);
        let joined = names.join(",");
        let url = self.chain.last().unwrap_or(&self.action.address);
        let call = Call {
            address: url,
            method: "OPTIONS",
            headers: &[],
            cookies: Vec::new(),
            origin: Some(&origin),
            preflight: Some((&self.request.method, &joined)),
            site: None,
            is_demo_login: false,
        };
        let reply = ask(self.browser.case, &mut self.world.sessions, &call);
        let response = match reply {
            Reply::Response(response) => response,
            Reply::Fault(fault) => return Err(self.fault(fault)),
            Reply::Unknown => return Err(Stop::Unknown),
        };
        let about = Circumstances { preflight: true, ..self.circumstances(&origin) };
        let asked = Asked {
            method: &self.request.method,
            names: &names,
            wildcard_covers_authorization: knobs.wildcard_covers_authorization,
        };
        let granted = cors::preflight(&response, &about, &asked);
        let acrh = (!joined.is_empty()).then_some(joined);
        let host = url.origin().host().to_owned();
        let hop = Hop {
            origin: Some(url.origin().text().to_owned()),
            preflight: Some(true),
            cookies_sent: Some(Vec::new()),
            origin_header: Some(Nullable(None)),
        };
        self.why.extend(granted.notes);
        self.hops.push(hop);
        if self.first_preflight.is_none() {
            self.first_preflight = Some((self.request.method.clone(), acrh));
        }
        if !granted.violations.is_empty() {
            return Err(self.violated(granted.violations));
        }
        let finding =
            Finding::new(Code::PreflightPassed, "{} allows what the preflight asked for", [&host]);
        self.why.push(finding);
        let key = Key {
            partition: self.browser.case.page.origin().site(),
            origin: &origin,
            url: self.chain.last().unwrap_or(&self.action.address).cache_key(),
            include: self.request.credentials == Credentials::Include,
        };
        let now = self.world.now_ms;
        self.world.cache.keep(&key, granted.methods, granted.names, granted.max_age, knobs, now);
        Ok(true)
    }

    pub(super) fn circumstances<'c>(&'c self, origin: &'c str) -> Circumstances<'c> {
        Circumstances {
            host: self.url().origin().host(),
            origin,
            include: self.includes(),
            preflight: false,
            preflight_passed: false,
            tainted: self.origin_tainted,
            elsewhere: self.url().origin().host() != self.action.address.origin().host(),
            leads_elsewhere: false,
        }
    }

    /// The CORS check of an actual response.
    pub(super) fn check(
        &mut self,
        response: &Response<'_>,
        preflight_passed: bool,
    ) -> Result<(), Stop> {
        let origin = self.serialized_origin();
        let leads_elsewhere = response.location.as_deref().is_some_and(|location| {
            let next = self.url().follow(location);
            next.is_ok_and(|next| next.origin().host() != self.url().origin().host())
        });
        let about =
            Circumstances { preflight_passed, leads_elsewhere, ..self.circumstances(&origin) };
        let violations = cors::check(response, &about);
        if violations.is_empty() {
            let values = [self.url().origin().host(), origin.as_str()];
            let finding = Finding::new(Code::CorsPassed, "{} lets {} read its answer", values);
            self.why.push(finding);
            return Ok(());
        }
        let key = Key {
            partition: self.browser.case.page.origin().site(),
            origin: &origin,
            url: self.chain.last().unwrap_or(&self.action.address).cache_key(),
            include: self.request.credentials == Credentials::Include,
        };
        self.world.cache.forget(&key);
        Err(self.violated(violations))
    }

    /// The cause that people look for first, and the rule that the engine names.
    pub(super) fn violated(&mut self, violations: Vec<Violation>) -> Stop {
        // A status that is no success says more than the headers that its answer lacks.
        let status = [
            Code::PreflightRedirect,
            Code::PreflightAuth401,
            Code::PreflightNotRouted,
            Code::PreflightOddStatus,
        ];
        let first = violations.first();
        let name = first.map(|violation| violation.name);
        let cause = violations.iter().map(|v| v.finding.code()).find(|code| status.contains(code));
        let code = cause.or_else(|| first.map(|v| v.finding.code())).unwrap_or(Code::AcaoMissing);
        let (mut causes, others): (Vec<_>, Vec<_>) =
            violations.into_iter().map(|v| v.finding).partition(|f| f.code() == code);
        causes.extend(others);
        self.why.splice(0..0, causes);
        Stop::Error(code, name)
    }
}
