//! What is known of an engine: where a claim falls in it for reasons of its own.
//!
//! Data, not code: `harness/divergences/prove/<engine>.toml`. Each entry names the checks that do not
//! hold, and is tried both ways: a check that is not listed must hold, and one that is listed must
//! not. A divergence that is gone fails the proof until its entry is gone, too.

use serde::Deserialize;

use crate::browser::{Engine, ThirdPartyCookies};
use crate::lab::Topology;
use crate::prove::claim::Claim;
use crate::prove::scene::Client;

/// All that is known of one engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divergences {
    /// The version in which it was seen.
    pub version: String,
    /// One for each reason and claim.
    #[serde(default)]
    pub divergence: Vec<Divergence>,
}

/// One thing that is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Divergence {
    /// Where.
    pub topology: Topology,
    /// Under which settings for third-party cookies.
    pub third_party: Vec<ThirdPartyCookies>,
    /// Which claims.
    pub claims: Vec<Claim>,
    /// With which clients; left out: with all.
    pub clients: Option<Vec<Client>>,
    /// The checks that do not hold, word for word.
    pub checks: Vec<String>,
    /// What the engine does, in a sentence.
    pub what: String,
    /// The version in which it was first seen.
    pub since: String,
    /// Where it is documented or discussed; `measured` if nowhere.
    pub link: String,
}

/// A file of divergences that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the divergences of {} cannot be read: {source}", engine.id())]
pub struct DivergenceError {
    engine: Engine,
    #[source]
    source: Box<toml::de::Error>,
}

impl Divergences {
    /// What is known of an engine.
    ///
    /// # Errors
    /// [`DivergenceError`] if its file is not as it should be; a test sees to that.
    pub fn of(engine: Engine) -> Result<Self, DivergenceError> {
        let text = match engine {
            Engine::Chromium => include_str!("../../divergences/prove/chromium.toml"),
            Engine::Firefox => include_str!("../../divergences/prove/firefox.toml"),
            Engine::WebKit => include_str!("../../divergences/prove/webkit.toml"),
        };
        toml::from_str(text).map_err(|error| DivergenceError { engine, source: Box::new(error) })
    }

    /// What is known of one claim there.
    pub(super) fn of_claim(
        &self,
        topology: Topology,
        claim: Claim,
        client: Client,
        third_party: ThirdPartyCookies,
    ) -> Vec<Divergence> {
        let applies = |entry: &&Divergence| {
            entry.topology == topology
                && entry.claims.contains(&claim)
                && entry.clients.as_ref().is_none_or(|clients| clients.contains(&client))
                && entry.third_party.contains(&third_party)
        };
        self.divergence.iter().filter(applies).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_be_read_and_says_what_is_known() {
        for engine in Engine::ALL {
            let known = Divergences::of(engine).unwrap();
            assert!(!known.version.is_empty(), "{engine:?}");
            for entry in known.divergence {
                assert!(entry.what.len() > 20 && !entry.since.is_empty(), "{entry:?}");
                assert!(!entry.link.is_empty() && !entry.checks.is_empty(), "{entry:?}");
                let clients = entry.clients.clone().unwrap_or_else(|| Client::ALL.to_vec());
                for claim in &entry.claims {
                    let asked = clients.iter().any(|c| claim.applies(entry.topology, *c));
                    assert!(asked, "{claim:?} is never asked: {entry:?}");
                }
            }
        }
    }

    #[test]
    fn an_entry_counts_where_it_says_and_nowhere_else() {
        let known: Divergences = toml::from_str(
            "version = '1'\n[[divergence]]\ntopology = 'cross-site'\nthird-party = ['block']\n\
             claims = ['logout']\nclients = ['xhr']\nchecks = ['x']\nwhat = ''\nsince = ''\n\
             link = ''\n",
        )
        .unwrap();
        let count = |topology, claim, client, third_party| {
            known.of_claim(topology, claim, client, third_party).len()
        };
        let block = ThirdPartyCookies::Block;
        assert_eq!(count(Topology::CrossSite, Claim::Logout, Client::Xhr, block), 1);
        assert_eq!(count(Topology::SameSite, Claim::Logout, Client::Xhr, block), 0);
        assert_eq!(count(Topology::CrossSite, Claim::CsrfToken, Client::Xhr, block), 0);
        assert_eq!(count(Topology::CrossSite, Claim::Logout, Client::Fetch, block), 0);
        let allow = ThirdPartyCookies::Allow;
        assert_eq!(count(Topology::CrossSite, Claim::Logout, Client::Xhr, allow), 0);
    }
}
