//! The lists that name sessions: those of a user, and those of a session or subject of the identity
//! provider. They live under other keys than the sessions, so what they name may be gone already;
//! whoever meets that drops it.

use futures_util::future::join_all;
use redis::cmd;

use super::link::IfLost;
use super::names::{encoded, key_of, owner_name, session_name};
use super::{Ending, RedisStore, decimal, millis};
use crate::policy::agent::Agent;
use crate::policy::session::{Activity, StoreKey, UnixMillis};
use crate::store::{Listed, Owner, StoreError, Ticket};

/// What is behind an entry of a list.
enum State {
    Live(Listed),
    /// Kept for a session that moves here, and still lives elsewhere.
    Moving,
    /// Somebody ended it, or moved it to a key that is on the list by now.
    Revoked,
    Over,
}

/// A session that may be alive.
pub(super) struct Member {
    pub(super) key: StoreKey,
    /// `None` while it is about to move here.
    pub(super) listed: Option<Listed>,
}

impl RedisStore {
    /// Adds a session to its lists; gives the keys of all of its user's.
    pub(super) async fn add_to(
        &self,
        lists: &[String],
        key: &StoreKey,
        created: UnixMillis,
        now: UnixMillis,
    ) -> Result<Vec<String>, StoreError> {
        let mut first = Vec::new();
        // The user's last: it is the first of the lists, and the one that is asked for.
        for list in lists.iter().rev() {
            let mut index = self.scripts.index.key(list);
            index.arg(created.0).arg(encoded(key.as_bytes()));
            index.arg(now.before(self.lifetimes.absolute).0).arg(millis(self.lifetimes.absolute));
            first = self.script(&index).await?;
        }
        Ok(first)
    }

    pub(super) async fn drop_from(&self, list: &str, keys: &[StoreKey]) -> Result<(), StoreError> {
        let ids: Vec<_> = keys.iter().map(|key| encoded(key.as_bytes())).collect();
        self.drop_ids(list, &ids).await
    }

    async fn drop_ids(&self, list: &str, ids: &[String]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.command::<i64>(cmd("ZREM").arg(list).arg(ids)).await.map(|_| ())
    }

    /// Beyond the user's share the oldest sessions go. Two logins at once may both choose the same
    /// ones: each chooses by the order of those that were there when it came, and never itself.
    pub(super) async fn make_room(
        &self,
        ticket: &Ticket,
        owner: Owner<'_>,
        ids: &[String],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (mut others, mut over) = (Vec::new(), Vec::new());
        for (key, state) in self.known(ids, now).await? {
            match state {
                State::Live(_) if key != *ticket.key() => others.push(key),
                State::Live(_) | State::Moving => {}
                State::Revoked | State::Over => over.push(key),
            }
        }
        self.drop_from(&owner_name(owner), &over).await?;
        let excess = (others.len() + 1).saturating_sub(self.max_sessions_per_user);
        self.end_all(&others[..excess]).await.map(|_| ())
    }

    /// A user's sessions, oldest first.
    pub(super) async fn members(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
    ) -> Result<Vec<Member>, StoreError> {
        let name = owner_name(owner);
        loop {
            let (mut members, mut over, mut moved) = (Vec::new(), Vec::new(), false);
            for (key, state) in self.known(&self.ids(&name).await?, now).await? {
                match state {
                    State::Live(listed) => members.push(Member { key, listed: Some(listed) }),
                    State::Moving => members.push(Member { key, listed: None }),
                    State::Revoked | State::Over => over.push(key),
                }
                moved |= matches!(state, State::Revoked);
            }
            self.drop_from(&name, &over).await?;
            // Each turn drops what sends it round once more, so this ends.
            if !moved {
                return Ok(members);
            }
        }
    }

    async fn ids(&self, list: &str) -> Result<Vec<String>, StoreError> {
        self.command(cmd("ZRANGE").arg(list).arg(0).arg(-1)).await
    }

    /// What is known of these sessions without their cookies.
    async fn known(
        &self,
        ids: &[String],
        now: UnixMillis,
    ) -> Result<Vec<(StoreKey, State)>, StoreError> {
        let known = ids.iter().filter_map(|id| key_of(id)).map(async |key| {
            let mut hmget = cmd("HMGET");
            hmget.arg(session_name(&key)).arg(&["r", "w", "c", "t", "a"]);
            let fields: Vec<Option<Vec<u8>>> = self.command(&hmget).await?;
            let state = match fields.as_slice() {
                [Some(_), ..] => State::Revoked,
                [_, Some(_), ..] => State::Moving,
                [_, _, rest @ ..] => listed(&key, rest)
                    .filter(|one| !self.lifetimes.is_expired(one.activity, now))
                    .map_or(State::Over, State::Live),
                _ => State::Over,
            };
            Ok((key, state))
        });
        join_all(known).await.into_iter().collect()
    }

    /// Ends those of a user's sessions that `which` names; how many.
    pub(super) async fn end_some(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
        which: impl Fn(&StoreKey) -> bool + Send,
    ) -> Result<usize, StoreError> {
        let mut ended = 0;
        loop {
            let members = self.members(owner, now).await?;
            let keys: Vec<_> = members.into_iter().map(|m| m.key).filter(|k| which(k)).collect();
            let endings = self.end_all(&keys).await?;
            ended += count(&endings);
            if !may_have_moved(&endings) {
                return Ok(ended);
            }
        }
    }

    /// Ends the sessions that a name of the identity provider leads to; how many.
    pub(super) async fn end_named(&self, name: &str) -> Result<usize, StoreError> {
        let mut ended = 0;
        loop {
            let ids = self.ids(name).await?;
            let keys: Vec<StoreKey> = ids.iter().filter_map(|id| key_of(id)).collect();
            let endings = self.end_all(&keys).await?;
            // Only those that were met: another may have come meanwhile.
            self.drop_ids(name, &ids).await?;
            ended += count(&endings);
            if !may_have_moved(&endings) {
                return Ok(ended);
            }
        }
    }

    async fn end_all(&self, keys: &[StoreKey]) -> Result<Vec<Ending>, StoreError> {
        let endings = join_all(keys.iter().map(|key| self.end(key, IfLost::AskAgain))).await;
        endings.into_iter().collect()
    }
}

fn count(endings: &[Ending]) -> usize {
    endings.iter().filter(|ending| matches!(ending, Ending::Done(_))).count()
}

/// One that was ended by somebody else may have moved to another key. That is on the same lists,
/// and was there before the old one ended: a second look finds it.
fn may_have_moved(endings: &[Ending]) -> bool {
    endings.iter().any(|ending| matches!(ending, Ending::Already))
}

fn listed(key: &StoreKey, fields: &[Option<Vec<u8>>]) -> Option<Listed> {
    let [Some(created), Some(last_seen), Some(agent)] = fields else { return None };
    let moment = |field| decimal(field).map(UnixMillis);
    let activity = Activity { created: moment(created)?, last_seen: moment(last_seen)? };
    let agent = Agent::from_bytes(agent.first_chunk().copied().unwrap_or_default());
    Some(Listed { handle: key.handle(), activity, agent })
}
