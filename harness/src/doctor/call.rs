//! The call that a page makes, or would like to make.

use crate::oracle::preflight_names;
use crate::scenario::{Address, Credentials, Origin};

/// One call of a page, as its author would write it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where the page comes from.
    pub page: Origin,
    /// What it asks for.
    pub address: Address,
    /// As Fetch normalises it.
    pub method: String,
    /// What the script sets.
    pub headers: Vec<(String, String)>,
    /// The credentials mode.
    pub credentials: Credentials,
    /// Cookies that should travel.
    pub cookies: Vec<SeenCookie>,
    /// Whether a method that may change something is really sent.
    pub sends_unsafe: bool,
}

/// A cookie that the caller cares about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenCookie {
    /// By name: its attributes are those of an answer that sets it.
    Named(String),
    /// A whole `Set-Cookie` line.
    Line(String),
}

impl SeenCookie {
    /// A name, or a line if there is a `=` in it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.contains('=') { Self::Line(text.to_owned()) } else { Self::Named(text.to_owned()) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Line(line) => line.split('=').next().unwrap_or_default().trim(),
        }
    }
}

impl Call {
    /// Whether the method is one that changes nothing.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// The method that is really sent: the call's own, or GET in its place.
    #[must_use]
    pub fn sent_method(&self) -> &str {
        if self.is_read_only() || self.sends_unsafe { &self.method } else { "GET" }
    }

    /// Whether another method than the call's own is sent.
    #[must_use]
    pub fn has_stand_in(&self) -> bool {
        self.sent_method() != self.method
    }

    /// Whether page and backend are two origins.
    #[must_use]
    pub fn is_cross_origin(&self) -> bool {
        self.page != *self.address.origin()
    }

    /// The names that the call's preflight asks for; none: it needs no preflight.
    #[must_use]
    pub fn preflight(&self) -> Option<Vec<String>> {
        preflight_names(&self.method, &self.headers)
    }
}
