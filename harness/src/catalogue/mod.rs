//! The catalogue of cross-origin and credential bugs: what `explain` knows.
//!
//! Each bug is a file in `harness/catalogue/`, named after its code: how it looks, why it happens,
//! how to mend it on either side, what consoles print, and what looks like it.
//!
//! ```text
//! text ─ squeeze (letters only) ─ scan (all sentences, one pass) ─ conditions ─┬─ rank ─ render
//!      └ words (when no sentence is recognised) ──────────────────────────────┘
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `bug.rs` | [`Bug`]: one file of the catalogue |
//! | `book.rs` | [`Catalogue`]: all of them, built in |
//! | `squeeze.rs` | texts without quotes, blanks, escapes and case |
//! | `pattern.rs`, `scan.rs` | a console's sentences with holes, and how they are found |
//! | `values.rs`, `condition.rs` | what was read from the holes, and what it decides |
//! | `words.rs` | the search by plain words |
//! | `explain.rs` | [`Match`]: which bugs fit, best first |
//! | `render.rs` | the answer for people and for programs |
//!
//! ```
//! use withcreds_harness::catalogue::Catalogue;
//!
//! let matches = Catalogue::embedded().explain("CORS header ‘Access-Control-Allow-Origin’ missing");
//! assert_eq!(matches[0].bug.id, "acao-missing");
//! ```
//!
//! **Invariant**: the time for an answer is bounded by the length of the text, whatever is in it.

mod book;
mod bug;
mod condition;
mod explain;
mod pattern;
mod render;
mod scan;
mod squeeze;
mod values;
mod words;

pub use book::Catalogue;
pub use bug::{Bug, Engine, Frequency, Line, LookAlike, Server};
pub use condition::is_login;
pub use explain::{LONGEST_TEXT, Match};
pub use render::{Paint, answer, document, index, list, page};
pub use values::Values;
