//! The oracle against tables written by hand, against laws, and against the scenario collection.
#![expect(clippy::too_many_lines, reason = "a table is as long as its subject")]
#![expect(clippy::needless_pass_by_value, reason = "rows are written as json!(…)")]

/// Predictions and expectations in a few words.
mod support;
// The CORS protocol: what the standards say, row by row.
mod fetch;
// Preflights: needed, failed, remembered.
mod preflight;
// Redirects and what they do to origins.
mod redirects;
// Cookies: stored or refused, by engine.
mod cookies;
// Cookies: sent or withheld, by engine.
mod sending;
// The service's contract.
mod service;
// Laws that hold for all scenarios.
mod laws;
// Every scenario file meets its own expectations.
mod collection;
// How fast: only on request.
mod speed;
