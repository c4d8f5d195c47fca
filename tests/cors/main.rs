//! CORS decisions, held against two other minds: five well-known libraries (`peers`), and a slow
//! second implementation (`model`) that shares no code with `src/policy`.

// What a browser makes of an answer.
mod browser;
// Policies, requests and answers by the thousand, biased towards what goes wrong.
mod generate;
// The same laws for minutes instead of seconds: `just fuzz`.
mod fuzz;
// What must hold whatever comes in.
mod laws;
// The second implementation.
mod model;
// Tables: what the peers answer, what we answer, and why.
mod peers;
