//! Claims about the service, shown to be true in a real browser, each with its evidence; and the
//! same over services that were broken on purpose, where at least one claim must fall.

mod claim;
mod claims;
mod scene;
mod verdict;

pub use claim::Claim;
pub use scene::{Client, Mode, Observed, PageView};
pub use verdict::{Check, Verdict, verdict_id};

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::browser::{BrowserError, Chromium, Launch, ThirdPartyCookies};
use crate::lab::{Certificate, LabError, Sabotage, Stage, Topology};
use crate::prove::scene::Scene;

/// What to prove, and with what.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Client forms.
    pub clients: Vec<Client>,
    /// Topologies.
    pub topologies: Vec<Topology>,
    /// Whether the proof is repeated over sabotaged services.
    pub controls: bool,
    /// With a window.
    pub headed: bool,
    /// The browser; `None` looks for one.
    pub chromium: Option<PathBuf>,
    /// For the whole run.
    pub timeout: Duration,
}

/// What a proof found.
#[derive(Debug)]
pub struct Proof {
    /// Name and version of the engine.
    pub version: String,
    /// One for each claim, topology and client.
    pub verdicts: Vec<Verdict>,
    /// One for each sabotage, if asked for.
    pub controls: Vec<Control>,
    /// How long it took.
    pub timing: Timing,
}

/// One negative control.
#[derive(Debug)]
pub struct Control {
    /// What was broken.
    pub sabotage: Sabotage,
    /// The verdicts of the claim that is about exactly this, wherever it matters.
    pub tried: Vec<Verdict>,
    /// How many verdicts fell, that claim's and others.
    pub fell: usize,
    /// How many were asked.
    pub asked: usize,
}

/// Times of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timing {
    /// From the start of the run to the first verdict, in milliseconds.
    pub first_verdict_millis: u64,
    /// From the start of the run to the last, in milliseconds.
    pub total_millis: u64,
    /// Requests that pages made, controls included.
    pub probes: u64,
    /// Verdicts a second after the first, controls included.
    pub verdicts_per_second: f64,
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

impl Proof {
    /// Whether every claim held and every sabotage was noticed.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(Verdict::holds) && self.controls.iter().all(Control::is_caught)
    }
}

impl Control {
    /// Whether the check that is about exactly this broke, everywhere where it matters. That other
    /// claims fall as well is no proof: over a service that does not answer every claim falls.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        let (_, check) = must_break(self.sabotage);
        let broke = |verdict: &Verdict| verdict.checks.iter().any(|c| c.says == check && !c.holds);
        !self.tried.is_empty() && self.tried.iter().all(broke)
    }
}

/// The claim and the check of it that a sabotage breaks.
#[must_use]
pub fn must_break(sabotage: Sabotage) -> (Claim, &'static str) {
    match sabotage {
        Sabotage::CredentialsOff => (Claim::CredentialsOn, "the script reads a 200"),
        Sabotage::AnyOrigin => (Claim::ForeignOrigin, "the foreign page cannot read the answer"),
        Sabotage::BareErrors => (Claim::ReadableErrors, "401 no_session is readable"),
        Sabotage::CsrfOff => (Claim::CsrfToken, "no token: the script reads a 403"),
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
        Sabotage::AnyOrigin | Sabotage::CsrfOff | Sabotage::ReadableCookie => true,
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

/// Runs a plan.
///
/// # Errors
///
/// [`ProveError`]. Whatever happens, the browser and its profile are gone afterwards.
pub async fn prove(plan: &Plan, progress: &dyn Progress) -> Result<Proof, ProveError> {
    tokio::time::timeout(plan.timeout, run(plan, progress))
        .await
        .unwrap_or(Err(ProveError::Timeout(plan.timeout)))
}

#[expect(clippy::disallowed_methods, reason = "measures the run; decides nothing")]
async fn run(plan: &Plan, progress: &dyn Progress) -> Result<Proof, ProveError> {
    let started = Instant::now();
    if plan.clients.iter().any(|client| client.is_axios()) && !Stage::has_axios() {
        return Err(LabError::NoAxios.into());
    }
    // One certificate serves all topologies.
    let certificate = Certificate::for_hosts(Stage::certified_hosts()).map_err(LabError::Tls)?;
    let mut stages = Vec::new();
    for topology in &plan.topologies {
        stages.push(Stage::start(*topology, &certificate).await?);
    }
    let launch = Launch {
        headed: plan.headed,
        hosts: stages.iter().flat_map(|stage| stage.hosts.clone()).collect(),
        trusted_keys: vec![certificate.key_pin().to_owned()],
        // Debian's Chromium blocks third-party cookies unless told otherwise; the cross-site
        // claims are about SameSite, not about that setting.
        third_party_cookies: ThirdPartyCookies::Allow,
        binary: plan.chromium.clone(),
        ..Launch::default()
    };
    let browser = Chromium::launch(launch).await?;
    let version = browser.version().await?;

    let sound = plan.topologies.iter().map(|topology| cells(plan, *topology, None).count());
    let broken = sabotages(plan).flat_map(|sabotage| {
        let bitten = plan.topologies.iter().filter(move |topology| bites(sabotage, **topology));
        bitten.map(move |topology| cells(plan, *topology, Some(sabotage)).count())
    });
    progress.planned(sound.chain(broken).sum());
    let mut run =
        Run { plan, progress, browser: &browser, started, first: None, count: 0, probes: 0 };
    let mut scenes = Vec::new();
    let mut verdicts = Vec::new();
    for (n, stage) in stages.into_iter().enumerate() {
        let scene = Scene::open(&browser, stage, n).await?;
        verdicts.extend(run.all(&scene, None).await?);
        scenes.push(scene);
    }
    let mut controls = Vec::new();
    for sabotage in sabotages(plan) {
        let (claim, _) = must_break(sabotage);
        let mut control = Control { sabotage, tried: Vec::new(), fell: 0, asked: 0 };
        for scene in scenes.iter().filter(|s| bites(sabotage, s.stage.topology)) {
            scene.stage.sabotage(Some(sabotage)).await?;
            let verdicts = run.all(scene, Some(sabotage)).await?;
            scene.stage.sabotage(None).await?;
            control.asked += verdicts.len();
            control.fell += verdicts.iter().filter(|v| !v.holds()).count();
            control.tried.extend(verdicts.into_iter().filter(|v| v.claim == claim));
        }
        progress.control(&control);
        controls.push(control);
    }
    let timing = run.timing();
    drop(scenes);
    browser.close().await;
    Ok(Proof { version, verdicts, controls, timing })
}

/// The sabotages that break something in the topologies of the plan.
fn sabotages(plan: &Plan) -> impl Iterator<Item = Sabotage> + '_ {
    let wanted = |s: &Sabotage| plan.controls && plan.topologies.iter().any(|t| bites(*s, *t));
    Sabotage::ALL.into_iter().filter(wanted)
}

/// What is asked in a topology: claims × clients, as far as they mean something there.
fn cells(
    plan: &Plan,
    topology: Topology,
    sabotage: Option<Sabotage>,
) -> impl Iterator<Item = (Claim, Client)> + '_ {
    plan.clients
        .iter()
        .flat_map(move |client| claims_for(topology, *client).map(move |claim| (claim, *client)))
        .filter(move |(claim, _)| sabotage.is_none_or(|sabotage| is_asked_over(sabotage, *claim)))
}

struct Run<'a> {
    plan: &'a Plan,
    progress: &'a dyn Progress,
    browser: &'a Chromium,
    started: Instant,
    first: Option<Duration>,
    count: usize,
    probes: u64,
}

impl Run<'_> {
    async fn all(
        &mut self,
        scene: &Scene,
        sabotage: Option<Sabotage>,
    ) -> Result<Vec<Verdict>, ProveError> {
        // Opening a tab is mostly waiting: those that few claims need open while others are shown.
        let (browser, askers) = (self.browser, scene.askers());
        let (verdicts, ()) =
            tokio::try_join!(self.each(scene, sabotage), scene.raise(browser, &askers))?;
        Ok(verdicts)
    }

    #[expect(clippy::disallowed_methods, reason = "measures a verdict; decides nothing")]
    async fn each(
        &mut self,
        scene: &Scene,
        sabotage: Option<Sabotage>,
    ) -> Result<Vec<Verdict>, ProveError> {
        let mut verdicts = Vec::new();
        for (claim, client) in cells(self.plan, scene.stage.topology, sabotage) {
            let began = Instant::now();
            let trial = claims::try_claim(claim, client, scene, self.browser).await?;
            self.first.get_or_insert_with(|| self.started.elapsed());
            self.count += 1;
            self.probes += u64::try_from(trial.exchanges.len()).unwrap_or(0);
            let verdict = Verdict::of(claim, scene.stage.topology, client, trial, began.elapsed());
            self.progress.verdict(&verdict);
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred verdicts are exact in an f64")]
    fn timing(&self) -> Timing {
        let (first, total) = (self.first.unwrap_or_default(), self.started.elapsed());
        let proving = total.saturating_sub(first).as_secs_f64().max(0.001);
        Timing {
            first_verdict_millis: verdict::millis(first),
            total_millis: verdict::millis(total),
            probes: self.probes,
            verdicts_per_second: self.count.saturating_sub(1) as f64 / proving,
        }
    }
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
