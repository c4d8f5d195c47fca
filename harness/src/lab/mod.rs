//! The stage: real origins on loopback, with the real service behind them.
//!
//! Every origin is a front: a listener of its own that ends TLS, writes down each
//! exchange byte for byte as the server got it, and hands it on to the service or the fixture page.
//! What a front wrote down is the only evidence that is true in every browser.

mod cast;
mod clock;
mod front;
mod hold;
mod record;
mod sabotage;
mod service;
mod sessions;
mod tls;
mod topology;

pub use cast::Asker;
pub use front::BLANK;
pub use hold::{Hold, Moment};
pub use record::{Arrivals, WireExchange, WireLog};
pub use sabotage::Sabotage;
pub use service::Policy;
pub use tls::{Certificate, TlsError};
pub use topology::{Stage, Topology, Under};

/// Why the stage could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// No listener.
    #[error("cannot listen on loopback: {0}")]
    Listen(#[from] std::io::Error),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The service refused its configuration.
    #[error("the service refused the configuration of this topology: {0}")]
    Config(String),
    /// The service did not start.
    #[error("the service did not start: {0}")]
    Service(#[from] withcreds::ServeError),
    /// The service behind an origin does not answer.
    #[error("the service behind {0} does not answer")]
    ServiceSilent(String),
    /// A claim lets a page ask that this topology does not have.
    #[error("this topology has no {}: a claim asked for one that it must not", .0.label())]
    NotCast(Asker),
    /// The page is not there.
    #[error("the fixture page is missing: run this in the repository, where frontend-fixture/ is")]
    NoFixture,
    /// axios is not there.
    #[error(
        "axios is not installed: run `npm ci` in frontend-fixture, or leave axios out with --client fetch,xhr"
    )]
    NoAxios,
}
