//! One outcome held against another: what was expected and did not come true.

use std::fmt::Debug;

use serde::Serialize;

use crate::scenario::{CookieFate, Hop, Outcome};

/// One field that is not as it was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field, such as `hops[1].cookies_sent`.
    pub field: String,
    /// What was expected, as JSON.
    pub expected: String,
    /// What there is instead, as JSON.
    pub got: String,
}

impl Outcome {
    /// Where `got` departs from this outcome. Fields that either of the two leaves out are not
    /// compared: nobody expects anything of them, or nobody could see them.
    #[must_use]
    pub fn differences(&self, got: &Self) -> Vec<Difference> {
        let mut all = Differences(Vec::new());
        all.equal("preflight_sent", self.preflight_sent.as_ref(), got.preflight_sent.as_ref());
        all.cookies(
            "preflight_cookies",
            self.preflight_cookies.as_ref(),
            got.preflight_cookies.as_ref(),
        );
        all.equal("request_sent", self.request_sent.as_ref(), got.request_sent.as_ref());
        all.cookies("cookies_sent", self.cookies_sent.as_ref(), got.cookies_sent.as_ref());
        all.cookies("cookies_stored", self.cookies_stored.as_ref(), got.cookies_stored.as_ref());
        all.fates(
            "cookies_withheld",
            self.cookies_withheld.as_ref(),
            got.cookies_withheld.as_ref(),
        );
        all.fates("cookies_refused", self.cookies_refused.as_ref(), got.cookies_refused.as_ref());
        all.equal("readable", self.readable.as_ref(), got.readable.as_ref());
        all.equal("status", self.status.as_ref(), got.status.as_ref());
        all.equal("response_type", self.response_type.as_ref(), got.response_type.as_ref());
        all.headers(
            "exposed_headers",
            self.exposed_headers.as_ref(),
            got.exposed_headers.as_ref(),
            true,
        );
        all.headers(
            "hidden_headers",
            self.hidden_headers.as_ref(),
            got.exposed_headers.as_ref(),
            false,
        );
        all.equal("origin_header", self.origin_header.as_ref(), got.origin_header.as_ref());
        all.hops(self.hops.as_deref(), got.hops.as_deref());
        all.equal("acrm", self.acrm.as_ref(), got.acrm.as_ref());
        all.equal("acrh", self.acrh.as_ref(), got.acrh.as_ref());
        all.equal("error", self.error.as_ref(), got.error.as_ref());
        all.equal("cors_error", self.cors_error.as_ref(), got.cors_error.as_ref());
        all.0
    }
}

struct Differences(Vec<Difference>);

impl Differences {
    fn add(&mut self, field: &str, expected: &impl Serialize, got: &impl Serialize) {
        self.0.push(Difference {
            field: field.to_owned(),
            expected: json(expected),
            got: json(got),
        });
    }

    fn equal<T: PartialEq + Serialize>(&mut self, field: &str, want: Option<&T>, got: Option<&T>) {
        if let (Some(want), Some(got)) = (want, got)
            && want != got
        {
            self.add(field, want, got);
        }
    }

    /// As sets.
    fn cookies(&mut self, field: &str, want: Option<&Vec<String>>, got: Option<&Vec<String>>) {
        let (Some(want), Some(got)) = (want, got) else { return };
        let all_there = want.iter().all(|w| got.iter().any(|g| same_cookie(w, g)));
        let none_besides = got.iter().all(|g| want.iter().any(|w| same_cookie(w, g)));
        if !all_there || !none_besides {
            self.add(field, want, got);
        }
    }

    /// By name as sets; a reason that is named must be among those of its cookie.
    fn fates(
        &mut self,
        field: &str,
        want: Option<&Vec<CookieFate>>,
        got: Option<&Vec<CookieFate>>,
    ) {
        let (Some(want), Some(got)) = (want, got) else { return };
        let meets = |w: &CookieFate, g: &CookieFate| {
            w.name == g.name && (w.reason.is_none() || g.reason.is_none() || w.reason == g.reason)
        };
        let all_there = want.iter().all(|w| got.iter().any(|g| meets(w, g)));
        let none_besides = got.iter().all(|g| want.iter().any(|w| w.name == g.name));
        if !all_there || !none_besides {
            self.add(field, want, got);
        }
    }

    fn headers(
        &mut self,
        field: &str,
        want: Option<&Vec<String>>,
        exposed: Option<&Vec<String>>,
        there: bool,
    ) {
        let (Some(want), Some(exposed)) = (want, exposed) else { return };
        let is_exposed = |name: &String| exposed.iter().any(|e| e.eq_ignore_ascii_case(name));
        if want.iter().any(|name| is_exposed(name) != there) {
            let got = format!("{} exposed", json(exposed));
            self.0.push(Difference { field: field.to_owned(), expected: json(want), got });
        }
    }

    fn hops(&mut self, want: Option<&[Hop]>, got: Option<&[Hop]>) {
        let (Some(want), Some(got)) = (want, got) else { return };
        if want.len() != got.len() {
            self.add("hops", &want, &got);
            return;
        }
        for (index, (want, got)) in want.iter().zip(got).enumerate() {
            let field = |name: &str| format!("hops[{index}].{name}");
            self.equal(&field("origin"), want.origin.as_ref(), got.origin.as_ref());
            self.equal(&field("preflight"), want.preflight.as_ref(), got.preflight.as_ref());
            let (w, g) = (want.cookies_sent.as_ref(), got.cookies_sent.as_ref());
            self.cookies(&field("cookies_sent"), w, g);
            let (w, g) = (want.origin_header.as_ref(), got.origin_header.as_ref());
            self.equal(&field("origin_header"), w, g);
        }
    }
}

/// `name=value` against `name=value`; a name alone, or the value `*`, stands for any value.
fn same_cookie(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let parts = |text| str::split_once(text, '=').unwrap_or((text, "*"));
    let ((a_name, a_value), (b_name, b_value)) = (parts(a), parts(b));
    a_name == b_name && (a_value == "*" || b_value == "*")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Nullable;

    fn outcome(json: serde_json::Value) -> Outcome {
        serde_json::from_value(json).expect("an outcome")
    }

    #[test]
    fn each_field_is_compared_in_its_own_way() {
        let got = outcome(serde_json::json!({
            "preflight_sent": true, "cookies_sent": ["a=1", "session=*"], "status": 200,
            "cookies_withheld": [{ "name": "b", "reason": "x" }, { "name": "b", "reason": "y" }],
            "exposed_headers": ["content-type", "x-id"], "origin_header": null,
            "hops": [{ "origin": "https://a.test", "preflight": true, "cookies_sent": [] }],
        }));
        for (case, want, fields) in [
            ("nothing", serde_json::json!({}), &[][..]),
            ("cookies are a set", serde_json::json!({ "cookies_sent": ["session=q", "a=1"] }), &[]),
            ("a name is enough", serde_json::json!({ "cookies_sent": ["a", "session"] }), &[]),
            ("one missing", serde_json::json!({ "cookies_sent": ["a=1"] }), &["cookies_sent"]),
            (
                "one value",
                serde_json::json!({ "cookies_sent": ["a=2", "session"] }),
                &["cookies_sent"],
            ),
            ("any reason", serde_json::json!({ "cookies_withheld": [{ "name": "b" }] }), &[]),
            (
                "one of the reasons",
                serde_json::json!({ "cookies_withheld": [{ "name": "b", "reason": "y" }] }),
                &[],
            ),
            (
                "another reason",
                serde_json::json!({ "cookies_withheld": [{ "name": "b", "reason": "z" }] }),
                &["cookies_withheld"],
            ),
            ("none withheld", serde_json::json!({ "cookies_withheld": [] }), &["cookies_withheld"]),
            ("at least", serde_json::json!({ "exposed_headers": ["X-Id"] }), &[]),
            ("not exposed", serde_json::json!({ "exposed_headers": ["y"] }), &["exposed_headers"]),
            ("hidden", serde_json::json!({ "hidden_headers": ["set-cookie"] }), &[]),
            ("not hidden", serde_json::json!({ "hidden_headers": ["x-id"] }), &["hidden_headers"]),
            ("null is null", serde_json::json!({ "origin_header": null }), &[]),
            ("null is no text", serde_json::json!({ "origin_header": "null" }), &["origin_header"]),
            ("unseen", serde_json::json!({ "response_type": "cors" }), &[]),
            ("hops", serde_json::json!({ "hops": [{ "preflight": true }] }), &[]),
            (
                "hop",
                serde_json::json!({ "hops": [{ "preflight": false }] }),
                &["hops[0].preflight"],
            ),
            ("more hops", serde_json::json!({ "hops": [{}, {}] }), &["hops"]),
        ] {
            let found = outcome(want).differences(&got);
            let found: Vec<_> = found.iter().map(|d| d.field.as_str()).collect();
            assert_eq!(found, fields, "{case}");
        }
    }

    #[test]
    fn an_empty_string_is_toml_for_null() {
        let parsed: Outcome = toml::from_str("error = ''\norigin_header = 'null'").expect("TOML");
        assert_eq!(parsed.error, Some(Nullable(None)));
        assert_eq!(parsed.origin_header, Some(Nullable(Some("null".to_owned()))));
        assert_eq!(parsed.acrm, None);
    }

    #[test]
    fn an_overlay_replaces_key_by_key() {
        let base = outcome(serde_json::json!({ "status": 200, "readable": true }));
        let over = outcome(serde_json::json!({ "status": 0, "error": null }));
        let want = serde_json::json!({ "status": 0, "readable": true, "error": null });
        assert_eq!(serde_json::to_value(base.overlaid(&over)).expect("JSON"), want);
    }
}
