//! Sessions in Redis or Valkey, shared by several instances of the service.
//!
//! | key | holds | lives |
//! |---|---|---|
//! | `withcreds:s:{key}` | one session; its record sealed, and the names of its lists | as long as the session, and an hour in which it is remembered as expired or revoked |
//! | `withcreds:u:{hash}` | the keys of one user's sessions | as long as the youngest of them may |
//! | `withcreds:n:{hash}` | the keys of the sessions that came from one session or subject of the identity provider | the same |
//!
//! Records are sealed with a key that only the session's own cookie makes, so a dump of the server
//! opens no session and shows no token. What is in the clear: times, versions, the kind of browser,
//! and hashes. Instances pass their own clocks: keep them in step.
//!
//! A session and the lists that name it live under different keys, on a cluster on different
//! machines, and change one after the other. The session is the truth: what a list names beyond it
//! is dropped when it is met. No list grows with the number of logins: what ends a session takes it
//! off its lists, and what ended by itself goes with the next login after its longest time.
//!
//! A session that moves to another secret is announced first: its new key is kept and put on the
//! lists, then the old one ends, then the new one begins. Whoever ends a user's sessions meanwhile
//! meets one of the two, and either stops the move.

mod link;
mod lists;
mod names;
mod scripts;

pub use link::RedisUrlError;

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, ScriptInvocation, cmd};

use self::link::{Ask, IfLost, Link, within};
use self::names::{idp_name, lists, session_name};
use self::scripts::Scripts;
use crate::policy::session::{Activity, Handle, Lifetimes, StoreKey, UnixMillis};
use crate::seal::Seal;
use crate::store::{
    Change, Found, Listed, NewSession, Owner, SessionStore, StoreError, Stored, Ticket, Updated,
    codec,
};

const PURPOSE: &str = "record v1";
/// For how long an end is remembered.
const REMEMBERED: Duration = Duration::from_hours(1);
/// A place that is kept for a session that moves: longer than any request waits.
const KEPT: Duration = Duration::from_secs(10);
/// The server counts in doubles: beyond this, milliseconds would be rounded.
const MOST_MILLIS: u128 = 1 << 52;

/// The shared store.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    lifetimes: Lifetimes,
    max_sessions_per_user: usize,
}

/// What a script says of a session: a word, and then its fields.
type Answer = Vec<Vec<u8>>;

/// What became of an attempt to end a session.
enum Ending {
    /// It has ended; what the server held of it.
    Done(Answer),
    /// It was about to move here, and will not.
    Stopped,
    /// It was over: somebody else ended it, or moved it away.
    Already,
    Nothing,
}

impl RedisStore {
    /// A store at this address, which is first visited when it is needed.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`].
    pub fn new(
        url: &str,
        cluster: bool,
        lifetimes: Lifetimes,
        max_sessions_per_user: usize,
    ) -> Result<Self, RedisUrlError> {
        let (link, scripts) = (Link::new(url, cluster)?, Scripts::new());
        Ok(Self { link, scripts, lifetimes, max_sessions_per_user })
    }

    /// Whether this is an address; visits nobody.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`].
    pub fn check_url(url: &str, cluster: bool) -> Result<(), RedisUrlError> {
        Link::new(url, cluster).map(|_| ())
    }

    async fn script<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.link.ask(Ask::Script(script), IfLost::AskAgain).await
    }

    async fn command<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.link.ask(Ask::Command(command), IfLost::AskAgain).await
    }

    async fn look(
        &self,
        ticket: &Ticket,
        extend: bool,
        now: UnixMillis,
    ) -> Result<Found, StoreError> {
        let mut script = self.scripts.look.key(session_name(ticket.key()));
        self.times(&mut script, now);
        script.arg(if extend { "extend" } else { "look" }).arg(millis(REMEMBERED));
        let answer: Answer = self.script(&script).await?;
        Ok(match answer.first().map(Vec::as_slice) {
            Some(b"live") => open(ticket, &answer).map_or(Found::Nothing, Found::Live),
            Some(b"expired") => Found::Expired,
            Some(b"revoked") => Found::Revoked,
            _ => Found::Nothing,
        })
    }

    /// The first three arguments of each script that asks whether a session is alive.
    fn times(&self, script: &mut ScriptInvocation<'_>, now: UnixMillis) {
        script.arg(now.0).arg(millis(self.lifetimes.idle)).arg(millis(self.lifetimes.absolute));
    }

    /// Writes a session, and then the lists that name it; gives the keys of all of its user's.
    async fn put(
        &self,
        ticket: &Ticket,
        stored: &Stored,
        now: UnixMillis,
    ) -> Result<Vec<String>, StoreError> {
        let lists = lists(stored);
        let mut put = self.scripts.put.key(session_name(ticket.key()));
        write_fields(&mut put, ticket, stored);
        put.arg(lists.join(" ")).arg(self.forgotten_at(stored).0);
        // The session first: a list that names one which is not there yet would be mended too soon.
        let _: i64 = self.script(&put).await?;
        self.add_to(&lists, ticket.key(), stored.activity.created, now).await
    }

    fn forgotten_at(&self, stored: &Stored) -> UnixMillis {
        self.lifetimes.idle_expires_at(stored.activity).after(REMEMBERED)
    }

    /// Ends a session by its key and takes it off its lists.
    async fn end(&self, key: &StoreKey, if_lost: IfLost) -> Result<Ending, StoreError> {
        let mut script = self.scripts.end.key(session_name(key));
        script.arg(millis(REMEMBERED));
        let mut answer: Answer = self.link.ask(Ask::Script(&script), if_lost).await?;
        let ending = match answer.first().map(Vec::as_slice) {
            Some(b"already") => return Ok(Ending::Already),
            Some(b"ended" | b"stopped") if answer.len() > 1 => answer.remove(1),
            _ => return Ok(Ending::Nothing),
        };
        let lists = String::from_utf8(ending).unwrap_or_default();
        let off = lists
            .split_ascii_whitespace()
            .map(async |list| self.drop_from(list, std::slice::from_ref(key)).await);
        join_all(off).await.into_iter().collect::<Result<(), _>>()?;
        let done = answer.first().map(Vec::as_slice) == Some(b"ended");
        Ok(if done { Ending::Done(answer) } else { Ending::Stopped })
    }

    /// Ends the session of a cookie; gives what it was.
    async fn end_of(&self, ticket: &Ticket, if_lost: IfLost) -> Result<Option<Stored>, StoreError> {
        let Ending::Done(answer) = self.end(ticket.key(), if_lost).await? else { return Ok(None) };
        Ok(open(ticket, &answer))
    }

    async fn begin(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<Stored, StoreError> {
        let stored = session.starting(now);
        let ids = self.put(ticket, &stored, now).await?;
        if let Some(old) = replaces {
            self.end_of(old, IfLost::AskAgain).await?;
        }
        if ids.len() > self.max_sessions_per_user {
            self.make_room(ticket, stored.owner(), &ids, now).await?;
        }
        Ok(stored)
    }

    async fn change(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> Result<Updated, StoreError> {
        let Found::Live(stored) = self.look(ticket, false, now).await? else {
            return Ok(Updated::Gone);
        };
        if stored.version != version {
            return Ok(Updated::Stale(stored));
        }
        let next = change.apply(&stored);
        let mut script = self.scripts.change.key(session_name(ticket.key()));
        self.times(&mut script, now);
        script.arg(version).arg(next.version).arg(sealed(ticket, &next));
        let answer: Answer = self.script(&script).await?;
        let Some(stored) = open(ticket, &answer) else { return Ok(Updated::Gone) };
        let done = answer.first().map(Vec::as_slice) == Some(b"done");
        Ok(if done { Updated::Done(stored) } else { Updated::Stale(stored) })
    }

    async fn move_to(
        &self,
        ticket: &Ticket,
        to: &Ticket,
        now: UnixMillis,
    ) -> Result<Found, StoreError> {
        let found = self.look(ticket, true, now).await?;
        let Found::Live(seen) = found else { return Ok(found) };
        self.announce(to, &seen, now).await?;
        // Whoever ends the old one moves it. If the answer is lost, so is the session: the user
        // logs in again, and nobody holds two.
        let Some(mut stored) = self.end_of(ticket, IfLost::Tell).await? else {
            self.end(to.key(), IfLost::AskAgain).await?;
            return Ok(Found::Revoked);
        };
        stored.version = stored.version.wrapping_add(1);
        Ok(if self.arrive(to, &stored).await? { Found::Live(stored) } else { Found::Revoked })
    }

    /// Keeps a place for a session that is about to move, and puts it on the session's lists.
    async fn announce(
        &self,
        to: &Ticket,
        seen: &Stored,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let lists = lists(seen);
        let mut keep = self.scripts.keep.key(session_name(to.key()));
        keep.arg(lists.join(" ")).arg(millis(KEPT));
        // Asked twice it would find its own place taken.
        if self.link.ask::<i64>(Ask::Script(&keep), IfLost::Tell).await? != 1 {
            let cause = "there is something under the new key already".to_owned();
            return Err(StoreError::Unavailable { cause });
        }
        self.add_to(&lists, to.key(), seen.activity.created, now).await.map(|_| ())
    }

    /// Whether the place was still kept: a logout of everything may have come in between.
    async fn arrive(&self, to: &Ticket, stored: &Stored) -> Result<bool, StoreError> {
        let mut arrive = self.scripts.arrive.key(session_name(to.key()));
        write_fields(&mut arrive, to, stored);
        arrive.arg(self.forgotten_at(stored).0);
        Ok(self.script::<i64>(&arrive).await? == 1)
    }
}

/// A session out of a script's answer. One that does not open was not written for this cookie.
fn open(ticket: &Ticket, answer: &Answer) -> Option<Stored> {
    let [_, created, last_seen, version, sealed] = answer.as_slice() else { return None };
    let seal = Seal::of_secret(ticket.secret().expose(), PURPOSE);
    let plain = seal.open(ticket.key().as_bytes(), sealed);
    let mut stored = plain.and_then(|plain| codec::decode(&plain))?;
    // The time of login is the sealed one: whoever writes to the server cannot prolong a life.
    if decimal(created) != Some(stored.activity.created.0) {
        return None;
    }
    stored.activity.last_seen = UnixMillis(decimal(last_seen)?);
    stored.version = u32::try_from(decimal(version)?).ok()?;
    Some(stored)
}

fn sealed(ticket: &Ticket, stored: &Stored) -> Vec<u8> {
    let seal = Seal::of_secret(ticket.secret().expose(), PURPOSE);
    seal.seal(ticket.key().as_bytes(), &codec::encode(stored))
}

/// The first five arguments of each script that writes a session.
fn write_fields(script: &mut ScriptInvocation<'_>, ticket: &Ticket, stored: &Stored) {
    let Activity { created, last_seen } = stored.activity;
    script.arg(created.0).arg(last_seen.0).arg(stored.version);
    script.arg(&stored.agent.to_bytes()[..]).arg(sealed(ticket, stored));
}

fn decimal(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis().min(MOST_MILLIS)).unwrap_or(0)
}

impl SessionStore for RedisStore {
    fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    async fn create(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<Stored, StoreError> {
        within(self.begin(ticket, session, replaces, now)).await
    }

    async fn get(&self, ticket: &Ticket, now: UnixMillis) -> Result<Found, StoreError> {
        within(self.look(ticket, false, now)).await
    }

    async fn touch(&self, ticket: &Ticket, now: UnixMillis) -> Result<Found, StoreError> {
        within(self.look(ticket, true, now)).await
    }

    async fn update(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> Result<Updated, StoreError> {
        within(self.change(ticket, version, change, now)).await
    }

    async fn rotate(
        &self,
        ticket: &Ticket,
        to: &Ticket,
        now: UnixMillis,
    ) -> Result<Found, StoreError> {
        within(self.move_to(ticket, to, now)).await
    }

    async fn remove(
        &self,
        ticket: &Ticket,
        _now: UnixMillis,
    ) -> Result<Option<Stored>, StoreError> {
        within(self.end_of(ticket, IfLost::AskAgain)).await
    }

    async fn list_by_user(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
    ) -> Result<Vec<Listed>, StoreError> {
        let members = within(self.members(owner, now)).await?;
        Ok(members.into_iter().rev().filter_map(|member| member.listed).collect())
    }

    async fn remove_by_handle(
        &self,
        owner: Owner<'_>,
        handle: Handle,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let ended = within(self.end_some(owner, now, |key| key.handle() == handle)).await?;
        Ok(ended > 0)
    }

    async fn remove_by_user(
        &self,
        owner: Owner<'_>,
        except: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        let kept = except.map(Ticket::key);
        within(self.end_some(owner, now, |key| Some(key) != kept)).await
    }

    async fn remove_by_idp_sid(
        &self,
        issuer: &str,
        sid: &str,
        _now: UnixMillis,
    ) -> Result<usize, StoreError> {
        within(self.end_named(&idp_name("sid", issuer, sid))).await
    }

    async fn remove_by_idp_sub(
        &self,
        issuer: &str,
        sub: &str,
        _now: UnixMillis,
    ) -> Result<usize, StoreError> {
        within(self.end_named(&idp_name("sub", issuer, sub))).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        within(async { self.command::<String>(&cmd("PING")).await.map(|_| ()) }).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("RedisStore").field("lifetimes", &self.lifetimes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
