//! What is known of the provider: its endpoints and signing keys, fetched and kept.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, DiscoveryError, IssuerUrl, JsonWebKeySetUrl, ProviderMetadata,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::effects::Clock;
use crate::identity::oidc::ProviderError;
use crate::identity::oidc::flights::Flights;
use crate::identity::oidc::http::{Http, HttpError};
use crate::identity::oidc::settings::{ClientAuth, Endpoints, OidcSettings};
use crate::policy::session::UnixMillis;

/// Afterwards both documents are read again, so that a key which the provider has withdrawn does
/// not open doors for ever.
const FRESH_FOR: Duration = Duration::from_hours(1);
/// Between two reads of the keys because of one that is unknown: whoever sends made-up tokens
/// could make us hammer the provider.
const BETWEEN_ROLL_OVERS: Duration = Duration::from_secs(10);
/// After a failed attempt, requests fail at once for this long…
const BETWEEN_FAILURES: Duration = Duration::from_secs(2);
/// …or go on with what is known for this long, instead of waiting for it each time.
const BETWEEN_RENEWALS: Duration = Duration::from_mins(1);

/// Fields of the discovery document beyond the crate's own.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct More {
    end_session_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// One state of what is known.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) endpoints: Endpoints,
    pub(super) keys: CoreJsonWebKeySet,
    pub(super) client_auth: ClientAuth,
    /// The provider always names itself in its answer (RFC 9207).
    pub(super) names_itself: bool,
    at: UnixMillis,
}

/// Keeps [`Known`] fresh.
#[derive(Debug)]
pub(super) struct Knowledge {
    known: RwLock<Option<Arc<Known>>>,
    /// When fetching failed last, and how.
    failure: Mutex<Option<(UnixMillis, ProviderError)>>,
    /// When the keys were last read again because one was unknown: the end of it, or its beginning
    /// while it goes on.
    rolled_over: Mutex<UnixMillis>,
    flights: Flights<Fetch, Result<Arc<Known>, ProviderError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fetch {
    Everything,
    Keys,
}

impl Knowledge {
    pub(super) fn new() -> Self {
        Self {
            known: RwLock::new(None),
            failure: Mutex::new(None),
            rolled_over: Mutex::new(UnixMillis(0)),
            flights: Flights::default(),
        }
    }

    /// Whatever is known at this moment.
    pub(super) fn current(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known; fetches it first if nothing is, or if it is old. An old state is better than
    /// none while the provider is down.
    pub(super) async fn get(
        self: &Arc<Self>,
        settings: &Arc<OidcSettings>,
        http: &Http,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<Known>, ProviderError> {
        let now = clock.now();
        let current = self.current();
        match &current {
            Some(known) if now <= known.at.after(FRESH_FOR) => return Ok(Arc::clone(known)),
            _ => {}
        }
        let pause = if current.is_some() { BETWEEN_RENEWALS } else { BETWEEN_FAILURES };
        if let Some(error) = self.failure_since(now.before(pause)) {
            return current.ok_or(error);
        }
        let (this, settings, http) = (Arc::clone(self), Arc::clone(settings), http.clone());
        let clock = Arc::clone(clock);
        let fetched = self.flights.join(Fetch::Everything, move || async move {
            let fetched = fetch(&settings, &http, clock.now()).await;
            // Pauses begin here: a provider that takes long to fail would be asked all the time.
            this.remember(fetched, clock.now())
        });
        let fetched = fetched.await.unwrap_or(Err(ProviderError::Crashed));
        match (fetched, current) {
            (Ok(known), _) | (Err(_), Some(known)) => Ok(known),
            (Err(error), None) => Err(error),
        }
    }

    /// The keys once more, because those that were `tried` fit no token: the provider may have
    /// changed them. `None` if that was looked into a moment ago.
    pub(super) async fn roll_over(
        self: &Arc<Self>,
        tried: &Arc<Known>,
        http: &Http,
        clock: &Arc<dyn Clock>,
    ) -> Option<Arc<Known>> {
        let known = self.current()?;
        if !Arc::ptr_eq(&known, tried) {
            // Somebody else was faster.
            return Some(known);
        }
        {
            let mut last = self.rolled_over.lock().unwrap_or_else(PoisonError::into_inner);
            let under_way = self.flights.is_under_way(&Fetch::Keys);
            let now = clock.now();
            if !under_way && now < last.after(BETWEEN_ROLL_OVERS) {
                return None;
            }
            *last = now;
        }
        let (this, http, clock) = (Arc::clone(self), http.clone(), Arc::clone(clock));
        let fetched = self.flights.join(Fetch::Keys, move || async move {
            let keys = fetch_keys(&known.endpoints.jwks, &http).await;
            // The pause begins here, and has begun before for whoever comes as the flight begins.
            *this.rolled_over.lock().unwrap_or_else(PoisonError::into_inner) = clock.now();
            if let Err(error) = &keys {
                tracing::warn!(%error, "cannot read the provider's keys again");
            }
            let fresh = Arc::new(Known { keys: keys?, ..Known::clone(&known) });
            *this.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fresh));
            tracing::info!(event = "provider_keys_read", "read the provider's keys again");
            Ok(fresh)
        });
        fetched.await?.ok()
    }

    fn failure_since(&self, since: UnixMillis) -> Option<ProviderError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().filter(|(at, _)| *at > since).map(|(_, error)| error.clone())
    }

    fn remember(
        &self,
        fetched: Result<Known, ProviderError>,
        now: UnixMillis,
    ) -> Result<Arc<Known>, ProviderError> {
        match fetched {
            Ok(known) => {
                let known = Arc::new(known);
                *self.known.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::clone(&known));
                Ok(known)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read what the identity provider says of itself");
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((now, error.clone()));
                Err(error)
            }
        }
    }
}

async fn fetch(
    settings: &OidcSettings,
    http: &Http,
    now: UnixMillis,
) -> Result<Known, ProviderError> {
    let Some(endpoints) = settings.endpoints.clone() else {
        return discover(settings, http, now).await;
    };
    let keys = fetch_keys(&endpoints.jwks, http).await?;
    let client_auth = settings.client_auth.unwrap_or(ClientAuth::Basic);
    Ok(Known { endpoints, keys, client_auth, names_itself: false, at: now })
}

/// OpenID Connect Discovery 1.0 §4; the crate compares the issuer.
async fn discover(
    settings: &OidcSettings,
    http: &Http,
    now: UnixMillis,
) -> Result<Known, ProviderError> {
    let malformed = |reason: &str| ProviderError::Malformed { reason: reason.to_owned() };
    let issuer =
        IssuerUrl::new(settings.issuer.clone()).map_err(|_| malformed("the issuer is no URL"))?;
    let metadata = Metadata::discover_async(issuer, http).await.map_err(from_discovery)?;
    let more = metadata.additional_metadata();
    let token = metadata.token_endpoint().map(|url| url.url().clone());
    let endpoints = Endpoints {
        authorize: metadata.authorization_endpoint().url().clone(),
        token: token.ok_or_else(|| malformed("it names no token endpoint"))?,
        jwks: metadata.jwks_uri().url().clone(),
        userinfo: metadata.userinfo_endpoint().map(|url| url.url().clone()),
        revocation: more.revocation_endpoint.clone(),
        end_session: more.end_session_endpoint.clone(),
    };
    let Endpoints { authorize, token, jwks, userinfo, revocation, end_session } = &endpoints;
    let optional = [userinfo, revocation, end_session].into_iter().flatten();
    if let Some(url) =
        [authorize, token, jwks].into_iter().chain(optional).find(|u| !settings.accepts(u))
    {
        return Err(ProviderError::Http(HttpError::NotHttps(url.to_string())));
    }
    let offered = metadata.token_endpoint_auth_methods_supported();
    let offers = |method| offered.is_some_and(|methods| methods.contains(&method));
    // Not named at all means basic (Discovery §3).
    let post_only = offers(CoreClientAuthMethod::ClientSecretPost)
        && !offers(CoreClientAuthMethod::ClientSecretBasic);
    let by_document = if post_only { ClientAuth::Post } else { ClientAuth::Basic };
    Ok(Known {
        endpoints,
        keys: metadata.jwks().clone(),
        client_auth: settings.client_auth.unwrap_or(by_document),
        names_itself: more.authorization_response_iss_parameter_supported,
        at: now,
    })
}

async fn fetch_keys(url: &Url, http: &Http) -> Result<CoreJsonWebKeySet, ProviderError> {
    let url = JsonWebKeySetUrl::from_url(url.clone());
    CoreJsonWebKeySet::fetch_async(&url, http).await.map_err(from_discovery)
}

fn from_discovery(error: DiscoveryError<HttpError>) -> ProviderError {
    match error {
        DiscoveryError::Request(error) => ProviderError::Http(error),
        DiscoveryError::Response(status, _, reason) => {
            ProviderError::Malformed { reason: format!("{reason} ({status})") }
        }
        DiscoveryError::Parse(error) => ProviderError::Malformed {
            reason: format!("the document is malformed at `{}`", error.path()),
        },
        other => ProviderError::Malformed { reason: other.to_string() },
    }
}
