//! From claims to a user.

use serde_json::{Map, Value};

use crate::identity::User;
use crate::identity::oidc::Untrusted;
use crate::identity::oidc::settings::ClaimMap;

/// Longer ids are refused: they go into headers, logs and keys.
const MAX_ID_BYTES: usize = 255;
/// Metadata is kept for every session.
const MAX_METADATA_BYTES: usize = 8 << 10;

/// Adds what the userinfo endpoint knows. The ID token is signed and comes first; about itself
/// (`iss`, `aud`, `exp`…) it alone speaks.
pub(super) fn merge(
    mut id_token: Map<String, Value>,
    userinfo: Map<String, Value>,
) -> Map<String, Value> {
    for (name, value) in userinfo {
        id_token.entry(name).or_insert(value);
    }
    id_token
}

/// The user that these claims describe.
pub(super) fn user(map: &ClaimMap, claims: &Map<String, Value>) -> Result<User, Untrusted> {
    let id = find(claims, &map.user_id).and_then(text);
    let id = id.filter(|id| is_id(id)).ok_or(Untrusted::ClaimUnusable { claim: "user_id" })?;
    let tenant = match &map.tenant_id {
        None => None,
        Some(claim) => match find(claims, claim) {
            None | Some(Value::Null) => None,
            // A tenant that cannot be read must not become the one of everybody else.
            Some(value) => Some(
                text(value)
                    .filter(|tenant| tenant.trim().is_empty() || is_id(tenant))
                    .ok_or(Untrusted::ClaimUnusable { claim: "tenant_id" })?,
            ),
        },
    };
    let metadata: Map<String, Value> = map
        .metadata
        .iter()
        .filter_map(|claim| {
            let name = claim.rsplit('/').next().filter(|_| claim.starts_with('/'));
            Some((name.unwrap_or(claim).to_owned(), find(claims, claim)?.clone()))
        })
        .collect();
    let metadata = serde_json::to_string(&metadata).unwrap_or_default();
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(Untrusted::MetadataTooLarge { bytes: metadata.len() });
    }
    Ok(User::from_parts(&id, tenant.as_deref().unwrap_or_default(), &metadata))
}

fn find<'c>(claims: &'c Map<String, Value>, claim: &str) -> Option<&'c Value> {
    let Some(path) = claim.strip_prefix('/') else { return claims.get(claim) };
    // A JSON pointer, RFC 6901.
    let mut segments = path.split('/').map(|s| s.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&segments.next()?)?;
    segments.try_fold(first, |value, segment| match value {
        Value::Object(map) => map.get(&segment),
        Value::Array(list) => list.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Fit for a header: visible, without spaces around it.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ID_BYTES
        && !text.chars().any(char::is_control)
        && text.trim() == text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn claims_become_a_user() {
        let claims = object(json!({
            "sub": "s1", "email": "ada@example.com", "org": 7, "https://example.com/roles": ["a"],
            "realm": { "roles": ["admin"] }, "secret": "not asked for",
        }));
        let map = |user_id: &str, tenant_id: Option<&str>, metadata: &[&str]| ClaimMap {
            user_id: user_id.to_owned(),
            tenant_id: tenant_id.map(str::to_owned),
            metadata: metadata.iter().map(|&name| name.to_owned()).collect(),
        };
        for (case, map, want) in [
            (
                "defaults",
                ClaimMap::default(),
                Ok(("s1", "default", r#"{"email":"ada@example.com"}"#)),
            ),
            ("another id", map("email", None, &[]), Ok(("ada@example.com", "default", "{}"))),
            ("a number", map("sub", Some("org"), &[]), Ok(("s1", "7", "{}"))),
            ("no such tenant", map("sub", Some("nope"), &[]), Ok(("s1", "default", "{}"))),
            (
                "names with dots, and pointers",
                map(
                    "sub",
                    None,
                    &["https://example.com/roles", "/realm/roles", "/realm/roles/0", "/no/way"],
                ),
                Ok((
                    "s1",
                    "default",
                    r#"{"0":"admin","https://example.com/roles":["a"],"roles":["admin"]}"#,
                )),
            ),
            (
                "no such id",
                map("nope", None, &[]),
                Err(Untrusted::ClaimUnusable { claim: "user_id" }),
            ),
            (
                "no text",
                map("realm", None, &[]),
                Err(Untrusted::ClaimUnusable { claim: "user_id" }),
            ),
            (
                "a tenant that is no text",
                map("sub", Some("realm"), &[]),
                Err(Untrusted::ClaimUnusable { claim: "tenant_id" }),
            ),
        ] {
            let got = user(&map, &claims);
            let got = got.as_ref().map(|u| (u.id(), u.tenant(), u.metadata()));
            assert_eq!(got.map_err(Clone::clone), want, "{case}");
        }
    }

    #[test]
    fn ids_that_no_header_could_carry_are_refused() {
        for id in ["", " a", "a\n", "a\u{0}", &"x".repeat(256)] {
            let claims = object(json!({ "sub": id }));
            assert!(user(&ClaimMap::default(), &claims).is_err(), "{id:?}");
        }
        let claims = object(json!({ "sub": "a", "picture": "x".repeat(9000) }));
        assert!(matches!(
            user(&ClaimMap::default(), &claims),
            Err(Untrusted::MetadataTooLarge { .. })
        ));
    }

    #[test]
    fn userinfo_overrides_nothing() {
        let merged = merge(
            object(json!({ "sub": "a", "aud": "me", "email": "signed@example.com" })),
            object(json!({ "sub": "a", "aud": "x", "email": "x@example.com", "name": "Ada" })),
        );
        let want = json!({ "sub": "a", "aud": "me", "email": "signed@example.com", "name": "Ada" });
        assert_eq!(Value::Object(merged), want);
    }
}
