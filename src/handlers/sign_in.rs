//! `GET /api/auth/login` and `GET /api/auth/callback`: to the provider and back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::SameSite;
use warp::reply::Response;

use crate::app::{App, Oidc};
use crate::audit;
use crate::call::{CallbackQuery, LoginQuery, Visitor};
use crate::error::ApiError;
use crate::handlers::page::{self, Failure};
use crate::handlers::{idp, set_cookie, start};
use crate::identity::ReturnTo;
use crate::identity::oidc::{Attempt, Callback, Hints, Identity, ProviderError};
use crate::metrics::LoginBy;
use crate::store::SessionStore as _;

/// After this many retries there is none: what did not help once does not help twice.
const MAX_RETRIES: u8 = 1;

/// Sends the browser to the provider; without one, to the login page or a plain form.
pub(super) async fn begin(
    app: &App,
    visitor: &Visitor,
    query: LoginQuery,
) -> Result<Response, ApiError> {
    let LoginQuery { return_url, login_hint, idp_hint, tenant_name, tenant_custom_domain } = query;
    let return_to = app.return_urls.resolve(return_url.as_deref());
    if let Some(oidc) = &app.oidc {
        let hints = Hints { login_hint, idp_hint, tenant_name, tenant_custom_domain };
        let goal = Goal { return_to: return_to.as_str().to_owned(), replaces: carry(app, visitor) };
        return to_provider(app, oidc, visitor, goal, &hints, None).await;
    }
    if let Some(page) = &app.login_page {
        return page::redirect(&with_return_url(page, return_url.as_deref(), &return_to));
    }
    let nonce = URL_SAFE_NO_PAD.encode(app.ids.nonce());
    Ok(page::login_form(&return_to, &nonce))
}

/// The login page, told where to go afterwards if anybody asked.
fn with_return_url(page: &str, asked: Option<&str>, return_to: &ReturnTo) -> String {
    if asked.is_none() {
        return page.to_owned();
    }
    let (page, fragment) = page.split_at(page.find('#').unwrap_or(page.len()));
    let value = url::form_urlencoded::byte_serialize(return_to.as_str().as_bytes());
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}return_url={}{fragment}", value.collect::<String>())
}

/// What an attempt is to bring about, the second one too.
struct Goal {
    return_to: String,
    /// The value of the cookie of the session that is to end.
    replaces: Option<String>,
}

/// The session that the new one will replace, if its cookie stays behind on the way back, which is a
/// navigation from another site. A session that is itself in the cookie would not fit.
fn carry(app: &App, visitor: &Visitor) -> Option<String> {
    let ticket = visitor.ticket.as_ref().filter(|ticket| ticket.held().is_none())?;
    (app.cookie.same_site() == SameSite::Strict).then(|| ticket.secret().to_cookie_value())
}

/// Begins an attempt; `retries` is the state of the one before it.
async fn to_provider(
    app: &App,
    oidc: &Oidc,
    visitor: &Visitor,
    goal: Goal,
    hints: &Hints,
    retries: Option<&str>,
) -> Result<Response, ApiError> {
    let random = std::array::from_fn(|_| app.ids.session_secret());
    let number = retries.map_or(0, |state| Attempt::retries(state).saturating_add(1));
    let attempt = Attempt::new(random, &goal.return_to, goal.replaces, number, app.clock.now());
    let url = match oidc.provider.authorize_url(&attempt, hints, &app.clock).await {
        Ok(url) => url,
        Err(error) => return Ok(failed(app, visitor, Failure::Unreachable, Some(&error))),
    };
    let mut response = page::redirect(url.as_str())?;
    for cookie in oidc.attempts.begin(visitor.headers(), &attempt, retries) {
        set_cookie(&mut response, cookie)?;
    }
    Ok(response)
}

/// The browser comes back. The state is checked before anything else is looked at.
pub(super) async fn callback(
    app: &App,
    visitor: &Visitor,
    mut query: CallbackQuery,
) -> Result<Response, ApiError> {
    let oidc = app.oidc.as_ref().ok_or(ApiError::NotFound)?;
    let state = query.state.take().unwrap_or_default();
    let state = state.as_str();
    let (attempt, clear) = oidc.attempts.take(visitor.headers(), state, app.clock.now());
    let tried = Attempt::retries(state);
    let goal = if let Some(Attempt { return_to, replaces, .. }) = &attempt {
        Goal { return_to: return_to.clone(), replaces: replaces.clone() }
    } else {
        let return_to = app.return_urls.default_url().as_str().to_owned();
        Goal { return_to, replaces: carry(app, visitor) }
    };
    let outcome = match attempt {
        None => Err((Failure::Stale, Recovery::Retry, None)),
        Some(attempt) => finish(app, oidc, query, attempt).await,
    };
    let mut response = match outcome {
        Ok(identity) => match arrive(app, oidc, visitor, identity, &goal).await {
            Ok(response) => response,
            Err(error) => no_room(app, visitor, &error),
        },
        Err((failure, Recovery::Retry, error)) if tried < MAX_RETRIES => {
            if let Some(error) = &error {
                app.metrics.provider_failed(error);
            }
            tracing::info!(event = "login_retried", code = failure.code(), "signing in once more");
            to_provider(app, oidc, visitor, goal, &Hints::default(), Some(state)).await?
        }
        Err((failure, _, error)) => failed(app, visitor, failure, error.as_ref()),
    };
    // Used up, whatever became of it.
    if let Some(clear) = clear {
        set_cookie(&mut response, clear)?;
    }
    Ok(response)
}

/// Begins the session, and sends the browser where it wanted to go.
async fn arrive(
    app: &App,
    oidc: &Oidc,
    visitor: &Visitor,
    identity: Identity,
    goal: &Goal,
) -> Result<Response, ApiError> {
    let (user, idp) = idp::session(&oidc.provider, identity);
    let carried = goal.replaces.as_deref().and_then(|value| app.store.read_ticket(value));
    let by = LoginBy::Provider;
    let started = start::session(app, visitor, user, Some(idp), carried.as_ref(), by).await?;
    let mut response = page::redirect(&goal.return_to)?;
    started.set_cookies(app, &mut response)?;
    Ok(response)
}

/// Whether it may go better in a second attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recovery {
    Retry,
    GiveUp,
}

type Failed = (Failure, Recovery, Option<ProviderError>);

async fn finish(
    app: &App,
    oidc: &Oidc,
    query: CallbackQuery,
    attempt: Attempt,
) -> Result<Identity, Failed> {
    match (query.code, query.error.as_deref()) {
        (Some(code), None) => {
            let callback = Callback { code, issuer: query.issuer };
            let finished = oidc.provider.finish(callback, attempt, &app.clock).await;
            finished.map_err(|error| {
                let (failure, recovery) = classify(&error);
                (failure, recovery, Some(error))
            })
        }
        // OpenID Connect Core §3.1.2.6 and RFC 6749 §4.1.2.1: what passes by itself.
        (
            _,
            Some(
                "login_required"
                | "interaction_required"
                | "account_selection_required"
                | "consent_required"
                | "temporarily_unavailable"
                | "server_error",
            ),
        ) => Err((Failure::Unreachable, Recovery::Retry, None)),
        (_, Some("access_denied")) => Err((Failure::Denied, Recovery::GiveUp, None)),
        // Our own request is wrong (`invalid_scope`…), or the answer is none.
        _ => Err((Failure::Provider, Recovery::GiveUp, None)),
    }
}

fn classify(error: &ProviderError) -> (Failure, Recovery) {
    match error {
        ProviderError::Http(_) | ProviderError::Crashed => (Failure::Unreachable, Recovery::GiveUp),
        // The code is used up or too old: another one helps.
        ProviderError::Refused { code } if code == "invalid_grant" => {
            (Failure::Stale, Recovery::Retry)
        }
        _ => (Failure::Provider, Recovery::GiveUp),
    }
}

/// The user is who they say, but there is no session to be had.
fn no_room(app: &App, visitor: &Visitor, error: &ApiError) -> Response {
    let (cid, code) = (visitor.head.cid(app), error.code());
    app.metrics.failed(error);
    tracing::error!(%cid, code, ?error, "cannot begin a session");
    audit::login_failed(app, visitor, LoginBy::Provider, code);
    page::failed(Failure::Ours { status: error.status(), code }, cid)
}

fn failed(
    app: &App,
    visitor: &Visitor,
    failure: Failure,
    error: Option<&ProviderError>,
) -> Response {
    let (cid, code) = (visitor.head.cid(app), failure.code());
    if let Some(error) = error {
        app.metrics.provider_failed(error);
        tracing::warn!(%cid, code, %error, "signing in failed");
    }
    audit::login_failed(app, visitor, LoginBy::Provider, code);
    page::failed(failure, cid)
}
