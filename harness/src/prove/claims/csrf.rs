//! How the claims about CSRF are shown (6 and 21): what a page must show before it may change anything,
//! in each of the service's modes.

use std::sync::Arc;

use crate::lab::{Asker, Policy};
use crate::prove::ProveError;
use crate::prove::claims::{Court, LOGOUT, Outcome};
use crate::prove::scene::{Call, Mode, Observed};

impl Court<'_> {
    // -- 6 ---------------------------------------------------------------------------------------

    pub(super) async fn csrf_token(&mut self) -> Outcome {
        // A session of the same user that stays alive: only the cookie changes.
        let other = self.log_in(Mode::Include).await?;
        let others_token = self.token_of(&other);
        self.scene.clear(self.browser).await?;
        self.log_in(Mode::Include).await?;
        for (case, headers) in [
            ("no token", vec![]),
            ("another session's token", vec![("X-CSRF-TOKEN", others_token)]),
            ("a forged token", vec![("X-CSRF-TOKEN", "A".repeat(64))]),
        ] {
            let seen = self.ask(Mode::Include, "POST", LOGOUT, headers, None).await?;
            self.check(seen.sent(self.cookie()).is_some(), format!("{case}: the cookie is sent"));
            self.check(
                seen.page.readable && seen.page.status == 403,
                format!("{case}: the script reads a 403"),
            );
            self.check(
                seen.field("code").as_deref() == Some("csrf_failed"),
                format!("{case}: and why (csrf_failed)"),
            );
        }
        let alive = self.session(Mode::Include).await?;
        self.check(alive.page.status == 200, "the session is alive afterwards");
        Ok(())
    }

    // -- 21 --------------------------------------------------------------------------------------

    pub(super) async fn csrf_modes(&mut self) -> Outcome {
        {
            let _policy = self.scene.stage.under(Policy::CsrfHeader).await?;
            let mode = "header";
            self.log_in(Mode::Include).await?;
            self.foreign_post(mode).await?;
            let bare = self.ask(Mode::Include, "POST", LOGOUT, vec![], None).await?;
            self.check(is_refused(&bare), format!("{mode}: without the header a readable 403"));
            self.still_open(mode).await?;
            let any = vec![("X-CSRF-TOKEN", "1".to_owned())];
            let out = self.ask(Mode::Include, "POST", LOGOUT, any, None).await?;
            self.check(is_done(&out), format!("{mode}: with any value of the header a 200"));
        }
        self.scene.clear(self.browser).await?;
        let _policy = self.scene.stage.under(Policy::CsrfOrigin).await?;
        let mode = "origin";
        self.log_in(Mode::Include).await?;
        self.foreign_post(mode).await?;
        self.still_open(mode).await?;
        let out = self.ask(Mode::Include, "POST", LOGOUT, vec![], None).await?;
        self.check(is_done(&out), format!("{mode}: from a listed page alone a 200"));
        Ok(())
    }

    /// A form's kind of POST from a page that nobody has listed: the browser sends it, cookie and all,
    /// and never asks before.
    async fn foreign_post(&mut self, mode: &str) -> Outcome {
        let call = Call {
            from: Asker::Foreign,
            headers: vec![("Content-Type", "text/plain".to_owned())],
            body: Some("x".to_owned()),
            ..self.call_of(Mode::Include, "POST", LOGOUT)
        };
        let seen = self.call(call).await?;
        let carried = seen.sent(self.cookie()).is_some() && seen.preflight.is_none();
        self.check(carried, format!("{mode}: a foreign page's POST is sent with the cookie"));
        let status = seen.request.as_ref().map(|wire| wire.status);
        self.check(status == Some(403), format!("{mode}: and answered with 403"));
        Ok(())
    }

    async fn still_open(&mut self, mode: &str) -> Result<Arc<Observed>, ProveError> {
        let seen = self.session(Mode::Include).await?;
        self.check(seen.page.status == 200, format!("{mode}: the session is still open"));
        Ok(seen)
    }
}

fn is_refused(seen: &Observed) -> bool {
    seen.page.readable
        && seen.page.status == 403
        && seen.field("code").as_deref() == Some("csrf_failed")
}

fn is_done(seen: &Observed) -> bool {
    seen.page.readable && seen.page.status == 200
}
