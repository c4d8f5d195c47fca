//! One request as the handlers see it: what is asked ([`Call`]) and by whom ([`Visitor`]). The
//! filters make these values, the handlers take them; neither knows the other.

mod body;
mod head;
mod query;

pub(crate) use body::{Body, BodyLimits};
pub(crate) use head::Head;
pub(crate) use query::{CallbackQuery, LoginQuery};

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{HeaderValue, USER_AGENT};

use crate::app::App;
use crate::error::ApiError;
use crate::policy::agent::Agent;
use crate::policy::client;
use crate::policy::session::Handle;
use crate::store::{Found, SessionStore as _, Stored, Ticket};

/// One call of the API.
pub(crate) enum Call {
    /// `GET /api/auth/session`.
    ReadSession {
        /// Whether reading extends the session: `?slide=false` says no.
        slide: bool,
    },
    /// `GET /api/auth/login`: the browser itself came here.
    BeginLogin(Box<LoginQuery>),
    /// `GET /api/auth/callback`: it comes back from the provider.
    Callback(Box<CallbackQuery>),
    /// `POST /api/auth/login`.
    LogIn(Body),
    /// `GET /api/auth/token`.
    ReadToken,
    /// `POST /api/auth/backchannel-logout`: the provider itself.
    BackchannelLogout(Body),
    /// `GET /api/auth/logout`: the browser itself came here.
    LogOutByNavigation,
    /// `POST /api/auth/logout`: a script asks.
    LogOut,
    /// `GET /api/auth/sessions`.
    ListSessions,
    /// `DELETE /api/auth/sessions/{handle}`; `None`: what stands there is no handle.
    EndSession(Option<Handle>),
    /// `DELETE /api/auth/sessions`.
    EndSessions {
        /// `?except=current`: all others.
        except_current: bool,
    },
    /// `GET /api/auth/verify`: a reverse proxy asks about a request that it holds.
    Verify,
    /// `GET /api/example`, in development only.
    Example,
}

/// The sender of a request, as far as the request itself tells.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) head: Arc<Head>,
    /// What the session cookie came with, if it is well-formed; whether it opens anything only the
    /// store knows.
    pub(crate) ticket: Option<Ticket>,
    /// Whether the request is a login.
    pub(crate) logs_in: bool,
    /// Whether the CSRF layer looks at it.
    pub(crate) guarded: bool,
}

impl Visitor {
    /// The headers of the request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The visitor's live session; being asked for it counts as use.
    ///
    /// # Errors
    ///
    /// [`ApiError::NoSession`], [`ApiError::Expired`], [`ApiError::Revoked`], or that of the store.
    pub(crate) async fn session(&self, app: &App) -> Result<(&Ticket, Stored), ApiError> {
        let ticket = self.ticket()?;
        let found = app.store.touch(ticket, app.clock.now()).await?;
        Ok((ticket, live(found)?))
    }

    /// The same, without counting as use.
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session).
    pub(crate) async fn peek(&self, app: &App) -> Result<(&Ticket, Stored), ApiError> {
        let ticket = self.ticket()?;
        let found = app.store.get(ticket, app.clock.now()).await?;
        Ok((ticket, live(found)?))
    }

    /// Without a cookie there is no look-up: a flood of anonymous requests takes no lock.
    fn ticket(&self) -> Result<&Ticket, ApiError> {
        self.ticket.as_ref().ok_or(ApiError::NoSession)
    }

    /// Where the request comes from, as far as trusted proxies tell.
    pub(crate) fn client(&self, app: &App) -> Option<IpAddr> {
        self.head.peer.map(|peer| client::client(peer, self.headers(), &app.trusted_proxies))
    }

    /// The browser, for the user's list of sessions.
    pub(crate) fn agent(&self) -> Agent {
        let value = self.headers().get(USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
        Agent::from_header(value)
    }
}

fn live(found: Found) -> Result<Stored, ApiError> {
    match found {
        Found::Live(stored) => Ok(stored),
        Found::Expired => Err(ApiError::Expired),
        Found::Revoked => Err(ApiError::Revoked),
        Found::Nothing => Err(ApiError::NoSession),
    }
}
