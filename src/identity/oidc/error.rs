//! What can go wrong with a provider.

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    ClaimsVerificationError, RequestTokenError, SignatureVerificationError, StandardErrorResponse,
    UserInfoError,
};

pub use crate::identity::oidc::http::HttpError;

/// Why the provider was of no use. No text holds a token or a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// Not reached, or not able to answer now.
    #[error("the identity provider is out of reach: {0}")]
    Http(HttpError),
    /// It answered, but not as the standards say.
    #[error("the identity provider gave a malformed answer: {reason}")]
    Malformed {
        /// Where.
        reason: String,
    },
    /// It said no, in OAuth's words.
    #[error("the identity provider refused: {code}")]
    Refused {
        /// RFC 6749 §5.2.
        code: String,
    },
    /// Its tokens cannot be believed.
    #[error("a token of the identity provider is not valid: {0}")]
    Untrusted(#[from] Untrusted),
    /// A fault of ours.
    #[error("asking the identity provider failed on our side")]
    Crashed,
}

impl ProviderError {
    /// Whether trying again later may help, and the user can keep what they have.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            // A key that could not be had, or clocks that differ, are nobody's forgery: the answer came
            // from the token endpoint itself, and the next one may be good.
            Self::Http(_)
            | Self::Malformed { .. }
            | Self::Crashed
            | Self::Untrusted(
                Untrusted::Key | Untrusted::Signature | Untrusted::Expired | Untrusted::Early,
            ) => true,
            // `invalid_grant` is about this user's token. Everything else (`invalid_client`…) is
            // about us, and would end every session because of one bad setting.
            Self::Refused { code } => code != "invalid_grant",
            Self::Untrusted(_) => false,
        }
    }
}

/// What is wrong with a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// There is none.
    #[error("there is no ID token in the answer")]
    Missing,
    /// Not a token at all, or one of another kind.
    #[error("malformed: {0}")]
    Format(&'static str),
    /// Not signed, or by an algorithm that is not accepted.
    #[error("its signature algorithm is not accepted")]
    Alg,
    /// Signed by a key that the provider does not publish.
    #[error("it is signed by an unknown key")]
    Key,
    /// Signed wrongly.
    #[error("its signature is wrong")]
    Signature,
    /// From another provider.
    #[error("it is from another issuer")]
    Issuer,
    /// For another client.
    #[error("it is for another audience")]
    Audience,
    /// Too old.
    #[error("it has expired")]
    Expired,
    /// From the future, further than clocks differ.
    #[error("it is from the future")]
    Early,
    /// From another login.
    #[error("its nonce is that of another login")]
    Nonce,
    /// The access token that came with it belongs to another.
    #[error("the access token beside it is another one")]
    AccessToken,
    /// About another user.
    #[error("it is about another user")]
    Subject,
    /// Seen before.
    #[error("it was used before")]
    Replayed,
    /// A claim that is needed is missing, or of no use.
    #[error("the claim for {claim} is missing or unusable")]
    ClaimUnusable {
        /// Which key of `[oidc] claims`.
        claim: &'static str,
    },
    /// More than a session may hold.
    #[error("its metadata takes {bytes} bytes: name fewer claims in oidc.claims.metadata")]
    MetadataTooLarge {
        /// As JSON.
        bytes: usize,
    },
}

impl Untrusted {
    /// Whether other keys might change the verdict.
    pub(super) fn may_be_a_new_key(&self) -> bool {
        matches!(self, Self::Key | Self::Signature)
    }
}

impl From<ClaimsVerificationError> for Untrusted {
    fn from(error: ClaimsVerificationError) -> Self {
        use ClaimsVerificationError as Claims;
        match error {
            Claims::Expired(_) => Self::Expired,
            Claims::InvalidAudience(_) => Self::Audience,
            Claims::InvalidIssuer(_) => Self::Issuer,
            Claims::InvalidNonce(_) => Self::Nonce,
            Claims::InvalidSubject(_) => Self::Subject,
            Claims::SignatureVerification(error) => error.into(),
            _ => Self::Format("a kind of token that is not supported"),
        }
    }
}

impl From<SignatureVerificationError> for Untrusted {
    fn from(error: SignatureVerificationError) -> Self {
        use SignatureVerificationError as Signature;
        match error {
            Signature::NoMatchingKey | Signature::AmbiguousKeyId(_) => Self::Key,
            Signature::NoSignature | Signature::DisallowedAlg(_) | Signature::UnsupportedAlg(_) => {
                Self::Alg
            }
            _ => Self::Signature,
        }
    }
}

type TokenRequestError = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

/// Without the body of the answer, which the crate's error carries: it may hold tokens.
pub(super) fn from_token_request(error: TokenRequestError) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            let code = answer.error().as_ref();
            // The code goes into our log: at most a word of the expected form.
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let sane = code.len() <= 64 && code.bytes().all(word);
            ProviderError::Refused { code: if sane { code } else { "(unreadable)" }.to_owned() }
        }
        RequestTokenError::Request(error) => ProviderError::Http(error),
        RequestTokenError::Parse(error, _) => ProviderError::Malformed {
            reason: format!("the token endpoint's answer, at `{}`", error.path()),
        },
        RequestTokenError::Other(_) => {
            ProviderError::Malformed { reason: "the token endpoint's answer".to_owned() }
        }
    }
}

pub(super) fn from_userinfo(error: UserInfoError<HttpError>) -> ProviderError {
    match error {
        UserInfoError::ClaimsVerification(error) => Untrusted::from(error).into(),
        UserInfoError::Request(error) => ProviderError::Http(error),
        UserInfoError::Response(status, ..) => {
            ProviderError::Malformed { reason: format!("the userinfo endpoint answered {status}") }
        }
        _ => ProviderError::Malformed { reason: "the userinfo endpoint's answer".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may pass keeps the user's session; all else ends it.
    #[test]
    fn only_what_is_final_costs_a_session() {
        let refused = |code: &str| ProviderError::Refused { code: code.to_owned() };
        for (error, passes) in [
            (ProviderError::Malformed { reason: "x".to_owned() }, true),
            (ProviderError::Crashed, true),
            (refused("invalid_grant"), false),
            (refused("invalid_client"), true),
            (refused("temporarily_unavailable"), true),
            (Untrusted::Key.into(), true),
            (Untrusted::Signature.into(), true),
            (Untrusted::Expired.into(), true),
            (Untrusted::Early.into(), true),
            (Untrusted::Subject.into(), false),
            (Untrusted::Issuer.into(), false),
            (Untrusted::Audience.into(), false),
            (Untrusted::Alg.into(), false),
            (Untrusted::AccessToken.into(), false),
        ] {
            assert_eq!(error.may_pass(), passes, "{error:?}");
        }
    }
}
