//! **withcreds-harness**: proves with real browsers when a session cookie travels.
//!
//! ```text
//! lab (origins, service, wire log) ─┐
//! browser (engine, DevTools)  ──────┴→ prove (claims) → report
//! ```
//!
//! * [`scenario`]: somebody's situation as data: page, servers, cookies, steps, what is expected.
//! * [`oracle`]: what a browser must do with it, by the standards; nothing of the service's code.
//! * [`verdict`], [`results`]: what was expected against what there is, and the document of both.
//! * [`lab`]: real origins on loopback, the real service behind them, and a log of every byte.
//! * [`browser`]: a real browser, and what it says about each request.
//! * [`prove`]: sentences about the service, shown to be true, each with the evidence; and the same
//!   over services that were broken on purpose.
//! * [`catalogue`]: the bugs that people meet, and what the lines of consoles mean.
//! * [`doctor`]: asks a running backend what a browser would ask it, and says what is wrong.
//! * [`diagnose`]: a recording of a browser, or a call copied from it, and what went wrong there.
//! * [`export`]: a scenario for somebody else, and as small as it gets.
//! * [`report`]: the table for people and the document for programs.

pub mod browser;
pub mod catalogue;
pub mod diagnose;
pub mod doctor;
pub mod export;
pub mod lab;
pub mod oracle;
pub mod prove;
pub mod report;
pub mod results;
pub mod scenario;
pub mod verdict;

mod quote;
mod redact;
