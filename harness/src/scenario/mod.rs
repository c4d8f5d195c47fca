//! Scenario files: somebody's cross-origin situation as data, in TOML or JSON.
//!
//! [`parse`] reads one and reports every mistake with its place; [`Scenario`] is what is written,
//! [`Case`] what it means, [`Outcome`] what happens to a step. [`schema`] is for editors.

mod address;
mod case;
mod check;
mod compare;
mod file;
mod json_text;
mod load;
mod node;
mod outcome;
mod policy;
mod problem;
#[cfg(test)]
mod tests;
mod toml_text;

pub use address::{Address, BadLocation, Origin, Scheme};
pub(crate) use case::is_token;
pub use case::{Action, Case, DEMO_USER, Frame, Planted, Script, Server, ServerKind};
pub use compare::Difference;
pub use file::{
    Answer, Backend, Client, Credentials, Engine, ExpectOn, Fault, Mode, PlantedCookie, Redirect,
    Route, Scenario, Step, ThirdPartyCookies,
};
pub use load::{Loaded, parse, schema, understand};
pub use outcome::{CookieFate, Hop, Nullable, Outcome, ResponseType};
pub use policy::Policy;
pub use problem::Problem;
