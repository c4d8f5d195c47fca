//! The routes: which call a request makes. Paths and methods only; what a call does is in
//! [`crate::handlers`].

use std::convert::Infallible;

use http::Method;
use warp::{Filter, Rejection};

use crate::call::{Body, Call, CallbackQuery, LoginQuery};
use crate::error::ApiError;
use crate::policy::session::Handle;

const READ: &[&str] = &["GET", "HEAD"];

/// Parses path and method into a [`Call`]; rejects with 404 or 405.
pub(super) fn call(
    example: bool,
) -> impl Filter<Extract = (Call,), Error = Rejection> + Clone + Send + Sync + 'static {
    let auth = warp::path("api").and(warp::path("auth"));

    let session = auth
        .and(warp::path!("session"))
        .and(only(READ))
        .and(slide())
        .map(|_method, slide| Call::ReadSession { slide });
    let login = auth
        .and(warp::path!("login"))
        .and(only(&["GET", "HEAD", "POST"]))
        .and(query())
        .and(body())
        .and_then(|method, query: String, body| async move {
            match method {
                Method::POST => Ok(Call::LogIn(body)),
                _ => parsed(LoginQuery::parse(&query).map(Box::new).map(Call::BeginLogin)),
            }
        });
    let callback = auth.and(warp::path!("callback")).and(only(&["GET"])).and(query()).and_then(
        |_method, query: String| async move {
            parsed(CallbackQuery::parse(&query).map(Box::new).map(Call::Callback))
        },
    );
    let token = auth.and(warp::path!("token")).and(only(READ)).map(|_method| Call::ReadToken);
    let backchannel = auth
        .and(warp::path!("backchannel-logout"))
        .and(only(&["POST"]))
        .and(body())
        .map(|_method, body| Call::BackchannelLogout(body));
    let logout = auth
        .and(warp::path!("logout"))
        .and(only(&["GET", "POST"]))
        .map(|method| if method == Method::POST { Call::LogOut } else { Call::LogOutByNavigation });
    let sessions = auth
        .and(warp::path!("sessions"))
        .and(only(&["GET", "HEAD", "DELETE"]))
        .and(except_current())
        .map(|method, except_current| {
            if method == Method::DELETE {
                Call::EndSessions { except_current }
            } else {
                Call::ListSessions
            }
        });
    let one_session = auth
        .and(warp::path!("sessions" / String))
        .and(only(&["DELETE"]))
        .map(|handle: String, _method| Call::EndSession(Handle::parse(&handle)));
    let example = warp::path!("api" / "example")
        .and_then(
            move || async move { if example { Ok(()) } else { Err(warp::reject::not_found()) } },
        )
        .untuple_one()
        .and(only(READ))
        .map(|_method| Call::Example);

    let sessions = sessions.or(one_session).unify();
    session
        .or(login)
        .unify()
        .or(logout)
        .unify()
        .or(sessions)
        .unify()
        .or(callback)
        .unify()
        .or(token)
        .unify()
        .or(backchannel)
        .unify()
        .or(example)
        .unify()
}

/// Passes these methods; answers others with 405 and `Allow`. Put behind the path, so that a
/// wrong path stays a 404.
fn only(
    allowed: &'static [&'static str],
) -> impl Filter<Extract = (Method,), Error = Rejection> + Copy + Send + Sync + 'static {
    warp::method().and_then(move |method: Method| async move {
        if allowed.contains(&method.as_str()) {
            Ok(method)
        } else {
            Err(warp::reject::custom(ApiError::MethodNotAllowed { method, allowed }))
        }
    })
}

/// `?slide=true|false`; other parameters are ignored.
fn slide() -> impl Filter<Extract = (bool,), Error = Rejection> + Clone + Send + Sync + 'static {
    one_of("slide", "true or false", |value| match value {
        None | Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => None,
    })
}

/// `?except=current`; other parameters are ignored.
fn except_current()
-> impl Filter<Extract = (bool,), Error = Rejection> + Clone + Send + Sync + 'static {
    one_of("except", "current", |value| match value {
        None => Some(false),
        Some("current") => Some(true),
        Some(_) => None,
    })
}

/// What `read` makes of a query parameter; a 400 if it makes nothing of it.
fn one_of(
    name: &'static str,
    expected: &'static str,
    read: fn(Option<&str>) -> Option<bool>,
) -> impl Filter<Extract = (bool,), Error = Rejection> + Clone + Send + Sync + 'static {
    query().and_then(move |query: String| async move {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let mut values = pairs.filter(|(key, _)| key == name).map(|(_, value)| value);
        // Which of two is meant nobody knows, and the wrong one may end sessions.
        let value = match (values.next(), values.next()) {
            (value, None) => read(value.as_deref()),
            _ => None,
        };
        value.ok_or(warp::reject::custom(ApiError::InvalidQuery { name, expected }))
    })
}

/// The query string, as it came; empty if there is none.
fn query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

fn parsed(call: Result<Call, ApiError>) -> Result<Call, Rejection> {
    call.map_err(warp::reject::custom)
}

/// Takes the body of the request, unread.
fn body() -> impl Filter<Extract = (Body,), Error = Rejection> + Copy + Send + Sync + 'static {
    warp::body::stream().map(Body::unread)
}
