//! The proof as tests: one for each engine, claim, topology and client, and one for each sabotage,
//! named so that a filter selects (`cargo test -p withcreds-harness --test browsers -- firefox::same-site`).
//!
//! A browser is started once, for what the filter leaves. Where one is missing, its tests are ignored
//! and say so; demanded (`Engine::is_demanded`) they fail.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use withcreds_harness::browser::{Engine, ThirdPartyCookies};
use withcreds_harness::lab::{Sabotage, Topology};
use withcreds_harness::prove::{
    Client, Control, Judgement, Plan, Progress, Proof, Verdict, claims_for, prove, verdict_id,
};
use withcreds_harness::report::Terminal;

/// For all that one browser is asked.
const DEADLINE: Duration = Duration::from_mins(5);

struct Silent;

impl Progress for Silent {
    fn planned(&self, _: usize) {}
    fn verdict(&self, _: &Verdict) {}
    fn control(&self, _: &Control) {}
}

/// A proof, made when the first test asks for it.
struct Shared {
    plan: Plan,
    proof: OnceLock<Result<Proof, String>>,
}

impl Shared {
    fn new(plan: Plan) -> Arc<Self> {
        Arc::new(Self { plan, proof: OnceLock::new() })
    }

    fn proof(&self) -> Result<&Proof, Failed> {
        let made = self.proof.get_or_init(|| {
            let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
            runtime.block_on(prove(&self.plan, &Silent)).map_err(|e| e.to_string())
        });
        made.as_ref().map_err(|error| error.as_str().into())
    }
}

fn plan(engine: Engine, third_party_cookies: ThirdPartyCookies) -> Plan {
    Plan {
        engines: vec![(engine, None)],
        skipped: Vec::new(),
        clients: vec![Client::Fetch],
        topologies: Topology::ALL.to_vec(),
        third_party_cookies,
        controls: false,
        headed: false,
        timeout: DEADLINE,
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // One browser at a time: they share two cores with the servers.
    arguments.test_threads = Some(1);
    let chosen = |name: &str| {
        let fits = |filter: &String| {
            if arguments.exact { name == filter } else { name.contains(filter.as_str()) }
        };
        arguments.filter.as_ref().is_none_or(fits)
            && !arguments.skip.iter().any(|s| name.contains(s.as_str()))
    };
    let mut trials = Vec::new();
    for engine in Engine::ALL {
        let missing = engine.check(None).err();
        if let Some(error) = &missing {
            eprintln!("tests in {} are skipped: {error}", engine.title());
        }
        let ignored = missing.is_some() && !engine.is_demanded();
        let tests = claims(engine, &chosen)
            .into_iter()
            .chain(controls(engine))
            .chain(third_party(engine))
            .map(|trial| trial.with_ignored_flag(ignored));
        trials.extend(tests);
    }
    if arguments.filter.is_some() && !arguments.list && !trials.iter().any(|t| chosen(t.name())) {
        eprintln!("no test has a name that fits {:?}", arguments.filter);
        std::process::exit(1);
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// One for each claim, topology and client.
fn claims(engine: Engine, chosen: &dyn Fn(&str) -> bool) -> Vec<Trial> {
    let mut verdicts = Vec::new();
    for topology in Topology::ALL {
        for client in Client::ALL {
            for claim in claims_for(topology, client) {
                verdicts.push((verdict_id(engine, topology, claim, client), topology, client));
            }
        }
    }
    let wanted: Vec<_> = verdicts.iter().filter(|(id, ..)| chosen(id)).cloned().collect();
    let asked = |client: &Client| wanted.iter().any(|(_, _, wanted)| wanted == client);
    let shown = |topology: &Topology| wanted.iter().any(|(_, wanted, _)| wanted == topology);
    let shared = Shared::new(Plan {
        clients: Client::ALL.into_iter().filter(asked).collect(),
        topologies: Topology::ALL.into_iter().filter(shown).collect(),
        ..plan(engine, ThirdPartyCookies::Allow)
    });
    let trial = |id: String| {
        let shared = Arc::clone(&shared);
        Trial::test(id.clone(), move || check_verdict(&shared, &id))
    };
    verdicts.into_iter().map(|(id, ..)| trial(id)).collect()
}

/// One for each sabotage. In Chromium with every client; what a client changes about a sabotage is
/// no matter of the engine, so one is enough in the others.
fn controls(engine: Engine) -> Vec<Trial> {
    let clients = match engine {
        Engine::Chromium => Client::ALL.to_vec(),
        Engine::Firefox | Engine::WebKit => vec![Client::Fetch],
    };
    let allow = plan(engine, ThirdPartyCookies::Allow);
    let shared = Shared::new(Plan { controls: true, clients, ..allow });
    let trial = |sabotage: Sabotage| {
        let shared = Arc::clone(&shared);
        let name = format!("{}::control::{}", engine.id(), sabotage.title().replace(' ', "-"));
        Trial::test(name, move || check_control(&shared, sabotage))
    };
    Sabotage::ALL.into_iter().map(trial).collect()
}

/// What is known of the engine where cookies of other sites are treated otherwise, tried both ways.
fn third_party(engine: Engine) -> Vec<Trial> {
    let trial = |third_party: ThirdPartyCookies| {
        let topologies = vec![Topology::CrossSite];
        let shared = Shared::new(Plan { topologies, ..plan(engine, third_party) });
        let name = format!("{}::third-party::{}", engine.id(), third_party.id());
        Trial::test(name, move || check_all(&shared))
    };
    [ThirdPartyCookies::Default, ThirdPartyCookies::Block].map(trial).into()
}

fn check_verdict(shared: &Shared, id: &str) -> Result<(), Failed> {
    let proof = shared.proof()?;
    let by_id: HashMap<_, _> = proof.verdicts().map(|v| (v.id(), v)).collect();
    judge(by_id.get(id).ok_or("this verdict was not made")?)
}

fn judge(verdict: &Verdict) -> Result<(), Failed> {
    match verdict.judgement() {
        Judgement::Pass | Judgement::Divergence => Ok(()),
        Judgement::Fail => Err(Terminal::new(false, false).failure(verdict).into()),
    }
}

fn check_control(shared: &Shared, sabotage: Sabotage) -> Result<(), Failed> {
    let proof = shared.proof()?;
    let control = proof.controls().find(|c| c.sabotage == sabotage).ok_or("was not tried")?;
    if control.is_caught() { Ok(()) } else { Err("nobody noticed".into()) }
}

fn check_all(shared: &Shared) -> Result<(), Failed> {
    let proof = shared.proof()?;
    proof.verdicts().try_for_each(judge)
}
