//! Sentences about cookies, by the rule that decided. `{}`: the cookie, then the host.

use crate::oracle::Code;

/// Why a cookie did not travel.
pub(super) fn withheld(code: Code) -> &'static str {
    match code {
        Code::ClientCredentialsNotEnabled => {
            "{} stays home: the request to {} is made without credentials"
        }
        Code::ThirdPartyCookiesBlocked => {
            "{} stays home: {} is another site than the page, and the browser blocks its cookies there"
        }
        Code::FirefoxTotalCookieProtection => {
            "{} stays home: {} has a jar of its own under each top-level site, and the cookie is in another one"
        }
        Code::PartitionedOtherTopLevel => {
            "{} stays home: it is partitioned, and was set for {} under another top-level site"
        }
        Code::SchemefulSameSite => {
            "{} stays home: {} differs from the page in scheme, and so in site, which SameSite forbids"
        }
        Code::LocalhostVs127Site => {
            "{} stays home: localhost and 127.0.0.1 are two sites, so the request to {} is cross-site"
        }
        Code::SamesiteStrictAfterRedirect => {
            "{} stays home: it is SameSite=Strict, and the navigation to {} began on another site"
        }
        Code::LaxPostFormPostCallback => {
            "{} stays home: it is SameSite=Lax, and the navigation to {} is a cross-site POST"
        }
        Code::SecureCookieOverHttp => {
            "{} stays home: it is Secure, and {} is asked over plain http"
        }
        Code::CookiePathMismatch => "{} stays home: its Path does not cover the address at {}",
        _ => "{} stays home: the request to {} is cross-site, and its SameSite says no to that",
    }
}

/// Why a cookie was not stored.
pub(super) fn refused(code: Code) -> &'static str {
    match code {
        Code::ClientCredentialsNotEnabled => {
            "{} is not stored: the request to {} was made without credentials"
        }
        Code::ThirdPartyCookiesBlocked => {
            "{} is not stored: {} is another site than the page, and the browser keeps no cookies of it there"
        }
        Code::SamesiteNoneWithoutSecure => "{} is not stored: {} says SameSite=None without Secure",
        Code::SecureCookieOverHttp => {
            "{} is not stored: {} answers over plain http, which cannot set or replace a Secure cookie"
        }
        Code::SafariSecureLocalhost => {
            "{} is not stored: this engine does not trust {} over plain http with a Secure cookie"
        }
        Code::CookieDomainInvalid => "{} is not stored: its Domain does not cover {}",
        Code::CookieDomainPublicSuffix => {
            "{} is not stored: its Domain is a public suffix, which belongs to more than {}"
        }
        Code::CookiePrefixViolation => {
            "{} is not stored: {} does not meet what the prefix of the name promises"
        }
        Code::CookieTooLargeOrBadChars => {
            "{} is not stored: what {} sends is empty, over 4096 bytes, or has control characters"
        }
        Code::PartitionedWithoutSecure => "{} is not stored: {} says Partitioned without Secure",
        _ => {
            "{} is not stored: the answer of {} is cross-site, and the cookie's SameSite says no to that"
        }
    }
}
