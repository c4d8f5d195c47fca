//! The proof as tests: one for each claim, topology and client, and one for each sabotage, named so
//! that a filter selects (`cargo test -p withcreds-harness --test browsers -- same-site::csrf`).
//!
//! The browser is started once, for what the filter leaves. Where there is none, the tests are
//! ignored and say so; with CI=true they fail.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use withcreds_harness::browser::find_binary;
use withcreds_harness::lab::{Sabotage, Topology};
use withcreds_harness::prove::{
    Client, Control, Plan, Progress, Proof, Verdict, claims_for, prove, verdict_id,
};
use withcreds_harness::report::Terminal;

struct Silent;

impl Progress for Silent {
    fn planned(&self, _: usize) {}
    fn verdict(&self, _: &Verdict) {}
    fn control(&self, _: &Control) {}
}

/// The proof, made when the first test asks for it.
struct Shared {
    plan: Plan,
    proof: OnceLock<Result<Proof, String>>,
}

impl Shared {
    fn proof(&self) -> Result<&Proof, Failed> {
        let made = self.proof.get_or_init(|| {
            let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
            runtime.block_on(prove(&self.plan, &Silent)).map_err(|e| e.to_string())
        });
        made.as_ref().map_err(|error| error.as_str().into())
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // All tests share one browser and one run.
    arguments.test_threads = Some(1);
    let chosen = |name: &str| {
        let fits = |filter: &String| {
            if arguments.exact { name == filter } else { name.contains(filter.as_str()) }
        };
        arguments.filter.as_ref().is_none_or(fits)
            && !arguments.skip.iter().any(|s| name.contains(s.as_str()))
    };

    let mut verdicts = Vec::new();
    for topology in Topology::ALL {
        for client in Client::ALL {
            for claim in claims_for(topology, client) {
                verdicts.push((verdict_id(topology, claim, client), topology, client));
            }
        }
    }
    let wanted: Vec<_> = verdicts.iter().filter(|(id, ..)| chosen(id)).collect();
    let controls: Vec<_> = Sabotage::ALL
        .into_iter()
        .map(|s| (format!("control::{}", s.title().replace(' ', "-")), s))
        .collect();
    let control = controls.iter().any(|(name, _)| chosen(name));
    let plan = Plan {
        clients: Client::ALL
            .into_iter()
            .filter(|c| {
                wanted.iter().any(|(_, _, client)| client == c) || (control && *c == Client::Fetch)
            })
            .collect(),
        topologies: Topology::ALL
            .into_iter()
            .filter(|t| wanted.iter().any(|(_, topology, _)| topology == t) || control)
            .collect(),
        controls: control,
        headed: false,
        chromium: None,
        timeout: Duration::from_mins(3),
    };

    let missing = find_binary(None).err();
    if let Some(error) = &missing {
        eprintln!("browser tests are skipped: {error}");
    }
    let ignored = missing.is_some() && std::env::var_os("CI").is_none();
    let shared = Arc::new(Shared { plan, proof: OnceLock::new() });
    let mut trials = Vec::new();
    for (id, ..) in verdicts {
        let shared = Arc::clone(&shared);
        trials.push(
            Trial::test(id.clone(), move || check_verdict(&shared, &id)).with_ignored_flag(ignored),
        );
    }
    for (name, sabotage) in controls {
        let shared = Arc::clone(&shared);
        trials.push(
            Trial::test(name, move || check_control(&shared, sabotage)).with_ignored_flag(ignored),
        );
    }
    if arguments.filter.is_some() && !arguments.list && !trials.iter().any(|t| chosen(t.name())) {
        eprintln!("no test has a name that fits {:?}", arguments.filter);
        std::process::exit(1);
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn check_verdict(shared: &Shared, id: &str) -> Result<(), Failed> {
    let proof = shared.proof()?;
    let by_id: HashMap<_, _> = proof.verdicts.iter().map(|v| (v.id(), v)).collect();
    let verdict = by_id.get(id).ok_or("this verdict was not made")?;
    if verdict.holds() { Ok(()) } else { Err(Terminal::new(false, false).failure(verdict).into()) }
}

fn check_control(shared: &Shared, sabotage: Sabotage) -> Result<(), Failed> {
    let proof = shared.proof()?;
    let control = proof.controls.iter().find(|c| c.sabotage == sabotage).ok_or("was not tried")?;
    if control.is_caught() { Ok(()) } else { Err("nobody noticed".into()) }
}
