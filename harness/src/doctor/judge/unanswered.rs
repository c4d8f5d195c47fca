//! What is not known because nobody answered: silence is no proof that nothing is wrong.

use crate::doctor::judge::{Finding, Judge, Severity};
use crate::doctor::{Exchange, Purpose};
use crate::oracle::Code;

impl Judge<'_> {
    pub(super) fn unanswered(&mut self) {
        // Where the call itself has no answer, that is told, and nothing else was asked.
        if self.facts.answer(Purpose::Actual).is_none() {
            return;
        }
        let unanswered: Vec<_> = self.facts.unanswered().collect();
        let has = |about: fn(Purpose) -> bool| unanswered.iter().any(|e| about(e.question.purpose));
        let (code, unknown) = if has(is_stranger) {
            ("foreign-origin-allowed", "who else may read")
        } else if has(is_for_caches) {
            (Code::VaryOriginMissingCache.id(), "whether a cache can mix up answers")
        } else if has(|_| true) {
            (Code::ErrorResponseWithoutCorsHeaders.id(), "whether the page can read errors")
        } else {
            return;
        };
        let mut why: Vec<String> = Vec::new();
        for exchange in &unanswered {
            let reason = reason(exchange);
            if !why.contains(&reason) {
                why.push(reason);
            }
        }
        let text = format!(
            "{} of {} questions were not answered ({}): {unknown} is not known",
            unanswered.len(),
            self.facts.exchanges.len(),
            why.join(", ")
        );
        let finding = Finding {
            code: code.to_owned(),
            severity: Severity::Info,
            engines: self.profiles.iter().map(|profile| profile.engine).collect(),
            text,
            mend: "Ask again later, or where no limit is in front of the server.".to_owned(),
            not_cors: false,
        };
        self.found.push(finding);
    }
}

fn reason(exchange: &Exchange) -> String {
    match &exchange.result {
        Ok(answer) => answer.status.to_string(),
        Err(trouble) => trouble.to_string(),
    }
}

fn is_stranger(purpose: Purpose) -> bool {
    matches!(
        purpose,
        Purpose::Stranger(_) | Purpose::StrangerWithCookie | Purpose::StrangerPreflight
    )
}

fn is_for_caches(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::NoOrigin | Purpose::Again)
}
