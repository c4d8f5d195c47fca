//! What every store has to do, as one suite that runs over each of them.
//!
//! A [`Browser`] keeps the cookie, as browsers do, so that stores whose cookies change with use
//! are met in the same words as the others.

mod moves;
mod users;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::*;
use crate::effects::random;
use crate::identity::User;
use crate::policy::agent::Agent;
use crate::policy::session::{Activity, Lifetimes, SessionSecret};
use crate::secret::Secret;

pub(crate) use self::moves::{
    a_move_does_not_escape_a_logout_of_everything, a_session_does_not_move_onto_another,
    a_session_moves_to_a_new_secret, of_many_rotations_one_succeeds,
};
pub(crate) use self::users::{
    a_list_of_one_s_own, a_login_replaces_the_old_session_whoever_it_belonged_to,
    a_user_has_a_share_and_the_oldest_goes, ending_all_but_one, logouts_that_begin_at_the_provider,
    the_same_id_in_another_tenant_is_another_user, two_logins_at_once_keep_the_share,
};

/// Stores under test are made with these.
pub(crate) const LIFETIMES: Lifetimes =
    Lifetimes { idle: Duration::from_mins(1), absolute: Duration::from_mins(3) };
pub(crate) const PER_USER: usize = 3;

/// A store under test and the moment at which its tests begin.
pub(crate) struct Bench<S> {
    pub(crate) store: Arc<S>,
    pub(crate) start: UnixMillis,
    /// Whether it knows the sessions of other browsers.
    pub(crate) lists: bool,
    /// What the store needs beside it, such as a server.
    pub(crate) kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl<S> Clone for Bench<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            start: self.start,
            lists: self.lists,
            kept: self.kept.clone(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Browser {
    cookie: String,
}

/// Tests may share a server, so nobody is called the same twice.
pub(crate) fn somebody() -> User {
    User::named(&format!("user-{:x}", u64::from_le_bytes(random())))
}

fn ticket() -> Ticket {
    Ticket::new(SessionSecret::from_random(random()))
}

fn secret(text: &str) -> Secret<Box<str>> {
    Secret::new(text.into())
}

fn tokens(access: &str) -> Tokens {
    Tokens {
        access: Some(secret(access)),
        access_expires_at: Some(UnixMillis(7)),
        refresh: Some(secret("refresh")),
        id: None,
    }
}

impl<S: SessionStore + 'static> Bench<S> {
    async fn log_in(&self, user: &User) -> Browser {
        self.log_in_with(NewSession::of(user.clone()), None, self.start).await.expect("room")
    }

    async fn log_in_at(&self, user: &User, now: UnixMillis) -> Browser {
        self.log_in_with(NewSession::of(user.clone()), None, now).await.expect("room")
    }

    async fn log_in_with(
        &self,
        session: NewSession,
        replaces: Option<&Browser>,
        now: UnixMillis,
    ) -> Result<Browser, StoreError> {
        let ticket = ticket();
        let old = replaces.map(|browser| self.ticket(browser));
        let stored = self.store.create(&ticket, session, old.as_ref(), now).await?;
        Ok(Browser { cookie: self.store.cookie_value(&ticket, &stored) })
    }

    fn ticket(&self, browser: &Browser) -> Ticket {
        self.store.read_ticket(&browser.cookie).expect("its own cookie")
    }

    /// A request that may extend the session; the answer's cookie is kept.
    async fn used(&self, browser: &mut Browser, now: UnixMillis) -> Found {
        let ticket = self.ticket(browser);
        let found = self.store.touch(&ticket, now).await.expect("an answer");
        if let Found::Live(stored) = &found {
            browser.cookie = self.store.cookie_value(&ticket, stored);
        }
        found
    }

    async fn looked_at(&self, browser: &Browser, now: UnixMillis) -> Found {
        self.store.get(&self.ticket(browser), now).await.expect("an answer")
    }

    async fn is_live(&self, browser: &Browser, now: UnixMillis) -> bool {
        matches!(self.looked_at(browser, now).await, Found::Live(_))
    }

    async fn listed(&self, user: &User) -> usize {
        let owner = Owner { tenant: user.tenant(), user: user.id() };
        self.store.list_by_user(owner, self.start).await.expect("a list").len()
    }
}

fn a_bit(now: UnixMillis) -> UnixMillis {
    now.after(Duration::from_millis(1))
}

pub(crate) async fn what_was_stored_comes_back<S: SessionStore + 'static>(bench: Bench<S>) {
    let metadata = RawValue::from_string(r#"{"name":"Zoë","n":[1,2]}"#.to_owned()).unwrap();
    let user = User::new(somebody().id(), "acme", &metadata);
    let idp = IdpSession {
        issuer: "https://id.example".into(),
        sub: "0001".into(),
        sid: Some("s-1".into()),
        tokens: tokens("access"),
    };
    let agent = Agent::from_header(b"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0");
    for idp in [None, Some(Arc::new(idp))] {
        let session = NewSession { user: user.clone(), idp: idp.clone(), agent };
        let browser = bench.log_in_with(session, None, bench.start).await.unwrap();
        let activity = Activity { created: bench.start, last_seen: bench.start };
        let want = Stored { user: user.clone(), idp, activity, version: 0, agent };
        assert_eq!(bench.looked_at(&browser, bench.start).await, Found::Live(want));
    }
}

pub(crate) async fn looking_creates_nothing<S: SessionStore + 'static>(bench: Bench<S>) {
    let (nobody, other) = (ticket(), ticket());
    let store = &bench.store;
    for _ in 0..2 {
        assert_eq!(store.get(&nobody, bench.start).await, Ok(Found::Nothing));
        assert_eq!(store.touch(&nobody, bench.start).await, Ok(Found::Nothing));
        let changed = store.update(&nobody, 0, Change::default(), bench.start).await;
        assert_eq!(changed, Ok(Updated::Gone));
        assert_eq!(store.rotate(&nobody, &other, bench.start).await, Ok(Found::Nothing));
        assert_eq!(store.get(&other, bench.start).await, Ok(Found::Nothing));
        assert_eq!(store.remove(&nobody, bench.start).await, Ok(None));
    }
}

pub(crate) async fn use_extends_up_to_the_absolute_end<S: SessionStore + 'static>(bench: Bench<S>) {
    let mut browser = bench.log_in(&somebody()).await;
    let mut now = bench.start;
    for _ in 0..3 {
        now = now.after(LIFETIMES.idle);
        assert!(bench.is_live(&browser, now).await);
        let stored = bench.used(&mut browser, now).await.live().expect("in time");
        assert_eq!(stored.activity, Activity { created: bench.start, last_seen: now });
    }
    assert_eq!(bench.used(&mut browser, a_bit(now)).await, Found::Expired);
    assert_eq!(bench.looked_at(&browser, a_bit(now)).await, Found::Expired);
}

pub(crate) async fn looking_does_not_extend<S: SessionStore + 'static>(bench: Bench<S>) {
    let browser = bench.log_in(&somebody()).await;
    let end = bench.start.after(LIFETIMES.idle);
    assert!(bench.is_live(&browser, end).await);
    assert_eq!(bench.looked_at(&browser, a_bit(end)).await, Found::Expired);
}

pub(crate) async fn time_does_not_run_backwards<S: SessionStore + 'static>(bench: Bench<S>) {
    // Two requests, and the one that began first is served last.
    let mut browser = bench.log_in(&somebody()).await;
    let later = bench.start.after(LIFETIMES.idle / 2);
    bench.used(&mut browser, later).await;
    let stored = bench.used(&mut browser, bench.start).await.live().expect("in time");
    assert_eq!(stored.activity.last_seen, later);
}

pub(crate) async fn a_removed_session_stays_removed<S: SessionStore + 'static>(bench: Bench<S>) {
    let browser = bench.log_in(&somebody()).await;
    let ticket = bench.ticket(&browser);
    let removed = bench.store.remove(&ticket, bench.start).await.unwrap().expect("a session");
    assert_eq!(removed.activity.created, bench.start);
    assert_eq!(bench.store.remove(&ticket, bench.start).await, Ok(None));
    assert_eq!(bench.looked_at(&browser, bench.start).await, Found::Revoked);
    assert_eq!(bench.store.touch(&ticket, bench.start).await, Ok(Found::Revoked));
}

/// The classic bug of this field, in both orders: a request that has read its session before the
/// logout writes it after.
pub(crate) async fn a_slow_request_does_not_undo_a_logout<S: SessionStore + 'static>(
    bench: Bench<S>,
) {
    for write_first in [true, false] {
        let mut browser = bench.log_in(&somebody()).await;
        let slow = bench.ticket(&browser);
        let read = bench.store.get(&slow, bench.start).await.unwrap().live().expect("alive");
        if !write_first {
            bench.store.remove(&slow, bench.start).await.unwrap();
        }
        let touched = bench.store.touch(&slow, a_bit(bench.start)).await.unwrap();
        let change = Change { metadata: raw("{\"late\":true}"), tokens: Some(tokens("late")) };
        let updated =
            bench.store.update(&slow, read.version, change, a_bit(bench.start)).await.unwrap();
        assert_eq!(matches!(touched, Found::Live(_)), write_first);
        assert_eq!(matches!(updated, Updated::Done(_)), write_first);
        // The browser takes whatever cookie the slow answer sets.
        if let Updated::Done(stored) = updated {
            browser.cookie = bench.store.cookie_value(&slow, &stored);
        }
        if write_first {
            bench.store.remove(&bench.ticket(&browser), bench.start).await.unwrap();
        }
        for ticket in [&slow, &bench.ticket(&browser)] {
            assert_eq!(bench.store.get(ticket, bench.start).await, Ok(Found::Revoked));
            assert_eq!(bench.store.touch(ticket, bench.start).await, Ok(Found::Revoked));
        }
    }
}

fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}

pub(crate) async fn a_logout_wins_against_a_crowd<S: SessionStore + 'static>(bench: Bench<S>) {
    for _ in 0..20 {
        let browser = bench.log_in(&somebody()).await;
        let mut crowd = tokio::task::JoinSet::new();
        for n in 0..8u32 {
            let (bench, ticket) = (bench.clone(), bench.ticket(&browser));
            crowd.spawn(async move {
                for version in 0..10 {
                    bench.store.touch(&ticket, bench.start).await.unwrap();
                    let change = Change { metadata: raw("{}"), tokens: None };
                    let done = bench.store.update(&ticket, version, change, bench.start).await;
                    assert!(done.is_ok(), "{n}: {done:?}");
                }
            });
        }
        let removed = bench.store.remove(&bench.ticket(&browser), bench.start).await.unwrap();
        assert!(removed.is_some());
        crowd.join_all().await;
        assert_eq!(bench.looked_at(&browser, bench.start).await, Found::Revoked);
    }
}

pub(crate) async fn of_two_refreshes_the_second_is_stale<S: SessionStore + 'static>(
    bench: Bench<S>,
) {
    let idp = IdpSession {
        issuer: "https://id.example".into(),
        sub: "sub".into(),
        sid: None,
        tokens: tokens("first"),
    };
    let session =
        NewSession { user: somebody(), idp: Some(Arc::new(idp)), agent: Agent::default() };
    let mut browser = bench.log_in_with(session, None, bench.start).await.unwrap();
    let ticket = bench.ticket(&browser);
    let read = bench.store.get(&ticket, bench.start).await.unwrap().live().unwrap();

    let change = |access| Change { tokens: Some(tokens(access)), metadata: raw("{\"n\":1}") };
    let done = bench.store.update(&ticket, read.version, change("second"), bench.start).await;
    let Ok(Updated::Done(now)) = done else { panic!("{done:?}") };
    assert_eq!((now.version, now.user.metadata()), (read.version + 1, "{\"n\":1}"));
    browser.cookie = bench.store.cookie_value(&ticket, &now);
    let ticket = bench.ticket(&browser);
    let again = bench.store.update(&ticket, read.version, change("third"), bench.start).await;
    assert_eq!(again, Ok(Updated::Stale(now.clone())));
    assert_eq!(bench.looked_at(&browser, bench.start).await, Found::Live(now.clone()));
    assert_eq!(now.idp.as_ref().unwrap().tokens, tokens("second"));
}

pub(crate) async fn two_refreshes_at_once_change_it_once<S: SessionStore + 'static>(
    bench: Bench<S>,
) {
    if !bench.lists {
        // Where the cookie is the store, nothing is there for two requests to meet at.
        return;
    }
    let browser = bench.log_in(&somebody()).await;
    for version in 0..20 {
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (bench, ticket) = (bench.clone(), bench.ticket(&browser));
            crowd.spawn(async move {
                let change = Change { metadata: raw("{}"), tokens: None };
                bench.store.update(&ticket, version, change, bench.start).await.unwrap()
            });
        }
        let outcomes = crowd.join_all().await;
        let done = outcomes.iter().filter(|o| matches!(o, Updated::Done(_))).count();
        assert_eq!(done, 1, "{outcomes:?}");
    }
}

/// Runs the whole suite over what `$bench` makes.
macro_rules! suite {
    ($bench:expr; $($case:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let Some(bench) = $bench.await else { return };
            $crate::store::conformance::$case(bench).await;
        }
    )*};
    ($bench:expr) => {
        $crate::store::conformance::suite! { $bench;
            what_was_stored_comes_back,
            looking_creates_nothing,
            use_extends_up_to_the_absolute_end,
            looking_does_not_extend,
            time_does_not_run_backwards,
            a_removed_session_stays_removed,
            a_slow_request_does_not_undo_a_logout,
            a_logout_wins_against_a_crowd,
            of_two_refreshes_the_second_is_stale,
            two_refreshes_at_once_change_it_once,
            a_session_moves_to_a_new_secret,
            of_many_rotations_one_succeeds,
            a_session_does_not_move_onto_another,
            a_move_does_not_escape_a_logout_of_everything,
            a_login_replaces_the_old_session_whoever_it_belonged_to,
            a_user_has_a_share_and_the_oldest_goes,
            the_same_id_in_another_tenant_is_another_user,
            two_logins_at_once_keep_the_share,
            a_list_of_one_s_own,
            ending_all_but_one,
            logouts_that_begin_at_the_provider,
        }
    };
}
pub(crate) use suite;
