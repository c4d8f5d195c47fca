//! Sabotage that is about sessions: what a front does to requests, and with requests of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use crate::lab::front::Backstage;
use crate::lab::sabotage::Sabotage;
use crate::lab::service::Service;

const LOGIN: &str = "/api/auth/login";
const LOGOUT: &str = "/api/auth/logout";
const SESSIONS: &str = "/api/auth/sessions";

/// Well-formed, and nobody's.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The ids that browsers hold, with those that the service knows in their place.
#[derive(Debug, Default)]
pub(super) struct Aliases(Mutex<HashMap<String, String>>);

impl Aliases {
    fn of(&self, id: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn add(&self, id: String, real: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, real);
    }
}

impl Backstage {
    /// Hands a request on as a service would be asked that has this fault.
    pub(super) async fn send_under(
        &self,
        sabotage: Sabotage,
        service: &Service,
        mut request: Request<Bytes>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path().trim_end_matches('/');
        let (logs_in, logs_out) = (path == LOGIN, path == LOGOUT);
        let revokes = request.method() == Method::DELETE && path.starts_with(SESSIONS);
        match sabotage {
            Sabotage::AdoptedIds => return self.adopt(service, logs_in, request).await,
            Sabotage::SessionsPileUp if logs_in => {
                request.headers_mut().remove(COOKIE);
            }
            Sabotage::LogoutIgnored if logs_out => {
                replace_cookie(request.headers_mut(), self.cookie, NOBODY);
            }
            Sabotage::RevocationIgnored if revokes => {
                *request.method_mut() = Method::GET;
                *request.uri_mut() = Uri::from_static(SESSIONS);
            }
            Sabotage::CookieRenewed if !logs_in && !logs_out => {
                return self.renew(service, request).await;
            }
            Sabotage::RevivedAfterLogout => return self.revive("revoked", service, request).await,
            Sabotage::RevivedAfterExpiry => return self.revive("expired", service, request).await,
            _ => {}
        }
        self.send(service.addr, request).await
    }

    /// A login takes the id that the browser has already.
    async fn adopt(
        &self,
        service: &Service,
        logs_in: bool,
        mut request: Request<Bytes>,
    ) -> Response<Full<Bytes>> {
        let Some(held) = cookie(request.headers(), self.cookie) else {
            return self.send(service.addr, request).await;
        };
        if !logs_in {
            if let Some(real) = self.aliases.of(&held) {
                replace_cookie(request.headers_mut(), self.cookie, &real);
            }
            return self.send(service.addr, request).await;
        }
        request.headers_mut().remove(COOKIE);
        let mut response = self.send(service.addr, request).await;
        if let Some(real) = take_set_cookie(response.headers_mut(), self.cookie) {
            self.aliases.add(held, real);
        }
        response
    }

    /// The answer brings the cookie along that the request came with.
    async fn renew(&self, service: &Service, request: Request<Bytes>) -> Response<Full<Bytes>> {
        let held = cookie(request.headers(), self.cookie);
        let mut response = self.send(service.addr, request).await;
        let Some(held) = held.filter(|_| response.status().is_success()) else { return response };
        let attributes = if self.cookie.starts_with("__Host-") {
            "Path=/; Secure; HttpOnly; SameSite=None"
        } else {
            "Path=/; HttpOnly; SameSite=Lax"
        };
        if let Ok(line) = HeaderValue::try_from(format!("{}={held}; {attributes}", self.cookie)) {
            response.headers_mut().append(SET_COOKIE, line);
        }
        response
    }

    /// A session that is over is saved again by the next request that names it.
    async fn revive(
        &self,
        code: &str,
        service: &Service,
        mut request: Request<Bytes>,
    ) -> Response<Full<Bytes>> {
        let response = self.send(service.addr, request.clone()).await;
        if response.status() != StatusCode::UNAUTHORIZED || code_of(&response).await != code {
            return response;
        }
        let mut login = Response::new(Full::default());
        self.log_in(service, &mut login).await;
        let lines: Vec<_> = login.headers().get_all(SET_COOKIE).iter().cloned().collect();
        if let Some(fresh) = take_set_cookie(login.headers_mut(), self.cookie) {
            replace_cookie(request.headers_mut(), self.cookie, &fresh);
        }
        let mut response = self.send(service.addr, request).await;
        for line in lines {
            response.headers_mut().append(SET_COOKIE, line);
        }
        response
    }
}

/// The `code` of an error.
async fn code_of(response: &Response<Full<Bytes>>) -> String {
    let body = response.body().clone().collect().await.map(http_body_util::Collected::to_bytes);
    let json: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
    json["code"].as_str().unwrap_or_default().to_owned()
}

/// The value of a request cookie.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|p| p.trim().split_once('='));
    pairs.find_map(|(other, value)| (other == name).then(|| value.to_owned()))
}

/// Changes the value of a request cookie, if there is one.
fn replace_cookie(headers: &mut HeaderMap, name: &str, value: &str) {
    let Some(old) = cookie(headers, name) else { return };
    let Some(line) = headers.get(COOKIE).and_then(|line| line.to_str().ok()) else { return };
    let line = line.replace(&format!("{name}={old}"), &format!("{name}={value}"));
    if let Ok(line) = HeaderValue::try_from(line) {
        headers.insert(COOKIE, line);
    }
}

/// Takes a cookie out of an answer and gives its value.
fn take_set_cookie(headers: &mut HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    let mut taken = None;
    for line in lines {
        let pair = line.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='));
        match pair {
            Some((other, value)) if other == name => taken = Some(value.to_owned()),
            _ => {
                headers.append(SET_COOKIE, line);
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_changed_by_their_name() {
        let line = HeaderValue::from_static("csrf=s; session=old; other=old");
        let mut headers = HeaderMap::from_iter([(COOKIE, line)]);
        replace_cookie(&mut headers, "session", "new");
        assert_eq!(headers[COOKIE], "csrf=s; session=new; other=old");
        replace_cookie(&mut headers, "absent", "new");
        assert_eq!(headers[COOKIE], "csrf=s; session=new; other=old");
        assert_eq!(cookie(&headers, "session").as_deref(), Some("new"));
        assert_eq!(cookie(&headers, "sess"), None);
    }

    #[test]
    fn taking_a_cookie_out_leaves_the_others() {
        let line = |text| (SET_COOKIE, HeaderValue::from_static(text));
        let mut headers: HeaderMap = HeaderMap::new();
        for (name, value) in [line("session=a; Path=/"), line("csrf=b; Path=/")] {
            headers.append(name, value);
        }
        assert_eq!(take_set_cookie(&mut headers, "session").as_deref(), Some("a"));
        assert_eq!(headers.get_all(SET_COOKIE).iter().count(), 1);
        assert_eq!(headers[SET_COOKIE], "csrf=b; Path=/");
        assert_eq!(take_set_cookie(&mut headers, "session"), None);
    }
}
