//! A scenario with everything in it understood: addresses parsed, shorthand written out. What the
//! oracle and the engines work on.

use crate::scenario::address::{Address, Origin};
use crate::scenario::node::Segment;
use crate::scenario::{
    Answer, Backend, Client, Credentials, Engine, Fault, Mode, Outcome, Policy, Redirect, Route,
    Scenario, Step, ThirdPartyCookies,
};

/// The account that `login` uses, by name.
pub const DEMO_USER: &str = "demo";

/// A scenario that makes sense.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its stable name.
    pub id: String,
    /// The page.
    pub page: Address,
    /// How cookies of other sites are treated.
    pub third_party: ThirdPartyCookies,
    /// The engines that it is about.
    pub engines: Vec<Engine>,
    /// Cookies that were set before.
    pub cookies: Vec<Planted>,
    /// The servers.
    pub servers: Vec<Server>,
    /// What happens.
    pub steps: Vec<Action>,
}

/// A cookie that a first-party answer set before.
#[derive(Debug, Clone)]
pub struct Planted {
    /// Where the answer came from.
    pub from: Address,
    /// The top-level page then; none: the host itself.
    pub top_level: Option<Origin>,
    /// The `Set-Cookie` value.
    pub line: String,
}

/// Who answers under an origin.
#[derive(Debug, Clone)]
pub struct Server {
    /// The origin.
    pub origin: Origin,
    /// Who.
    pub kind: ServerKind,
}

/// Who answers.
#[derive(Debug, Clone)]
pub enum ServerKind {
    /// Answers from the file.
    Scripted(Script),
    /// The service.
    Service(Policy),
    /// The service with a configuration file that nobody has read yet: [`Case::configure`].
    Configured(String),
    /// A server that only the engines can ask.
    Unknown,
    /// Nobody.
    Fault(Fault),
}

/// Answers from the file.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// To preflights.
    pub preflight: Option<Answer>,
    /// To everything else.
    pub actual: Option<Answer>,
    /// By path.
    pub routes: Vec<Route>,
}

/// A request to make.
#[derive(Debug, Clone)]
pub struct Action {
    /// By what.
    pub client: Client,
    /// Where to.
    pub address: Address,
    /// As the script writes it.
    pub method: String,
    /// As the script sets them.
    pub headers: Vec<(String, String)>,
    /// A string.
    pub body: Option<String>,
    /// None: the client's own.
    pub credentials: Option<Credentials>,
    /// None: the client's own.
    pub mode: Option<Mode>,
    /// What to do with redirects.
    pub redirect: Redirect,
    /// Where.
    pub frame: Frame,
    /// How often, at least once.
    pub repeat: u32,
    /// How long to wait before.
    pub wait_ms: u64,
    /// Whether it is the login of the demo account.
    pub is_login: bool,
}

/// The document that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The page itself.
    Page,
    /// A sandboxed frame or a `data:` URL: an opaque origin.
    Opaque,
    /// A frame of this origin.
    Framed(Origin),
}

impl Case {
    /// Understands a scenario.
    ///
    /// # Errors
    ///
    /// Everything that makes no sense, each with the place where it stands.
    pub(super) fn of(scenario: &Scenario) -> Result<Self, Vec<(Vec<Segment>, String)>> {
        let mut reader = Reader { path: Vec::new(), wrong: Vec::new() };
        let case = reader.case(scenario);
        match case {
            Some(case) if reader.wrong.is_empty() => Ok(case),
            _ => Err(reader.wrong),
        }
    }

    /// Reads the configuration files that backends name. `read` gets the name as it is written.
    ///
    /// # Errors
    ///
    /// What `read` says of the first that cannot be had.
    pub fn configure<E>(
        &mut self,
        mut read: impl FnMut(&str, &Origin) -> Result<Policy, E>,
    ) -> Result<(), E> {
        for server in &mut self.servers {
            if let ServerKind::Configured(file) = &server.kind {
                server.kind = ServerKind::Service(read(file, &server.origin)?);
            }
        }
        Ok(())
    }

    /// Who answers under an origin; none: nobody listens.
    #[must_use]
    pub fn server(&self, origin: &Origin) -> Option<&Server> {
        self.servers.iter().find(|server| server.origin == *origin)
    }
}

struct Reader {
    path: Vec<Segment>,
    wrong: Vec<(Vec<Segment>, String)>,
}

impl Reader {
    fn case(&mut self, scenario: &Scenario) -> Option<Case> {
        self.at("id", |r| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if scenario.id.is_empty() || !scenario.id.chars().all(fits) {
                r.complain("expected letters, digits and hyphens, such as omit-sends-nothing");
            }
        });
        let page = self.at("page", |r| r.address(&scenario.page));
        let origin = page.as_ref().map(|page| page.origin().clone());
        let cookies = self.each("cookie", &scenario.cookies, |r, cookie| {
            // A first-party answer over https may set any cookie that can be set at all.
            let from = r.at("host", |r| r.host(&cookie.host));
            let top_level = match &cookie.top_level_site {
                Some(site) => Some(r.at("top_level_site", |r| r.site(site, origin.as_ref()))?),
                None => None,
            };
            r.at("set", |r| r.line(&cookie.set));
            Some(Planted { from: from?, top_level, line: cookie.set.clone() })
        });
        let servers = self
            .each("backend", &scenario.backends, |r, backend| r.server(backend, origin.as_ref()));
        for (index, server) in servers.iter().enumerate() {
            if servers.iter().take(index).any(|other| other.origin == server.origin) {
                self.path = vec![Segment::Key("backend".to_owned()), Segment::Index(index)];
                self.complain(&format!("{} has a backend already", server.origin));
                self.path.clear();
            }
        }
        let steps = self.each("step", &scenario.steps, Self::action);
        if scenario.steps.is_empty() {
            self.at("step", |r| r.complain("expected at least one step"));
        }
        Some(Case {
            id: scenario.id.clone(),
            page: page?,
            third_party: scenario.third_party_cookies,
            engines: scenario.engines.clone(),
            cookies,
            servers,
            steps,
        })
    }

    fn server(&mut self, backend: &Backend, page: Option<&Origin>) -> Option<Server> {
        let origin = self.at("origin", |r| r.origin(&backend.origin));
        let real = backend.service || backend.config.is_some();
        let scripted =
            backend.preflight.is_some() || backend.actual.is_some() || !backend.routes.is_empty();
        let kinds = [real, scripted, backend.proxy.is_some(), backend.fault.is_some()];
        if kinds.into_iter().filter(|is| *is).count() > 1 {
            self.complain(
                "expected one of: service or config, proxy, fault, or answers from this file",
            );
        }
        if let Some(proxy) = &backend.proxy {
            self.at("proxy", |r| r.address(proxy));
        }
        for (name, answer) in [("preflight", &backend.preflight), ("actual", &backend.actual)] {
            self.at(name, |r| r.answer(answer.as_ref()));
        }
        let _ = self.each("route", &backend.routes, |r, route| {
            if !route.path.starts_with('/') || route.path.contains(['?', '#']) {
                r.at("path", |r| r.complain("expected a path that begins with / and has no query"));
            }
            r.at("preflight", |r| r.answer(route.preflight.as_ref()));
            r.at("actual", |r| r.answer(route.actual.as_ref()));
            Some(())
        });
        let origin = origin?;
        let kind = if let Some(fault) = backend.fault {
            ServerKind::Fault(fault)
        } else if let Some(file) = &backend.config {
            ServerKind::Configured(file.clone())
        } else if backend.proxy.is_some() {
            ServerKind::Unknown
        } else if backend.service {
            ServerKind::Service(Policy::of(page?, &origin))
        } else {
            ServerKind::Scripted(Script {
                preflight: backend.preflight.clone(),
                actual: backend.actual.clone(),
                routes: backend.routes.clone(),
            })
        };
        Some(Server { origin, kind })
    }

    fn answer(&mut self, answer: Option<&Answer>) {
        let Some(answer) = answer else { return };
        let _ = self.each("headers", &answer.headers, |r, (name, value)| {
            if !is_token(name) {
                r.complain(&format!("`{name}` is no header name"));
            }
            r.line(value);
            Some(())
        });
        let _ = self.each("set_cookie", &answer.set_cookie, |r, line| {
            r.line(line);
            Some(())
        });
        if let Some(location) = &answer.redirect {
            self.at("redirect", |r| r.line(location));
        }
    }

    fn action(&mut self, step: &Step) -> Option<Action> {
        let frame = match step.frame.as_deref() {
            None => Some(Frame::Page),
            Some("sandbox" | "data") => Some(Frame::Opaque),
            Some(origin) => self.at("frame", |r| {
                r.origin(origin)
                    .map(Frame::Framed)
                    .or_else(|| r.complain_none("or \"sandbox\" or \"data\""))
            }),
        };
        let (repeat, wait_ms) = (step.repeat.unwrap_or(1), step.wait_ms.unwrap_or(0));
        if let Some(origin) = &step.login {
            if *step != (Step { login: step.login.clone(), ..neutral(step) }) {
                self.complain(
                    "a login is a whole request: beside it only frame, repeat, wait_ms, expect and expect_on",
                );
            }
            let origin = self.at("login", |r| r.origin(origin));
            let address = Address::parse(&format!("{}/api/auth/login", origin?))?;
            return Some(Action {
                client: Client::Fetch,
                address,
                method: "POST".to_owned(),
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: Some(format!(r#"{{"username":"{DEMO_USER}","password":"…"}}"#)),
                credentials: Some(Credentials::Include),
                mode: None,
                redirect: Redirect::Follow,
                frame: frame?,
                repeat,
                wait_ms,
                is_login: true,
            });
        }
        let Some(url) = &step.url else {
            self.complain(
                "expected `url`, the address asked for, or `login`, the origin of a service",
            );
            return None;
        };
        let client = step.client.unwrap_or_default();
        self.possible(client, step);
        let address = self.at("url", |r| r.address(url));
        Some(Action {
            client,
            address: address?,
            method: step.method.clone().unwrap_or_else(|| "GET".to_owned()),
            headers: step.headers.clone(),
            body: step.body.clone(),
            credentials: step.credentials,
            mode: step.mode,
            redirect: step.redirect.unwrap_or_default(),
            frame: frame?,
            repeat,
            wait_ms,
            is_login: false,
        })
    }

    /// What a client cannot be told.
    fn possible(&mut self, client: Client, step: &Step) {
        let scripted = matches!(client, Client::Fetch | Client::Xhr | Client::Axios);
        if client != Client::Fetch && step.redirect.is_some_and(|r| r != Redirect::Follow) {
            self.at("redirect", |r| r.complain("only fetch can be told what to do with redirects"));
        }
        let mode_fits = match client {
            Client::Fetch => true,
            Client::Xhr | Client::Axios => step.mode.is_none_or(|m| m == Mode::Cors),
            Client::Image => step.mode.is_none_or(|m| m != Mode::SameOrigin),
            Client::Form | Client::Navigate => step.mode.is_none(),
        };
        if !mode_fits {
            self.at("mode", |r| r.complain("only fetch has this mode"));
        }
        if !scripted && !step.headers.is_empty() {
            self.at("headers", |r| r.complain("only scripts set headers: fetch, xhr or axios"));
        }
        let method = step.method.as_deref().unwrap_or("GET");
        let method_fits = match client {
            Client::Form => ["GET", "POST"].iter().any(|m| m.eq_ignore_ascii_case(method)),
            Client::Navigate | Client::Image => method.eq_ignore_ascii_case("GET"),
            _ => true,
        };
        if !method_fits {
            self.at("method", |r| {
                r.complain(match client {
                    Client::Form => "expected GET or POST: a form knows no other",
                    _ => "expected GET: there is no other for this client",
                });
            });
        }
        if step.body.is_some() && matches!(client, Client::Navigate | Client::Image) {
            self.at("body", |r| r.complain("a link or an image sends no body"));
        }
    }

    fn address(&mut self, text: &str) -> Option<Address> {
        let address = Address::parse(text);
        if address.is_none() {
            self.complain(&format!(
                "expected an address such as https://api.example.com/path, found \"{text}\""
            ));
        }
        address
    }

    fn origin(&mut self, text: &str) -> Option<Origin> {
        match Address::parse(text) {
            Some(address) if address.is_bare() => Some(address.origin().clone()),
            Some(address) => {
                let origin = address.origin();
                self.complain(&format!(
                    "expected an origin and nothing beside it, found \"{text}\": did you mean {origin}?"
                ));
                None
            }
            None => {
                self.complain(&format!(
                    "expected an origin such as https://api.example.com, found \"{text}\""
                ));
                None
            }
        }
    }

    /// A site: an origin, or a bare host, which then has the page's scheme.
    fn site(&mut self, text: &str, page: Option<&Origin>) -> Option<Origin> {
        match page {
            Some(page) if !text.contains("://") => {
                self.origin(&format!("{}://{text}", page.scheme().text()))
            }
            _ => self.origin(text),
        }
    }

    fn host(&mut self, text: &str) -> Option<Address> {
        let address = Address::parse(&format!("https://{text}/"));
        match address {
            Some(a) if a.is_bare() && a.origin().port() == 443 && !text.contains(':') => Some(a),
            Some(a) if text.starts_with('[') && a.is_bare() => Some(a),
            _ => {
                self.complain(&format!(
                    "expected a host name without scheme and port, such as api.example.com, found \"{text}\""
                ));
                None
            }
        }
    }

    /// A value that fits on one line of a header.
    fn line(&mut self, text: &str) {
        if text.contains(['\r', '\n', '\0']) {
            self.complain("a header value has no line breaks");
        }
    }

    fn at<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Segment::Key(key.to_owned()));
        let result = read(self);
        self.path.pop();
        result
    }

    fn each<T, U>(
        &mut self,
        key: &str,
        items: &[T],
        mut read: impl FnMut(&mut Self, &T) -> Option<U>,
    ) -> Vec<U> {
        self.at(key, |reader| {
            let mut all = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                reader.path.push(Segment::Index(index));
                all.extend(read(reader, item));
                reader.path.pop();
            }
            all
        })
    }

    fn complain(&mut self, says: &str) {
        self.wrong.push((self.path.clone(), says.to_owned()));
    }

    /// Adds to the complaint just made.
    fn complain_none<T>(&mut self, says: &str) -> Option<T> {
        if let Some((_, last)) = self.wrong.last_mut() {
            last.push_str(", ");
            last.push_str(says);
        }
        None
    }
}

/// What may stand beside `login`.
fn neutral(step: &Step) -> Step {
    Step {
        frame: step.frame.clone(),
        repeat: step.repeat,
        wait_ms: step.wait_ms,
        expect: step.expect.clone(),
        expect_on: step.expect_on.clone(),
        ..Step::default()
    }
}

/// A [token](https://httpwg.org/specs/rfc9110.html#tokens).
pub(crate) fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

/// Expectations of each step, by engine.
impl Scenario {
    /// What is expected of a step in an engine.
    #[must_use]
    pub fn expected(&self, step: usize, engine: Engine) -> Option<Outcome> {
        self.steps.get(step).and_then(|step| step.expected(engine))
    }
}
