//! What browsers call failures of the network, in the facts' words.

use crate::diagnose::recording::Entry;
use crate::doctor::{TlsFault, Trouble};

/// The failure that an error's name stands for; none if it is no failure of the network, but of
/// what the browser allows.
pub(super) fn trouble(error: &str, entry: &Entry) -> Option<Trouble> {
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let seconds = entry.millis.div_ceil(1000);
    Some(if has(&["ERR_CONNECTION_REFUSED"]) {
        Trouble::Refused
    } else if has(&[
        "ERR_NAME_NOT_RESOLVED",
        "ERR_UNKNOWN_HOST",
        "server with the specified hostname",
    ]) {
        Trouble::Dns(error.to_owned())
    } else if has(&["ERR_CERT_DATE_INVALID", "EXPIRED_CERTIFICATE"]) {
        Trouble::Certificate(TlsFault::Expired)
    } else if has(&["ERR_CERT_COMMON_NAME_INVALID", "BAD_CERT_DOMAIN"]) {
        Trouble::Certificate(TlsFault::OtherHost(error.to_owned()))
    } else if has(&["ERR_CERT_AUTHORITY_INVALID", "UNKNOWN_ISSUER", "SELF_SIGNED"]) {
        Trouble::Certificate(TlsFault::UnknownIssuer)
    } else if has(&["ERR_CERT_", "certificate for this server is invalid"]) {
        Trouble::Certificate(TlsFault::Other(error.to_owned()))
    } else if has(&["ERR_SSL_PROTOCOL_ERROR", "SSL_ERROR_RX_RECORD_TOO_LONG"]) {
        Trouble::NotTls
    } else if has(&["ERR_SSL_", "SSL_ERROR_"]) {
        Trouble::Tls(error.to_owned())
    } else if has(&["TIMED_OUT", "NET_TIMEOUT", "request timed out"]) {
        Trouble::Timeout(seconds)
    } else if has(&["ERR_ADDRESS_UNREACHABLE", "ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED"])
    {
        Trouble::Unreachable(error.to_owned())
    } else if has(&[
        "ERR_EMPTY_RESPONSE",
        "ERR_CONNECTION_RESET",
        "ERR_CONNECTION_CLOSED",
        "NET_RESET",
    ]) {
        Trouble::Closed
    } else if has(&["ERR_INVALID_HTTP_RESPONSE"]) {
        Trouble::NotHttp
    } else {
        return None;
    })
}
