//! Signing in at an OpenID Connect provider, over real sockets: one that misbehaves on demand, and
//! one that nobody here wrote.

// npm's oidc-provider, which is certified.
mod certified;
// To the provider and back.
mod sign_in;
// What a provider may get wrong.
mod faults;
// When somebody sets the clock.
mod clock;
// Access tokens and their refresh.
mod tokens;
// What is kept of the provider, and how long.
mod knowledge;
// What the log says, and what it must not.
mod log;
// Logging out, from either side.
mod logout;
// The provider that does what it should not.
mod provider;
mod support;
