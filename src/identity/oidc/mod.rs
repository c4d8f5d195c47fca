//! Signing in at an OpenID Connect provider: code flow with PKCE, refresh, revocation, logout.
//!
//! The protocol is the `openidconnect` crate's; nothing of it leaves this module. What the crate
//! leaves to its user is here: an HTTP client that cannot be led astray, keys that roll over, and
//! the checks that depend on policy (algorithms, clock skew, who is who).

mod attempt;
mod claims;
mod error;
mod flights;
mod http;
mod id_token;
mod known;
mod logout_token;
mod provider;
mod settings;

pub use error::{HttpError, ProviderError, Untrusted};
pub use logout_token::LogoutNotice;
pub use provider::{Identity, Provider, Tokens};
pub use settings::{
    ClaimMap, ClientAuth, Endpoints, HintParams, OidcSettings, SigningAlg, SigningAlgError,
};

pub(crate) use attempt::{Attempt, AttemptCookies};
pub(crate) use flights::Flights;
pub(crate) use provider::{Callback, Hints};
