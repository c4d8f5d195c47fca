//! The claims: what each says, and where it means something.

use serde::{Deserialize, Serialize};

use crate::lab::Topology;
use crate::prove::scene::Client;

/// A sentence about the service. The numbers up to 11 are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// 1
    CredentialsOn,
    /// 2
    CredentialsOff,
    /// 3
    LoginWithoutCredentials,
    /// 4
    Preflights,
    /// 5
    ForeignOrigin,
    /// 6
    CsrfToken,
    /// 7
    Logout,
    /// 8
    ReadableErrors,
    /// 11
    NoCorsNeeded,
    /// 12
    ListedOrigins,
    /// 13
    OriginPatterns,
    /// 14
    PreflightEcho,
    /// 15
    ExposedHeaders,
    /// 16
    PreflightCache,
    /// 17
    SessionFixation,
    /// 18
    LogoutRace,
    /// 19
    SessionExpiry,
    /// 20
    SessionList,
    /// 21
    CsrfModes,
}

impl Claim {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::CredentialsOn,
        Self::CredentialsOff,
        Self::LoginWithoutCredentials,
        Self::Preflights,
        Self::ForeignOrigin,
        Self::CsrfToken,
        Self::Logout,
        Self::ReadableErrors,
        Self::NoCorsNeeded,
        Self::ListedOrigins,
        Self::OriginPatterns,
        Self::PreflightEcho,
        Self::ExposedHeaders,
        Self::PreflightCache,
        Self::SessionFixation,
        Self::LogoutRace,
        Self::SessionExpiry,
        Self::SessionList,
        Self::CsrfModes,
    ];

    /// Its number in the contract.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::CredentialsOn => 1,
            Self::CredentialsOff => 2,
            Self::LoginWithoutCredentials => 3,
            Self::Preflights => 4,
            Self::ForeignOrigin => 5,
            Self::CsrfToken => 6,
            Self::Logout => 7,
            Self::ReadableErrors => 8,
            Self::NoCorsNeeded => 11,
            Self::ListedOrigins => 12,
            Self::OriginPatterns => 13,
            Self::PreflightEcho => 14,
            Self::ExposedHeaders => 15,
            Self::PreflightCache => 16,
            Self::SessionFixation => 17,
            Self::LogoutRace => 18,
            Self::SessionExpiry => 19,
            Self::SessionList => 20,
            Self::CsrfModes => 21,
        }
    }

    /// Its name in ids.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::CredentialsOn => "credentials-on",
            Self::CredentialsOff => "credentials-off",
            Self::LoginWithoutCredentials => "login-without-credentials",
            Self::Preflights => "preflights",
            Self::ForeignOrigin => "foreign-origin",
            Self::CsrfToken => "csrf-token",
            Self::Logout => "logout",
            Self::ReadableErrors => "readable-errors",
            Self::NoCorsNeeded => "no-cors-needed",
            Self::ListedOrigins => "listed-origins",
            Self::OriginPatterns => "origin-patterns",
            Self::PreflightEcho => "preflight-echo",
            Self::ExposedHeaders => "exposed-headers",
            Self::PreflightCache => "preflight-cache",
            Self::SessionFixation => "session-fixation",
            Self::LogoutRace => "logout-race",
            Self::SessionExpiry => "session-expiry",
            Self::SessionList => "session-list",
            Self::CsrfModes => "csrf-modes",
        }
    }

    /// The sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::CredentialsOn => {
                "credentials on: the session cookie is sent, and no script can see it"
            }
            Self::CredentialsOff => "credentials off: no cookie is sent, and the 401 is readable",
            Self::LoginWithoutCredentials => "a login without credentials stores no cookie",
            Self::Preflights => "preflights carry no cookie and create no session",
            Self::ForeignOrigin => {
                "a foreign origin reads nothing, and its requests change nothing"
            }
            Self::CsrfToken => "without the CSRF token: 403, readable, nothing changed",
            Self::Logout => "logout ends the session everywhere",
            Self::ReadableErrors => "errors stay readable (400, 401, 403, 404, 405, 413, 415, 429)",
            Self::NoCorsNeeded => "same origin needs no CORS: no preflight, no CORS header",
            Self::ListedOrigins => {
                "each of several listed origins reads its answer under its own name, others do not"
            }
            Self::OriginPatterns => "what a pattern covers reads its answer, look-alikes do not",
            Self::PreflightEcho => {
                "[\"*\"] with credentials: exactly the method and headers asked for are granted"
            }
            Self::ExposedHeaders => "exposed headers are readable, all others are not",
            Self::PreflightCache => {
                "a preflight is cached for max_age_s, for its own origin, URL, method and headers"
            }
            Self::SessionFixation => {
                "every login gives a new session id: the old one dies, a planted one is never adopted"
            }
            Self::LogoutRace => {
                "a request that is under way during a logout does not revive the session, in either order"
            }
            Self::SessionExpiry => {
                "a session ends when it is idle too long and at its absolute end; the 401 says expired"
            }
            Self::SessionList => {
                "a user sees all own sessions and ends others: they read 401 revoked"
            }
            Self::CsrfModes => {
                "csrf.mode header and origin let listed pages act, each by its own proof, and no others"
            }
        }
    }

    /// Whether it is about the policy itself: who is listed, what is granted, exposed, cached.
    #[must_use]
    pub fn is_about_policy(self) -> bool {
        matches!(
            self,
            Self::ListedOrigins
                | Self::OriginPatterns
                | Self::PreflightEcho
                | Self::ExposedHeaders
                | Self::PreflightCache
        )
    }

    /// Whether it is about how sessions begin and end, of one user in several places.
    #[must_use]
    pub fn is_about_lifetime(self) -> bool {
        matches!(
            self,
            Self::SessionFixation | Self::LogoutRace | Self::SessionExpiry | Self::SessionList
        )
    }

    /// Whether it means something there: on one origin a page is never without credentials, unless
    /// it says `omit`, which only fetch can; and there are no preflights.
    #[must_use]
    pub fn applies(self, topology: Topology, client: Client) -> bool {
        let same_origin = topology == Topology::SameOrigin;
        match self {
            Self::NoCorsNeeded => same_origin,
            Self::Preflights => !same_origin,
            claim if claim.is_about_policy() => !same_origin,
            Self::CredentialsOff | Self::LoginWithoutCredentials => {
                !same_origin || client == Client::Fetch
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_is_asked_somewhere_and_ids_are_unique() {
        let mut ids: Vec<_> = Claim::ALL.iter().map(|c| c.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Claim::ALL.len());
        for claim in Claim::ALL {
            for client in Client::ALL {
                let asked = Topology::ALL.iter().any(|t| claim.applies(*t, client));
                assert!(asked, "{claim:?} {client:?}");
            }
        }
    }
}
