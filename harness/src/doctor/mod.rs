//! Asks a running backend what a browser would ask it for a page, and says what is wrong.
//!
//! ```text
//! Call ─ plan (what will be asked) ─ examine (client: sends it) ─ Facts
//! Facts ─ scenario ─ oracle (each engine) ─┐
//!       └──────────────────────────────────┴ judge ─ findings ─ report
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `call.rs` | [`Call`]: the page's call that is asked about |
//! | `plan.rs` | [`plan`]: the questions, told before they are asked |
//! | `facts.rs` | [`Facts`]: what was asked and answered |
//! | `client.rs`, `trust.rs` | [`Client`]: sends one question, within bounds |
//! | `examine.rs` | [`examine`]: asks them all, redirects followed by hand |
//! | `replay.rs` | facts → a scenario that the oracle plays in each engine |
//! | `judge.rs`, `judge/` | [`findings`]: facts and predictions → what is wrong |
//! | `mend.rs` | the mend for the server that answered, if it names itself |
//! | `report.rs` | the answer for people and for programs |
//! | `secrets.rs` | [`shown_address`]: what is left out of it |
//!
//! **Invariant**: `client.rs`, `trust.rs` and `examine.rs` alone touch the network; everything else
//! is a function of facts, and the time is passed in.

mod call;
mod client;
mod examine;
mod facts;
mod judge;
mod mend;
mod plan;
mod replay;
mod report;
mod secrets;
mod trust;

pub use call::{Call, SeenCookie};
pub use client::{Client, Resolve};
pub use examine::examine;
pub use facts::{Answer, Exchange, Facts, TlsFault, Trouble};
pub use judge::{Finding, Severity, findings};
pub use plan::{Purpose, Question, REDIRECTS, Stranger, plan};
pub use replay::{EngineSees, predictions, scenario};
pub(crate) use report::{Paint, told, wrapped};
pub use report::{document, human};
pub use secrets::shown_address;
pub(crate) use secrets::{SECRET, of_request};
pub use trust::TrustError;
