//! **withcreds**: credentialed CORS and sessions for JavaScript frontends that live on another
//! origin.
//!
//! ```text
//! main → cli → config ─┐
//!              server ─┴→ filters → handlers → store, identity
//!                            └────────┴──────→ policy → nothing of ours
//! ```
//!
//! Arrows never turn back: [`policy`] decides and knows no server, no clock and no randomness;
//! [`cors`] and the other filters read facts, ask it, and write headers. A frontend that sends
//! `credentials: 'include'` (or axios' `withCredentials`) is served with its session; one that does
//! not gets a 401 that it can read.
//!
//! ```
//! use withcreds::{Config, Server};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::development().map_err(|errors| errors[0].to_string())?;
//! let server = Server::bind(&config).await?;
//! println!("listening on {}", server.addr()?);
//! server.run_until(async { let _ = tokio::signal::ctrl_c().await; }).await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod app;
mod audit;
mod call;
pub mod cli;
mod config;
pub mod effects;
mod error;
mod filters;
mod fixture;
mod handlers;
mod identity;
mod limit;
mod live;
mod metrics;
pub mod policy;
mod reply;
pub mod seal;
mod secret;
mod server;
pub mod store;
mod tls;

pub use app::App;
pub use config::{
    Config, ConfigError, CsrfConfig, DEVELOPMENT, Environment, Frontend, Http2Config, LogConfig,
    LogoutConfig, RedisConfig, ReturnUrlConfig, ServerConfig, ServerLimits, SessionConfig,
    StoreConfig, TokenConfig,
};
pub use error::ApiError;
pub use filters::{cors, service};
pub use fixture::Fixture;
pub use identity::{AccountsError, Busy, LocalAccounts, User, hash_password, oidc};
pub use identity::{ReturnTo, ReturnToError, ReturnUrls};
pub use live::LivePolicy;
pub use policy::cors::{
    CorsConfig, CorsConfigError, CorsDecision, CorsPolicy, Explanation, Hint, Refusal,
};
pub use policy::origin::{Origin, OriginError};
pub use secret::Secret;
pub use server::{DemoAccount, ServeError, Server, Stopped};
pub use tls::{LiveTls, Tls, TlsError, TlsFiles};
