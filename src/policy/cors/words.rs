//! The words of HTTP and Fetch that a policy knows: tokens, forbidden and safelisted names.

const TOKEN: u8 = 1;
const UPPER: u8 = 2;

/// What each byte is in a token. A table, because header names are walked on every preflight.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'A'..=b'Z' => TOKEN | UPPER,
            b'!'
            | b'#'..=b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'0'..=b'9'
            | b'^'..=b'z'
            | b'|'
            | b'~' => TOKEN,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Whether the bytes are a token: [RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#name-tokens).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    token_case(bytes).is_some()
}

/// `None` if the bytes are no token; otherwise whether a letter is in upper case.
pub(super) fn token_case(bytes: &[u8]) -> Option<bool> {
    let (mut all, mut any) = (TOKEN, 0);
    for byte in bytes {
        let class = CLASSES[usize::from(*byte)];
        all &= class;
        any |= class;
    }
    (all != 0 && !bytes.is_empty()).then_some(any & UPPER != 0)
}

/// [Fetch: forbidden method](https://fetch.spec.whatwg.org/#forbidden-method).
pub(super) fn is_forbidden_method(method: &[u8]) -> bool {
    [b"CONNECT".as_slice(), b"TRACE", b"TRACK"].iter().any(|m| method.eq_ignore_ascii_case(m))
}

/// Names that need no permission; browsers name them in a preflight only for unusual values
/// ([Fetch](https://fetch.spec.whatwg.org/#cors-safelisted-request-header)).
#[must_use]
pub fn is_safelisted_header(name: &str) -> bool {
    matches!(name, "accept" | "accept-language" | "content-language" | "content-type" | "range")
}

/// [Fetch: forbidden request-header](https://fetch.spec.whatwg.org/#forbidden-request-header).
#[must_use]
pub fn is_forbidden_header(name: &str) -> bool {
    const NAMES: [&str; 21] = [
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    NAMES.contains(&name) || name.starts_with("sec-") || name.starts_with("proxy-")
}
