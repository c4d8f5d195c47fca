//! One provider, and what can be asked of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AuthType, AuthUrl, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndpointNotSet, EndpointSet, HttpRequest, IdTokenFields,
    IssuerUrl, LoginHint, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, Scope, StandardErrorResponse, StandardTokenResponse,
    SubjectIdentifier, TokenResponse as _, TokenUrl, UserInfoClaims, UserInfoUrl,
};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::effects::Clock;
use crate::identity::User;
use crate::identity::oidc::attempt::Attempt;
use crate::identity::oidc::claims;
use crate::identity::oidc::error::{from_token_request, from_userinfo};
use crate::identity::oidc::http::{Http, HttpError, basic};
use crate::identity::oidc::id_token::{self, Expected, Rest};
use crate::identity::oidc::known::{Knowledge, Known};
use crate::identity::oidc::logout_token::{self, LogoutNotice, UsedTokens};
use crate::identity::oidc::settings::{ClientAuth, OidcSettings};
use crate::identity::oidc::{ProviderError, Untrusted};
use crate::policy::session::UnixMillis;
use crate::secret::Secret;

/// For giving back a refresh token while the user waits for the logout.
const REVOCATION_BUDGET: Duration = Duration::from_secs(2);
/// How long an access token lives whose provider does not say, where there is a refresh token: rather
/// replaced too early than used too late.
const ASSUMED_LIFETIME: Duration = Duration::from_mins(5);
/// A longer ID token would make a URL that servers on the way refuse.
const MAX_HINT_BYTES: usize = 4 << 10;

type TokenAnswer = StandardTokenResponse<
    IdTokenFields<
        Rest,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type Client = openidconnect::Client<
    Rest,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenAnswer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

/// An identity provider, as this service is registered with it.
#[derive(Debug)]
pub struct Provider {
    settings: Arc<OidcSettings>,
    http: Http,
    knowledge: Arc<Knowledge>,
    used: UsedTokens,
}

/// What a session keeps of a login at the provider.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For APIs.
    pub access: Secret<String>,
    /// When it ends: as the provider says, or soon, if it says nothing and there is a refresh token.
    pub expires_at: Option<UnixMillis>,
    /// For the next access token.
    pub refresh: Option<Secret<String>>,
    /// Names the session when the user logs out at the provider.
    pub id_token: Option<Secret<String>>,
}

/// Who has signed in.
#[derive(Clone)]
pub struct Identity {
    /// As the frontend sees them.
    pub user: User,
    /// As the provider knows them: `sub`.
    pub subject: String,
    /// The session at the provider: `sid`.
    pub sid: Option<String>,
    /// What came with it.
    pub tokens: Tokens,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a frontend may say about the login that it wants.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    pub(crate) login_hint: Option<String>,
    pub(crate) idp_hint: Option<String>,
    pub(crate) tenant_name: Option<String>,
    pub(crate) tenant_custom_domain: Option<String>,
}

/// A successful answer of the authorisation endpoint.
pub(crate) struct Callback {
    pub(crate) code: Secret<String>,
    /// Who says so (RFC 9207).
    pub(crate) issuer: Option<String>,
}

impl Provider {
    /// A provider that is asked nothing until it is needed.
    #[must_use]
    pub fn new(settings: OidcSettings) -> Self {
        let http = Http::new(settings.plain_loopback);
        let (knowledge, used) = (Arc::new(Knowledge::new()), UsedTokens::default());
        Self { settings: Arc::new(settings), http, knowledge, used }
    }

    /// The provider's name.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Whether its endpoints and keys have been read at least once.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        self.knowledge.current().is_some()
    }

    /// Reads its endpoints and keys, unless they are known.
    ///
    /// # Errors
    ///
    /// [`ProviderError`], if they never could be read.
    pub async fn reach(&self, clock: &Arc<dyn Clock>) -> Result<(), ProviderError> {
        self.known(clock).await.map(drop)
    }

    /// Where the browser goes to sign in.
    pub(crate) async fn authorize_url(
        &self,
        attempt: &Attempt,
        hints: &Hints,
        clock: &Arc<dyn Clock>,
    ) -> Result<Url, ProviderError> {
        let known = self.known(clock).await?;
        let client = self.client(&known)?;
        let (state, nonce) = (attempt.state.clone(), attempt.nonce.clone());
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for (name, value) in &self.settings.params {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        let names = &self.settings.hints;
        for (name, value) in [
            (&names.idp_hint, &hints.idp_hint),
            (&names.tenant_name, &hints.tenant_name),
            (&names.tenant_custom_domain, &hints.tenant_custom_domain),
        ] {
            if let (Some(name), Some(value)) = (name, value) {
                request = request.add_extra_param(name.as_str(), value.as_str());
            }
        }
        if let Some(hint) = &hints.login_hint {
            request = request.set_login_hint(LoginHint::new(hint.clone()));
        }
        Ok(request.url().0)
    }

    /// Turns the code into an identity. The caller has checked the state.
    pub(crate) async fn finish(
        &self,
        callback: Callback,
        attempt: Attempt,
        clock: &Arc<dyn Clock>,
    ) -> Result<Identity, ProviderError> {
        let known = self.known(clock).await?;
        match &callback.issuer {
            Some(issuer) if *issuer != self.settings.issuer => Err(Untrusted::Issuer)?,
            None if known.names_itself => Err(Untrusted::Issuer)?,
            _ => {}
        }
        let client = self.client(&known)?;
        let asked = clock.wall();
        let answer = client
            .exchange_code(AuthorizationCode::new(callback.code.expose().clone()))
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier))
            .request_async(&self.http)
            .await
            .map_err(from_token_request)?;
        let nonce = Nonce::new(attempt.nonce);
        let expected = Expected::Login { nonce: &nonce };
        let mut all =
            self.check(known, &answer, &expected, clock).await?.ok_or(Untrusted::Missing)?;
        // Only now: the endpoint is asked with a token that belongs to this login.
        let subject = text(&all, "sub").ok_or(Untrusted::Subject)?;
        let known = self.known(clock).await?;
        if let Some(url) = known.endpoints.userinfo.clone().filter(|_| self.settings.userinfo) {
            let more = self.userinfo(client, url, answer.access_token(), &subject).await?;
            all = claims::merge(all, more);
        }
        let user = claims::user(&self.settings.claims, &all)?;
        let tokens = tokens(&answer, answer.refresh_token().is_some(), asked)?;
        Ok(Identity { user, subject, sid: text(&all, "sid"), tokens })
    }

    /// New tokens for old. What the provider does not send anew stays as it was.
    ///
    /// # Errors
    ///
    /// [`ProviderError::may_pass`] tells whether the old refresh token is still worth keeping.
    pub async fn refresh(
        &self,
        old: &Tokens,
        subject: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Tokens, ProviderError> {
        let no_more = || ProviderError::Refused { code: "invalid_grant".to_owned() };
        let refresh = old.refresh.as_ref().ok_or_else(no_more)?;
        let known = self.known(clock).await?;
        let token = RefreshToken::new(refresh.expose().clone());
        let (client, asked) = (self.client(&known)?, clock.wall());
        let answer = client.exchange_refresh_token(&token).request_async(&self.http).await;
        let answer = answer.map_err(from_token_request)?;
        self.check(known, &answer, &Expected::Refresh { subject }, clock).await?;
        // With the new refresh token, or once more with the old one.
        let new = tokens(&answer, true, asked)?;
        Ok(Tokens {
            refresh: new.refresh.or_else(|| old.refresh.clone()),
            id_token: new.id_token.or_else(|| old.id_token.clone()),
            ..new
        })
    }

    /// Gives a refresh token back (RFC 7009), within two seconds. `Ok(false)` if the provider
    /// takes none back.
    ///
    /// # Errors
    ///
    /// [`ProviderError`]; the token then lives on until it expires.
    pub async fn revoke(
        &self,
        refresh: &Secret<String>,
        clock: &Arc<dyn Clock>,
    ) -> Result<bool, ProviderError> {
        tokio::time::timeout(REVOCATION_BUDGET, self.revoke_at_leisure(refresh, clock))
            .await
            .map_err(|_| ProviderError::Http(HttpError::Timeout))?
    }

    async fn revoke_at_leisure(
        &self,
        refresh: &Secret<String>,
        clock: &Arc<dyn Clock>,
    ) -> Result<bool, ProviderError> {
        let known = self.known(clock).await?;
        let Some(url) = &known.endpoints.revocation else { return Ok(false) };
        let request = self.revocation(url, known.client_auth, refresh)?;
        let answer = self.http.send(request).await.map_err(ProviderError::Http)?;
        if answer.status().is_success() {
            Ok(true)
        } else {
            Err(ProviderError::Refused { code: answer.status().as_u16().to_string() })
        }
    }

    /// By hand: the crate revokes over https only, and development has none.
    fn revocation(
        &self,
        url: &Url,
        client_auth: ClientAuth,
        refresh: &Secret<String>,
    ) -> Result<HttpRequest, ProviderError> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", refresh.expose());
        form.append_pair("token_type_hint", "refresh_token");
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        let id = &self.settings.client_id;
        match (&self.settings.client_secret, client_auth) {
            (Some(secret), ClientAuth::Basic) => {
                let basic = basic(id, secret.expose()).ok_or(ProviderError::Crashed)?;
                request = request.header(AUTHORIZATION, basic);
            }
            (Some(secret), ClientAuth::Post) => {
                form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            }
            (None, _) => {
                form.append_pair("client_id", id);
            }
        }
        request.body(form.finish().into_bytes()).map_err(|_| ProviderError::Crashed)
    }

    /// Where the browser goes to end its session at the provider as well (RP-Initiated Logout
    /// 1.0); `None` if the provider has no such page, or was never reached.
    #[must_use]
    pub fn end_session_url(&self, id_token: Option<&Secret<String>>, then: &str) -> Option<Url> {
        let mut url = self.knowledge.current()?.endpoints.end_session.clone()?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(hint) = id_token.filter(|hint| hint.expose().len() <= MAX_HINT_BYTES) {
                query.append_pair("id_token_hint", hint.expose());
            }
            query.append_pair("client_id", &self.settings.client_id);
            query.append_pair("post_logout_redirect_uri", then);
        }
        Some(url)
    }

    /// Whom a logout token of the back channel names.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Untrusted`] for every bad token, a used one included; others if the
    /// provider's keys are not at hand.
    pub async fn logout_notice(
        &self,
        token: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<LogoutNotice, ProviderError> {
        let known = self.known(clock).await?;
        let checked = logout_token::check(&self.settings, &known, token, clock.wall());
        let notice = match checked {
            Err(error) if error.may_be_a_new_key() => {
                let known = self.knowledge.roll_over(&known, &self.http, clock).await;
                logout_token::check(&self.settings, &*known.ok_or(error)?, token, clock.wall())
            }
            checked => checked,
        }?;
        self.used.check(&notice)?;
        Ok(notice)
    }

    /// The notice has had its effect: the same token has none again.
    pub fn used(&self, notice: &LogoutNotice, clock: &Arc<dyn Clock>) {
        self.used.remember(notice, clock.wall());
    }

    async fn known(&self, clock: &Arc<dyn Clock>) -> Result<Arc<Known>, ProviderError> {
        self.knowledge.get(&self.settings, &self.http, clock).await
    }

    /// The claims of the ID token in an answer; `None` if there is no token. With keys read anew,
    /// if those at hand do not fit.
    async fn check(
        &self,
        known: Arc<Known>,
        answer: &TokenAnswer,
        expected: &Expected<'_>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Map<String, Value>>, ProviderError> {
        let access = answer.access_token();
        // Later it stands in a header, where the crate takes for granted that it may.
        if !access.secret().bytes().all(|b| b.is_ascii_graphic()) || access.secret().is_empty() {
            Err(Untrusted::Format("an access token that no header can carry"))?;
        }
        let Some(token) = answer.id_token() else { return Ok(None) };
        let check = |known: &Known| {
            id_token::check(&self.settings, known, token, access, expected, clock.wall())
        };
        match check(&known) {
            Ok(claims) => Ok(Some(claims)),
            Err(error) if error.may_be_a_new_key() => {
                let known = self.knowledge.roll_over(&known, &self.http, clock).await;
                Ok(Some(check(&*known.ok_or(error)?)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn userinfo(
        &self,
        client: Client,
        url: Url,
        access: &AccessToken,
        subject: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let subject = SubjectIdentifier::new(subject.to_owned());
        let client = client.set_user_info_url(UserInfoUrl::from_url(url));
        let claims: UserInfoClaims<Rest, CoreGenderClaim> = client
            .user_info(access.clone(), Some(subject))
            .request_async(&self.http)
            .await
            .map_err(from_userinfo)?;
        match serde_json::to_value(&claims) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(Untrusted::Format("claims that are no object").into()),
        }
    }

    fn client(&self, known: &Known) -> Result<Client, ProviderError> {
        let OidcSettings { issuer, client_id, client_secret, redirect_uri, .. } = &*self.settings;
        let issuer = IssuerUrl::new(issuer.clone())
            .map_err(|_| ProviderError::Malformed { reason: "the issuer is no URL".to_owned() })?;
        let auth = match known.client_auth {
            ClientAuth::Basic => AuthType::BasicAuth,
            ClientAuth::Post => AuthType::RequestBody,
        };
        let endpoints = &known.endpoints;
        let mut client = openidconnect::Client::new(
            ClientId::new(client_id.clone()),
            issuer,
            known.keys.clone(),
        )
        .set_auth_uri(AuthUrl::from_url(endpoints.authorize.clone()))
        .set_token_uri(TokenUrl::from_url(endpoints.token.clone()))
        .set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()))
        .set_auth_type(auth);
        if let Some(secret) = client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().clone()));
        }
        Ok(client)
    }
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Counted from when they were `asked` for: rather a moment too short than too long.
fn tokens(answer: &TokenAnswer, replaceable: bool, asked: UnixMillis) -> Result<Tokens, Untrusted> {
    if *answer.token_type() != CoreTokenType::Bearer {
        return Err(Untrusted::Format("an access token that is no bearer token"));
    }
    let lifetime = answer.expires_in().or(replaceable.then_some(ASSUMED_LIFETIME));
    Ok(Tokens {
        access: Secret::new(answer.access_token().secret().clone()),
        expires_at: lifetime.map(|lifetime| asked.after(lifetime)),
        refresh: answer.refresh_token().map(|token| Secret::new(token.secret().clone())),
        id_token: answer.id_token().map(|token| Secret::new(token.to_string())),
    })
}
