use crate::provider::Fault;
use crate::support::TestApp;

/// What a user sees of a fault: an error page, or nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nobody is signed in; status and code.
    Page(u16, &'static str),
    /// Another attempt begins.
    Retry,
    /// All is well.
    SignedIn,
}

use Outcome::{Page, Retry, SignedIn};

const UNBELIEVABLE: Outcome = Page(502, "provider_failed");
const DOWN: Outcome = Page(503, "provider_unreachable");

#[tokio::test]
async fn every_fault_has_its_answer() {
    let app = TestApp::start().await;
    for (fault, want) in [
        (Fault::Nothing, SignedIn),
        (Fault::SlightlyExpired, SignedIn),
        (Fault::WrongNonce, UNBELIEVABLE),
        (Fault::NoNonce, UNBELIEVABLE),
        (Fault::WrongAudience, UNBELIEVABLE),
        (Fault::ExtraAudience, UNBELIEVABLE),
        (Fault::OtherParty, UNBELIEVABLE),
        (Fault::WrongIssuer, UNBELIEVABLE),
        (Fault::IssuerWithSlash, UNBELIEVABLE),
        (Fault::Expired, UNBELIEVABLE),
        (Fault::FromTheFuture, UNBELIEVABLE),
        (Fault::NotYetValid, UNBELIEVABLE),
        (Fault::WrongAccessTokenHash, UNBELIEVABLE),
        (Fault::NoSubject, UNBELIEVABLE),
        (Fault::EmptySubject, UNBELIEVABLE),
        (Fault::Unsigned, UNBELIEVABLE),
        (Fault::SignedWithClientSecret, UNBELIEVABLE),
        (Fault::SignedWithPublicKey, UNBELIEVABLE),
        (Fault::ForeignKey, UNBELIEVABLE),
        (Fault::ForeignKeyOwnId, UNBELIEVABLE),
        (Fault::Tampered, UNBELIEVABLE),
        (Fault::Critical, UNBELIEVABLE),
        (Fault::NoIdToken, UNBELIEVABLE),
        (Fault::NotBearer, UNBELIEVABLE),
        (Fault::AccessTokenWithNewline, UNBELIEVABLE),
        (Fault::Html, UNBELIEVABLE),
        (Fault::Truncated, UNBELIEVABLE),
        (Fault::InvalidClient, UNBELIEVABLE),
        (Fault::UserinfoOfSomebodyElse, UNBELIEVABLE),
        (Fault::UserinfoFails, UNBELIEVABLE),
        (Fault::InvalidGrant, Retry),
        (Fault::Huge, DOWN),
        (Fault::Redirects, DOWN),
        (Fault::ServerError, DOWN),
        (Fault::TooManyRequests, DOWN),
        (Fault::HangsUp, DOWN),
        (Fault::Nothing, SignedIn),
    ] {
        app.provider.misbehave(fault);
        let mut browser = app.browser();
        let answer = app.sign_in(&mut browser, "/api/auth/login").await;
        let case = format!("{fault:?}");
        match want {
            Page(status, code) => answer.assert_error_page(status, code, &case),
            Retry => assert_eq!(answer.location().path(), "/authorize", "{case}"),
            SignedIn => assert!(answer.sets("session"), "{case}: {answer:?}"),
        }
        let signed_in = browser.session().await.status.as_u16() == 200;
        assert_eq!(signed_in, want == SignedIn, "{case}");
        assert_eq!(browser.attempts(), usize::from(want == Retry), "{case}: used up");
        let text = answer.text();
        for secret in ["code-", "access-", "refresh-", "client secret"] {
            assert!(!text.contains(secret), "{case}: {text}");
        }
    }
    assert_eq!(app.provider.hits("/stolen"), 0, "the client secret went to another place");
}

/// A provider that never answers is given up before the user gives up.
#[tokio::test]
async fn a_silent_provider_is_given_up() {
    let app = TestApp::start().await;
    app.provider.misbehave(Fault::NeverAnswers);
    let begun = tokio::time::Instant::now();
    let answer = app.sign_in(&mut app.browser(), "/api/auth/login").await;
    answer.assert_error_page(503, "provider_unreachable", "silence");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

/// A narrower list than what the provider signs with.
#[tokio::test]
async fn algorithms_that_are_not_listed_are_refused() {
    let app = TestApp::start_with("algs = ['RS256', 'EdDSA']", "").await;
    let answer = app.sign_in(&mut app.browser(), "/api/auth/login").await;
    answer.assert_error_page(502, "provider_failed", "ES256 is not listed");
}
