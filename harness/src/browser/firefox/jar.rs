//! Which of Firefox's cookies are in which jar. No IO.
//!
//! The protocol has no word for it: asked without an origin it lists the cookies of *all* partitions,
//! each as often as there are jars that hold it; asked for a page, those of the page's partition and
//! those of the page's own site (measured in Firefox 153). So what a page shows of other sites is
//! partitioned, and what is left over is not.

use serde_json::Value;
use url::Url;

use crate::browser::jar::JarCookie;

/// The cookies of all jars, each with its partition. Of a partition that none of `pages` has, the
/// protocol tells nothing: its cookies count as unpartitioned.
///
/// `all` and `pages` are answers of `storage.getCookies`: without an origin, and for each open page.
pub(super) fn sort(all: &Value, pages: &[Value]) -> Vec<JarCookie> {
    // Pages of one site share a partition.
    let mut partitions: Vec<(String, &str, Vec<JarCookie>)> = Vec::new();
    for page in pages {
        let Some(origin) = page["partitionKey"]["sourceOrigin"].as_str() else { continue };
        let site = site_of_origin(origin);
        if partitions.iter().all(|(known, ..)| *known != site) {
            partitions.push((site, origin, cookies(page)));
        }
    }
    let mut unclaimed = cookies(all);
    let mut sorted = Vec::new();
    for (site, origin, shown) in partitions {
        let foreign =
            shown.into_iter().filter(|c| !site.ends_with(&format!("/{}", site_of(&c.domain))));
        for cookie in foreign {
            if let Some(at) = unclaimed.iter().position(|other| *other == cookie) {
                unclaimed.swap_remove(at);
            }
            sorted.push(JarCookie { partition_key: Some(origin.to_owned()), ..cookie });
        }
    }
    unclaimed.into_iter().chain(sorted).collect()
}

fn cookies(answer: &Value) -> Vec<JarCookie> {
    let list = answer["cookies"].as_array().into_iter().flatten();
    list.map(JarCookie::from_bidi).collect()
}

/// The schemeful site of an origin: `https/example.com`.
fn site_of_origin(origin: &str) -> String {
    let Ok(url) = Url::parse(origin) else { return origin.to_owned() };
    format!("{}/{}", url.scheme(), site_of(url.host_str().unwrap_or_default()))
}

/// The registrable domain of a host, or the host itself if it has none.
fn site_of(host: &str) -> &str {
    let host = host.trim_start_matches('.');
    psl::domain_str(host).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cookie(domain: &str, value: &str) -> Value {
        json!({"name": "sid", "value": {"type": "string", "value": value}, "domain": domain,
            "path": "/", "secure": true, "httpOnly": true, "sameSite": "none"})
    }

    fn page(origin: &str, cookies: &[Value]) -> Value {
        json!({"cookies": cookies, "partitionKey": {"sourceOrigin": origin, "userContext": "default"}})
    }

    /// Value and partition of each, in the order in which they come.
    fn sorted(all: &[Value], pages: &[Value]) -> Vec<(String, Option<String>)> {
        let all = json!({"cookies": all, "partitionKey": {"userContext": "default"}});
        sort(&all, pages).into_iter().map(|c| (c.value, c.partition_key)).collect()
    }

    fn is(value: &str, partition: Option<&str>) -> (String, Option<String>) {
        (value.to_owned(), partition.map(str::to_owned))
    }

    #[test]
    fn a_cookie_is_partitioned_where_a_page_of_another_site_shows_it() {
        let (app, admin) = ("https://app.example.com", "https://admin.example.com:8443");
        let api = |value: &str| cookie("api.example.net", value);
        let own = || cookie(".example.com", "own");
        for (case, all, pages, want) in [
            ("no page is open", vec![api("1")], vec![], vec![is("1", None)]),
            (
                "pages of one site share a partition",
                vec![api("1")],
                vec![page(app, &[api("1")]), page(admin, &[api("1")])],
                vec![is("1", Some(app))],
            ),
            (
                "the same cookie outside as well",
                vec![api("1"), api("1")],
                vec![page(app, &[api("1")])],
                vec![is("1", None), is("1", Some(app))],
            ),
            (
                "another one outside",
                vec![api("2"), api("1")],
                vec![page(app, &[api("1")])],
                vec![is("2", None), is("1", Some(app))],
            ),
            (
                "what a page shows of its own site is not partitioned",
                vec![own()],
                vec![page(app, &[own()])],
                vec![is("own", None)],
            ),
            (
                "http is another site",
                vec![api("1")],
                vec![page(app, &[api("1")]), page("http://app.example.com", &[])],
                vec![is("1", Some(app))],
            ),
        ] {
            assert_eq!(sorted(&all, &pages), want, "{case}");
        }
    }
}
