//! Runs a plan: servers once, then one engine after another.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::browser::{Browser, BrowserError, Engine, Launch, launch};
use crate::lab::{Certificate, LabError, Sabotage, Stage, Topology};
use crate::prove::divergence::Divergences;
use crate::prove::proof::{Control, EngineProof, Proof, Timing};
use crate::prove::scene::{Client, Scene};
use crate::prove::verdict::{Judgement, Verdict};
use crate::prove::{
    Claim, Plan, Progress, ProveError, bites, claims, claims_for, is_asked_over, must_break,
};

/// Runs a plan.
///
/// # Errors
///
/// [`ProveError`]. Whatever happens, the browsers and their profiles are gone afterwards.
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
    // One certificate serves all topologies, and one set of servers all engines: they ask one after
    // another, each with a jar of its own.
    let certificate = Certificate::for_hosts(Stage::certified_hosts()).map_err(LabError::Tls)?;
    let mut stages = Vec::new();
    for topology in &plan.topologies {
        stages.push(Stage::start(*topology, &certificate).await?);
    }
    let start = |engine: &(Engine, Option<PathBuf>)| {
        let (engine, binary) = engine.clone();
        let began = Instant::now();
        let starting = launch(engine, settings(plan, &stages, &certificate, binary));
        async move { Ok::<_, BrowserError>((starting.await?, began.elapsed())) }
    };

    let mut engines = Vec::new();
    let mut first = None;
    let mut running = match plan.engines.first() {
        Some(engine) => Some(start(engine).await?),
        None => None,
    };
    progress.planned(planned(plan));
    while let Some((browser, launched)) = running.take() {
        let begins = Instant::now();
        let divergences = Divergences::of(browser.engine())?;
        let mut run = Run {
            plan,
            progress,
            browser: browser.as_ref(),
            divergences: &divergences,
            began: begins.checked_sub(launched).unwrap_or(begins),
            first: None,
            count: 0,
            probes: 0,
        };
        let number = engines.len();
        // A browser mostly waits while it starts: the next one does so meanwhile.
        let upcoming = async {
            match plan.engines.get(number + 1) {
                Some(engine) => Ok(Some(start(engine).await?)),
                None => Ok(None),
            }
        };
        let (proof, next) = tokio::try_join!(run.engine(&stages, number), upcoming)?;
        first = first.or_else(|| run.first.map(|first| run.began + first - started));
        browser.close().await;
        engines.push(proof);
        running = next;
    }
    let count = |engine: &EngineProof| {
        engine.verdicts.len() + engine.controls.iter().map(|control| control.asked).sum::<usize>()
    };
    let verdicts = engines.iter().map(count).sum();
    let probes = engines.iter().map(|engine| engine.timing.probes).sum();
    let timing = Timing::of(first.unwrap_or_default(), started.elapsed(), verdicts, probes);
    let skipped = plan.skipped.clone();
    Ok(Proof { engines, skipped, third_party_cookies: plan.third_party_cookies, timing })
}

fn settings(
    plan: &Plan,
    stages: &[Stage],
    certificate: &Certificate,
    binary: Option<PathBuf>,
) -> Launch {
    Launch {
        headed: plan.headed,
        hosts: stages.iter().flat_map(|stage| stage.hosts.clone()).collect(),
        trusted_keys: vec![certificate.key_pin().to_owned()],
        trusted_certificates: vec![certificate.fingerprint().to_owned()],
        third_party_cookies: plan.third_party_cookies,
        binary,
        ..Launch::default()
    }
}

/// How many verdicts there will be.
fn planned(plan: &Plan) -> usize {
    let sound = plan.topologies.iter().map(|topology| cells(plan, *topology, None).count());
    let broken = sabotages(plan).flat_map(|sabotage| {
        let bitten = plan.topologies.iter().filter(move |topology| bites(sabotage, **topology));
        bitten.map(move |topology| cells(plan, *topology, Some(sabotage)).count())
    });
    sound.chain(broken).sum::<usize>() * plan.engines.len()
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

/// One engine's part.
struct Run<'a> {
    plan: &'a Plan,
    progress: &'a dyn Progress,
    browser: &'a dyn Browser,
    divergences: &'a Divergences,
    /// When the proof began, less what the browser took to start: that ran beside another's proof.
    began: Instant,
    first: Option<Duration>,
    count: usize,
    probes: u64,
}

impl Run<'_> {
    async fn engine(&mut self, stages: &[Stage], number: usize) -> Result<EngineProof, ProveError> {
        let mut scenes = Vec::new();
        let mut verdicts = Vec::new();
        for (n, stage) in stages.iter().enumerate() {
            let number = number * Topology::ALL.len() + n;
            let scene = Scene::open(self.browser, stage, number).await?;
            verdicts.extend(self.all(&scene, None).await?);
            scenes.push(scene);
        }
        let mut controls = Vec::new();
        for sabotage in sabotages(self.plan) {
            let control = self.control(sabotage, &scenes, &verdicts).await?;
            self.progress.control(&control);
            controls.push(control);
        }
        Ok(EngineProof {
            engine: self.browser.engine(),
            version: self.browser.version().await?,
            sight: self.browser.sight(),
            verdicts,
            controls,
            timing: Timing::of(
                self.first.unwrap_or_default(),
                self.began.elapsed(),
                self.count,
                self.probes,
            ),
        })
    }

    async fn control(
        &mut self,
        sabotage: Sabotage,
        scenes: &[Scene<'_>],
        sound: &[Verdict],
    ) -> Result<Control, ProveError> {
        let (claim, check) = must_break(sabotage);
        // What falls over the sound service, as is known of this engine, shows nothing. And where the
        // engine departs from the claim, the sabotage may have nothing to bite: without a preflight
        // cache no cached grant is too wide.
        let held = |verdict: &Verdict| {
            let same = sound.iter().find(|sound| sound.id() == verdict.id());
            let shows = |sound: &Verdict| {
                !sound.broke(check)
                    && (sound.judgement() == Judgement::Pass || verdict.broke(check))
            };
            verdict.claim == claim && same.is_some_and(shows)
        };
        let engine = self.browser.engine();
        let mut control = Control { engine, sabotage, tried: Vec::new(), fell: 0, asked: 0 };
        for scene in scenes.iter().filter(|scene| bites(sabotage, scene.stage.topology)) {
            scene.stage.sabotage(Some(sabotage)).await?;
            let verdicts = self.all(scene, Some(sabotage)).await?;
            scene.stage.sabotage(None).await?;
            control.asked += verdicts.len();
            let fell = |verdict: &&Verdict| verdict.judgement() == Judgement::Fail;
            control.fell += verdicts.iter().filter(fell).count();
            control.tried.extend(verdicts.into_iter().filter(held));
        }
        Ok(control)
    }

    async fn all(
        &mut self,
        scene: &Scene<'_>,
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
        scene: &Scene<'_>,
        sabotage: Option<Sabotage>,
    ) -> Result<Vec<Verdict>, ProveError> {
        let (engine, topology) = (self.browser.engine(), scene.stage.topology);
        let mut verdicts = Vec::new();
        for (claim, client) in cells(self.plan, topology, sabotage) {
            let began = Instant::now();
            let trial = claims::try_claim(claim, client, scene, self.browser).await?;
            self.first.get_or_insert_with(|| self.began.elapsed());
            self.count += 1;
            self.probes += u64::try_from(trial.exchanges.len()).unwrap_or(0);
            let third_party = self.plan.third_party_cookies;
            let known = self.divergences.of_claim(topology, claim, client, third_party);
            let place = (engine, topology, claim, client);
            let verdict = Verdict::of(place, trial, known, began.elapsed());
            self.progress.verdict(&verdict);
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }
}
