//! What went wrong in what a browser recorded, or will in a call that was copied from it.
//!
//! ```text
//! HAR ─ har (fields) ─ Recording ─ calls (preflights and redirects find their call) ─ Facts
//! Facts ─ replay (scenario) ─ oracle ─ doctor's findings ─ judge ─ Diagnosis ─ report
//! curl, fetch(…) ─ line ─ Call ─ oracle
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `har.rs` | the format, every field optional |
//! | `recording.rs` | [`Recording`]: requests, whoever recorded them |
//! | `calls.rs`, `trouble.rs` | requests → calls of pages, as `doctor`'s facts |
//! | `replay.rs` | a call → a scenario, and what each engine makes of it |
//! | `judge.rs` | [`diagnose`]: what is wrong, and what the recording does not show |
//! | `line.rs`, `shell.rs` | [`Line`]: a copied `curl` or `fetch` line |
//! | `secrets.rs` | what gets into no report |
//! | `report.rs` | the answer for people and for programs |
//!
//! **Invariant**: no file, no network, no clock: text in, diagnoses out. Values of cookies, of
//! `Authorization` and of what looks like it leave neither in reports nor in scenario files.

mod calls;
mod har;
mod judge;
mod line;
mod recording;
mod replay;
mod report;
mod secrets;
mod shell;
mod trouble;

pub use har::{HarError, read};
pub use judge::{Diagnosis, diagnose};
pub use line::{Line, LineError, Script};
pub use recording::{Entry, Kind, Recorder, Recording};
pub use report::{document, human, human_line, line_document};
