//! One line for each security event, target `withcreds::audit`: what happened, in which request, from
//! where, to whom. Never with a secret, and never with what somebody typed: people type passwords
//! into the field for names. What has a counter of its own is counted here, so lines and metrics agree.

use std::net::IpAddr;

use tracing::field::display;

use crate::app::App;
use crate::call::Visitor;
use crate::config::{Config, ConfigError};
use crate::identity::User;
use crate::identity::oidc::ProviderError;
use crate::metrics::{Ended, LoginBy, LoginOutcome};
use crate::policy::csrf::CsrfFailure;
use crate::tls::TlsError;

/// Filters of logs know these lines by it.
pub(crate) const TARGET: &str = "withcreds::audit";

impl LoginBy {
    const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Provider => "provider",
        }
    }
}

pub(crate) fn login(app: &App, visitor: &Visitor, user: &User, by: LoginBy) {
    app.metrics.login(by, LoginOutcome::Ok);
    let (cid, client) = whence(app, visitor);
    let by = by.word();
    tracing::info!(target: TARGET, event = "login", %cid, client, user = user.id(), by, "logged in");
}

pub(crate) fn login_failed(app: &App, visitor: &Visitor, by: LoginBy, reason: &str) {
    app.metrics.login(by, LoginOutcome::Failed);
    let (cid, client) = whence(app, visitor);
    let by = by.word();
    tracing::warn!(target: TARGET, event = "login_failed", %cid, client, by, reason, "a login failed");
}

/// `unheard`: the client sent `X-Forwarded-For`, and nobody has said that it is a proxy.
pub(crate) fn login_limited(app: &App, visitor: &Visitor, client: IpAddr, unheard: bool) {
    app.metrics.login(LoginBy::Password, LoginOutcome::Limited);
    let cid = visitor.head.cid(app);
    tracing::warn!(
        target: TARGET,
        event = "login_limited",
        %cid,
        %client,
        forwarded_for_ignored = unheard,
        "too many failed logins"
    );
}

pub(crate) fn logout(app: &App, visitor: &Visitor, user: &User) {
    app.metrics.ended(Ended::Logout, 1);
    let (cid, client) = whence(app, visitor);
    tracing::info!(target: TARGET, event = "logout", %cid, client, user = user.id(), "logged out");
}

/// A user ended sessions of their own.
pub(crate) fn revoked(app: &App, visitor: &Visitor, user: &User, sessions: usize) {
    app.metrics.ended(Ended::Revoked, sessions);
    let (cid, client) = whence(app, visitor);
    let user = user.id();
    tracing::info!(target: TARGET, event = "sessions_revoked", %cid, client, user, sessions, "ended sessions");
}

pub(crate) fn csrf_refused(app: &App, visitor: &Visitor, user: &User, failure: &CsrfFailure) {
    app.metrics.csrf_refused(failure);
    let (cid, client) = whence(app, visitor);
    let user = user.id();
    tracing::warn!(target: TARGET, event = "csrf_refused", %cid, client, user, reason = %failure, "refused");
}

pub(crate) fn backchannel_logout(app: &App, visitor: &Visitor, sessions: usize) {
    app.metrics.ended(Ended::Backchannel, sessions);
    let (cid, client) = whence(app, visitor);
    tracing::info!(target: TARGET, event = "backchannel_logout", %cid, client, sessions, "the provider ended sessions");
}

pub(crate) fn backchannel_logout_refused(
    app: &App,
    visitor: &Visitor,
    reason: &dyn std::fmt::Display,
) {
    let (cid, client) = whence(app, visitor);
    tracing::warn!(target: TARGET, event = "backchannel_logout_refused", %cid, client, %reason, "nobody was logged out");
}

/// A refresh belongs to no request, so there is neither request id nor client.
pub(crate) fn refresh_refused(app: &App, user: &User, error: &ProviderError) {
    app.metrics.ended(Ended::RefreshRefused, 1);
    let user = user.id();
    tracing::warn!(target: TARGET, event = "session_ended_by_provider", user, reason = %error, "no refresh any more");
}

/// Of the CORS policy.
pub(crate) fn policy_reload(app: &App, result: &Result<Config, Vec<ConfigError>>) {
    app.metrics.reloaded(result);
    match result {
        Ok(config) => {
            let summary = config.cors.summary();
            tracing::info!(target: TARGET, event = "policy_reloaded", "the CORS policy was reloaded: {summary}");
        }
        Err(errors) => {
            let mistakes = errors.len();
            tracing::error!(target: TARGET, event = "policy_reload_failed", mistakes, "the CORS policy was not reloaded: the old one stays in force");
        }
    }
}

/// Another certificate was put in force, or could not be.
pub(crate) fn tls_reload(app: &App, result: &Result<(), TlsError>) {
    app.metrics.tls_reloaded(result);
    match result {
        Ok(()) => {
            tracing::info!(target: TARGET, event = "tls_reloaded", "the TLS certificate was reloaded");
        }
        Err(error) => {
            let mend = error.mend();
            tracing::error!(target: TARGET, event = "tls_reload_failed", mend, "the TLS certificate was not reloaded, the old one stays in force: {error}");
        }
    }
}

/// The request, and the client as far as trusted proxies tell.
fn whence(
    app: &App,
    visitor: &Visitor,
) -> (uuid::Uuid, Option<tracing::field::DisplayValue<IpAddr>>) {
    (visitor.head.cid(app), visitor.client(app).map(display))
}
