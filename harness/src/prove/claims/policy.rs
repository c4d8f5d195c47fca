//! How the claims about the CORS policy itself are shown (12 to 16): who is listed, what a preflight
//! grants and for how long, what a script may read.

use std::collections::BTreeSet;

use crate::lab::{Asker, Policy, Topology, WireExchange};
use crate::prove::claims::{Court, Outcome, SESSION, Seen};
use crate::prove::scene::{Call, Mode, Observed};

/// What scripts may read without being told so:
/// [Fetch, "CORS-safelisted response-header name"](https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name).
const SAFELISTED: [&str; 7] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
];

/// Makes any request one that needs a preflight.
const UNSAFE: (&str, &str) = ("X-CSRF-TOKEN", "any");

impl Court<'_> {
    // -- 12 --------------------------------------------------------------------------------------

    pub(super) async fn listed_origins(&mut self) -> Outcome {
        use Asker::{ByPattern, Foreign, OtherPort, Page, Second};
        match self.scene.stage.topology {
            Topology::CrossSite => {
                self.ask_in_turn(
                    &[Page, Foreign, Second, OtherPort, ByPattern],
                    &[Foreign, OtherPort],
                )
                .await
            }
            // Here another port of the listed host is what the foreign page is.
            Topology::SameOrigin | Topology::SameSite => {
                self.ask_in_turn(&[Page, Foreign, Second, Page], &[Foreign]).await
            }
        }
    }

    // -- 13 --------------------------------------------------------------------------------------

    pub(super) async fn origin_patterns(&mut self) -> Outcome {
        use Asker::{Address, Apex, ByPattern, Glued, OtherScheme, Page, Subdomain, Suffixed};
        match self.scene.stage.topology {
            Topology::CrossSite => {
                let unlisted = [Apex, Glued, Suffixed, OtherScheme];
                let order = [ByPattern, Apex, Glued, Suffixed, OtherScheme, Page];
                self.ask_in_turn(&order, &unlisted).await
            }
            Topology::SameOrigin | Topology::SameSite => {
                let scene = self.scene;
                let _policy = scene.stage.under(Policy::AnyPort).await?;
                let unlisted = [Suffixed, Subdomain, Address];
                let order = [ByPattern, Suffixed, Subdomain, Address, Page];
                self.ask_in_turn(&order, &unlisted).await
            }
        }
    }

    /// Lets pages ask one after another for the same address under the same policy: whoever keeps
    /// an answer, or always gives the same, gives it to the wrong page.
    async fn ask_in_turn(&mut self, order: &[Asker], unlisted: &[Asker]) -> Outcome {
        self.scene.raise(self.browser, order).await?;
        self.log_in(Mode::Include).await?;
        let probe = self.scene.new_probe();
        for asker in order {
            let call = Call {
                from: *asker,
                probe: Some(probe.clone()),
                ..self.call_of(Mode::Include, "GET", SESSION)
            };
            let seen = self.call(call).await?;
            if unlisted.contains(asker) {
                self.check_unlisted(&seen);
            } else {
                self.check_listed(&seen);
            }
        }
        Ok(())
    }

    fn check_listed(&mut self, seen: &Observed) {
        let who = seen.asker.label();
        let answer = seen.request.as_ref();
        let named = answer.is_some_and(|wire| {
            wire.response("access-control-allow-origin").eq([seen.from.as_str()])
                && wire.response("access-control-allow-credentials").eq(["true"])
        });
        self.check(named, format!("{who}: the answer names its own origin, with credentials"));
        self.check(answer.is_some_and(varies), format!("{who}: the answer varies by Origin"));
        self.check(
            seen.sent(self.cookie()).is_some(),
            format!("{who}: the session cookie is on the wire"),
        );
        self.check(
            seen.page.readable && seen.page.status == 200,
            format!("{who}: the script reads a 200"),
        );
    }

    fn check_unlisted(&mut self, seen: &Observed) {
        let who = seen.asker.label();
        let answer = seen.request.as_ref();
        let bare = answer.is_some_and(|wire| {
            wire.response_headers
                .iter()
                .all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control-"))
        });
        self.check(bare, format!("{who}: the answer comes without any CORS header"));
        self.check(answer.is_some_and(varies), format!("{who}: the answer varies by Origin"));
        self.check(!seen.page.readable, format!("{who}: the script reads nothing"));
        if self.browser.sight().cors_errors {
            let named = seen.names_cors_rule();
            self.check(named, format!("{who}: the browser names the CORS rule"));
        }
    }

    // -- 14 --------------------------------------------------------------------------------------

    pub(super) async fn preflight_echo(&mut self) -> Outcome {
        let login = self.log_in(Mode::Include).await?;
        let token = self.token_of(&login);
        // An everyday case, and one that nobody would put on a list.
        let cases = [
            ("PATCH", [("Authorization", "Bearer x"), ("X-Request-ID", "1")]),
            ("CHECK-OUT", [("X_Very.Unusual~Name", "1"), ("If-Match", "\"1\"")]),
        ];
        for (method, more) in cases {
            let mut headers = vec![("X-CSRF-TOKEN", token.clone())];
            headers.extend(more.map(|(name, value)| (name, value.to_owned())));
            let wanted: BTreeSet<_> =
                headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            let seen = self.ask(Mode::Include, method, SESSION, headers, None).await?;
            self.check_echo(&seen, &wanted);
        }
        Ok(())
    }

    fn check_echo(&mut self, seen: &Observed, wanted: &BTreeSet<String>) {
        let method = seen.method;
        let Some(preflight) = &seen.preflight else {
            self.check(false, format!("{method}: a preflight is sent"));
            return;
        };
        let asked = list(preflight.request("access-control-request-headers"));
        self.check(
            preflight.request("access-control-request-method").eq([method])
                && wanted.is_subset(&asked),
            format!("{method}: the preflight asks for the method and for each header"),
        );
        self.check(
            preflight.response("access-control-allow-methods").eq([method]),
            format!("{method}: its answer allows that method and no other"),
        );
        let granted = list(preflight.response("access-control-allow-headers"));
        self.check(
            granted == asked && !granted.contains("*"),
            format!("{method}: its answer allows those headers and no other"),
        );
        self.check(
            preflight.response("access-control-allow-credentials").eq(["true"]),
            format!("{method}: its answer allows credentials"),
        );
        let request = seen.request.as_ref();
        self.check(request.is_some(), format!("{method}: the request is sent"));
        let arrived = request.is_some_and(|wire| {
            wire.method == method && wanted.iter().all(|name| wire.request(name).next().is_some())
        });
        self.check(arrived, format!("{method}: it arrives as it was asked for"));
        self.check(seen.sent(self.cookie()).is_some(), format!("{method}: the cookie is with it"));
        // The route knows neither method; what matters is that the page learns it.
        self.check(
            seen.page.readable && seen.page.status == 405,
            format!("{method}: the script reads the answer (405)"),
        );
    }

    // -- 15 --------------------------------------------------------------------------------------

    pub(super) async fn exposed_headers(&mut self) -> Outcome {
        self.log_in(Mode::Include).await?;
        let seen = self.session(Mode::Include).await?;
        let Some(wire) = &seen.request else {
            self.check(false, "the request is sent");
            return Ok(());
        };
        let exposed = ["x-csrf-token", Policy::EXPOSED];
        for (name, says) in exposed.into_iter().zip([
            "the script reads X-CSRF-TOKEN as it was sent",
            "the script reads what the policy exposes (Referrer-Policy) as it was sent",
        ]) {
            let sent = wire.response(name).next();
            let read = seen.page.headers.iter().find(|(other, _)| other == name);
            let same = sent.is_some() && sent == read.map(|(_, value)| value.as_str());
            self.check(same, says);
        }
        // What may be read is the policy's to say, not the answer's: an answer that exposes too much
        // would excuse itself.
        let may_read = |name: &str| SAFELISTED.contains(&name) || exposed.contains(&name);
        let (open, closed): (BTreeSet<_>, BTreeSet<_>) = wire
            .response_headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .partition(|name| may_read(name));
        let visible: BTreeSet<_> = seen.page.headers.iter().map(|(name, _)| name.clone()).collect();
        self.check(
            closed.contains("x-content-type-options"),
            "the answer has headers that are not exposed, X-Content-Type-Options for one",
        );
        self.check(open.is_subset(&visible), "the script sees the exposed and safelisted ones");
        self.check(visible.is_subset(&open), "the script sees no other");
        Ok(())
    }

    // -- 16 --------------------------------------------------------------------------------------

    pub(super) async fn preflight_cache(&mut self) -> Outcome {
        self.scene.raise(self.browser, &[Asker::Second]).await?;
        self.log_in(Mode::Include).await?;
        self.cached_for_the_same().await?;
        self.cached_by_credentials().await?;
        self.not_cached_if_refused().await?;
        self.cached_by_other_policies().await
    }

    /// The cache's key: <https://fetch.spec.whatwg.org/#concept-cache-match>.
    async fn cached_for_the_same(&mut self) -> Outcome {
        let probe = self.scene.new_probe();
        let usual = self.unsafe_call(Mode::Include, &probe);
        let first = self.call(usual.clone()).await?;
        self.check_asked(&first, "first");
        let age = first.preflight.as_ref().map(max_age);
        self.check(
            age.is_some_and(|age| age == [Policy::MAX_AGE_S.to_string()]),
            format!("the preflight's answer says {} s", Policy::MAX_AGE_S),
        );
        let again = self.call(usual.clone()).await?;
        self.check(again.preflight.is_none(), "the same again: no preflight");
        self.check(
            again.sent(self.cookie()).is_some() && again.page.readable && again.page.status == 200,
            "the same again: sent with the cookie, and the script reads a 200",
        );
        let elsewhere = Call { probe: None, ..usual.clone() };
        let mut header = usual.clone();
        header.headers.push(("X-Request-ID", "1".to_owned()));
        let method = Call { method: "PATCH", ..usual.clone() };
        let other_page = Call { from: Asker::Second, ..usual };
        for (what, call) in [
            ("another URL", elsewhere),
            ("another header", header),
            ("another method", method),
            ("another origin", other_page),
        ] {
            let seen = self.call(call).await?;
            self.check_asked(&seen, what);
        }
        Ok(())
    }

    /// An answer that was got without credentials does not serve a request with them; the other way
    /// round it does.
    async fn cached_by_credentials(&mut self) -> Outcome {
        let probe = self.scene.new_probe();
        let without = self.call(self.unsafe_call(Mode::Default, &probe)).await?;
        self.check_asked(&without, "without credentials");
        let with = self.call(self.unsafe_call(Mode::Include, &probe)).await?;
        self.check_asked(&with, "then with credentials");
        let back = self.call(self.unsafe_call(Mode::Default, &probe)).await?;
        self.check(back.preflight.is_none(), "then without again: no preflight");
        self.check(
            back.page.readable && back.page.status == 401,
            "then without again: no cookie either, the script reads a 401",
        );
        Ok(())
    }

    async fn not_cached_if_refused(&mut self) -> Outcome {
        let probe = self.scene.new_probe();
        for what in ["refused", "refused again"] {
            let usual = self.unsafe_call(Mode::Include, &probe);
            let seen = self.call(Call { from: Asker::Foreign, ..usual }).await?;
            self.check_asked(&seen, what);
            self.check(seen.request.is_none(), format!("{what}: the request is not sent"));
        }
        Ok(())
    }

    async fn cached_by_other_policies(&mut self) -> Outcome {
        let scene = self.scene;
        {
            let _policy = scene.stage.under(Policy::NoMaxAge).await?;
            let seen = self.unsafe_read(&scene.new_probe()).await?;
            self.check_asked(&seen, "without max_age_s");
            // For how long it is cached now is the browser's choice (Chromium: 5 s): nothing that a
            // proof could rest on without waiting.
            self.check(
                seen.preflight.as_ref().is_some_and(|wire| max_age(wire).is_empty()),
                "without max_age_s: its answer leaves the time to the browser",
            );
        }
        let _policy = scene.stage.under(Policy::ZeroMaxAge).await?;
        let probe = scene.new_probe();
        for what in ["max_age_s = 0", "max_age_s = 0, again"] {
            let seen = self.unsafe_read(&probe).await?;
            self.check_asked(&seen, what);
        }
        Ok(())
    }

    fn check_asked(&mut self, seen: &Observed, what: &str) {
        self.check(seen.preflight.is_some(), format!("{what}: a preflight is sent"));
    }

    fn unsafe_call(&self, mode: Mode, probe: &str) -> Call {
        let (name, value) = UNSAFE;
        Call {
            headers: vec![(name, value.to_owned())],
            probe: Some(probe.to_owned()),
            ..self.call_of(mode, "GET", SESSION)
        }
    }

    async fn unsafe_read(&mut self, probe: &str) -> Seen {
        let call = self.unsafe_call(Mode::Include, probe);
        self.call(call).await
    }
}

fn varies(wire: &WireExchange) -> bool {
    list(wire.response("vary")).contains("origin")
}

fn max_age(wire: &WireExchange) -> Vec<&str> {
    wire.response("access-control-max-age").collect()
}

/// The elements of a header that is a list of names, in lower case.
fn list<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    lines
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}
