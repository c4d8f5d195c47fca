//! One request as the handlers see it: what is asked ([`Call`]) and by whom ([`Visitor`]). The
//! filters make these values, the handlers take them; neither knows the other.

mod body;

pub(crate) use body::Body;

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::app::App;
use crate::error::ApiError;
use crate::policy::session::SessionSecret;
use crate::store::{Found, Stored, Touch};

/// One call of the API.
pub(crate) enum Call {
    /// `GET /api/auth/session`.
    ReadSession {
        /// Whether reading extends the session: `?slide=false` says no.
        slide: bool,
    },
    /// `POST /api/auth/login`.
    LogIn(Body),
    /// `GET /api/auth/logout`: the browser itself came here.
    LogOutByNavigation,
    /// `POST /api/auth/logout`: a script asks.
    LogOut,
    /// `GET /api/example`, in development only.
    Example,
}

/// The sender of a request, as far as the request itself tells.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) method: Method,
    pub(crate) headers: Arc<HeaderMap>,
    /// The session secret, if a well-formed one came along; whether it opens anything only the
    /// store knows.
    pub(crate) secret: Option<SessionSecret>,
    /// Whether the request is a login.
    pub(crate) logs_in: bool,
}

impl Visitor {
    /// The visitor's live session.
    ///
    /// # Errors
    ///
    /// [`ApiError::NoSession`] or [`ApiError::Expired`].
    pub(crate) fn session(
        &self,
        app: &App,
        touch: Touch,
    ) -> Result<(&SessionSecret, Stored), ApiError> {
        // Without a cookie there is no look-up: a flood of anonymous requests takes no lock.
        let secret = self.secret.as_ref().ok_or(ApiError::NoSession)?;
        match app.store.get(&secret.store_key(), touch) {
            Found::Live(stored) => Ok((secret, stored)),
            Found::Expired => Err(ApiError::Expired),
            Found::Nothing => Err(ApiError::NoSession),
        }
    }
}
