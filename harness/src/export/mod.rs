//! A scenario for somebody who does not have this tool: as `curl` lines, as a page, as a Playwright
//! test. And the smallest scenario that still shows the same.
//!
//! | file | what it holds |
//! |---|---|
//! | `curl.rs` | [`curl`]: asks the real servers, without a browser |
//! | `html.rs` | [`html`]: a page that makes the calls in any browser |
//! | `playwright.rs` | [`playwright`]: a test that brings the servers of the scenario with it |
//! | `shrink.rs` | [`shrink`]: drops what the verdict does not depend on |
//!
//! **Invariant**: functions of a scenario; nothing is asked, nothing is run.

mod curl;
mod html;
mod playwright;
mod shrink;

pub use curl::curl;
pub use html::html;
pub use playwright::{NoScript, playwright};
pub use shrink::shrink;

/// JSON that may stand inside a `<script>`.
fn script_json(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default().replace('<', "\\u003c")
}
