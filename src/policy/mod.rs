//! The decisions, and nothing else: functions from facts to values.
//!
//! Nothing in here waits, listens, reads a clock or draws a random number, so every rule can be
//! tested as a table and reused by other frameworks. `tests/architecture.rs` keeps the imports to
//! `std`, `http`, `cookie`, `serde`, `thiserror`, `url`, `psl`, `ipnet` and small crypto crates.
//!
//! | module | decides | standard |
//! |---|---|---|
//! | [`origin`] | what is an origin, and is it written as browsers write it | [HTML: serialisation of an origin](https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin) |
//! | [`pattern`] | does an origin fit `https://*.example.com` | – |
//! | [`cors`] | may this origin read the answer | [Fetch: HTTP extensions for CORS](https://fetch.spec.whatwg.org/#http-cors-protocol) |
//! | [`cookie`] | name and attributes of the session cookie | [RFC 6265bis](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis) §4.1 |
//! | [`csrf`] | may this request change anything | [Fetch Metadata](https://www.w3.org/TR/fetch-metadata/) |
//! | [`client`] | whose address stands behind a proxy | – |
//! | [`rate`] | may this one try again already | – |
//! | [`agent`] | which browser, for a list of sessions | – |
//! | [`key`] | is this a key, or an example | – |
//! | [`session`] | is this session alive at this time | – |
//! | [`verify`] | what does a reverse proxy ask about | – |

pub mod agent;
pub mod client;
pub mod cookie;
pub mod cors;
pub mod csrf;
pub mod key;
pub mod origin;
pub mod pattern;
pub mod rate;
pub mod session;
pub mod verify;
