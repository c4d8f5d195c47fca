//! What went over the wire, as the server got it.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use serde::Serialize;

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WireExchange {
    /// The origin that was asked.
    pub origin: String,
    /// Method.
    pub method: String,
    /// Path and query, the correlation id included.
    pub target: String,
    /// Request headers in the order they came.
    pub request_headers: Vec<(String, String)>,
    /// Status of the answer.
    pub status: u16,
    /// Response headers.
    pub response_headers: Vec<(String, String)>,
}

impl WireExchange {
    /// The correlation id in the query.
    #[must_use]
    pub fn probe_id(&self) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        probe_id(query)
    }

    /// The values of a request header.
    pub fn request(&self, name: &str) -> impl Iterator<Item = &str> {
        values(&self.request_headers, name)
    }

    /// The values of a response header.
    pub fn response(&self, name: &str) -> impl Iterator<Item = &str> {
        values(&self.response_headers, name)
    }

    /// Whether it is a CORS preflight; a bare `OPTIONS` is not.
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        self.method == "OPTIONS" && self.request("access-control-request-method").next().is_some()
    }

    /// The value of a request cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.request("cookie")
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(n, value)| (n == name).then_some(value))
    }

    /// The `Set-Cookie` line for a cookie.
    #[must_use]
    pub fn sets_cookie(&self, name: &str) -> Option<&str> {
        self.response("set-cookie").find(|line| line.split('=').next() == Some(name))
    }
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// The correlation id in a query.
pub(super) fn probe_id(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("probe="))
}

/// Header lines as text; bytes that are no text are replaced, never dropped.
pub(super) fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

/// What of one probe has come to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Its preflight.
    pub preflight: bool,
    /// Its request.
    pub request: bool,
}

/// The exchanges of all fronts of one stage, in the order in which they were answered.
#[derive(Debug, Clone, Default)]
pub struct WireLog(Arc<Mutex<Vec<WireExchange>>>);

impl WireLog {
    pub(super) fn push(&self, exchange: WireExchange) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }

    /// Whether a preflight and whether a request of one probe has come.
    #[must_use]
    pub fn arrivals(&self, probe_id: &str) -> Arrivals {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arrivals = Arrivals::default();
        for exchange in log.iter().filter(|exchange| exchange.probe_id() == Some(probe_id)) {
            let preflight = exchange.is_preflight();
            arrivals.preflight |= preflight;
            arrivals.request |= !preflight;
        }
        arrivals
    }

    /// Takes out what belongs to one probe, so that the log does not grow with the run.
    #[must_use]
    pub fn take(&self, probe_id: &str) -> Vec<WireExchange> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extract_if(.., |exchange| exchange.probe_id() == Some(probe_id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(target: &str, headers: &[(&str, &str)]) -> WireExchange {
        let own = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        WireExchange {
            origin: "http://localhost:1".to_owned(),
            method: "OPTIONS".to_owned(),
            target: target.to_owned(),
            request_headers: headers.iter().map(own).collect(),
            status: 204,
            response_headers: vec![("Set-Cookie".to_owned(), "sid=2; Path=/".to_owned())],
        }
    }

    #[test]
    fn reads_what_matters() {
        let it = exchange("/a?x=1&probe=p7", &[("Cookie", "a=1; sid=2"), ("Cookie", "b=3")]);
        assert_eq!(it.probe_id(), Some("p7"));
        assert_eq!(
            (it.cookie("sid"), it.cookie("b"), it.cookie("id")),
            (Some("2"), Some("3"), None)
        );
        assert_eq!(it.sets_cookie("sid"), Some("sid=2; Path=/"));
        assert_eq!(it.sets_cookie("si"), None);
        assert!(!it.is_preflight());
        assert!(exchange("/", &[("Access-Control-Request-Method", "PUT")]).is_preflight());
    }

    #[test]
    fn taking_leaves_the_rest() {
        let log = WireLog::default();
        log.push(exchange("/?probe=a", &[]));
        log.push(exchange("/?probe=b", &[]));
        log.push(exchange("/?probe=b", &[("Access-Control-Request-Method", "PUT")]));
        for (id, preflight, request) in [("a", false, true), ("b", true, true), ("c", false, false)]
        {
            assert_eq!(log.arrivals(id), Arrivals { preflight, request }, "{id}");
        }
        assert_eq!(log.take("a").len(), 1);
        assert_eq!(log.take("a").len(), 0);
        assert_eq!(log.take("b").len(), 2);
    }
}
