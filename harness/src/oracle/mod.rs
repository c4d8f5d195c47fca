//! A pure, executable model of the browser: Fetch, and RFC 6265bis with CHIPS.
//!
//! [`predict`] takes a [`Case`](crate::scenario::Case), an engine's [`Profile`] and the time, and
//! says what will happen in each step and which rule decided. No IO, no clock, no randomness, and
//! nothing of the service's own decision code: one wrong rule cannot pass on both sides.
//!
//! There is one CORS model for all engines; where engines differ, the [`Knobs`] of their profile
//! differ, and those are read from `harness/divergences/`.

mod answers;
mod code;
mod cookie;
mod cors;
mod fetch;
mod finding;
mod headers;
mod jar;
mod predict;
mod preflight_cache;
mod profile;
mod relation;
mod request;
mod service;
mod words;

pub use code::Code;
pub use finding::Finding;
pub use headers::{is_settable, normalized_method, preflight_names};
pub use predict::{Prediction, predict};
pub use profile::{
    Divergence, Knobs, Prefixes, Profile, ProfileError, RedirectChain, SameSiteDefault, ThirdParty,
};
pub use relation::{CookieWorks, EngineNote, EngineWorks, RelationReport, relate};
