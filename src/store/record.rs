//! Sessions as stores hold and hand them out.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::identity::User;
use crate::policy::agent::Agent;
use crate::policy::session::{Activity, Handle, SessionSecret, StoreKey, UnixMillis};
use crate::secret::Secret;

/// What a session cookie came with: the secret, the key it is stored under, and, where the cookie
/// is the store, the session itself.
#[derive(Debug, Clone)]
pub struct Ticket {
    secret: SessionSecret,
    key: StoreKey,
    held: Option<Box<Held>>,
}

/// A session that came in its cookie.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) stored: Stored,
    /// When the cookie ends, whatever the configuration has become since.
    pub(crate) ends: UnixMillis,
}

impl Ticket {
    /// The ticket of a secret.
    #[must_use]
    pub fn new(secret: SessionSecret) -> Self {
        let key = secret.store_key();
        Self { secret, key, held: None }
    }

    /// The ticket of a cookie that holds its session.
    pub(crate) fn holding(secret: SessionSecret, held: Held) -> Self {
        Self { held: Some(Box::new(held)), ..Self::new(secret) }
    }

    /// What the cookie carries, and nobody else knows.
    #[must_use]
    pub fn secret(&self) -> &SessionSecret {
        &self.secret
    }

    /// What stores know the session by.
    #[must_use]
    pub fn key(&self) -> &StoreKey {
        &self.key
    }

    pub(crate) fn held(&self) -> Option<&Held> {
        self.held.as_deref()
    }
}

/// A session at the moment it was read: a copy that shares its texts with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whose session it is.
    pub user: User,
    /// What the identity provider gave, if one did.
    pub idp: Option<Arc<IdpSession>>,
    /// When it began and was last used.
    pub activity: Activity,
    /// Counts changes; see [`SessionStore::update`](crate::store::SessionStore::update).
    pub version: u32,
    /// The browser that logged in.
    pub agent: Agent,
}

impl Stored {
    /// Who owns it.
    #[must_use]
    pub fn owner(&self) -> Owner<'_> {
        Owner { tenant: self.user.tenant(), user: self.user.id() }
    }

    /// Texts and tokens, in bytes.
    pub(crate) fn payload(&self) -> usize {
        self.user.len() + self.idp.as_ref().map_or(0, |idp| idp.len())
    }
}

/// A session that is about to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Who has logged in.
    pub user: User,
    /// What the identity provider gave, if one did.
    pub idp: Option<Arc<IdpSession>>,
    /// The browser.
    pub agent: Agent,
}

impl NewSession {
    /// The session of a local account.
    #[must_use]
    pub fn of(user: User) -> Self {
        Self { user, idp: None, agent: Agent::default() }
    }

    pub(crate) fn starting(self, now: UnixMillis) -> Stored {
        let activity = Activity { created: now, last_seen: now };
        let Self { user, idp, agent } = self;
        Stored { user, idp, activity, version: 0, agent }
    }
}

/// Users are told apart by tenant and id: two tenants may both have an `admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The id within it.
    pub user: &'a str,
}

/// The identity provider's side of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdpSession {
    /// Who vouches for the user.
    pub issuer: Box<str>,
    /// The user's name there.
    pub sub: Box<str>,
    /// The session's name there, for logouts that begin at the provider.
    pub sid: Option<Box<str>>,
    /// What it handed out.
    pub tokens: Tokens,
}

impl IdpSession {
    fn len(&self) -> usize {
        let Tokens { access, refresh, id, .. } = &self.tokens;
        let tokens = [access, refresh, id].into_iter().flatten().map(|t| t.expose().len());
        let sid = self.sid.as_ref().map_or(0, |sid| sid.len());
        size_of::<Self>() + self.issuer.len() + self.sub.len() + sid + tokens.sum::<usize>()
    }
}

/// Tokens of the identity provider. They never print.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens {
    /// For APIs.
    pub access: Option<Secret<Box<str>>>,
    /// When the access token ends; `None`: nobody knows, and there is no other to be had.
    pub access_expires_at: Option<UnixMillis>,
    /// For new access tokens.
    pub refresh: Option<Secret<Box<str>>>,
    /// Says who the user is; handed back as a hint at logout.
    pub id: Option<Secret<Box<str>>>,
}

/// What may change about a session.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// After a refresh. Counts only for a session that came from an identity provider.
    pub tokens: Option<Tokens>,
    /// What the frontend shall know from now on.
    pub metadata: Option<Box<RawValue>>,
}

impl Change {
    /// The session after this change, one version on.
    pub(crate) fn apply(self, stored: &Stored) -> Stored {
        let mut next = stored.clone();
        next.version = stored.version.wrapping_add(1);
        if let Some(metadata) = self.metadata {
            next.user = User::new(stored.user.id(), stored.user.tenant(), &metadata);
        }
        if let (Some(tokens), Some(idp)) = (self.tokens, &stored.idp) {
            next.idp = Some(Arc::new(IdpSession { tokens, ..IdpSession::clone(idp) }));
        }
        next
    }
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A live session.
    Live(Stored),
    /// There was one, but its time is over.
    Expired,
    /// There was one, and somebody ended it.
    Revoked,
    /// Nothing under this key, or nothing that is still remembered.
    Nothing,
}

impl Found {
    /// The live session, if it is one.
    #[must_use]
    pub fn live(self) -> Option<Stored> {
        if let Self::Live(stored) = self { Some(stored) } else { None }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// It was made.
    Done(Stored),
    /// Somebody else was first: this is the session now.
    Stale(Stored),
    /// There is no live session any more.
    Gone,
}

/// One line of a user's list of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its public name.
    pub handle: Handle,
    /// When it began and was last used.
    pub activity: Activity,
    /// The browser that logged in.
    pub agent: Agent,
}
