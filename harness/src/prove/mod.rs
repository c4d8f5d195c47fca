//! Claims about the service, shown to be true in real browsers, each with its evidence; and the
//! same over services that were broken on purpose, where at least one claim must fall.

mod claim;
mod claims;
mod divergence;
mod proof;
mod run;
mod scene;
mod verdict;

pub use claim::Claim;
pub use divergence::{Divergence, DivergenceError, Divergences, Known};
pub use proof::{Control, EngineProof, Proof, Timing};
pub use run::prove;
pub use scene::{Client, Mode, Observed, PageView};
pub use verdict::{Check, Judgement, Verdict, verdict_id};

use std::path::PathBuf;
use std::time::Duration;

use crate::browser::{BrowserError, Engine, ThirdPartyCookies};
use crate::lab::{LabError, Sabotage, Topology};

/// What to prove, and with what.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Engines, each with the program to start; `None` looks for one.
    pub engines: Vec<(Engine, Option<PathBuf>)>,
    /// Engines that were asked for and are not here, each with the reason: they are said, not hidden.
    pub skipped: Vec<(Engine, String)>,
    /// Client forms.
    pub clients: Vec<Client>,
    /// Topologies.
    pub topologies: Vec<Topology>,
    /// What the browsers do with cookies of other sites. The cross-site claims are about `SameSite`:
    /// where a browser blocks such cookies anyway, its known divergences say what then is true.
    pub third_party_cookies: ThirdPartyCookies,
    /// Whether the proof is repeated over sabotaged services.
    pub controls: bool,
    /// With a window.
    pub headed: bool,
    /// For the whole run.
    pub timeout: Duration,
}

/// Why there is no proof. All of these are about the environment, none about the service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The stage could not be set up.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The browser failed.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// What is written down about an engine cannot be read.
    #[error(transparent)]
    Divergences(#[from] DivergenceError),
    /// It took too long.
    #[error("the proof was not finished within {0:?}: give it more with --timeout")]
    Timeout(Duration),
}

/// Hears how far a proof has come.
pub trait Progress {
    /// The number of verdicts to come.
    fn planned(&self, verdicts: usize);
    /// One more verdict.
    fn verdict(&self, verdict: &Verdict);
    /// A sabotage was tried.
    fn control(&self, control: &Control);
}

/// The claim and the check of it that a sabotage breaks.
#[must_use]
pub fn must_break(sabotage: Sabotage) -> (Claim, &'static str) {
    match sabotage {
        Sabotage::CredentialsOff => (Claim::CredentialsOn, "the script reads a 200"),
        Sabotage::AnyOrigin => (Claim::ForeignOrigin, "the foreign page cannot read the answer"),
        Sabotage::BareErrors => (Claim::ReadableErrors, "401 no_session is readable"),
        Sabotage::CsrfOff => (Claim::CsrfToken, "no token: the script reads a 403"),
        Sabotage::CsrfHeaderOff => (Claim::CsrfModes, "header: without the header a readable 403"),
        Sabotage::ReadableCookie => (Claim::CredentialsOn, "the stored cookie is HttpOnly"),
        Sabotage::PreflightSession => (Claim::Preflights, "granted: its answer sets no cookie"),
        Sabotage::FirstOrigin => {
            (Claim::ListedOrigins, "second listed page: the script reads a 200")
        }
        Sabotage::NoVary => {
            (Claim::ListedOrigins, "second listed page: the answer varies by Origin")
        }
        Sabotage::CarelessOrigins => {
            (Claim::OriginPatterns, "look-alike domain: the script reads nothing")
        }
        Sabotage::LiteralMethods | Sabotage::LiteralHeaders => {
            (Claim::PreflightEcho, "PATCH: the request is sent")
        }
        Sabotage::NothingExposed => {
            (Claim::ExposedHeaders, "the script reads X-CSRF-TOKEN as it was sent")
        }
        Sabotage::AllExposed => (Claim::ExposedHeaders, "the script sees no other"),
        Sabotage::NoMaxAge => (Claim::PreflightCache, "the preflight's answer says 600 s"),
        Sabotage::ZeroMaxAge => (Claim::PreflightCache, "the same again: no preflight"),
        Sabotage::OverGranted => (Claim::PreflightCache, "another method: a preflight is sent"),
        Sabotage::AdoptedIds => (Claim::SessionFixation, "second login: the id is another"),
        Sabotage::SessionsPileUp => {
            (Claim::SessionFixation, "second login: the first session has ended")
        }
        Sabotage::LogoutIgnored | Sabotage::RevivedAfterLogout => {
            (Claim::LogoutRace, "before the service: the slow request reads a 401")
        }
        Sabotage::CookieRenewed => {
            (Claim::LogoutRace, "before the answer: afterwards the browser holds no session cookie")
        }
        Sabotage::RevivedAfterExpiry => {
            (Claim::SessionExpiry, "idle too long: the script reads a 401")
        }
        Sabotage::RevocationIgnored => {
            (Claim::SessionList, "after ending the other: one session is listed")
        }
    }
}

/// Whether it breaks anything there: on one origin neither the policy nor preflights matter.
#[must_use]
pub fn bites(sabotage: Sabotage, topology: Topology) -> bool {
    match sabotage {
        Sabotage::AnyOrigin
        | Sabotage::CsrfOff
        | Sabotage::CsrfHeaderOff
        | Sabotage::ReadableCookie => true,
        sabotage if must_break(sabotage).0.is_about_lifetime() => true,
        _ => topology != Topology::SameOrigin,
    }
}

/// What is asked over a broken service. The claims about the cookie lean on one another, so all of
/// them are; those about policy and lifetime stand each for itself, so only the one that must fall
/// is.
fn is_asked_over(sabotage: Sabotage, claim: Claim) -> bool {
    let (must, _) = must_break(sabotage);
    let alone = |claim: Claim| claim.is_about_policy() || claim.is_about_lifetime();
    claim == must || !(alone(claim) || alone(must))
}

/// What is asked in a topology with a client.
pub fn claims_for(topology: Topology, client: Client) -> impl Iterator<Item = Claim> {
    Claim::ALL.into_iter().filter(move |claim| claim.applies(topology, client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_a_broken_service_the_claim_that_must_fall_is_asked_wherever_it_bites() {
        for sabotage in Sabotage::ALL {
            let (must, _) = must_break(sabotage);
            assert!(is_asked_over(sabotage, must), "{sabotage:?}");
            assert!(Topology::ALL.iter().any(|t| bites(sabotage, *t)), "{sabotage:?}");
            for topology in Topology::ALL.into_iter().filter(|t| bites(sabotage, *t)) {
                for client in Client::ALL {
                    assert!(must.applies(topology, client), "{sabotage:?} {topology:?} {client:?}");
                }
            }
        }
    }
}
