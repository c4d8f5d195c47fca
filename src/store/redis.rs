//! Sessions in Redis or Valkey, shared by several instances of the service.
//!
//! | key | holds | lives |
//! |---|---|---|
//! | `withcreds:s:{key}` | one session; its record sealed | as long as the session, and an hour in which it is remembered as expired or revoked |
//! | `withcreds:u:{hash}` | the keys of one user's sessions | as long as the youngest of them may |
//! | `withcreds:i:{hash}` | the keys of the sessions that came from one session or subject of the identity provider | the same |
//!
//! Records are sealed with a key that only the session's own cookie makes, so a dump of the server
//! opens no session and shows no token. What is in the clear: times, versions, the kind of browser,
//! and hashes. Instances pass their own clocks: keep them in step.
//!
//! A session and the lists that name it live under different keys, on a cluster on different
//! machines, and change one after the other. The session is the truth: what a list names beyond it
//! is dropped when it is met.

mod link;
mod scripts;

pub use link::RedisUrlError;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use redis::{Cmd, ScriptInvocation, cmd};
use sha2::{Digest as _, Sha256};

use self::link::{Ask, IfLost, Link, within};
use self::scripts::Scripts;
use crate::policy::agent::Agent;
use crate::policy::session::{Activity, Handle, Lifetimes, StoreKey, UnixMillis};
use crate::seal::Seal;
use crate::store::{
    Change, Found, Listed, NewSession, Owner, SessionStore, StoreError, Stored, Ticket, Updated,
    codec,
};

const PURPOSE: &str = "record v1";
/// For how long an end is remembered.
const REMEMBERED: Duration = Duration::from_hours(1);
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
        let Activity { created, last_seen } = stored.activity;
        let ends = self.lifetimes.idle_expires_at(stored.activity).after(REMEMBERED);
        let mut put = self.scripts.put.key(session_name(ticket.key()));
        put.arg(created.0).arg(last_seen.0).arg(stored.version).arg(&stored.agent.to_bytes()[..]);
        put.arg(sealed(ticket, stored)).arg(ends.0);
        let _: i64 = self.script(&put).await?;

        let (id, ends) = (encoded(ticket.key().as_bytes()), now.after(self.lifetimes.absolute).0);
        for name in idp_names(stored) {
            let mut script = self.scripts.name.key(name);
            script.arg(&id).arg(ends);
            let _: i64 = self.script(&script).await?;
        }
        let mut index = self.scripts.index.key(owner_name(stored.owner()));
        index.arg(created.0).arg(id).arg(ends);
        self.script(&index).await
    }

    /// Ends a session by its key; gives what the server held of it, sealed.
    async fn end(&self, key: &StoreKey, if_lost: IfLost) -> Result<Option<Answer>, StoreError> {
        let mut script = self.scripts.end.key(session_name(key));
        script.arg(millis(REMEMBERED));
        let answer: Answer = self.link.ask(Ask::Script(&script), if_lost).await?;
        Ok((answer.first().map(Vec::as_slice) == Some(b"ended")).then_some(answer))
    }

    /// Ends the session of a cookie and takes it off its user's list.
    async fn end_of(&self, ticket: &Ticket, if_lost: IfLost) -> Result<Option<Stored>, StoreError> {
        let Some(answer) = self.end(ticket.key(), if_lost).await? else { return Ok(None) };
        let Some(stored) = open(ticket, &answer) else { return Ok(None) };
        self.drop_from(&owner_name(stored.owner()), &[*ticket.key()]).await?;
        Ok(Some(stored))
    }

    async fn drop_from(&self, list: &str, keys: &[StoreKey]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut zrem = cmd("ZREM");
        zrem.arg(list);
        for key in keys {
            zrem.arg(encoded(key.as_bytes()));
        }
        self.command::<i64>(&zrem).await.map(|_| ())
    }

    /// What is known of these sessions without their cookies; `None` where there is none alive.
    async fn known(
        &self,
        ids: &[String],
        now: UnixMillis,
    ) -> Result<Vec<(StoreKey, Option<Listed>)>, StoreError> {
        let known = ids.iter().filter_map(|id| key_of(id)).map(async |key| {
            let mut hmget = cmd("HMGET");
            hmget.arg(session_name(&key)).arg(&["c", "t", "a"]);
            let fields: Vec<Option<Vec<u8>>> = self.command(&hmget).await?;
            let live =
                listed(&key, &fields).filter(|one| !self.lifetimes.is_expired(one.activity, now));
            Ok((key, live))
        });
        join_all(known).await.into_iter().collect()
    }

    async fn begin(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<Stored, StoreError> {
        let stored = session.starting(now);
        // The session first: a list that names one which is not there yet would be mended too soon.
        let ids = self.put(ticket, &stored, now).await?;
        if let Some(old) = replaces {
            self.end_of(old, IfLost::AskAgain).await?;
        }
        if ids.len() > self.max_sessions_per_user {
            self.make_room(ticket, stored.owner(), &ids, now).await?;
        }
        Ok(stored)
    }

    /// Beyond the user's share, sessions that are over go, then the oldest. Two logins at once may
    /// both choose the same ones: each chooses by the order of all, and never itself.
    async fn make_room(
        &self,
        ticket: &Ticket,
        owner: Owner<'_>,
        ids: &[String],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut known = self.known(ids, now).await?;
        known.retain(|(key, _)| key != ticket.key());
        let excess = (known.len() + 1).saturating_sub(self.max_sessions_per_user);
        // Stable: the oldest stay in front of each half.
        known.sort_by_key(|(_, live)| live.is_some());
        let gone: Vec<StoreKey> = known.into_iter().take(excess).map(|(key, _)| key).collect();
        let ended = join_all(gone.iter().map(|key| self.end(key, IfLost::AskAgain))).await;
        ended.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.drop_from(&owner_name(owner), &gone).await
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
        let Found::Live(_) = found else { return Ok(found) };
        // Whoever ends the old one moves it. If the answer is lost, so is the session: the user
        // logs in again, and nobody holds two.
        let Some(mut stored) = self.end_of(ticket, IfLost::Tell).await? else {
            return Ok(Found::Revoked);
        };
        stored.version = stored.version.wrapping_add(1);
        self.put(to, &stored, now).await?;
        Ok(Found::Live(stored))
    }

    /// The user's live sessions, oldest first.
    async fn list(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
    ) -> Result<Vec<(StoreKey, Listed)>, StoreError> {
        let name = owner_name(owner);
        let ids: Vec<String> = self.command(cmd("ZRANGE").arg(&name).arg(0).arg(-1)).await?;
        let known = self.known(&ids, now).await?;
        let over: Vec<_> = known.iter().filter(|(_, l)| l.is_none()).map(|(key, _)| *key).collect();
        self.drop_from(&name, &over).await?;
        Ok(known.into_iter().filter_map(|(key, listed)| Some((key, listed?))).collect())
    }

    /// Ends those of a user's sessions that `which` names.
    async fn end_some(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
        which: impl Fn(&StoreKey) -> bool + Send,
    ) -> Result<usize, StoreError> {
        let listed = self.list(owner, now).await?;
        let keys: Vec<_> = listed.into_iter().map(|(key, _)| key).filter(|k| which(k)).collect();
        let ended = join_all(keys.iter().map(|key| self.end(key, IfLost::AskAgain))).await;
        let ended = ended.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.drop_from(&owner_name(owner), &keys).await?;
        Ok(ended.into_iter().flatten().count())
    }

    /// Ends the sessions that a name of the identity provider leads to. They stay on their users'
    /// lists, which are sealed from here, until those are read.
    async fn end_named(&self, name: String) -> Result<usize, StoreError> {
        let ids: Vec<String> = self.command(cmd("SMEMBERS").arg(&name)).await?;
        let keys: Vec<StoreKey> = ids.iter().filter_map(|id| key_of(id)).collect();
        let ended = join_all(keys.iter().map(|key| self.end(key, IfLost::AskAgain))).await;
        let ended = ended.into_iter().collect::<Result<Vec<_>, _>>()?;
        if !ids.is_empty() {
            // Only those that were met: another may have come meanwhile.
            self.command::<i64>(cmd("SREM").arg(&name).arg(&ids)).await?;
        }
        Ok(ended.into_iter().flatten().count())
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

fn listed(key: &StoreKey, fields: &[Option<Vec<u8>>]) -> Option<Listed> {
    let [Some(created), Some(last_seen), Some(agent)] = fields else { return None };
    let moment = |field| decimal(field).map(UnixMillis);
    let activity = Activity { created: moment(created)?, last_seen: moment(last_seen)? };
    let agent = Agent::from_bytes(agent.first_chunk().copied().unwrap_or_default());
    Some(Listed { handle: key.handle(), activity, agent })
}

/// The braces say which part of a name chooses the machine of a cluster.
fn session_name(key: &StoreKey) -> String {
    format!("withcreds:s:{{{}}}", encoded(key.as_bytes()))
}

fn owner_name(owner: Owner<'_>) -> String {
    format!("withcreds:u:{{{}}}", hashed(&[owner.tenant, owner.user]))
}

fn idp_name(kind: &str, issuer: &str, value: &str) -> String {
    format!("withcreds:i:{{{}}}", hashed(&[kind, issuer, value]))
}

fn idp_names(stored: &Stored) -> Vec<String> {
    let Some(idp) = &stored.idp else { return Vec::new() };
    let sid = idp.sid.as_deref().map(|sid| idp_name("sid", &idp.issuer, sid));
    sid.into_iter().chain([idp_name("sub", &idp.issuer, &idp.sub)]).collect()
}

/// Each part with its length: no two lists of parts read alike.
fn hashed(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    encoded(&hash.finalize())
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key_of(id: &str) -> Option<StoreKey> {
    let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
    Some(StoreKey::from_bytes(*bytes.first_chunk()?))
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
        let listed = within(self.list(owner, now)).await?;
        Ok(listed.into_iter().rev().map(|(_, listed)| listed).collect())
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
        within(self.end_named(idp_name("sid", issuer, sid))).await
    }

    async fn remove_by_idp_sub(
        &self,
        issuer: &str,
        sub: &str,
        _now: UnixMillis,
    ) -> Result<usize, StoreError> {
        within(self.end_named(idp_name("sub", issuer, sub))).await
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
