//! CORS decisions, held against five well-known libraries.

// What a browser makes of an answer.
mod browser;
// Tables: what the peers answer, what we answer, and why.
mod peers;
