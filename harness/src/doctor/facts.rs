//! What was asked, and what came back.

use std::net::IpAddr;

use crate::doctor::{Call, Purpose, Question};

/// Everything that the doctor knows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it is about.
    pub call: Call,
    /// In the order in which they were made.
    pub exchanges: Vec<Exchange>,
    /// Whether the caller said where the host is, so that its real address is not known.
    pub address_given: bool,
}

/// One question with its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What was sent.
    pub question: Question,
    /// What came back.
    pub result: Result<Answer, Trouble>,
    /// Who was asked, if there was a connection.
    pub peer: Option<IpAddr>,
    /// What is wrong with the certificate, where the caller wanted to go on all the same.
    pub overlooked: Option<TlsFault>,
    /// How long it took.
    pub millis: u64,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// All lines, as they came; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The name is not known.
    #[error("the name cannot be resolved: {0}")]
    Dns(String),
    /// Nobody listens.
    #[error("the connection is refused")]
    Refused,
    /// No way there.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// Too slow.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The certificate.
    #[error("the certificate is not trusted: {0}")]
    Certificate(TlsFault),
    /// The port does not speak TLS.
    #[error("the port does not speak TLS")]
    NotTls,
    /// TLS, and no agreement.
    #[error("TLS fails: {0}")]
    Tls(String),
    /// The port does not speak HTTP.
    #[error("what answers is not HTTP")]
    NotHttp,
    /// It hung up.
    #[error("the connection ended before there was an answer")]
    Closed,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// It is too old.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
    /// It is for somebody else.
    #[error("it is for another host: {0}")]
    OtherHost(String),
    /// Nobody knows who made it.
    #[error("it is self-signed, or its issuer is not known here")]
    UnknownIssuer,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Answer {
    /// All lines of a header; the name in lower case.
    pub fn lines<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The only line of a header.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut lines = self.lines(name);
        lines.next().filter(|_| lines.next().is_none())
    }

    /// Whether a header's lists hold a word, whatever its case.
    #[must_use]
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let mut words = self.lines(name).flat_map(|line| line.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    }

    /// Where it leads, if it is a redirect.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        let redirects = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        redirects.then(|| self.lines("location").next()).flatten()
    }

    /// Whether this origin, with or without credentials, may read it: the server's word, letter by
    /// letter.
    #[must_use]
    pub fn names(&self, origin: &str) -> bool {
        self.only("access-control-allow-origin") == Some(origin)
    }

    /// Whether it agrees to credentials.
    #[must_use]
    pub fn agrees_to_credentials(&self) -> bool {
        self.only("access-control-allow-credentials") == Some("true")
    }
}

impl Exchange {
    /// The answer, if there was one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.result.as_ref().ok()
    }

    /// The `Origin` that was sent.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        let mut headers = self.question.headers.iter();
        headers.find(|(name, _)| name == "origin").map(|(_, value)| value.as_str())
    }
}

impl Facts {
    /// The exchanges of a purpose.
    pub fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Exchange> + Clone {
        self.exchanges.iter().filter(move |e| e.question.purpose == purpose)
    }

    /// Questions beside the call from whose answers nothing is learnt: there is none, or somebody
    /// in front who speaks no CORS refuses to pass them on.
    pub fn unanswered(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter().filter(|exchange| self.is_unanswered(exchange))
    }

    fn is_unanswered(&self, exchange: &Exchange) -> bool {
        if matches!(exchange.question.purpose, Purpose::Preflight | Purpose::Actual) {
            return false;
        }
        let Some(answer) = exchange.answer() else { return true };
        let status = self.answer(Purpose::Actual).map(|call| call.status);
        // What the call itself got is the server's answer to everybody.
        matches!(answer.status, 429 | 503)
            && status != Some(answer.status)
            && !answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"))
    }

    /// As [`Self::answer`], where something is learnt from it.
    #[must_use]
    pub fn learnt(&self, purpose: Purpose) -> Option<&Answer> {
        self.of(purpose).filter(|e| !self.is_unanswered(e)).find_map(Exchange::answer)
    }

    /// The first answer to a question of this purpose.
    #[must_use]
    pub fn answer(&self, purpose: Purpose) -> Option<&Answer> {
        self.of(purpose).find_map(Exchange::answer)
    }
}
