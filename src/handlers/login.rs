//! `POST /api/auth/login`: local accounts.

use std::net::IpAddr;

use serde::Deserialize;
use warp::reply::Response;

use crate::app::App;
use crate::audit;
use crate::call::{Body, Visitor};
use crate::error::ApiError;
use crate::handlers::{session, start};
use crate::limit::LoginLimit;
use crate::metrics::{LoginBy, LoginOutcome};
use crate::policy::client::FORWARDED_FOR;
use crate::secret::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: Secret<String>,
}

/// 200 with the session and its cookies, or 401.
pub(super) async fn log_in(app: &App, visitor: &Visitor, body: Body) -> Result<Response, ApiError> {
    let Credentials { username, password } = body.json(visitor.headers(), &app.body).await?;
    let attempt = Attempt::begin(app, visitor)?;
    let Ok(user) = app.accounts.log_in(username, password).await else {
        attempt.forget();
        app.metrics.login(LoginBy::Password, LoginOutcome::Busy);
        return Err(ApiError::Busy);
    };
    let Some(user) = user else {
        audit::login_failed(app, visitor, LoginBy::Password, "wrong user name or password");
        return Err(ApiError::InvalidCredentials);
    };
    attempt.forget();
    let started = start::session(app, visitor, user, None, None, LoginBy::Password).await?;
    let mut response = session::view(app, &started.stored, &started.csrf_token)?;
    started.set_cookies(app, &mut response)?;
    Ok(response)
}

/// One of the client's attempts, taken. It stays taken when it fails, and also when the client hangs
/// up before it has heard.
struct Attempt<'a>(Option<(&'a LoginLimit, IpAddr)>);

impl<'a> Attempt<'a> {
    fn begin(app: &'a App, visitor: &Visitor) -> Result<Self, ApiError> {
        // Inside somebody else's server nobody knows who is at the other end; one count for all
        // would lock everybody out.
        let Some((limit, client)) = app.login_limit.as_ref().zip(visitor.client(app)) else {
            return Ok(Self(None));
        };
        limit.take(client, app.clock.now()).map_err(|wait| {
            // A client that is a proxy: nobody has said so, and its users share one count.
            let unheard =
                visitor.headers().contains_key(FORWARDED_FOR) && visitor.head.peer == Some(client);
            audit::login_limited(app, visitor, client, unheard);
            ApiError::RateLimited {
                seconds: wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX),
            }
        })?;
        Ok(Self(Some((limit, client))))
    }

    /// It did not fail: it is given back.
    fn forget(self) {
        if let Some((limit, client)) = self.0 {
            limit.give_back(client);
        }
    }
}
