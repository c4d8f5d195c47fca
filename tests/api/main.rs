//! The service over real sockets, without a browser.

// What comes back on every kind of error, and to whom it is readable.
mod errors;
// Login, session, logout, and everything in time.
mod sessions;
// What may change something, and what may not.
mod csrf;
// Who fails to log in too often.
mod limit;
// What `withcreds cors` says against what the service does.
mod explain;
// Input that no browser would send.
mod hostile;
// CORS headers that no browser would write.
mod malformed;
// Health, readiness and metrics, and the table that describes them.
mod admin;
// What the log tells of security, and what it never tells.
mod audit;
// Clients that are slow, silent or too many.
mod connections;
// TLS and HTTP/2, and that limits and stops hold there.
mod tls;
// Starting, stopping, ports.
mod lifecycle;
// The stores other than memory, as clients meet them.
mod stores;
// In front of somebody else's API, behind nginx and Caddy.
mod proxies;
mod support;
