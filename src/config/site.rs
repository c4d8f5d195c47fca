//! Frontends on another site than the service, whose browsers keep the cookie back.

use crate::config::reader::Section;
use crate::policy::cors::CorsConfig;
use crate::policy::origin::Origin;
use crate::policy::pattern::OriginPattern;

/// Reports every listed origin and pattern that is not wholly on the service's own site. What is
/// no origin at all is reported elsewhere.
pub(super) fn check(s: &mut Section<'_, '_>, config: &CorsConfig, own: &Origin) {
    for text in &config.allow_origins {
        if text.parse::<Origin>().is_ok_and(|origin| !origin.is_same_site(own)) {
            report(s, "allow_origins", text, own);
        }
    }
    for text in &config.allow_origin_patterns {
        let pattern = OriginPattern::parse(text, config.dangerous_allow_public_suffixes);
        if pattern.is_ok_and(|pattern| !pattern.is_same_site(own)) {
            report(s, "allow_origin_patterns", text, own);
        }
    }
}

fn report(s: &mut Section<'_, '_>, key: &'static str, text: &str, own: &Origin) {
    let reason = format!(
        "this is another site than {own}, because scheme or registrable domain differ: browsers do not send \
         SameSite=Lax cookies with its requests, and Safari and Firefox hold back SameSite=None ones, too"
    );
    let scheme = if own.is_https() { "https" } else { "http" };
    let beside = match own.registrable_domain() {
        Some(domain) => format!("serve the frontend below {domain} over {scheme}"),
        None => format!("serve the frontend from {scheme}://{}", own.host()),
    };
    let mend = format!(
        "{beside}, or both from one origin behind a proxy; or, for browsers that still send \
         third-party cookies, set session.dangerous_allow_cross_site = true and same_site = \"none\""
    );
    s.fault(key, Some(text.to_owned()), "cross_site_frontend", &reason, &mend);
}
