//! `doctor` against servers that nobody here wrote, wrongly configured on purpose, and against their
//! correct twins: every fault is found, and nothing else is.

mod examples;
mod server;
mod support;
mod table;
mod tls;
mod wrong;
