//! What is known of an engine: where a claim falls in it for reasons of its own.
//!
//! Data, not code: `harness/divergences/prove/<engine>.toml`. Each entry names the checks that do not
//! hold, and is tried both ways: a check that is not listed must hold, and one that is listed must
//! not. A divergence that is gone fails the proof until its entry is gone, too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// One for each reason.
    #[serde(default)]
    pub divergence: Vec<Divergence>,
}

/// One thing that is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Divergence {
    /// What the engine does, in a sentence.
    pub what: String,
    /// The version in which it was first seen.
    pub since: String,
    /// Where it is documented or discussed; `measured` if nowhere.
    pub link: String,
    /// Where.
    pub topology: Topology,
    /// Under which settings for third-party cookies.
    pub third_party: Vec<ThirdPartyCookies>,
    /// Counts only where the browser itself gives one of these reasons for keeping a cookie back or
    /// refusing to store it; left out: always. What is built into a browser is known that way.
    pub reasons: Option<Vec<String>>,
    /// The checks that do not hold, word for word, by claim.
    pub falls: BTreeMap<Claim, Vec<String>>,
    /// Those that only some clients make.
    #[serde(default)]
    pub falls_with: BTreeMap<Client, BTreeMap<Claim, Vec<String>>>,
}

/// What is known about one claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// What the engine does.
    pub what: String,
    /// The version in which it was first seen.
    pub since: String,
    /// Where it is documented or discussed.
    pub link: String,
    /// Counts only where the browser gives one of these reasons.
    #[serde(skip)]
    pub reasons: Option<Vec<String>>,
    /// The checks that do not hold.
    pub checks: Vec<String>,
}

impl Divergence {
    fn about(&self, claim: Claim, client: Client) -> Option<Known> {
        let with = self.falls_with.get(&client).and_then(|falls| falls.get(&claim));
        let checks: Vec<_> =
            self.falls.get(&claim).into_iter().chain(with).flatten().cloned().collect();
        (!checks.is_empty()).then(|| Known {
            what: self.what.clone(),
            since: self.since.clone(),
            link: self.link.clone(),
            reasons: self.reasons.clone(),
            checks,
        })
    }
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
    ) -> Vec<Known> {
        let applies = |entry: &&Divergence| {
            entry.topology == topology && entry.third_party.contains(&third_party)
        };
        let entries = self.divergence.iter().filter(applies);
        entries.filter_map(|entry| entry.about(claim, client)).collect()
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
                assert!(!entry.link.is_empty() && !entry.third_party.is_empty(), "{entry:?}");
                let all = Client::ALL
                    .iter()
                    .flat_map(|client| entry.falls.keys().map(move |claim| (client, claim)));
                let some = entry
                    .falls_with
                    .iter()
                    .flat_map(|(client, falls)| falls.keys().map(move |claim| (client, claim)));
                for (client, claim) in all.chain(some) {
                    let asked = claim.applies(entry.topology, *client);
                    assert!(asked, "{claim:?} is not asked with {client:?}: {entry:?}");
                    assert!(entry.about(*claim, *client).is_some(), "{claim:?}: {entry:?}");
                }
            }
        }
    }

    #[test]
    fn an_entry_counts_where_it_says_and_nowhere_else() {
        let known: Divergences = toml::from_str(
            "version = '1'\n[[divergence]]\nwhat = ''\nsince = ''\nlink = ''\n\
             topology = 'cross-site'\nthird-party = ['block']\n[divergence.falls]\n\
             preflights = ['x']\n[divergence.falls-with.xhr]\nlogout = ['y']\n",
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
        assert_eq!(count(Topology::CrossSite, Claim::Preflights, Client::Fetch, block), 1);
        let allow = ThirdPartyCookies::Allow;
        assert_eq!(count(Topology::CrossSite, Claim::Preflights, Client::Fetch, allow), 0);
    }
}
