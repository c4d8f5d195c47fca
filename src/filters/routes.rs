//! The routes: which call a request makes. Paths, methods and queries only; what a call does is in
//! [`crate::handlers`].
//!
//! One `match` for all paths: as warp filters joined by `or`, each request carried a copy of every
//! route that was still to be tried, and what failed travelled as a rejection past all of them.

use http::Method;
use url::form_urlencoded;

use crate::call::{Body, Call, CallbackQuery, Head, LoginQuery};
use crate::error::ApiError;
use crate::policy::session::Handle;

const READ: &[&str] = &["GET", "HEAD"];

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Session,
    Login,
    Callback,
    Token,
    BackchannelLogout,
    Logout,
    Sessions,
    Verify,
    /// `None`: what stands there is no handle.
    OneSession(Option<Handle>),
    Example,
}

impl Place {
    /// The place at a path, which may end with one slash. Nothing is decoded: no path of ours needs
    /// it, and a proxy in front that decodes differently cannot be made to disagree. `example`:
    /// whether the protected example is there.
    pub(super) fn at(path: &str, example: bool) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == "/api/example" {
            return example.then_some(Self::Example);
        }
        Some(match path.strip_prefix("/api/auth/")? {
            "session" => Self::Session,
            "login" => Self::Login,
            "callback" => Self::Callback,
            "token" => Self::Token,
            "backchannel-logout" => Self::BackchannelLogout,
            "logout" => Self::Logout,
            "sessions" => Self::Sessions,
            "verify" => Self::Verify,
            deeper => match deeper.strip_prefix("sessions/")? {
                handle if handle.is_empty() || handle.contains('/') => return None,
                handle => Self::OneSession(Handle::parse(handle)),
            },
        })
    }

    /// The methods it takes.
    fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Session | Self::Token | Self::Verify | Self::Example => READ,
            Self::Login => &["GET", "HEAD", "POST"],
            Self::Callback => &["GET"],
            Self::BackchannelLogout => &["POST"],
            Self::Logout => &["GET", "POST"],
            Self::Sessions => &["GET", "HEAD", "DELETE"],
            Self::OneSession(_) => &["DELETE"],
        }
    }
}

/// What a request asks for.
///
/// # Errors
///
/// [`ApiError::MethodNotAllowed`], or [`ApiError::InvalidQuery`]. `body` is there for POST.
pub(super) fn call(place: Place, head: &Head, body: Option<Body>) -> Result<Call, ApiError> {
    let (method, allowed) = (&head.method, place.methods());
    if !allowed.contains(&method.as_str()) {
        return Err(ApiError::MethodNotAllowed { method: method.clone(), allowed });
    }
    let body =
        || body.ok_or(ApiError::Internal { cause: "another filter took the body".to_owned() });
    Ok(match place {
        Place::Session => Call::ReadSession { slide: slide(head.query())? },
        Place::Login if method == Method::POST => Call::LogIn(body()?),
        Place::Login => Call::BeginLogin(Box::new(LoginQuery::parse(head.query())?)),
        Place::Callback => Call::Callback(Box::new(CallbackQuery::parse(head.query())?)),
        Place::Token => Call::ReadToken,
        Place::BackchannelLogout => Call::BackchannelLogout(body()?),
        Place::Logout if method == Method::POST => Call::LogOut,
        Place::Logout => Call::LogOutByNavigation,
        Place::Sessions => {
            let except_current = except_current(head.query())?;
            if method == Method::DELETE {
                Call::EndSessions { except_current }
            } else {
                Call::ListSessions
            }
        }
        Place::Verify => Call::Verify,
        Place::OneSession(handle) => Call::EndSession(handle),
        Place::Example => Call::Example,
    })
}

/// `?slide=true|false`; other parameters are ignored.
fn slide(query: &str) -> Result<bool, ApiError> {
    one_of(query, "slide", "true or false", |value| match value {
        None | Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => None,
    })
}

/// `?except=current`; other parameters are ignored.
fn except_current(query: &str) -> Result<bool, ApiError> {
    one_of(query, "except", "current", |value| match value {
        None => Some(false),
        Some("current") => Some(true),
        Some(_) => None,
    })
}

/// What `read` makes of a query parameter; a 400 if it makes nothing of it.
fn one_of(
    query: &str,
    name: &'static str,
    expected: &'static str,
    read: fn(Option<&str>) -> Option<bool>,
) -> Result<bool, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let mut values = pairs.filter(|(key, _)| key == name).map(|(_, value)| value);
    // Which of two is meant nobody knows, and the wrong one may end sessions.
    let value = match (values.next(), values.next()) {
        (value, None) => read(value.as_deref()),
        _ => None,
    };
    value.ok_or(ApiError::InvalidQuery { name, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are_written() {
        let handle = Handle::parse("AAAAAAAAAAAAAAAA");
        assert!(handle.is_some());
        for (path, want) in [
            ("/api/auth/session", Some(Place::Session)),
            ("/api/auth/session/", Some(Place::Session)),
            ("/api/auth/session//", None),
            ("/api/auth//session", None),
            ("//api/auth/session", None),
            ("/api/auth/Session", None),
            ("/api/auth/%73ession", None),
            ("/api/auth/./session", None),
            ("/api/auth/session/x", None),
            ("/api/auth/", None),
            ("/api/auth", None),
            ("/", None),
            ("", None),
            ("*", None),
            ("/api/auth/sessions", Some(Place::Sessions)),
            ("/api/auth/sessions/", Some(Place::Sessions)),
            ("/api/auth/sessions//", None),
            ("/api/auth/sessions/AAAAAAAAAAAAAAAA", Some(Place::OneSession(handle))),
            ("/api/auth/sessions/AAAAAAAAAAAAAAAA/", Some(Place::OneSession(handle))),
            ("/api/auth/sessions/AAAAAAAAAAAAAAAA/x", None),
            ("/api/auth/sessions/no-handle", Some(Place::OneSession(None))),
            ("/api/auth/verify", Some(Place::Verify)),
            ("/api/example", Some(Place::Example)),
            ("/api/examples", None),
        ] {
            assert_eq!(Place::at(path, true), want, "{path}");
        }
        assert_eq!(Place::at("/api/example", false), None);
    }

    #[test]
    fn a_choice_is_made_once_or_not_at_all() {
        for (query, slides, excepts) in [
            ("", Some(true), Some(false)),
            ("x=1", Some(true), Some(false)),
            ("slide=false", Some(false), Some(false)),
            ("slide=true&x", Some(true), Some(false)),
            ("%73lide=fals%65", Some(false), Some(false)),
            ("slide", None, Some(false)),
            ("slide=0", None, Some(false)),
            ("slide=false&slide=false", None, Some(false)),
            ("slide=false&%73lide=true", None, Some(false)),
            ("except=current", Some(true), Some(true)),
            ("%65xcept=current", Some(true), Some(true)),
            ("except", Some(true), None),
            ("except=", Some(true), None),
            ("except=Current", Some(true), None),
            ("except=current&except=current", Some(true), None),
            ("except=current&%65xcept=all", Some(true), None),
        ] {
            assert_eq!(slide(query).ok(), slides, "{query}");
            assert_eq!(except_current(query).ok(), excepts, "{query}");
        }
    }
}
