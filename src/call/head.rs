//! What comes before the body of a request.

use std::net::IpAddr;
use std::sync::OnceLock;

use http::{HeaderMap, Method, Uri};
use uuid::Uuid;

use crate::app::App;

/// Request line and headers, and who sent them. Shared by all layers of one request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The other end of the connection; unknown where another server runs the filter.
    pub(crate) peer: Option<IpAddr>,
    cid: OnceLock<Uuid>,
}

impl Head {
    pub(crate) fn new(method: Method, uri: Uri, headers: HeaderMap, peer: Option<IpAddr>) -> Self {
        Self { method, uri, headers, peer, cid: OnceLock::new() }
    }

    /// The id of this request, in logs and in what its user reports. Most requests need none.
    pub(crate) fn cid(&self, app: &App) -> Uuid {
        *self.cid.get_or_init(|| app.ids.request_id())
    }

    /// As it came: nothing is decoded.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// As it came, without its question mark; empty if there is none.
    pub(crate) fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }
}
