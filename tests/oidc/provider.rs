//! An identity provider that does as it is told, and that is mostly not what it should do.

mod fault;
mod token;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::digest;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::Url;

pub(crate) use self::fault::Fault;
use self::token::{Key, hs256, message};

pub(crate) const CLIENT_ID: &str = "withcreds-test";
pub(crate) const CLIENT_SECRET: &str = "a client secret: with colon & blank";
pub(crate) const SUBJECT: &str = "user-1";

/// What became of a code.
struct Code {
    nonce: Option<String>,
    challenge: String,
    used: bool,
}

struct State {
    fault: Fault,
    keys: Vec<Key>,
    codes: HashMap<String, Code>,
    /// The one refresh token that is good; each use makes another (rotation).
    refresh: u32,
    access_lifetime: u64,
    sid: Option<String>,
    more_claims: Map<String, Value>,
    userinfo: Map<String, Value>,
    hits: Vec<String>,
    revoked: Vec<String>,
    names_itself: bool,
    counter: u32,
}

/// The provider. Stops with the test's runtime.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Holds back answers of the token endpoint, and what fails at leisure, while it is closed.
    gate: Arc<tokio::sync::Semaphore>,
    arrived: Arc<Notify>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let userinfo = json!({ "name": "Ada Lovelace", "email": "ada@example.com" });
        let state = State {
            fault: Fault::Nothing,
            keys: vec![Key::new("first")],
            codes: HashMap::new(),
            refresh: 0,
            access_lifetime: 3600,
            sid: Some("sid-1".to_owned()),
            more_claims: Map::new(),
            userinfo: userinfo.as_object().cloned().unwrap_or_default(),
            hits: Vec::new(),
            revoked: Vec::new(),
            names_itself: true,
            counter: 0,
        };
        let provider = Self {
            addr,
            state: Arc::new(Mutex::new(state)),
            gate: Arc::new(tokio::sync::Semaphore::new(1000)),
            arrived: Arc::new(Notify::new()),
        };
        tokio::spawn(provider.clone().serve(listener));
        provider
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub(crate) fn misbehave(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// From now on, access tokens live so long.
    pub(crate) fn access_lifetime(&self, seconds: u64) {
        self.state().access_lifetime = seconds;
    }

    pub(crate) fn session_id(&self, sid: Option<&str>) {
        self.state().sid = sid.map(str::to_owned);
    }

    pub(crate) fn claim(&self, name: &str, value: Value) {
        self.state().more_claims.insert(name.to_owned(), value);
    }

    pub(crate) fn unclaim(&self, name: &str) {
        self.state().more_claims.remove(name);
    }

    pub(crate) fn says(&self, name: &str, value: Value) {
        self.state().userinfo.insert(name.to_owned(), value);
    }

    /// Signs with a new key; the old one is gone.
    pub(crate) fn roll_over(&self, id: &str) {
        self.state().keys = vec![Key::new(id)];
    }

    /// How often this path was asked for.
    pub(crate) fn hits(&self, path: &str) -> usize {
        self.state().hits.iter().filter(|hit| *hit == path).count()
    }

    pub(crate) fn revoked(&self) -> Vec<String> {
        self.state().revoked.clone()
    }

    /// The refresh token that is good at this moment.
    pub(crate) fn good_refresh_token(&self) -> String {
        format!("refresh-{}", self.state().refresh)
    }

    /// The user withdraws what they granted: no refresh token is good any more.
    pub(crate) fn withdraw(&self) {
        self.state().refresh += 1_000;
    }

    /// Lets the token endpoint, and what fails at leisure, answer nobody until the guard is dropped.
    pub(crate) async fn hold(&self) -> tokio::sync::OwnedSemaphorePermit {
        Arc::clone(&self.gate).acquire_many_owned(1000).await.expect("open")
    }

    /// Waits until somebody stands there.
    pub(crate) async fn somebody_waits(&self) {
        self.arrived.notified().await;
    }

    /// What the authorisation endpoint does with a user who signs in: gives the URL that the
    /// browser is sent back to.
    #[track_caller]
    pub(crate) fn sign_in(&self, authorize: &Url) -> Url {
        assert_eq!(authorize.origin(), Url::parse(&self.issuer()).expect("a URL").origin());
        let query: HashMap<_, _> = authorize.query_pairs().into_owned().collect();
        assert_eq!(query["client_id"], CLIENT_ID);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"), "{query:?}");
        let mut state = self.state();
        state.counter += 1;
        let code = format!("code-{}", state.counter);
        let (nonce, challenge) = (query.get("nonce").cloned(), query["code_challenge"].clone());
        state.codes.insert(code.clone(), Code { nonce, challenge, used: false });
        let mut back = Url::parse(&query["redirect_uri"]).expect("a redirect URI");
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &query["state"]);
        if state.names_itself {
            back.query_pairs_mut().append_pair("iss", &self.issuer());
        }
        back
    }

    /// A logout token with these claims changed (`null` removes one).
    pub(crate) fn logout_token(&self, header: &Value, changes: &Value) -> String {
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT_ID, "iat": now(0), "exp": now(120),
            "jti": format!("jti-{}", { let mut s = self.state(); s.counter += 1; s.counter }),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
            "sid": "sid-1", "sub": SUBJECT,
        });
        merge(&mut claims, changes);
        let state = self.state();
        let mut head = json!({ "alg": "ES256", "kid": state.keys[0].id, "typ": "logout+jwt" });
        merge(&mut head, header);
        match head["alg"].as_str() {
            Some("none") => format!("{}.", message(&head, &claims)),
            Some("HS256") => hs256(&head, &claims, CLIENT_SECRET.as_bytes()),
            _ => state.keys[0].sign(&head, &claims),
        }
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let this = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| this.clone().answer(request));
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        self.state().hits.push(path.clone());
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(&body).into_owned().collect();
        let fault = self.state().fault;
        let bearer = parts.headers.get("authorization").and_then(|v| v.to_str().ok());
        Ok(match path.as_str() {
            "/.well-known/openid-configuration" | "/jwks" if fault == Fault::ServerError => {
                answer(500, &json!({}))
            }
            "/.well-known/openid-configuration" | "/jwks" if fault == Fault::FailsAtLeisure => {
                self.arrived.notify_one();
                let _open = self.gate.acquire().await;
                answer(500, &json!({}))
            }
            "/.well-known/openid-configuration" if fault == Fault::DiscoveryIsHtml => {
                text(200, "text/html", "<h1>Welcome</h1>")
            }
            "/.well-known/openid-configuration" => {
                let mut document = self.discovery();
                merge(
                    &mut document,
                    &match fault {
                        Fault::DiscoveryOfAnother => json!({ "issuer": "https://evil.example" }),
                        Fault::DiscoveryOverHttp => {
                            json!({ "token_endpoint": "http://idp.example/token" })
                        }
                        Fault::DiscoveryWithoutToken => json!({ "token_endpoint": null }),
                        Fault::DiscoveryHasNoKeys => json!({ "jwks_uri": null }),
                        _ => json!({}),
                    },
                );
                answer(200, &document)
            }
            "/jwks" => {
                let keys: Vec<_> = self.state().keys.iter().map(Key::jwk).collect();
                answer(200, &json!({ "keys": keys }))
            }
            "/token" => {
                self.arrived.notify_one();
                let _open = self.gate.acquire().await;
                match fault {
                    Fault::NeverAnswers => std::future::pending().await,
                    // The connection breaks with the task.
                    Fault::HangsUp => panic!("hanging up, as told"),
                    _ => self.token(fault, bearer, &form),
                }
            }
            "/userinfo" => self.userinfo(fault, bearer),
            "/revoke" => {
                let token = form.get("token").cloned().unwrap_or_default();
                if fault == Fault::NeverAnswers {
                    std::future::pending::<()>().await;
                }
                self.state().revoked.push(token);
                answer(200, &json!({}))
            }
            _ => answer(404, &json!({})),
        })
    }

    fn discovery(&self) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "end_session_endpoint": format!("{issuer}/end?keep=1"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": self.state().names_itself,
        })
    }

    fn token(
        &self,
        fault: Fault,
        credentials: Option<&str>,
        form: &HashMap<String, String>,
    ) -> Response<Full<Bytes>> {
        let refuse = |code: &str| answer(400, &json!({ "error": code }));
        match fault {
            Fault::InvalidGrant => return refuse("invalid_grant"),
            Fault::InvalidClient => return answer(401, &json!({ "error": "invalid_client" })),
            Fault::ServerError => return answer(500, &json!({ "error": "invalid_grant" })),
            Fault::TooManyRequests => return answer(429, &json!({ "error": "invalid_grant" })),
            Fault::Html => return text(200, "text/html", "<h1>Welcome</h1>"),
            Fault::Truncated => return text(200, "application/json", "{\"access_token\":\"a\","),
            Fault::Huge => return text(200, "application/json", &"x".repeat(2 << 20)),
            Fault::Redirects => {
                let mut response = answer(307, &json!({}));
                let there = format!("{}/stolen", self.issuer());
                response.headers_mut().insert("location", there.parse().expect("a URL"));
                return response;
            }
            _ => {}
        }
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let expected = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
        if credentials != Some(&format!("Basic {}", STANDARD.encode(expected))) {
            return answer(401, &json!({ "error": "invalid_client" }));
        }
        let mut state = self.state();
        let nonce = match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                let Some(code) = form.get("code").and_then(|code| state.codes.get_mut(code)) else {
                    return refuse("invalid_grant");
                };
                let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
                let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
                if code.used || URL_SAFE_NO_PAD.encode(hash) != code.challenge {
                    return refuse("invalid_grant");
                }
                code.used = true;
                code.nonce.clone()
            }
            Some("refresh_token") => {
                let good = format!("refresh-{}", state.refresh);
                if form.get("refresh_token") != Some(&good) {
                    return refuse("invalid_grant");
                }
                None
            }
            _ => return refuse("unsupported_grant_type"),
        };
        state.refresh += 1;
        state.counter += 1;
        let access = match fault {
            Fault::AccessTokenWithNewline => "access\r\nx-evil: 1".to_owned(),
            _ => format!("access-{}", state.counter),
        };
        let mut body = json!({
            "access_token": access,
            "token_type": if fault == Fault::NotBearer { "mac" } else { "Bearer" },
            "expires_in": state.access_lifetime,
            "refresh_token": format!("refresh-{}", state.refresh),
        });
        if matches!(fault, Fault::NoRefreshToken | Fault::NoLifetimeNoRefreshToken) {
            merge(&mut body, &json!({ "refresh_token": null }));
        }
        if matches!(fault, Fault::NoLifetime | Fault::NoLifetimeNoRefreshToken) {
            merge(&mut body, &json!({ "expires_in": null }));
        }
        if fault != Fault::NoIdToken {
            body["id_token"] = self.id_token(&state, fault, nonce.as_deref(), &access).into();
        }
        answer(200, &body)
    }

    fn id_token(&self, state: &State, fault: Fault, nonce: Option<&str>, access: &str) -> String {
        let hash = digest::digest(&digest::SHA256, access.as_bytes());
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT_ID, "sub": SUBJECT, "iat": now(0), "exp": now(300),
            "at_hash": URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]),
        });
        let more = json!({ "nonce": nonce, "sid": state.sid });
        merge(&mut claims, &more);
        merge(&mut claims, &Value::Object(state.more_claims.clone()));
        merge(
            &mut claims,
            &match fault {
                Fault::WrongNonce => json!({ "nonce": "of-another-login" }),
                Fault::NoNonce => json!({ "nonce": null }),
                Fault::WrongAudience => json!({ "aud": "another-client" }),
                Fault::ExtraAudience => json!({ "aud": [CLIENT_ID, "another-client"] }),
                Fault::OtherParty => json!({ "azp": "another-client" }),
                Fault::WrongIssuer => json!({ "iss": "https://evil.example" }),
                Fault::IssuerWithSlash => json!({ "iss": format!("{}/", self.issuer()) }),
                Fault::Expired => json!({ "exp": now(-62), "iat": now(-300) }),
                Fault::SlightlyExpired => json!({ "exp": now(-50), "iat": now(50) }),
                Fault::FromTheFuture => json!({ "iat": now(90) }),
                Fault::NotYetValid => json!({ "nbf": now(90) }),
                Fault::WrongAccessTokenHash => json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }),
                Fault::NoSubject => json!({ "sub": null }),
                Fault::EmptySubject => json!({ "sub": "" }),
                _ => json!({}),
            },
        );
        let key = &state.keys[0];
        let header = json!({ "alg": "ES256", "kid": key.id });
        match fault {
            Fault::Unsigned => format!("{}.", message(&json!({ "alg": "none" }), &claims)),
            Fault::SignedWithClientSecret => {
                hs256(&json!({ "alg": "HS256" }), &claims, CLIENT_SECRET.as_bytes())
            }
            Fault::SignedWithPublicKey => {
                let header = json!({ "alg": "HS256", "kid": key.id });
                hs256(&header, &claims, key.public())
            }
            Fault::ForeignKey => {
                let header = json!({ "alg": "ES256", "kid": "foreign" });
                Key::new("foreign").sign(&header, &claims)
            }
            Fault::ForeignKeyOwnId => Key::new(&key.id).sign(&header, &claims),
            Fault::Tampered => {
                let token = key.sign(&header, &claims);
                let signature = token.rsplit('.').next().unwrap_or_default().to_owned();
                merge(&mut claims, &json!({ "sub": "admin" }));
                format!("{}.{signature}", message(&header, &claims))
            }
            Fault::Critical => {
                key.sign(&json!({ "alg": "ES256", "kid": key.id, "crit": ["exp"] }), &claims)
            }
            _ => key.sign(&header, &claims),
        }
    }

    fn userinfo(&self, fault: Fault, bearer: Option<&str>) -> Response<Full<Bytes>> {
        if fault == Fault::UserinfoFails || !bearer.is_some_and(|b| b.starts_with("Bearer access-"))
        {
            return answer(401, &json!({ "error": "invalid_token" }));
        }
        let mut claims = self.state().userinfo.clone();
        let somebody_else = fault == Fault::UserinfoOfSomebodyElse;
        claims.insert("sub".to_owned(), if somebody_else { "user-2" } else { SUBJECT }.into());
        answer(200, &Value::Object(claims))
    }
}

/// Sets the members of `changes`; `null` removes one.
fn merge(claims: &mut Value, changes: &Value) {
    let (Some(claims), Some(changes)) = (claims.as_object_mut(), changes.as_object()) else {
        return;
    };
    for (name, value) in changes {
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
}

/// Seconds since the epoch, and some more or fewer.
#[expect(clippy::disallowed_methods, reason = "another machine's clock")]
fn now(offset: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_secs()).unwrap_or(0) + offset
}

fn answer(status: u16, body: &Value) -> Response<Full<Bytes>> {
    text(status, "application/json", &body.to_string())
}

fn text(status: u16, content_type: &str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert("content-type", content_type.parse().expect("a type"));
    response
}
