//! `GET` and `DELETE /api/auth/sessions`: a user's own sessions.

use serde::Serialize;
use warp::reply::Response;

use crate::app::App;
use crate::audit;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::handlers::{clear_cookies, keep};
use crate::policy::session::Handle;
use crate::reply;
use crate::store::SessionStore as _;

#[derive(Serialize)]
struct List {
    sessions: Vec<Line>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    handle: String,
    current: bool,
    created_at: u64,
    last_seen_at: u64,
    browser: String,
}

#[derive(Serialize)]
struct Ended {
    ended: usize,
}

/// 200 with the user's live sessions, newest first.
pub(super) async fn list(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    let (ticket, stored) = visitor.session(app).await?;
    let listed = app.store.list_by_user(stored.owner(), app.clock.now()).await?;
    let current = ticket.key().handle();
    let sessions = listed
        .into_iter()
        .map(|one| Line {
            handle: one.handle.to_string(),
            current: one.handle == current,
            created_at: one.activity.created.0,
            last_seen_at: one.activity.last_seen.0,
            browser: one.agent.to_string(),
        })
        .collect();
    let mut response = reply::json(&List { sessions });
    keep(app, &mut response, ticket, &stored)?;
    Ok(response)
}

/// Ends one of the user's sessions, which may be the one that asks; 404 for whatever is not theirs.
pub(super) async fn end_one(
    app: &App,
    visitor: &Visitor,
    handle: Option<Handle>,
) -> Result<Response, ApiError> {
    let (ticket, stored) = visitor.peek(app).await?;
    let handle = handle.ok_or(ApiError::NoSuchSession)?;
    let now = app.clock.now();
    if !app.store.remove_by_handle(stored.owner(), handle, now).await? {
        return Err(ApiError::NoSuchSession);
    }
    audit::revoked(app, visitor, &stored.user, 1);
    let mut response = reply::json(&Ended { ended: 1 });
    if handle == ticket.key().handle() {
        clear_cookies(app, &mut response)?;
    }
    Ok(response)
}

/// Ends all of the user's sessions, or all but the one that asks.
pub(super) async fn end_all(
    app: &App,
    visitor: &Visitor,
    except_current: bool,
) -> Result<Response, ApiError> {
    let (ticket, stored) = visitor.peek(app).await?;
    let kept = except_current.then_some(ticket);
    let ended = app.store.remove_by_user(stored.owner(), kept, app.clock.now()).await?;
    audit::revoked(app, visitor, &stored.user, ended);
    let mut response = reply::json(&Ended { ended });
    if !except_current {
        clear_cookies(app, &mut response)?;
    }
    Ok(response)
}
