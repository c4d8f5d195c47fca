//! Pages for people who came here by a navigation: the login form, and what went wrong at sign-in.
//! Plain HTML that loads nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use warp::reply::{Reply as _, Response};

use crate::error::ApiError;
use crate::identity::ReturnTo;

/// In the page itself, so that it still loads nothing; the policy names it by its hash.
const STYLE: &str = "
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { box-sizing: border-box; max-width: 24rem; margin: 12vh auto 2rem; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.2; }
label { display: block; }
input, button { box-sizing: border-box; width: 100%; margin-top: .25rem; padding: .6rem .75rem; font: inherit; }
output { display: block; margin-top: .75rem; }
output:not(:empty) { border-left: .25rem solid #c62828; padding-left: .75rem; }
small { opacity: .75; overflow-wrap: anywhere; }
";

/// Why signing in did not work, in words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The user, or the provider, said no.
    Denied,
    /// No such attempt, and trying again did not help.
    Stale,
    /// The provider is out of reach.
    Unreachable,
    /// The provider's answer cannot be believed, or it does not know us.
    Provider,
    /// The session cannot be stored.
    Ours {
        /// As the same failure has it elsewhere.
        status: StatusCode,
        /// Likewise.
        code: &'static str,
    },
}

impl Failure {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Denied => "login_denied",
            Self::Stale => "login_stale",
            Self::Unreachable => "provider_unreachable",
            Self::Provider => "provider_failed",
            Self::Ours { code, .. } => code,
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Stale => StatusCode::BAD_REQUEST,
            Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Provider => StatusCode::BAD_GATEWAY,
            Self::Ours { status, .. } => status,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Denied => "The sign-in was cancelled or refused.",
            Self::Stale => {
                "This sign-in has expired, or was begun in another browser. Cookies have to be allowed."
            }
            Self::Unreachable => "The sign-in service does not answer at this moment.",
            Self::Provider => "The sign-in service gave an answer that cannot be used.",
            Self::Ours { .. } => "You have signed in, but no session can be begun at this moment.",
        }
    }
}

/// The page of a sign-in that failed. The request id leads to the log.
pub(super) fn failed(failure: Failure, cid: Uuid) -> Response {
    let (text, code) = (failure.text(), failure.code());
    let mut response = html(
        &format!(
            "<h1>Signing in did not work</h1>\n<p>{text}</p>\n<p><a href=\"/api/auth/login\">Try again</a></p>\n<p><small>{code}, request {cid}</small></p>"
        ),
        None,
    );
    *response.status_mut() = failure.status();
    if failure.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// The login form for local accounts.
pub(super) fn login_form(return_to: &ReturnTo, nonce: &str) -> Response {
    let return_to = escape(return_to.as_str());
    html(
        &format!(
            r#"<h1>Sign in</h1>
<form data-return-to="{return_to}">
<p><label>User name <input name="username" autocomplete="username" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Sign in</button> <output role="alert"></output></p>
</form>
<noscript><p>This form needs JavaScript.</p></noscript>
<script nonce="{nonce}">
const form = document.querySelector("form");
form.addEventListener("submit", async (event) => {{
  event.preventDefault();
  const says = form.querySelector("output");
  says.value = "";
  const body = JSON.stringify(Object.fromEntries(new FormData(form)));
  try {{
    const answer = await fetch("/api/auth/login", {{
      method: "POST", credentials: "same-origin", headers: {{ "Content-Type": "application/json" }}, body,
    }});
    if (answer.ok) location.replace(form.dataset.returnTo);
    else says.value = (await answer.json()).detail;
  }} catch {{
    says.value = "the server does not answer: try again";
  }}
}});
</script>"#
        ),
        Some(nonce),
    )
}

/// 302. What stands in the URL may be a secret of this login.
pub(super) fn redirect(to: &str) -> Result<Response, ApiError> {
    let mut location = HeaderValue::try_from(to)
        .map_err(|_| ApiError::Internal { cause: "a place that no header can carry".to_owned() })?;
    location.set_sensitive(true);
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

fn html(body: &str, script_nonce: Option<&str>) -> Response {
    const X_FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>Sign in</title>\n<style>{STYLE}</style>\n{body}\n</html>\n"
    );
    let script = script_nonce.map_or_else(String::new, |nonce| {
        format!("; script-src 'nonce-{nonce}'; connect-src 'self'")
    });
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'{script}"
    );
    let mut response = Response::new(Bytes::from(page).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_stays_text() {
        assert_eq!(escape(r#"/"><script>'&"#), "/&quot;&gt;&lt;script&gt;&#39;&amp;");
    }

    #[tokio::test]
    async fn the_style_is_the_one_that_the_policy_names() {
        use http_body_util::BodyExt as _;

        let page = failed(Failure::Denied, Uuid::nil());
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let body = page.into_body().collect().await.unwrap().to_bytes();
        let body = std::str::from_utf8(&body).unwrap();
        // Exactly what stands between the tags, line breaks included: so browsers hash it.
        let style = body.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
        let hash = STANDARD.encode(Sha256::digest(style.unwrap().0));
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
    }

    #[test]
    fn pages_load_nothing_and_fit_into_no_frame() {
        let page = failed(Failure::Unreachable, Uuid::nil());
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.headers()[RETRY_AFTER], "5");
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
