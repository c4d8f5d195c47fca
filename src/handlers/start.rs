//! The beginning of a session, however its user has proved who they are.

use std::sync::Arc;

use warp::reply::Response;

use crate::app::App;
use crate::audit;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::handlers::set_cookie;
use crate::identity::User;
use crate::metrics::LoginBy;
use crate::policy::csrf;
use crate::policy::session::SessionSecret;
use crate::store::{IdpSession, NewSession, SessionStore as _, Stored, Ticket};

/// A session that has just begun, and its cookies.
pub(super) struct Started {
    pub(super) stored: Stored,
    pub(super) csrf_token: String,
    ticket: Ticket,
}

/// Begins a session. Always with a new id: one that was planted, or the one that the visitor had,
/// is worth nothing afterwards (session fixation). `carried` is what the visitor had, if their cookie
/// could not come along.
pub(super) async fn session(
    app: &App,
    visitor: &Visitor,
    user: User,
    idp: Option<Arc<IdpSession>>,
    carried: Option<&Ticket>,
    by: LoginBy,
) -> Result<Started, ApiError> {
    let session = NewSession { user, idp, agent: visitor.agent() };
    let ticket = Ticket::new(SessionSecret::from_random(app.ids.session_secret()));
    let replaces = visitor.ticket.as_ref().or(carried);
    let stored = app.store.create(&ticket, session, replaces, app.clock.now()).await?;
    audit::login(app, visitor, &stored.user, by);
    let csrf_token = csrf::token(ticket.secret(), app.ids.nonce());
    Ok(Started { stored, csrf_token, ticket })
}

impl Started {
    /// Gives the browser both cookies.
    pub(super) fn set_cookies(&self, app: &App, response: &mut Response) -> Result<(), ApiError> {
        let value = app.store.cookie_value(&self.ticket, &self.stored);
        set_cookie(response, app.cookie.set(value))?;
        set_cookie(response, app.token_cookie.set(&self.csrf_token))
    }
}
