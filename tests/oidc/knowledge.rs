use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use withcreds::effects::{Clock, ManualClock};
use withcreds::oidc::{self, ClaimMap, HintParams, OidcSettings, ProviderError, SigningAlg};
use withcreds::policy::session::UnixMillis;

use crate::provider::{CLIENT_ID, Fault, Provider};

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn client_of(provider: &Provider) -> oidc::Provider {
    oidc::Provider::new(settings(provider))
}

fn settings(provider: &Provider) -> OidcSettings {
    OidcSettings {
        issuer: provider.issuer(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: None,
        client_auth: None,
        scopes: Vec::new(),
        redirect_uri: "http://localhost:8080/api/auth/callback".parse().expect("a URL"),
        algs: SigningAlg::all(),
        endpoints: None,
        claims: ClaimMap::default(),
        userinfo: true,
        params: Vec::new(),
        hints: HintParams::default(),
        plain_loopback: true,
    }
}

/// A clock that stands at so long after the start.
fn later(duration: Duration) -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(START.after(duration)))
}

#[tokio::test]
async fn it_is_read_again_after_an_hour_and_kept_while_the_provider_is_down() {
    let provider = Provider::start().await;
    let client = client_of(&provider);
    assert!(!client.was_reached());
    let clock = later(Duration::ZERO);
    let all = (0..10).map(|_| client.reach(&clock));
    assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
    for (minutes, fault, hits) in [
        (0, Fault::Nothing, 1),
        (59, Fault::Nothing, 1),
        (61, Fault::Nothing, 2),
        (62, Fault::Nothing, 2),
        (180, Fault::ServerError, 3),
        (180, Fault::ServerError, 3),
        (181, Fault::ServerError, 4),
        (400, Fault::Nothing, 5),
        (401, Fault::Nothing, 5),
    ] {
        provider.misbehave(fault);
        let clock = later(Duration::from_mins(minutes));
        assert_eq!(client.reach(&clock).await, Ok(()), "after {minutes} min");
        let asked = provider.hits("/.well-known/openid-configuration");
        assert_eq!(asked, hits, "after {minutes} min");
    }
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_moment() {
    let provider = Provider::start().await;
    let client = client_of(&provider);
    provider.misbehave(Fault::ServerError);
    for (millis, hits) in [(0, 1), (1999, 1), (2000, 2)] {
        let failed = client.reach(&later(Duration::from_millis(millis))).await;
        assert!(matches!(failed, Err(ProviderError::Http(_))), "{failed:?}");
        assert_eq!(provider.hits("/.well-known/openid-configuration"), hits, "{millis} ms");
    }
    provider.misbehave(Fault::Nothing);
    assert_eq!(client.reach(&later(Duration::from_mins(1))).await, Ok(()));
}

#[tokio::test]
async fn a_document_that_cannot_be_believed_is_none() {
    let provider = Provider::start().await;
    for (fault, says) in [
        (Fault::DiscoveryOfAnother, "issuer"),
        (Fault::DiscoveryOverHttp, "`http://idp.example/token` is not https"),
        (Fault::DiscoveryWithoutToken, "no token endpoint"),
        (Fault::DiscoveryIsHtml, "Content-Type"),
        (Fault::DiscoveryHasNoKeys, "malformed"),
    ] {
        provider.misbehave(fault);
        let client = client_of(&provider);
        let error =
            client.reach(&later(Duration::ZERO)).await.expect_err("not believed").to_string();
        assert!(error.contains(says), "{fault:?}: {error}");
        assert!(!client.was_reached(), "{fault:?}");
    }
}

#[tokio::test]
async fn plain_http_is_for_development() {
    let provider = Provider::start().await;
    let settings = OidcSettings { plain_loopback: false, ..settings(&provider) };
    let clock = later(Duration::ZERO);
    let error = oidc::Provider::new(settings).reach(&clock).await.expect_err("refused");
    assert!(error.to_string().contains("is not https"), "{error}");
    assert_eq!(provider.hits("/.well-known/openid-configuration"), 0);
}

/// The outcome of work that meets a provider which needs so many seconds to fail.
async fn failing_after<T>(
    seconds: u64,
    provider: &Provider,
    clock: &ManualClock,
    work: impl Future<Output = T>,
) -> T {
    provider.misbehave(Fault::FailsAtLeisure);
    let closed = provider.hold().await;
    let fails = async {
        provider.somebody_waits().await;
        clock.advance(Duration::from_secs(seconds));
        drop(closed);
    };
    tokio::join!(work, fails).0
}

/// A provider that takes longer to fail than the pause is long would be asked all the time.
#[tokio::test]
async fn a_pause_begins_when_the_failure_is_known() {
    let provider = Provider::start().await;
    let client = client_of(&provider);
    let manual = Arc::new(ManualClock::at(START));
    let clock: Arc<dyn Clock> = Arc::clone(&manual) as _;
    let failed = failing_after(10, &provider, &manual, client.reach(&clock)).await;
    assert!(failed.is_err());
    assert!(client.reach(&clock).await.is_err());
    assert_eq!(provider.hits("/.well-known/openid-configuration"), 1, "a moment after it failed");

    // The same for keys, which are read again at most every ten seconds.
    provider.misbehave(Fault::Nothing);
    manual.advance(Duration::from_secs(2));
    assert_eq!(client.reach(&clock).await, Ok(()));
    let unknown_key = provider.logout_token(&json!({ "kid": "another" }), &json!({}));
    let hits = provider.hits("/jwks");
    let asking = client.logout_notice(&unknown_key, &clock);
    assert!(failing_after(20, &provider, &manual, asking).await.is_err());
    provider.misbehave(Fault::Nothing);
    assert!(client.logout_notice(&unknown_key, &clock).await.is_err());
    assert_eq!(provider.hits("/jwks"), hits + 1, "a moment after they were read");
    manual.advance(Duration::from_secs(10));
    assert!(client.logout_notice(&unknown_key, &clock).await.is_err());
    assert_eq!(provider.hits("/jwks"), hits + 2, "after the pause");
}
