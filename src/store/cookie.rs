//! Sessions in their cookies: sealed, so that browsers can neither read nor change them.
//!
//! Nothing is kept here but the ends of sessions and their most recent changes, and those only as
//! long as the process lives. That is the price of this store: another instance, or this one after a restart, takes a copied cookie
//! for good until its time is over, and nobody can list or end the sessions of other browsers.

use std::future::ready;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::policy::session::{Handle, Lifetimes, SessionSecret, StoreKey, UnixMillis};
use crate::seal::{KeyRing, Seal};
use crate::store::codec::{self, Input};
use crate::store::graves::{End, Graves};
use crate::store::record::Held;
use crate::store::{
    Change, Found, Listed, NewSession, Owner, SessionStore, StoreError, Stored, Ticket, Updated,
};

/// Browsers drop a cookie whose name and value are longer: RFC 6265bis §5.6 asks for as much, and
/// Chromium, Firefox and WebKit keep no more.
const MAX_COOKIE_BYTES: usize = 4096;
const PURPOSE: &str = "cookie v1";
/// Ends that are remembered; the oldest are forgotten first.
const MOST_ENDS: usize = 1 << 18;
/// Changes that are remembered, at some three kilobytes each.
const MOST_CHANGES: usize = 1 << 13;

/// The store that keeps nothing.
#[derive(Debug)]
pub struct CookieStore {
    seal: Seal,
    cookie_name: String,
    lifetimes: Lifetimes,
    past: RwLock<Past>,
}

/// What happened to sessions that browsers may not know of yet.
#[derive(Debug, Default)]
struct Past {
    ended: Graves,
    /// Sessions as their last change left them. Of two answers under way at once the older may come
    /// last, and the browser keeps its cookie: its refresh token is used up, and whoever shows it
    /// again is taken for a thief.
    changed: Graves<Stored>,
}

impl CookieStore {
    /// A store whose cookies open with these keys and under this name only.
    #[must_use]
    pub fn new(keys: &KeyRing, cookie_name: &str, lifetimes: Lifetimes) -> Self {
        let (seal, cookie_name) = (keys.seal_for(PURPOSE), cookie_name.to_owned());
        Self { seal, cookie_name, lifetimes, past: RwLock::default() }
    }

    fn sealed(&self, secret: &SessionSecret, stored: &Stored) -> String {
        let mut plain = secret.expose().to_vec();
        codec::number(&mut plain, self.lifetimes.idle_expires_at(stored.activity).0);
        plain.extend_from_slice(&codec::encode(stored));
        URL_SAFE_NO_PAD.encode(self.seal.seal(self.cookie_name.as_bytes(), &plain))
    }

    fn open(&self, cookie_value: &str) -> Option<Ticket> {
        // Whoever sends more than a browser keeps has not got it from here.
        if cookie_value.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(cookie_value).ok()?;
        let plain = self.seal.open(self.cookie_name.as_bytes(), &sealed)?;
        let (secret, rest) = plain.split_first_chunk::<32>()?;
        let mut input = Input(rest);
        let ends = UnixMillis(input.number().ok()?);
        let stored = codec::decode(input.0)?;
        Some(Ticket::holding(SessionSecret::from_random(*secret), Held { stored, ends }))
    }

    /// Whether browsers would keep the cookie.
    fn check_size(&self, secret: &SessionSecret, stored: &Stored) -> Result<(), StoreError> {
        let size = self.cookie_name.len() + self.sealed(secret, stored).len();
        if size > MAX_COOKIE_BYTES {
            return Err(StoreError::TooLarge { size, limit: MAX_COOKIE_BYTES });
        }
        Ok(())
    }

    fn look_up(&self, ticket: &Ticket, now: UnixMillis) -> Found {
        let Some(held) = ticket.held() else { return Found::Nothing };
        let past = self.past.read().unwrap_or_else(PoisonError::into_inner);
        if past.ended.find(ticket.key(), now).is_some() {
            return Found::Revoked;
        }
        if now > held.ends || self.lifetimes.is_expired(held.stored.activity, now) {
            return Found::Expired;
        }
        Found::Live(newest(&past, ticket.key(), &held.stored, now))
    }

    /// Remembers the end of a session until its cookie ends by itself; gives what it was, or
    /// nothing if it has ended already.
    fn end(&self, key: &StoreKey, stored: &Stored, now: UnixMillis) -> Option<Stored> {
        let mut past = self.past.write().unwrap_or_else(PoisonError::into_inner);
        if past.ended.find(key, now).is_some() {
            return None;
        }
        let until = self.lifetimes.expires_at(stored.activity);
        past.ended.bury(key, End::Revoked, now, until, MOST_ENDS);
        Some(newest(&past, key, stored, now))
    }

    fn begin(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<Stored, StoreError> {
        let stored = session.starting(now);
        self.check_size(ticket.secret(), &stored)?;
        if let Some((ticket, held)) = replaces.and_then(|t| t.held().map(|held| (t, held))) {
            self.end(ticket.key(), &held.stored, now);
        }
        Ok(stored)
    }

    fn change(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> Result<Updated, StoreError> {
        let Found::Live(stored) = self.look_up(ticket, now) else { return Ok(Updated::Gone) };
        let next = change.apply(&stored);
        self.check_size(ticket.secret(), &next)?;
        let mut past = self.past.write().unwrap_or_else(PoisonError::into_inner);
        // Others may have changed or ended it since it was looked up.
        if past.ended.find(ticket.key(), now).is_some() {
            return Ok(Updated::Gone);
        }
        let stored = newest(&past, ticket.key(), &stored, now);
        if stored.version != version {
            return Ok(Updated::Stale(stored));
        }
        let until = self.lifetimes.expires_at(next.activity);
        past.changed.bury(ticket.key(), next.clone(), now, until, MOST_CHANGES);
        Ok(Updated::Done(next))
    }

    fn move_to(&self, ticket: &Ticket, now: UnixMillis) -> Found {
        let found = self.look_up(ticket, now);
        let Found::Live(seen) = found else { return found };
        let Some(mut stored) = self.end(ticket.key(), &seen, now) else { return Found::Revoked };
        stored.version = stored.version.wrapping_add(1);
        stored.activity.last_seen = stored.activity.last_seen.max(now);
        Found::Live(stored)
    }
}

/// A session as its cookie has it, or as it was changed since, whichever came later. When it was
/// last used is the cookie's word alone: a change does not prolong the life of a copy.
fn newest(past: &Past, key: &StoreKey, held: &Stored, now: UnixMillis) -> Stored {
    match past.changed.find(key, now) {
        Some(changed) if changed.version > held.version => {
            Stored { activity: held.activity, ..changed }
        }
        _ => held.clone(),
    }
}

/// Nothing here waits, so every future is ready at once.
impl SessionStore for CookieStore {
    fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    fn read_ticket(&self, cookie_value: &str) -> Option<Ticket> {
        self.open(cookie_value)
    }

    fn cookie_value(&self, ticket: &Ticket, session: &Stored) -> String {
        self.sealed(ticket.secret(), session)
    }

    fn reissues(&self) -> bool {
        true
    }

    fn create(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Stored, StoreError>> + Send {
        ready(self.begin(ticket, session, replaces, now))
    }

    fn get(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send {
        ready(Ok(self.look_up(ticket, now)))
    }

    fn touch(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send {
        let mut found = self.look_up(ticket, now);
        if let Found::Live(stored) = &mut found {
            stored.activity.last_seen = stored.activity.last_seen.max(now);
        }
        ready(Ok(found))
    }

    fn update(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Updated, StoreError>> + Send {
        ready(self.change(ticket, version, change, now))
    }

    fn rotate(
        &self,
        ticket: &Ticket,
        _to: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send {
        ready(Ok(self.move_to(ticket, now)))
    }

    fn remove(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send {
        ready(Ok(ticket.held().and_then(|held| self.end(ticket.key(), &held.stored, now))))
    }

    fn list_by_user(
        &self,
        _owner: Owner<'_>,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send {
        ready(Err(StoreError::Unsupported))
    }

    fn remove_by_handle(
        &self,
        _owner: Owner<'_>,
        _handle: Handle,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        ready(Err(StoreError::Unsupported))
    }

    fn remove_by_user(
        &self,
        _owner: Owner<'_>,
        _except: Option<&Ticket>,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        ready(Err(StoreError::Unsupported))
    }

    fn remove_by_idp_sid(
        &self,
        _issuer: &str,
        _sid: &str,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        ready(Err(StoreError::Unsupported))
    }

    fn remove_by_idp_sub(
        &self,
        _issuer: &str,
        _sub: &str,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        ready(Err(StoreError::Unsupported))
    }

    fn ready(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Ready;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::effects::random;
    use crate::identity::User;
    use crate::policy::key::SessionKey;
    use crate::store::conformance::{Bench, LIFETIMES, suite};

    const START: UnixMillis = UnixMillis(1_000_000);

    fn bench() -> Ready<Option<Bench<CookieStore>>> {
        let store = CookieStore::new(&KeyRing::random(), "__Host-session", LIFETIMES);
        ready(Some(Bench { store: Arc::new(store), start: START, lists: false, kept: None }))
    }

    mod conforms {
        use super::*;

        suite!(bench());
    }

    fn ring(keys: &[u8]) -> KeyRing {
        let keys = keys.iter().map(|n| SessionKey::from_random([*n; 32]));
        KeyRing::new(keys.collect()).unwrap()
    }

    fn log_in(store: &CookieStore, user: User) -> Result<String, StoreError> {
        let ticket = Ticket::new(SessionSecret::from_random(random()));
        let stored = store.begin(&ticket, NewSession::of(user), None, START)?;
        Ok(store.cookie_value(&ticket, &stored))
    }

    #[test]
    fn a_cookie_opens_under_its_own_name_and_keys_only() {
        let store = CookieStore::new(&ring(&[1]), "sid", LIFETIMES);
        let cookie = log_in(&store, User::named("ada")).unwrap();
        assert!(cookie.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        for (case, keys, name, opens) in [
            ("its own", &[1][..], "sid", true),
            ("a newer key in front", &[2, 1], "sid", true),
            ("its key is gone", &[2], "sid", false),
            ("another name", &[1], "other", false),
        ] {
            let store = CookieStore::new(&ring(keys), name, LIFETIMES);
            assert_eq!(store.read_ticket(&cookie).is_some(), opens, "{case}");
        }
        for bad in ["", "A", &cookie[1..], &format!("{cookie}A"), &"A".repeat(5000)] {
            assert!(store.read_ticket(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_cookie_ends_when_it_was_said_to() {
        // The configuration has become more generous since.
        let store = CookieStore::new(&ring(&[1]), "sid", LIFETIMES);
        let cookie = log_in(&store, User::named("ada")).unwrap();
        let day = Duration::from_hours(24);
        let generous = Lifetimes { idle: day, absolute: day };
        let store = CookieStore::new(&ring(&[1]), "sid", generous);
        let ticket = store.read_ticket(&cookie).unwrap();
        let end = START.after(LIFETIMES.idle);
        assert!(matches!(store.look_up(&ticket, end), Found::Live(_)));
        assert_eq!(store.look_up(&ticket, UnixMillis(end.0 + 1)), Found::Expired);
    }

    /// Two requests at once: one uses the session, the other changes it. Whichever answer the browser
    /// hears last, it has the change.
    #[test]
    fn a_late_answer_does_not_bring_an_older_session_back() {
        let change =
            |n: u32| Change { metadata: serde_json::value::to_raw_value(&n).ok(), tokens: None };
        for late in ["use", "change"] {
            let store = CookieStore::new(&ring(&[1]), "sid", LIFETIMES);
            let cookie = log_in(&store, User::named("ada")).unwrap();
            let ticket = store.read_ticket(&cookie).unwrap();
            let Found::Live(used) = store.look_up(&ticket, START) else { panic!("not alive") };
            let done = store.change(&ticket, 0, change(1), START);
            let Ok(Updated::Done(changed)) = done else { panic!("{done:?}") };
            let last = if late == "use" { &used } else { &changed };
            let browser = store.read_ticket(&store.cookie_value(&ticket, last)).unwrap();
            assert_eq!(store.look_up(&browser, START), Found::Live(changed.clone()), "{late}");
            let again = store.change(&browser, 0, change(2), START);
            assert_eq!(again, Ok(Updated::Stale(changed.clone())), "{late}");
            let done = store.change(&browser, 1, change(2), START);
            assert!(matches!(done, Ok(Updated::Done(_))), "{late}: {done:?}");
            // What is given back at a logout is the newest, too.
            let ended = tokio_test::block_on(store.remove(&browser, START)).unwrap().unwrap();
            assert_eq!(ended.user.metadata(), "2", "{late}");
            assert_eq!(store.look_up(&ticket, START), Found::Revoked, "{late}");
        }
    }

    #[test]
    fn what_no_browser_would_keep_is_refused() {
        let store = CookieStore::new(&ring(&[1]), "__Host-session", LIFETIMES);
        let user =
            |n: usize| User::from_parts("ada", "", &format!("{{\"x\":\"{}\"}}", "x".repeat(n)));
        let largest = (2000..4096).rev().find(|n| log_in(&store, user(*n)).is_ok()).unwrap();
        let cookie = log_in(&store, user(largest)).unwrap();
        assert!(
            (4090..=4096).contains(&("__Host-session".len() + cookie.len())),
            "{}",
            cookie.len()
        );
        let error = log_in(&store, user(largest + 3)).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { size: 4097.., limit: 4096 }), "{error}");
        // Nor may it grow beyond later.
        let ticket = store.read_ticket(&cookie).unwrap();
        let metadata = serde_json::value::to_raw_value(&"x".repeat(4000)).ok();
        let change = store.change(&ticket, 0, Change { metadata, tokens: None }, START);
        assert!(matches!(change, Err(StoreError::TooLarge { .. })), "{change:?}");
    }
}
