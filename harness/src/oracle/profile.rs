//! What an engine does where the standards leave a choice or it goes its own way. Data: the files
//! in `harness/divergences/`, each entry a departure from [`Knobs::standard`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::scenario::Engine;

/// The files, read once.
static PROFILES: LazyLock<Vec<Result<Profile, ProfileError>>> = LazyLock::new(|| {
    [
        (Engine::Chromium, include_str!("../../divergences/chromium.toml")),
        (Engine::Firefox, include_str!("../../divergences/firefox.toml")),
        (Engine::Webkit, include_str!("../../divergences/webkit.toml")),
        (Engine::Safari, include_str!("../../divergences/safari.toml")),
    ]
    .into_iter()
    .map(|(engine, text)| Profile::parse(engine, text))
    .collect()
});

/// One engine, as the oracle knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Which.
    pub engine: Engine,
    /// The version that was measured.
    pub version: String,
    /// What a script catches when a fetch fails.
    pub js_error: String,
    /// The engine's names for CORS failures, by Chromium's.
    pub cors_names: BTreeMap<String, String>,
    /// What it does.
    pub knobs: Knobs,
    /// Where that departs from the standards.
    pub divergences: Vec<Divergence>,
}

/// One departure from the standards.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    /// The knob that it turns.
    pub knob: String,
    /// To what.
    pub value: toml::Value,
    /// What differs, for people.
    pub what: String,
    /// The version in which it was seen.
    pub since: String,
    /// Where to read more; how it was measured, where there is no such place.
    pub link: String,
}

/// What a browser can choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub struct Knobs {
    /// What a cookie without `SameSite` is taken for.
    pub same_site_default: SameSiteDefault,
    /// For how many seconds such a cookie may go with a cross-site top-level POST; 0: never.
    pub lax_allowing_unsafe_s: u64,
    /// Whether the scheme is part of the site.
    pub schemeful: bool,
    /// Whether `SameSite=None` needs `Secure`.
    pub none_requires_secure: bool,
    /// Which hops of a redirect chain count for `SameSite`.
    pub redirect_chain: RedirectChain,
    /// Cookies of other sites, out of the box.
    pub third_party: ThirdParty,
    /// Whether partitioned cookies travel where third-party cookies are blocked.
    pub block_spares_partitioned: bool,
    /// Whether `Partitioned` is understood.
    pub partitioned: bool,
    /// `__Host-` and `__Secure-`.
    pub prefixes: Prefixes,
    /// Whether `__Http-` and `__Host-Http-` are enforced.
    pub http_prefixes: bool,
    /// Whether `Secure` cookies live on http://localhost.
    pub secure_on_loopback: bool,
    /// The longest life of a cookie, in days.
    pub lifetime_cap_days: i64,
    /// The longest life of a preflight's answer, in seconds.
    pub preflight_cap_s: u64,
    /// Whether a negative `Access-Control-Max-Age` means no caching, rather than the default.
    pub negative_max_age_disables: bool,
    /// Whether the preflight after a tainting redirect names the page instead of null.
    pub preflight_origin_survives_redirect: bool,
    /// Whether `Access-Control-Allow-Headers: *` covers `Authorization`.
    pub wildcard_covers_authorization: bool,
    /// Whether an https page may ask http://localhost.
    pub mixed_loopback_allowed: bool,
}

/// What a cookie without `SameSite` is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SameSiteDefault {
    /// `Lax`.
    Lax,
    /// `None`.
    None,
}

/// Which hops of a redirect chain must be same-site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedirectChain {
    /// The last.
    Last,
    /// All.
    All,
    /// All, unless the last is the page's own origin.
    AllUnlessOwnOrigin,
}

/// Cookies of other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThirdParty {
    /// They travel and are stored.
    Allow,
    /// Neither.
    Block,
    /// Each top-level site has its own jar.
    Partition,
    /// They travel; new ones are stored only where the site has cookies already.
    Grandfather,
}

/// How `__Host-` and `__Secure-` are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefixes {
    /// To the letter.
    Enforced,
    /// A default path of `/` will do for `__Host-`.
    PathMayBeDefault,
    /// As any other name.
    Ignored,
}

/// A divergence file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the divergences of {engine} cannot be read: {reason}")]
pub struct ProfileError {
    engine: &'static str,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    js_error: String,
    #[serde(default)]
    cors_names: BTreeMap<String, String>,
    #[serde(default, rename = "divergence")]
    divergences: Vec<Divergence>,
}

impl Knobs {
    /// What the standards say: Fetch, RFC 6265bis, CHIPS.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            same_site_default: SameSiteDefault::Lax,
            lax_allowing_unsafe_s: 0,
            schemeful: true,
            none_requires_secure: true,
            redirect_chain: RedirectChain::Last,
            third_party: ThirdParty::Allow,
            block_spares_partitioned: true,
            partitioned: true,
            prefixes: Prefixes::Enforced,
            http_prefixes: false,
            secure_on_loopback: true,
            lifetime_cap_days: 400,
            preflight_cap_s: 86_400,
            negative_max_age_disables: false,
            preflight_origin_survives_redirect: false,
            wildcard_covers_authorization: false,
            mixed_loopback_allowed: true,
        }
    }
}

impl Profile {
    /// The profile of an engine.
    ///
    /// # Errors
    ///
    /// [`ProfileError`] if its divergence file is not as it should be; a test sees to that.
    pub fn of(engine: Engine) -> Result<&'static Self, ProfileError> {
        let found = Engine::ALL.iter().zip(PROFILES.iter()).find(|(e, _)| **e == engine);
        match found {
            Some((_, Ok(profile))) => Ok(profile),
            Some((_, Err(error))) => Err(error.clone()),
            None => Err(ProfileError { engine: engine.id(), reason: "there is none".to_owned() }),
        }
    }

    /// A browser that does what the standards say, under the name of an engine.
    #[must_use]
    pub fn standard(engine: Engine) -> Self {
        Self {
            engine,
            version: "the standards".to_owned(),
            js_error: String::new(),
            cors_names: BTreeMap::new(),
            knobs: Knobs::standard(),
            divergences: Vec::new(),
        }
    }

    /// Reads a divergence file.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn parse(engine: Engine, text: &str) -> Result<Self, ProfileError> {
        let wrong = |reason: String| ProfileError { engine: engine.id(), reason };
        let file: File = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let standard =
            toml::Table::try_from(Knobs::standard()).map_err(|e| wrong(e.to_string()))?;
        let mut knobs = standard.clone();
        for Divergence { knob, value, .. } in &file.divergences {
            match standard.get(knob) {
                None => return Err(wrong(format!("there is no knob `{knob}`"))),
                Some(usual) if usual == value => {
                    return Err(wrong(format!("`{knob}` = {value} is the standard already")));
                }
                Some(_) => knobs.insert(knob.clone(), value.clone()),
            };
        }
        Ok(Self {
            engine,
            version: file.version,
            js_error: file.js_error,
            cors_names: file.cors_names,
            knobs: knobs.try_into().map_err(|e: toml::de::Error| wrong(e.to_string()))?,
            divergences: file.divergences,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_a_profile_and_says_where_it_departs() {
        for engine in Engine::ALL {
            let profile = Profile::of(engine).expect("a profile");
            assert!(!profile.divergences.is_empty() && !profile.version.is_empty());
            for divergence in &profile.divergences {
                assert!(divergence.what.len() > 20 && !divergence.since.is_empty());
                assert!(!divergence.link.is_empty());
            }
        }
    }

    #[test]
    fn a_divergence_turns_a_knob_that_exists_to_something_else() {
        let entry = |knob: &str, value: &str| {
            format!(
                "version = '1'\njs_error = ''\n[[divergence]]\nknob = '{knob}'\nvalue = {value}\nwhat = ''\nsince = ''\nlink = ''\n"
            )
        };
        let parse = |knob, value| Profile::parse(Engine::Firefox, &entry(knob, value));
        assert!(!parse("schemeful", "false").expect("a profile").knobs.schemeful);
        for (knob, value, says) in [
            ("schemefull", "false", "there is no knob `schemefull`"),
            ("schemeful", "true", "is the standard already"),
            ("schemeful", "'no'", "expected a boolean"),
            ("third_party", "'never'", "unknown variant `never`"),
        ] {
            let error = parse(knob, value).expect_err(knob).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
