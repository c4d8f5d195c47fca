//! How the claims are shown. What each says is in [`crate::prove::Claim`].

mod csrf;
mod lifetime;
mod policy;

use std::sync::Arc;

use serde_json::json;

use crate::browser::Browser;
use crate::lab::{Asker, Policy, Topology};
use crate::prove::ProveError;
use crate::prove::claim::Claim;
use crate::prove::scene::{Call, Client, Mode, Observed, Scene};
use crate::prove::verdict::Check;

const SESSION: &str = "/api/auth/session";
const LOGIN: &str = "/api/auth/login";
const LOGOUT: &str = "/api/auth/logout";

/// What was gathered for one claim.
#[derive(Debug, Default)]
pub(super) struct Trial {
    pub(super) checks: Vec<Check>,
    pub(super) exchanges: Vec<Arc<Observed>>,
}

/// Shows one claim, from an empty cookie jar.
pub(super) async fn try_claim(
    claim: Claim,
    client: Client,
    scene: &Scene<'_>,
    browser: &dyn Browser,
) -> Result<Trial, ProveError> {
    scene.clear(browser).await?;
    let mut court = Court { scene, browser, client, trial: Trial::default() };
    match claim {
        Claim::CredentialsOn => court.credentials_on().await?,
        Claim::CredentialsOff => court.credentials_off().await?,
        Claim::LoginWithoutCredentials => court.login_without_credentials().await?,
        Claim::Preflights => court.preflights().await?,
        Claim::ForeignOrigin => court.foreign_origin().await?,
        Claim::CsrfToken => court.csrf_token().await?,
        Claim::Logout => court.logout().await?,
        Claim::ReadableErrors => court.readable_errors().await?,
        Claim::NoCorsNeeded => court.no_cors_needed().await?,
        Claim::ListedOrigins => court.listed_origins().await?,
        Claim::OriginPatterns => court.origin_patterns().await?,
        Claim::PreflightEcho => court.preflight_echo().await?,
        Claim::ExposedHeaders => court.exposed_headers().await?,
        Claim::PreflightCache => court.preflight_cache().await?,
        Claim::SessionFixation => court.session_fixation().await?,
        Claim::LogoutRace => court.logout_race().await?,
        Claim::SessionExpiry => court.session_expiry().await?,
        Claim::SessionList => court.session_list().await?,
        Claim::CsrfModes => court.csrf_modes().await?,
    }
    Ok(court.trial)
}

struct Court<'a> {
    scene: &'a Scene<'a>,
    browser: &'a dyn Browser,
    client: Client,
    trial: Trial,
}

type Outcome = Result<(), ProveError>;
type Seen = Result<Arc<Observed>, ProveError>;

impl Court<'_> {
    // -- 1 ---------------------------------------------------------------------------------------

    async fn credentials_on(&mut self) -> Outcome {
        let login = self.log_in(Mode::Include).await?;
        self.check(
            login.page.readable && login.page.status == 200,
            "the login is answered 200 and readable",
        );
        let jar = self.scene.jar(self.browser).await?;
        self.check(jar.is_some(), "the browser stores the session cookie");
        self.check(jar.is_none_or(|c| c.http_only), "the stored cookie is HttpOnly");
        let seen = self.session(Mode::Include).await?;
        self.check(seen.sent(self.cookie()).is_some(), "the session cookie is on the wire");
        self.check(seen.page.readable && seen.page.status == 200, "the script reads a 200");
        // Across sites the page's host has no such cookie to show: there only the attribute counts.
        if self.scene.stage.topology != Topology::CrossSite {
            self.check(
                !seen.page.document_cookie.contains(self.cookie()),
                "document.cookie does not show the session cookie",
            );
        }
        Ok(())
    }

    // -- 2 ---------------------------------------------------------------------------------------

    async fn credentials_off(&mut self) -> Outcome {
        self.log_in(Mode::Include).await?;
        for mode in self.modes_without_credentials() {
            let seen = self.session(mode).await?;
            let how = mode.id();
            self.check(seen.request.is_some(), format!("{how}: the request is sent"));
            let bare =
                seen.request.as_ref().is_some_and(|wire| wire.request("cookie").next().is_none());
            self.check(bare, format!("{how}: no cookie is on the wire"));
            self.check(
                seen.page.readable && seen.page.status == 401,
                format!("{how}: the script reads a 401"),
            );
        }
        let jar = self.scene.jar(self.browser).await?;
        self.check(jar.is_some(), "all the while the jar holds the session cookie");
        Ok(())
    }

    // -- 3 ---------------------------------------------------------------------------------------

    async fn login_without_credentials(&mut self) -> Outcome {
        for mode in self.modes_without_credentials() {
            let login = self.log_in(mode).await?;
            let how = mode.id();
            self.check(
                login.page.readable && login.page.status == 200,
                format!("{how}: the login is answered 200"),
            );
            let offered = login
                .request
                .as_ref()
                .is_some_and(|wire| wire.sets_cookie(self.cookie()).is_some());
            self.check(offered, format!("{how}: the answer offers the cookie"));
            let empty = self.scene.jar_of_all(self.browser).await?.is_empty();
            self.check(empty, format!("{how}: the browser stores neither it nor any other"));
        }
        let seen = self.session(Mode::Include).await?;
        self.check(seen.page.status == 401, "with credentials afterwards: still 401");
        Ok(())
    }

    // -- 4 ---------------------------------------------------------------------------------------

    async fn preflights(&mut self) -> Outcome {
        self.log_in(Mode::Include).await?;
        let before = self.scene.stage.live_sessions();
        let allowed = self
            .ask(Mode::Include, "GET", SESSION, vec![("X-CSRF-TOKEN", "any".to_owned())], None)
            .await?;
        let refused = self
            .call(Call {
                from: Asker::Foreign,
                headers: vec![("X-CSRF-TOKEN", "any".to_owned())],
                ..self.call_of(Mode::Include, "GET", SESSION)
            })
            .await?;
        for (which, seen) in [("granted", &allowed), ("refused", &refused)] {
            let Some(preflight) = &seen.preflight else {
                self.check(false, format!("{which}: a preflight is sent"));
                continue;
            };
            let bare = preflight.request("cookie").next().is_none();
            self.check(bare, format!("{which}: the preflight carries no cookie"));
            let silent = preflight.response("set-cookie").next().is_none();
            self.check(silent, format!("{which}: its answer sets no cookie"));
            self.check(
                preflight.response("vary").any(|v| v.contains("Origin")),
                format!("{which}: its answer varies by Origin"),
            );
        }
        self.check(
            allowed.sent(self.cookie()).is_some(),
            "the request after it carries the cookie",
        );
        let after = self.scene.stage.live_sessions();
        self.check(
            before == after,
            format!("the service holds as many sessions as before ({before})"),
        );
        Ok(())
    }

    // -- 5 ---------------------------------------------------------------------------------------

    async fn foreign_origin(&mut self) -> Outcome {
        let login = self.log_in(Mode::Include).await?;
        let before = self.scene.jar(self.browser).await?;
        let foreign = |call: Call| Call { from: Asker::Foreign, ..call };

        let read = self.call(foreign(self.call_of(Mode::Include, "GET", SESSION))).await?;
        self.check(
            read.sent(self.cookie()).is_some(),
            "the browser sends the foreign page's request with the cookie",
        );
        self.check(!read.page.readable, "the foreign page cannot read the answer");
        if self.browser.sight().cors_errors {
            self.check(read.names_cors_rule(), "the browser names the CORS rule that it breaks");
        }

        // A form's kind of POST needs no preflight: it goes out and is answered by the CSRF check.
        let mut simple = foreign(self.call_of(Mode::Include, "POST", LOGOUT));
        simple.headers = vec![("Content-Type", "text/plain".to_owned())];
        simple.body = Some("x".to_owned());
        let write = self.call(simple.clone()).await?;
        let status = write.request.as_ref().map(|wire| wire.status);
        self.check(
            write.sent(self.cookie()).is_some(),
            "its POST is sent with the cookie, without a preflight",
        );
        self.check(status == Some(403), "the service answers it with 403");
        self.check(!write.page.readable, "the foreign page cannot read that either");
        if self.client == Client::Fetch {
            let blind = self.call(Call { no_cors: true, ..simple.clone() }).await?;
            let status = blind.request.as_ref().map(|wire| wire.status);
            let opaque = blind.page.kind.as_deref() == Some("opaque");
            self.check(
                blind.sent(self.cookie()).is_some() && status == Some(403) && opaque,
                "no-cors: sent with the cookie, 403, opaque",
            );
        }

        // Not every change is a POST to its own address: a GET that logs out, a login as another.
        let away = self.call(foreign(self.call_of(Mode::Include, "GET", LOGOUT))).await?;
        let status = away.request.as_ref().map(|wire| wire.status);
        self.check(status == Some(403), "its GET of the logout is answered with 403");
        let stage = &self.scene.stage;
        let body = json!({ "username": stage.username, "password": stage.password() }).to_string();
        let other = Call { path: LOGIN, body: Some(body), ..simple };
        let status = self.call(other).await?.request.as_ref().map(|wire| wire.status);
        self.check(matches!(status, Some(403 | 415)), "its login is refused (403 or 415)");
        let kept = self.scene.jar(self.browser).await?;
        let unchanged = kept.is_some() && kept == before;
        self.check(unchanged, "the session cookie in the jar is the same as before");

        // Even one that knows the token is stopped: its preflight is refused.
        let token = self.token_of(&login);
        let mut clever = foreign(self.call_of(Mode::Include, "POST", LOGOUT));
        clever.headers = vec![("X-CSRF-TOKEN", token)];
        let clever = self.call(clever).await?;
        self.check(
            clever.preflight.is_some() && clever.request.is_none(),
            "a POST with the token stops at its preflight",
        );

        let alive = self.session(Mode::Include).await?;
        self.check(alive.page.status == 200, "the session is alive afterwards");
        Ok(())
    }

    // -- 7 ---------------------------------------------------------------------------------------

    async fn logout(&mut self) -> Outcome {
        let login = self.log_in(Mode::Include).await?;
        let kept = self.scene.jar(self.browser).await?;
        let token = self.token_of(&login);
        let out =
            self.ask(Mode::Include, "POST", LOGOUT, vec![("X-CSRF-TOKEN", token)], None).await?;
        self.check(out.page.readable && out.page.status == 200, "the script reads a 200");
        let jar = self.scene.jar(self.browser).await?;
        self.check(jar.is_none(), "the browser has deleted the cookie");
        let seen = self.session(Mode::Include).await?;
        self.check(seen.page.readable && seen.page.status == 401, "the next request reads a 401");
        // Whoever copied the cookie before finds it worthless.
        if let Some(cookie) = kept {
            self.scene.plant(self.browser, &cookie).await?;
            let replay = self.session(Mode::Include).await?;
            self.check(
                replay.sent(self.cookie()) == Some(&cookie.value),
                "the old cookie, put back, is sent again",
            );
            self.check(replay.page.status == 401, "and opens nothing: 401");
            if replay.sent(self.cookie()) == Some(&cookie.value) {
                let told = replay.field("code").as_deref() == Some("revoked");
                self.check(told, "and the script reads why (revoked)");
            }
        } else {
            self.check(false, "there is a cookie to put back");
        }
        Ok(())
    }

    // -- 8 ---------------------------------------------------------------------------------------

    async fn readable_errors(&mut self) -> Outcome {
        let json = || vec![("Content-Type", "application/json".to_owned())];
        let wrong =
            json!({ "username": self.scene.stage.username, "password": "wrong" }).to_string();
        let big = json!({ "username": "x".repeat(20_000), "password": "" }).to_string();
        let anonymous = [
            (401, "no_session", "GET", SESSION, vec![], None),
            (401, "invalid_credentials", "POST", LOGIN, json(), Some(wrong)),
            (400, "malformed_json", "POST", LOGIN, json(), Some("{".to_owned())),
            (404, "not_found", "GET", "/api/auth/nowhere", vec![], None),
            (405, "method_not_allowed", "DELETE", SESSION, vec![], None),
            (413, "body_too_large", "POST", LOGIN, json(), Some(big)),
            (
                415,
                "unsupported_media_type",
                "POST",
                LOGIN,
                vec![("Content-Type", "text/plain".to_owned())],
                Some("x".to_owned()),
            ),
        ];
        for (status, code, method, path, headers, body) in anonymous {
            let seen = self.ask(Mode::Include, method, path, headers, body).await?;
            self.check_error(&seen, status, code);
        }
        self.log_in(Mode::Include).await?;
        let seen = self.ask(Mode::Include, "POST", LOGOUT, vec![], None).await?;
        self.check_error(&seen, 403, "csrf_failed");
        self.too_many_logins().await
    }

    /// Until the service has had enough: other clients of the proof may be at it as well.
    async fn too_many_logins(&mut self) -> Outcome {
        let _policy = self.scene.stage.under(Policy::FewLogins).await?;
        let wrong =
            json!({ "username": self.scene.stage.username, "password": "wrong" }).to_string();
        let headers = vec![("Content-Type", "application/json".to_owned())];
        for _ in 0..3 {
            let (headers, body) = (headers.clone(), Some(wrong.clone()));
            let seen = self.ask(Mode::Include, "POST", LOGIN, headers, body).await?;
            if seen.page.status != 401 {
                self.check_error(&seen, 429, "rate_limited");
                return Ok(());
            }
        }
        self.check(false, "429 rate_limited is readable");
        Ok(())
    }

    fn check_error(&mut self, seen: &Observed, status: u16, code: &str) {
        let read = seen.page.readable
            && seen.page.status == status
            && seen.field("code").as_deref() == Some(code);
        self.check(read, format!("{status} {code} is readable"));
    }

    // -- 11 --------------------------------------------------------------------------------------

    async fn no_cors_needed(&mut self) -> Outcome {
        let login = self.log_in(Mode::Default).await?;
        self.check(login.page.status == 200, "the login works without a word about credentials");
        let jar = self.scene.jar(self.browser).await?;
        self.check(jar.is_some(), "the browser stores the session cookie");
        let token = self.token_of(&login);
        let header = || vec![("X-CSRF-TOKEN", token.clone())];
        let read = self.ask(Mode::Default, "GET", SESSION, header(), None).await?;
        let read_same = self.session(Mode::SameOrigin).await?;
        let out = self.ask(Mode::Default, "POST", LOGOUT, header(), None).await?;
        for (what, seen) in [
            ("login", &login),
            ("session", &read),
            ("session, same-origin", &read_same),
            ("logout", &out),
        ] {
            self.check(seen.preflight.is_none(), format!("{what}: no preflight"));
            let bare = seen.request.as_ref().is_some_and(|wire| {
                wire.response_headers
                    .iter()
                    .all(|(n, _)| !n.to_ascii_lowercase().starts_with("access-control-"))
            });
            self.check(bare, format!("{what}: no CORS header in the answer"));
            self.check(
                seen.page.readable && seen.page.status == 200,
                format!("{what}: the script reads a 200"),
            );
        }
        for (what, seen) in
            [("session", &read), ("session, same-origin", &read_same), ("logout", &out)]
        {
            self.check(seen.sent(self.cookie()).is_some(), format!("{what}: the cookie is sent"));
        }
        Ok(())
    }

    // -- what they share -------------------------------------------------------------------------

    fn cookie(&self) -> &str {
        self.scene.stage.cookie
    }

    /// On one origin `same-origin` and the default mean credentials; only `omit` does not.
    fn modes_without_credentials(&self) -> Vec<Mode> {
        let same_origin = self.scene.stage.topology == Topology::SameOrigin;
        let modes = self.client.modes_without_credentials().iter().copied();
        modes.filter(|mode| !same_origin || *mode == Mode::Omit).collect()
    }

    fn check(&mut self, holds: bool, says: impl Into<String>) {
        self.trial.checks.push(Check { holds, says: says.into() });
    }

    fn call_of(&self, mode: Mode, method: &'static str, path: &'static str) -> Call {
        let client = self.client;
        Call {
            from: Asker::Page,
            client,
            mode,
            method,
            path,
            headers: Vec::new(),
            body: None,
            no_cors: false,
            handle: None,
            probe: None,
        }
    }

    async fn ask(
        &mut self,
        mode: Mode,
        method: &'static str,
        path: &'static str,
        headers: Vec<(&'static str, String)>,
        body: Option<String>,
    ) -> Seen {
        let call = Call { headers, body, ..self.call_of(mode, method, path) };
        self.call(call).await
    }

    /// The CSRF token that a login told the page.
    fn token_of(&mut self, login: &Observed) -> String {
        let token = login.field("csrfToken");
        self.check(token.is_some(), "the login tells the page its CSRF token");
        token.unwrap_or_default()
    }

    async fn session(&mut self, mode: Mode) -> Seen {
        self.ask(mode, "GET", SESSION, vec![], None).await
    }

    async fn log_in(&mut self, mode: Mode) -> Seen {
        let stage = &self.scene.stage;
        let body = json!({ "username": stage.username, "password": stage.password() }).to_string();
        let headers = vec![("Content-Type", "application/json".to_owned())];
        self.ask(mode, "POST", LOGIN, headers, Some(body)).await
    }

    async fn call(&mut self, call: Call) -> Seen {
        let seen = self.scene.call(self.browser, call).await?;
        self.record(&seen);
        Ok(seen)
    }

    fn record(&mut self, seen: &Arc<Observed>) {
        for contradiction in seen.contradictions() {
            let (method, path) = (seen.method, seen.path);
            let says = format!("{method} {path}: browser and server agree (but {contradiction})");
            self.check(false, says);
        }
        self.trial.exchanges.push(Arc::clone(seen));
    }
}
