//! Asks all questions of a plan, one after the other, and follows redirects by hand.

use crate::doctor::plan::{actual_question, preflight_question};
use crate::doctor::{Answer, Call, Client, Exchange, Facts, Purpose, REDIRECTS, plan, predictions};
use crate::oracle::Profile;
use crate::scenario::{Address, Engine};

/// Asks. `tell` hears of every exchange as soon as it is over.
pub async fn examine(call: Call, client: &Client, mut tell: impl FnMut(&Exchange)) -> Facts {
    let address_given = client.is_told(&call.address);
    let mut facts = Facts { call, exchanges: Vec::new(), address_given };
    for question in plan(&facts.call) {
        let purpose = question.purpose;
        let exchange = client.ask(question).await;
        tell(&exchange);
        let reached = exchange.result.is_ok();
        let next = exchange.answer().and_then(|answer| leads(&exchange.question.address, answer));
        facts.exchanges.push(exchange);
        if !reached && matches!(purpose, Purpose::Preflight | Purpose::Actual) {
            // Whoever does not answer the call answers nothing else; a hang-up would cost ten
            // seconds each time.
            break;
        }
        if purpose == Purpose::Actual
            && let Some(next) = next
        {
            follow(&mut facts, next, client, &mut tell).await;
        }
    }
    facts
}

/// Where an answer leads, if it is somewhere that can be asked, and by which status.
fn leads(from: &Address, answer: &Answer) -> Option<(Address, u16)> {
    let next = from.follow(answer.location()?).ok()?;
    (!next.has_credentials()).then_some((next, answer.status))
}

/// The hops after the first, each as a browser would make it.
async fn follow(
    facts: &mut Facts,
    first: (Address, u16),
    client: &Client,
    tell: &mut impl FnMut(&Exchange),
) {
    let mut call = facts.call.clone();
    let mut next = Some(first);
    // Once a request is cross-origin it stays so; a second foreign origin makes it anonymous.
    let mut cross = call.is_cross_origin();
    let mut tainted = false;
    for hop in 1..=REDIRECTS {
        let Some((address, status)) = next else { return };
        if status == 303 && call.method != "HEAD" || status < 303 && call.method == "POST" {
            "GET".clone_into(&mut call.method);
            call.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        }
        if *address.origin() != *call.address.origin() {
            tainted |= call.page != *call.address.origin();
            call.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        }
        call.address = address;
        cross |= call.is_cross_origin();
        let origin = if tainted { "null".to_owned() } else { call.page.text().to_owned() };
        if cross && call.preflight().is_some() {
            let exchange = client.ask(preflight_question(&call, &call.address, &origin, hop)).await;
            tell(&exchange);
            facts.exchanges.push(exchange);
            // Where every browser stops, so does the doctor: the caller's headers are not for
            // everybody.
            if !goes_on(facts, hop) {
                return;
            }
        }
        let shown = cross.then_some(origin.as_str());
        let exchange = client.ask(actual_question(&call, &call.address, shown, hop)).await;
        tell(&exchange);
        next = exchange.answer().and_then(|answer| leads(&call.address, answer));
        facts.exchanges.push(exchange);
    }
}

/// Whether any engine sends its request of this hop, as far as is known by now.
fn goes_on(facts: &Facts, hop: usize) -> bool {
    let profiles: Vec<_> =
        Engine::ALL.into_iter().filter_map(|engine| Profile::of(engine).ok()).collect();
    // The time decides about cookies alone, and no cookie about a preflight.
    predictions(facts, &profiles, 0).iter().any(|sees| {
        let hop = sees.first.hops.as_deref().unwrap_or_default().get(hop);
        let origin = hop.and_then(|hop| hop.origin_header.as_ref());
        origin.is_some_and(|origin| origin.0.is_some())
    })
}
