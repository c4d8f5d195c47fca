//! `[csrf]`: what a request that changes something has to show.

use crate::config::reader::Document;
use crate::config::session::{CookieKeys, report_cookie};
use crate::policy::cookie::{SessionCookie, TokenCookie};
use crate::policy::csrf::{self, CsrfMode, CsrfRules};
use crate::policy::origin::Origin;

/// `[csrf]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrfConfig {
    /// What is checked, and by which header.
    pub rules: CsrfRules,
    /// The cookie in which scripts find the token.
    pub cookie: TokenCookie,
}

/// The rules, and the cookie if it is good; it goes beside the session's.
pub(super) fn read(
    document: &mut Document<'_>,
    session: Option<&SessionCookie>,
    public_origin: Option<&Origin>,
) -> (CsrfRules, Option<TokenCookie>) {
    document.section("csrf", |s| {
        let mode = match s.value::<String>("mode").as_deref() {
            None | Some("token") => CsrfMode::Token,
            Some("header") => CsrfMode::Header,
            Some("origin") => CsrfMode::Origin,
            Some(other) => {
                let mend = "write \"token\", \"header\" or \"origin\"";
                let value = Some(other.to_owned());
                s.fault("mode", value, "csrf_mode_unknown", "no check has this name", mend);
                CsrfMode::Token
            }
        };
        let header = s.parsed("header_name", |_| {
            "write a name of your own, such as \"X-CSRF-TOKEN\", or leave it out".to_owned()
        });
        let name = s.value::<String>("cookie_name");
        let domain = s.value::<String>("cookie_domain");
        let safe_methods = s.value("safe_methods").unwrap_or(false);
        let rules = CsrfRules { mode, header: header.unwrap_or_default(), safe_methods };
        let name = name.as_deref().unwrap_or(csrf::COOKIE_NAME);
        // Without either, the fault that says so stands elsewhere.
        let (Some(session), Some(origin)) = (session, public_origin) else {
            return (rules, None);
        };
        let cookie = TokenCookie::beside(session, name, domain.as_deref(), origin.host());
        let keys = CookieKeys { name: "cookie_name", domain: "cookie_domain" };
        let cookie = cookie.map_err(|error| report_cookie(s, &error, keys)).ok();
        (rules, cookie)
    })
}
