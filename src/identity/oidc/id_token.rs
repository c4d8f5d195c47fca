//! Whether an ID token can be believed: OpenID Connect Core 1.0 §3.1.3.7.

use std::time::Duration;

use chrono::{DateTime, Utc};
use openidconnect::core::{
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, ClientId, IdTokenVerifier, IssuerUrl, Nonce,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::identity::oidc::Untrusted;
use crate::identity::oidc::known::Known;
use crate::identity::oidc::settings::OidcSettings;
use crate::policy::session::UnixMillis;

/// How far the clocks of two servers may differ.
pub(super) const SKEW: Duration = Duration::from_mins(1);

/// Claims that the crate has no field for.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Rest(Map<String, Value>);

impl AdditionalClaims for Rest {}

pub(super) type IdToken = openidconnect::IdToken<
    Rest,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// Which token is expected.
pub(super) enum Expected<'a> {
    /// That of this login.
    Login {
        /// What was sent to the authorisation endpoint.
        nonce: &'a Nonce,
    },
    /// One that came with a refresh: §12.2.
    Refresh {
        /// Whose session it is.
        subject: &'a str,
    },
}

/// All claims of a token, if it can be believed.
pub(super) fn check(
    settings: &OidcSettings,
    known: &Known,
    token: &IdToken,
    access_token: &AccessToken,
    expected: &Expected<'_>,
    now: UnixMillis,
) -> Result<Map<String, Value>, Untrusted> {
    let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|_| Untrusted::Issuer)?;
    let client_id = ClientId::new(settings.client_id.clone());
    let latest_end = date(now.before(SKEW))?;
    // Without the client's secret, so that no token signed with it can pass, whatever the list says.
    let verifier: IdTokenVerifier<'_, CoreJsonWebKey> =
        IdTokenVerifier::new_public_client(client_id, issuer, known.keys.clone())
            .set_allowed_algs(settings.allowed_algs())
            .set_time_fn(move || latest_end);
    let claims = match expected {
        Expected::Login { nonce } => token.claims(&verifier, *nonce)?,
        Expected::Refresh { .. } => token.claims(&verifier, |_: Option<&Nonce>| Ok(()))?,
    };
    if claims.issue_time() > date(now.after(SKEW))? {
        return Err(Untrusted::Early);
    }
    let ours = |party: &ClientId| party.as_str() == settings.client_id;
    if !claims.authorized_party().is_none_or(ours) {
        return Err(Untrusted::Audience);
    }
    if let Some(hash) = claims.access_token_hash() {
        let key = token.signing_key(&verifier)?;
        let actual = AccessTokenHash::from_token(access_token, token.signing_alg()?, key);
        if actual.map_err(|_| Untrusted::AccessToken)? != *hash {
            return Err(Untrusted::AccessToken);
        }
    }
    let subject = claims.subject().as_str();
    if subject.is_empty() {
        return Err(Untrusted::Subject);
    }
    if let Expected::Refresh { subject: whose } = expected
        && subject != *whose
    {
        return Err(Untrusted::Subject);
    }
    match serde_json::to_value(claims) {
        Ok(Value::Object(claims)) => {
            let not_before = claims.get("nbf").and_then(Value::as_f64);
            if not_before.is_some_and(|nbf| nbf * 1000.0 > millis(now.after(SKEW))) {
                return Err(Untrusted::Early);
            }
            Ok(claims)
        }
        _ => Err(Untrusted::Format("claims that are no object")),
    }
}

fn date(at: UnixMillis) -> Result<DateTime<Utc>, Untrusted> {
    let millis = i64::try_from(at.0).ok();
    // Fails for a clock that is some hundred million years off.
    millis.and_then(DateTime::from_timestamp_millis).ok_or(Untrusted::Expired)
}

#[expect(clippy::cast_precision_loss, reason = "a millisecond more or less is no matter here")]
fn millis(at: UnixMillis) -> f64 {
    at.0 as f64
}
