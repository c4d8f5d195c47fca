//! What was found about one claim.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::lab::Topology;
use crate::prove::claim::Claim;
use crate::prove::claims::Trial;
use crate::prove::scene::{Client, Observed};

/// One fact that a claim rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Whether it is so.
    pub holds: bool,
    /// The fact, as a sentence that should be true.
    pub says: String,
}

/// One claim in one topology with one client.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The claim.
    pub claim: Claim,
    /// Where.
    pub topology: Topology,
    /// With which client.
    pub client: Client,
    /// The facts it rests on.
    pub checks: Vec<Check>,
    /// Every request that was made for it.
    pub exchanges: Vec<Arc<Observed>>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Verdict {
    pub(super) fn of(
        claim: Claim,
        topology: Topology,
        client: Client,
        trial: Trial,
        took: Duration,
    ) -> Self {
        let Trial { checks, exchanges } = trial;
        Self { claim, topology, client, checks, exchanges, millis: millis(took) }
    }

    /// Whether every check holds. A claim without a check holds nothing.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.holds)
    }

    /// A stable id that a filter can select: `chromium::same-site::credentials-on::fetch`.
    #[must_use]
    pub fn id(&self) -> String {
        verdict_id(self.topology, self.claim, self.client)
    }
}

/// The id of a verdict before it is there.
#[must_use]
pub fn verdict_id(topology: Topology, claim: Claim, client: Client) -> String {
    format!("chromium::{}::{}::{}", topology.id(), claim.id(), client.id())
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
