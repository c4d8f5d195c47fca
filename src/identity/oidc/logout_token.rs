//! Logout tokens: OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6.
//!
//! They look like ID tokens but are not: `sub` may be missing and a nonce is forbidden, so the
//! crate's ID token does not fit. The signature is checked by the crate, the claims here.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyId, JwsSigningAlgorithm as _};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::identity::oidc::Untrusted;
use crate::identity::oidc::id_token::SKEW;
use crate::identity::oidc::known::Known;
use crate::identity::oidc::settings::OidcSettings;
use crate::policy::session::UnixMillis;

/// Beyond this no logout token is read.
const MAX_BYTES: usize = 16 << 10;
/// A token that was issued longer ago comes too late: providers send them at once.
const WINDOW: Duration = Duration::from_mins(5);
/// Ids of tokens that were used, kept as long as they could be used again.
const MAX_REMEMBERED: usize = 100_000;
const MAX_ID_BYTES: usize = 255;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Who is to be logged out: a session at the provider, a user, or both.
#[derive(Clone, PartialEq, Eq)]
pub struct LogoutNotice {
    /// The provider's session.
    pub sid: Option<String>,
    /// The user, as the provider knows them.
    pub subject: Option<String>,
    pub(super) id: String,
    pub(super) until: UnixMillis,
}

impl fmt::Debug for LogoutNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutNotice").field("subject", &self.subject).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: OneOrMany,
    iat: f64,
    exp: Option<f64>,
    jti: String,
    events: Map<String, Value>,
    sub: Option<String>,
    sid: Option<String>,
    nonce: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Whom a logout token names, if it can be believed.
pub(super) fn check(
    settings: &OidcSettings,
    known: &Known,
    token: &str,
    now: UnixMillis,
) -> Result<LogoutNotice, Untrusted> {
    if token.len() > MAX_BYTES {
        return Err(Untrusted::Format("a logout token that is too long"));
    }
    let claims = verified(settings, known, token)?;
    if claims.iss != settings.issuer {
        return Err(Untrusted::Issuer);
    }
    let ours = match &claims.aud {
        OneOrMany::One(audience) => *audience == settings.client_id,
        OneOrMany::Many(audiences) => audiences.contains(&settings.client_id),
    };
    if !ours {
        return Err(Untrusted::Audience);
    }
    let issued = moment(claims.iat)?;
    if issued > now.after(SKEW) {
        return Err(Untrusted::Early);
    }
    let until = issued.after(WINDOW + SKEW);
    let ends = claims.exp.map(moment).transpose()?;
    if now > until || ends.is_some_and(|ends| now >= ends.after(SKEW)) {
        return Err(Untrusted::Expired);
    }
    if !claims.events.get(EVENT).is_some_and(Value::is_object) {
        return Err(Untrusted::Format("not a logout token"));
    }
    if claims.nonce.is_some() {
        // Forbidden, so that nobody passes an ID token off as a logout token.
        return Err(Untrusted::Nonce);
    }
    let is_id = |id: &String| !id.is_empty() && id.len() <= MAX_ID_BYTES;
    let names = [&claims.sub, &claims.sid];
    if names.iter().all(|id| id.is_none()) || !names.into_iter().flatten().all(is_id) {
        return Err(Untrusted::Subject);
    }
    if !is_id(&claims.jti) {
        return Err(Untrusted::Format("no usable jti"));
    }
    Ok(LogoutNotice { sid: claims.sid, subject: claims.sub, id: claims.jti, until })
}

/// The claims, after the signature.
fn verified(settings: &OidcSettings, known: &Known, token: &str) -> Result<Claims, Untrusted> {
    let mut parts = token.split('.');
    let (Some(head), Some(body), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Untrusted::Format("not three parts"));
    };
    let decode =
        |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Untrusted::Format("not base64url"));
    let header: Header = serde_json::from_slice(&decode(head)?)
        .map_err(|_| Untrusted::Format("a header that is no JSON"))?;
    if header.crit.is_some() {
        return Err(Untrusted::Format("critical header fields that nobody here knows"));
    }
    let typ = header.typ.as_deref().map(|typ| typ.trim_start_matches("application/"));
    if !typ.is_none_or(|t| t.eq_ignore_ascii_case("logout+jwt") || t.eq_ignore_ascii_case("jwt")) {
        return Err(Untrusted::Format("another type of token"));
    }
    let alg: CoreJwsSigningAlgorithm =
        serde_json::from_value(Value::String(header.alg)).map_err(|_| Untrusted::Alg)?;
    if !settings.allowed_algs().any(|allowed| allowed == alg) {
        return Err(Untrusted::Alg);
    }
    let kid = header.kid.map(JsonWebKeyId::new);
    let fits = |key: &&CoreJsonWebKey| {
        (kid.is_none() || kid.as_ref() == key.key_id())
            && alg.key_type().as_ref() == Some(key.key_type())
    };
    let mut keys = known.keys.keys().iter().filter(fits).peekable();
    if keys.peek().is_none() {
        return Err(Untrusted::Key);
    }
    let signature = decode(signature)?;
    let message = &token.as_bytes()[..head.len() + 1 + body.len()];
    if !keys.any(|key| key.verify_signature(&alg, message, &signature).is_ok()) {
        return Err(Untrusted::Signature);
    }
    serde_json::from_slice(&decode(body)?).map_err(|_| Untrusted::Format("claims of another form"))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn moment(seconds: f64) -> Result<UnixMillis, Untrusted> {
    if (0.0..1e12).contains(&seconds) {
        Ok(UnixMillis((seconds * 1000.0) as u64))
    } else {
        Err(Untrusted::Format("a time that is none"))
    }
}

/// Logout tokens that were used. Bounded: only the provider can make valid ones, and the oldest
/// are forgotten first.
#[derive(Default)]
pub(super) struct UsedTokens(Mutex<Used>);

#[derive(Default)]
struct Used {
    ids: HashSet<String>,
    by_age: VecDeque<(UnixMillis, String)>,
}

impl UsedTokens {
    /// Fails if this token was used before.
    pub(super) fn check(&self, notice: &LogoutNotice) -> Result<(), Untrusted> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.ids.contains(&notice.id) { Err(Untrusted::Replayed) } else { Ok(()) }
    }

    /// Remembers it until it has expired.
    pub(super) fn remember(&self, notice: &LogoutNotice, now: UnixMillis) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Used { ids, by_age } = &mut *used;
        while let Some((until, _)) = by_age.front() {
            if now <= *until && by_age.len() < MAX_REMEMBERED {
                break;
            }
            if let Some((_, id)) = by_age.pop_front() {
                ids.remove(&id);
            }
        }
        if ids.insert(notice.id.clone()) {
            by_age.push_back((notice.until, notice.id.clone()));
        }
    }
}

impl fmt::Debug for UsedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsedTokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(id: &str, until: u64) -> LogoutNotice {
        let (id, until) = (id.to_owned(), UnixMillis(until));
        LogoutNotice { sid: None, subject: Some("a".to_owned()), id, until }
    }

    #[test]
    fn used_tokens_are_remembered_while_they_are_valid() {
        let used = UsedTokens::default();
        used.remember(&notice("a", 10), UnixMillis(0));
        used.remember(&notice("a", 10), UnixMillis(0));
        assert_eq!(used.check(&notice("a", 10)), Err(Untrusted::Replayed));
        assert_eq!(used.check(&notice("b", 10)), Ok(()));
        used.remember(&notice("b", 30), UnixMillis(11));
        assert_eq!(used.check(&notice("a", 10)), Ok(()), "expired, so it is refused elsewhere");
        let used = used.0.lock().unwrap();
        assert_eq!((used.ids.len(), used.by_age.len()), (1, 1));
    }
}
