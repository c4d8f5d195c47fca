//! What a session keeps of its login at the provider, and how that stays fresh.

use std::sync::Arc;

use crate::app::{App, Oidc};
use crate::audit;
use crate::error::ApiError;
use crate::identity::User;
use crate::identity::oidc::{Identity, Provider, ProviderError, Tokens};
use crate::secret::Secret;
use crate::store::{
    self, Change, IdpSession, SessionStore as _, StoreError, Stored, Ticket, Updated,
};

/// Attempts to store new tokens while others change the same session.
const MAX_CHANGES: usize = 4;

/// The session of an identity.
pub(super) fn session(provider: &Provider, identity: Identity) -> (User, Arc<IdpSession>) {
    let Identity { user, subject, sid, tokens } = identity;
    let idp = IdpSession {
        issuer: provider.issuer().into(),
        sub: subject.into(),
        sid: sid.map(Into::into),
        tokens: to_store(tokens),
    };
    (user, Arc::new(idp))
}

fn to_store(tokens: Tokens) -> store::Tokens {
    let short = |secret: Secret<String>| Secret::new(secret.expose().as_str().into());
    let Tokens { access, expires_at, refresh, id_token } = tokens;
    store::Tokens {
        access: Some(short(access)),
        access_expires_at: expires_at,
        refresh: refresh.map(short),
        id: id_token.map(short),
    }
}

fn from_store(tokens: &store::Tokens) -> Option<Tokens> {
    let long = |secret: &Secret<Box<str>>| Secret::new(secret.expose().to_string());
    Some(Tokens {
        access: tokens.access.as_ref().map(long)?,
        expires_at: tokens.access_expires_at,
        refresh: tokens.refresh.as_ref().map(long),
        id_token: tokens.id.as_ref().map(long),
    })
}

/// What became of a session whose tokens were to be refreshed.
#[derive(Debug, Clone)]
pub(crate) enum Refreshed {
    /// It has an access token that is good for a while.
    Fresh(Stored),
    /// The provider is out of reach; the session is as it was.
    Later,
    /// The provider will give no more tokens: the session has ended.
    Ended,
    /// Somebody else ended the session meanwhile.
    Gone,
    /// The store does not answer.
    Store(StoreError),
}

/// Whether the session's access token has to be replaced.
pub(super) fn is_due(app: &App, idp: &IdpSession) -> bool {
    let ends = idp.tokens.access_expires_at;
    ends.is_some_and(|ends| ends <= app.clock.wall().after(app.token.expiry_buffer))
}

/// Fresh tokens for a session: one refresh at a time, and whoever else wants them waits for it.
/// Providers rotate refresh tokens, and take two uses of one for a theft.
pub(super) async fn refresh(
    app: &Arc<App>,
    oidc: &Oidc,
    ticket: &Ticket,
) -> Result<Refreshed, ApiError> {
    let refreshed = oidc.refreshes.join(*ticket.key(), || {
        let (app, ticket) = (Arc::clone(app), ticket.clone());
        async move { refresh_alone(&app, &ticket).await.unwrap_or_else(Refreshed::Store) }
    });
    let cause = || ApiError::Internal { cause: "a refresh crashed".to_owned() };
    refreshed.await.ok_or_else(cause)
}

async fn refresh_alone(app: &App, ticket: &Ticket) -> Result<Refreshed, StoreError> {
    let Some(oidc) = &app.oidc else { return Ok(Refreshed::Later) };
    // Read anew: whoever was here before may have done it.
    let Some(stored) = app.store.get(ticket, app.clock.now()).await?.live() else {
        return Ok(Refreshed::Gone);
    };
    let Some(idp) = stored.idp.clone() else { return Ok(Refreshed::Gone) };
    let Some(old) = from_store(&idp.tokens).filter(|_| is_due(app, &idp)) else {
        return Ok(Refreshed::Fresh(stored));
    };
    match oidc.provider.refresh(&old, &idp.sub, &app.clock).await {
        Ok(tokens) => keep(app, oidc, ticket, stored, tokens).await,
        Err(error) if error.may_pass() => {
            app.metrics.provider_failed(&error);
            tracing::warn!(event = "refresh_failed", %error, "cannot refresh now");
            Ok(Refreshed::Later)
        }
        Err(error) => {
            app.metrics.provider_failed(&error);
            refused(app, ticket, &idp, &error).await
        }
    }
}

/// Stores new tokens, whatever else changes about the session at the same time.
async fn keep(
    app: &App,
    oidc: &Oidc,
    ticket: &Ticket,
    mut stored: Stored,
    tokens: Tokens,
) -> Result<Refreshed, StoreError> {
    let now = app.clock.now();
    let given = to_store(tokens.clone());
    for _ in 0..MAX_CHANGES {
        let change = Change { tokens: Some(given.clone()), ..Change::default() };
        match app.store.update(ticket, stored.version, change, now).await? {
            Updated::Done(stored) => return Ok(Refreshed::Fresh(stored)),
            Updated::Stale(newer) => stored = newer,
            Updated::Gone => {
                // Logged out meanwhile: these tokens must not outlive that.
                give_back(app, oidc, tokens.refresh.as_ref()).await;
                return Ok(Refreshed::Gone);
            }
        }
    }
    Ok(Refreshed::Later)
}

/// The provider said no for good. Unless another instance of this service was faster and has newer
/// tokens, the session ends.
async fn refused(
    app: &App,
    ticket: &Ticket,
    tried: &IdpSession,
    error: &ProviderError,
) -> Result<Refreshed, StoreError> {
    let Some(stored) = app.store.get(ticket, app.clock.now()).await?.live() else {
        return Ok(Refreshed::Gone);
    };
    if stored.idp.as_ref().is_some_and(|idp| idp.tokens.refresh != tried.tokens.refresh) {
        return Ok(Refreshed::Fresh(stored));
    }
    app.store.remove(ticket, app.clock.now()).await?;
    audit::refresh_refused(app, &stored.user, error);
    Ok(Refreshed::Ended)
}

/// Gives a refresh token back, if the provider takes it and the configuration wants it.
pub(super) async fn give_back(app: &App, oidc: &Oidc, refresh: Option<&Secret<String>>) {
    let Some(refresh) = refresh.filter(|_| app.revoke_at_logout) else { return };
    if let Err(error) = oidc.provider.revoke(refresh, &app.clock).await {
        app.metrics.provider_failed(&error);
        tracing::warn!(event = "revocation_failed", %error, "the provider did not take a refresh token back");
    }
}

/// The end of a session at the provider: its refresh token goes back; gives the page where the
/// browser ends its session there as well.
pub(super) async fn leave(app: &App, idp: &IdpSession) -> Option<url::Url> {
    let oidc = app.oidc.as_ref().filter(|oidc| *oidc.provider.issuer() == *idp.issuer)?;
    let tokens = from_store(&idp.tokens);
    let (refresh, id_token) = tokens.map(|t| (t.refresh, t.id_token)).unwrap_or_default();
    give_back(app, oidc, refresh.as_ref()).await;
    if !app.end_session_at_provider {
        return None;
    }
    oidc.provider.end_session_url(id_token.as_ref(), &app.post_logout_absolute)
}
