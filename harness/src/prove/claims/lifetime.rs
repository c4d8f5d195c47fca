//! How the claims about the life of sessions are shown (17 to 20): how they begin, how long they
//! last, how they end, and that what has ended stays so.

use std::sync::Arc;
use std::time::Duration;

use crate::browser::JarCookie;
use crate::lab::{Asker, Moment, Policy};
use crate::prove::ProveError;
use crate::prove::claims::{Court, LOGOUT, Outcome, SESSION};
use crate::prove::scene::{Call, Mode, Observed};

const SESSIONS: &str = "/api/auth/sessions";
const ONE_SESSION: &str = "/api/auth/sessions/{handle}";
const OTHER_SESSIONS: &str = "/api/auth/sessions?except=current";

/// Well-formed, and given out by nobody.
const PLANTED: &str = "cGxhbnRlZCBieSBzb21lYm9keSBlbHNlIGJlZm9yZSE";

/// Within every limit, with room for what the requests themselves take.
const A_BIT: Duration = Duration::from_mins(1);

impl Court<'_> {
    // -- 17 --------------------------------------------------------------------------------------

    pub(super) async fn session_fixation(&mut self) -> Outcome {
        let login = self.log_in(Mode::Include).await?;
        self.end_others(&login).await?;
        let first = self.scene.jar(self.browser).await?;
        let login = self.log_in(Mode::Include).await?;
        let second = self.scene.jar(self.browser).await?;
        let (Some(first), Some(second)) = (first, second) else {
            self.check(false, "the browser stores the session cookie of each login");
            return Ok(());
        };
        self.check(first.value != second.value, "second login: the id is another");
        let ended = self.end_others(&login).await?;
        self.check(ended == Some(0), "second login: the first session has ended");
        let seen = self.session(Mode::Include).await?;
        self.check(is_read(&seen, 200), "second login: its session is open");
        self.check_dead(Asker::Page, &first, "the first id", "revoked").await?;

        let planted = JarCookie { value: PLANTED.to_owned(), ..second };
        self.check_dead(Asker::Page, &planted, "a planted id", "no_session").await?;
        self.log_in(Mode::Include).await?;
        let third = self.scene.jar(self.browser).await?;
        let another = third.is_some_and(|cookie| cookie.value != PLANTED);
        self.check(another, "a login with a planted id gives another");
        self.check_dead(Asker::Page, &planted, "the planted id after it", "no_session").await
    }

    // -- 18 --------------------------------------------------------------------------------------

    pub(super) async fn logout_race(&mut self) -> Outcome {
        self.scene.raise(self.browser, &[Asker::Second]).await?;

        let when = "before the service";
        let (kept, slow) = self.overtaken(Moment::BeforeService, when).await?;
        self.check(is_read(&slow, 401), format!("{when}: the slow request reads a 401"));
        let told = slow.field("code").as_deref() == Some("revoked");
        self.check(told, format!("{when}: and why (revoked)"));
        self.check_over(kept.as_ref(), when).await?;

        let when = "before the answer";
        let (kept, slow) = self.overtaken(Moment::BeforeAnswer, when).await?;
        self.check(is_read(&slow, 200), format!("{when}: the slow request reads its 200"));
        self.check_over(kept.as_ref(), when).await
    }

    /// A login, then a request that another page's logout overtakes while it waits. Gives the
    /// cookie of before, and the slow request.
    async fn overtaken(
        &mut self,
        moment: Moment,
        when: &str,
    ) -> Result<(Option<JarCookie>, Arc<Observed>), ProveError> {
        let (scene, browser) = (self.scene, self.browser);
        let login = self.log_in(Mode::Include).await?;
        let kept = scene.jar(browser).await?;
        let token = self.token_of(&login);
        let probe = scene.new_probe();
        let slow =
            Call { probe: Some(probe.clone()), ..self.call_of(Mode::Include, "GET", SESSION) };
        let logout = Call {
            from: Asker::Second,
            headers: vec![("X-CSRF-TOKEN", token)],
            ..self.call_of(Mode::Include, "POST", LOGOUT)
        };
        let mut hold = scene.stage.hold(&probe, moment);
        let (slow, (reached, logout)) = tokio::try_join!(scene.call(browser, slow), async move {
            let reached = hold.reached().await;
            let logout = scene.call(browser, logout).await?;
            // Only now does the slow one go on.
            drop(hold);
            Ok((reached, logout))
        })?;
        self.record(&logout);
        self.record(&slow);
        self.check(reached, format!("{when}: the request waits there"));
        let carries = kept.as_ref().is_some_and(|c| slow.sent(self.cookie()) == Some(&*c.value));
        self.check(carries, format!("{when}: it carries the session cookie"));
        self.check(is_read(&logout, 200), format!("{when}: meanwhile another page logs out (200)"));
        Ok((kept, slow))
    }

    async fn check_over(&mut self, kept: Option<&JarCookie>, when: &str) -> Outcome {
        let jar = self.scene.jar(self.browser).await?;
        self.check(
            jar.is_none(),
            format!("{when}: afterwards the browser holds no session cookie"),
        );
        let seen = self.session(Mode::Include).await?;
        self.check(is_read(&seen, 401), format!("{when}: the next request reads a 401"));
        match kept {
            Some(kept) => {
                let what = format!("{when}: the cookie of before");
                self.check_dead(Asker::Page, kept, &what, "revoked").await?;
            }
            None => self.check(false, format!("{when}: there is a cookie to put back")),
        }
        Ok(())
    }

    // -- 19 --------------------------------------------------------------------------------------

    pub(super) async fn session_expiry(&mut self) -> Outcome {
        let scene = self.scene;
        // Sessions of its own: moving the clock ends all that there are.
        let _policy = scene.stage.under(Policy::MovedClock).await?;
        let in_use = Policy::IDLE.saturating_sub(A_BIT);

        self.log_in(Mode::Include).await?;
        scene.stage.advance(in_use);
        let seen = self.session(Mode::Include).await?;
        self.check(is_read(&seen, 200), "idle, but not too long: the script reads a 200");
        scene.stage.advance(Policy::IDLE + A_BIT);
        for what in ["idle too long", "idle too long, asked again"] {
            let seen = self.session(Mode::Include).await?;
            self.check_expired(&seen, what);
        }

        self.log_in(Mode::Include).await?;
        let mut age = Duration::ZERO;
        while age + in_use < Policy::ABSOLUTE {
            scene.stage.advance(in_use);
            age += in_use;
            let seen = self.session(Mode::Include).await?;
            let minutes = age.as_secs() / 60;
            let says = format!("in use: after {minutes} min the script reads a 200");
            self.check(is_read(&seen, 200), says);
        }
        scene.stage.advance(Policy::ABSOLUTE.saturating_sub(age));
        let seen = self.session(Mode::Include).await?;
        self.check_expired(&seen, "in use, but too old");

        let login = self.log_in(Mode::Include).await?;
        self.check(is_read(&login, 200), "a login with the expired cookie is answered 200");
        let seen = self.session(Mode::Include).await?;
        self.check(is_read(&seen, 200), "and its session is open");
        Ok(())
    }

    fn check_expired(&mut self, seen: &Observed, what: &str) {
        let sent = seen.sent(self.cookie()).is_some();
        self.check(sent, format!("{what}: the browser still sends the cookie"));
        self.check(is_read(seen, 401), format!("{what}: the script reads a 401"));
        let told = seen.field("code").as_deref() == Some("expired");
        self.check(told, format!("{what}: and why (expired)"));
    }

    // -- 20 --------------------------------------------------------------------------------------

    pub(super) async fn session_list(&mut self) -> Outcome {
        self.scene.raise(self.browser, &[Asker::Second]).await?;
        let first_login = self.log_in(Mode::Include).await?;
        self.end_others(&first_login).await?;
        let first = self.scene.jar(self.browser).await?;

        // Another browser of the same user, as far as the service can tell: an empty jar.
        self.scene.clear(self.browser).await?;
        let login = self.log_in(Mode::Include).await?;
        let second = self.scene.jar(self.browser).await?;
        let (Some(first), Some(second)) = (first, second) else {
            self.check(false, "the browser stores the session cookie of each login");
            return Ok(());
        };
        let listed = self.listed().await?;
        self.check(listed.len() == 2, "both logins are listed");
        let current = listed.iter().filter(|line| line.current).count();
        self.check(current == 1, "one of them is marked as the one that asks");
        let other = listed.into_iter().find(|line| !line.current).map(|line| line.handle);
        let opens_nothing = other.as_deref().is_some_and(|handle| !first.value.contains(handle));
        self.check(opens_nothing, "its handle is no part of its cookie");

        let end_one = |token: Option<String>| Call {
            headers: token.into_iter().map(|token| ("X-CSRF-TOKEN", token)).collect(),
            handle: other.clone(),
            ..self.call_of(Mode::Include, "DELETE", ONE_SESSION)
        };
        let (bare, proper) = (end_one(None), end_one(login.field("csrfToken")));
        let refused = self.call(bare).await?;
        self.check(is_read(&refused, 403), "ending the other without a CSRF token: 403");
        let done = self.call(proper).await?;
        self.check(is_read(&done, 200), "ending the other: the script reads a 200");
        let left = self.listed().await?;
        self.check(left.len() == 1, "after ending the other: one session is listed");
        self.check(
            left.iter().all(|line| line.current),
            "after ending the other: it is the one that asks",
        );
        self.check_dead(Asker::Second, &first, "another page with the ended one", "revoked")
            .await?;

        self.scene.clear(self.browser).await?;
        let login = self.log_in(Mode::Include).await?;
        let ended = self.end_others(&login).await?;
        self.check(ended == Some(1), "ending all others ends one");
        let seen = self.session(Mode::Include).await?;
        self.check(is_read(&seen, 200), "ending all others: the one that asks stays");
        self.check_dead(Asker::Second, &second, "another page with one of the others", "revoked")
            .await
    }

    /// What `GET /api/auth/sessions` shows the page.
    async fn listed(&mut self) -> Result<Vec<Line>, ProveError> {
        let seen = self.ask(Mode::Include, "GET", SESSIONS, vec![], None).await?;
        let lines = seen.json().and_then(|json| {
            let lines = json.get("sessions")?.as_array()?.iter();
            lines
                .map(|line| {
                    let handle = line.get("handle")?.as_str()?.to_owned();
                    Some(Line { handle, current: line.get("current")?.as_bool()? })
                })
                .collect::<Option<Vec<_>>>()
        });
        self.check(lines.is_some() && is_read(&seen, 200), "the script reads the list of sessions");
        Ok(lines.unwrap_or_default())
    }

    // -- what they share -------------------------------------------------------------------------

    /// Ends all sessions of the user but the one that this login began; gives how many there were.
    async fn end_others(&mut self, login: &Observed) -> Result<Option<u64>, ProveError> {
        let headers = vec![("X-CSRF-TOKEN", self.token_of(login))];
        let seen = self.ask(Mode::Include, "DELETE", OTHER_SESSIONS, headers, None).await?;
        Ok(seen.json().and_then(|json| json.get("ended")?.as_u64()))
    }

    /// Puts an old cookie back and asks with it.
    async fn check_dead(
        &mut self,
        from: Asker,
        cookie: &JarCookie,
        what: &str,
        code: &str,
    ) -> Outcome {
        self.scene.plant(self.browser, cookie).await?;
        let call = Call { from, ..self.call_of(Mode::Include, "GET", SESSION) };
        let seen = self.call(call).await?;
        let sent = seen.sent(self.cookie()) == Some(&*cookie.value);
        self.check(sent, format!("{what}, put back, is sent"));
        // Where a browser keeps it to itself, what the service would say is not shown.
        if sent {
            self.check(is_read(&seen, 401), format!("{what} opens nothing: 401"));
            let told = seen.field("code").as_deref() == Some(code);
            self.check(told, format!("{what}: the script reads why ({code})"));
        }
        Ok(())
    }
}

/// One line of the list.
struct Line {
    handle: String,
    current: bool,
}

fn is_read(seen: &Observed, status: u16) -> bool {
    seen.page.readable && seen.page.status == status
}
