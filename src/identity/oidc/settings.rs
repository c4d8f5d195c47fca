//! What `[oidc]` says, checked.

use std::str::FromStr;

use openidconnect::core::CoreJwsSigningAlgorithm;
use serde::Deserialize;
use url::Url;

use crate::identity::oidc::http;
use crate::secret::Secret;

/// `[oidc]`.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The provider's name, compared with `iss` letter by letter.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// What proves it; without one, PKCE alone protects the code.
    pub client_secret: Option<Secret<String>>,
    /// How the secret is sent; `None`: as the provider's discovery document prefers.
    pub client_auth: Option<ClientAuth>,
    /// Beyond `openid`.
    pub scopes: Vec<String>,
    /// Where the provider sends the browser back to, on the public origin.
    pub redirect_uri: Url,
    /// Signature algorithms that are accepted, whatever the provider offers.
    pub algs: Vec<SigningAlg>,
    /// Endpoints that are given; `None`: by discovery.
    pub endpoints: Option<Endpoints>,
    /// Which claims become what.
    pub claims: ClaimMap,
    /// Whether the userinfo endpoint is asked at login.
    pub userinfo: bool,
    /// More parameters for the authorisation endpoint, such as `prompt` or `audience`.
    pub params: Vec<(String, String)>,
    /// The provider's names for our `idp_hint`, `tenant_name` and `tenant_custom_domain`.
    pub hints: HintParams,
    /// Development: `http://localhost` may be a provider.
    pub plain_loopback: bool,
}

/// How a client secret is sent to the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// `Authorization: Basic`, which every provider takes.
    Basic,
    /// In the body.
    Post,
}

/// The provider's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the user signs in.
    pub authorize: Url,
    /// Where codes become tokens.
    pub token: Url,
    /// The signing keys.
    pub jwks: Url,
    /// More about the user.
    pub userinfo: Option<Url>,
    /// Where refresh tokens are given back.
    pub revocation: Option<Url>,
    /// Where the user's session at the provider ends.
    pub end_session: Option<Url>,
}

/// The provider's names for what `GET /api/auth/login` may be told. What has no name is not passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HintParams {
    /// For `idp_hint`: `kc_idp_hint` (Keycloak), `connection` (Auth0), `identity_provider` (Cognito).
    pub idp_hint: Option<String>,
    /// For `tenant_name`: `organization` (Auth0).
    pub tenant_name: Option<String>,
    /// For `tenant_custom_domain`.
    pub tenant_custom_domain: Option<String>,
}

/// Which claim becomes what: a claim's name, or a JSON pointer (`/realm_access/roles`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimMap {
    /// `userId`.
    pub user_id: String,
    /// `tenantId`; without one, `default`.
    pub tenant_id: Option<String>,
    /// What goes into `metadata`, under the same name.
    pub metadata: Vec<String>,
}

impl Default for ClaimMap {
    fn default() -> Self {
        let metadata = ["name", "given_name", "family_name", "preferred_username", "email"];
        let more = ["email_verified", "picture", "locale"];
        Self {
            user_id: "sub".to_owned(),
            tenant_id: None,
            metadata: metadata.into_iter().chain(more).map(str::to_owned).collect(),
        }
    }
}

/// A signature algorithm with a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningAlg(pub(super) CoreJwsSigningAlgorithm);

/// Why an algorithm is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningAlgError {
    /// `none`.
    #[error("`none` is no signature: anybody could sign in as anybody")]
    None,
    /// `HS256` and the like.
    #[error("it signs with the client's secret, so that whoever knows that can be anybody")]
    Shared,
    /// Another one.
    #[error("not an algorithm that this service can check")]
    Unknown,
}

impl SigningAlg {
    /// All that can be checked: what is accepted unless `algs` says otherwise.
    #[must_use]
    pub fn all() -> Vec<Self> {
        use CoreJwsSigningAlgorithm as Jws;
        [
            Jws::RsaSsaPkcs1V15Sha256,
            Jws::RsaSsaPkcs1V15Sha384,
            Jws::RsaSsaPkcs1V15Sha512,
            Jws::RsaSsaPssSha256,
            Jws::RsaSsaPssSha384,
            Jws::RsaSsaPssSha512,
            Jws::EcdsaP256Sha256,
            Jws::EcdsaP384Sha384,
            Jws::EdDsa,
        ]
        .map(Self)
        .to_vec()
    }
}

impl FromStr for SigningAlg {
    type Err = SigningAlgError;

    fn from_str(name: &str) -> Result<Self, SigningAlgError> {
        if name.eq_ignore_ascii_case("none") {
            return Err(SigningAlgError::None);
        }
        if name.get(..2).is_some_and(|family| family.eq_ignore_ascii_case("HS")) {
            return Err(SigningAlgError::Shared);
        }
        let alg = serde_json::from_value(serde_json::Value::String(name.to_owned()));
        let alg = alg.map(Self).map_err(|_| SigningAlgError::Unknown)?;
        if Self::all().contains(&alg) { Ok(alg) } else { Err(SigningAlgError::Unknown) }
    }
}

impl OidcSettings {
    /// Whether a provider may be there: https, or in development plain http on this machine.
    #[must_use]
    pub fn may_send_to(url: &Url, plain_loopback: bool) -> bool {
        http::is_acceptable(url, plain_loopback)
    }

    /// The same under these settings.
    pub(super) fn accepts(&self, url: &Url) -> bool {
        Self::may_send_to(url, self.plain_loopback)
    }

    /// The accepted algorithms, as the crate names them.
    pub(super) fn allowed_algs(&self) -> impl Iterator<Item = CoreJwsSigningAlgorithm> + '_ {
        self.algs.iter().map(|alg| alg.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_keys_sign() {
        for (name, want) in [
            ("none", Err(SigningAlgError::None)),
            ("None", Err(SigningAlgError::None)),
            ("HS256", Err(SigningAlgError::Shared)),
            ("hs512", Err(SigningAlgError::Shared)),
            ("RSA1_5", Err(SigningAlgError::Unknown)),
            ("ES512", Err(SigningAlgError::Unknown)),
            ("rs256", Err(SigningAlgError::Unknown)),
            ("", Err(SigningAlgError::Unknown)),
            ("é€ab", Err(SigningAlgError::Unknown)),
            ("RS256", Ok(SigningAlg(CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256))),
            ("EdDSA", Ok(SigningAlg(CoreJwsSigningAlgorithm::EdDsa))),
        ] {
            assert_eq!(name.parse::<SigningAlg>(), want, "{name}");
        }
        assert!(SigningAlg::all().iter().all(|alg| alg.0 != CoreJwsSigningAlgorithm::None));
    }
}
