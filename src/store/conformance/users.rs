//! The sessions of a user, together.

use super::*;

pub(crate) async fn a_login_replaces_the_old_session_whoever_it_belonged_to<S>(bench: Bench<S>)
where
    S: SessionStore + 'static,
{
    for second in [somebody(), somebody()] {
        let first = somebody();
        let old = bench.log_in(&first).await;
        let session = NewSession::of(second.clone());
        let new = bench.log_in_with(session, Some(&old), bench.start).await.unwrap();
        assert_eq!(bench.looked_at(&old, bench.start).await, Found::Revoked);
        assert!(bench.is_live(&new, bench.start).await);
        if bench.lists {
            assert_eq!((bench.listed(&first).await, bench.listed(&second).await), (0, 1));
        }
    }
}

pub(crate) async fn a_user_has_a_share_and_the_oldest_goes<S: SessionStore + 'static>(
    bench: Bench<S>,
) {
    if !bench.lists {
        return;
    }
    let user = somebody();
    let mut browsers = Vec::new();
    let mut now = bench.start;
    for _ in 0..PER_USER {
        browsers.push(bench.log_in_at(&user, now).await);
        now = now.after(LIFETIMES.idle / 4);
    }
    // The first is the oldest, and in use; the second has just expired when the next one comes.
    let end = bench.start.after(LIFETIMES.idle / 4).after(LIFETIMES.idle);
    let half = bench.start.after(LIFETIMES.idle);
    for n in [0, 2] {
        bench.used(&mut browsers[n], half).await;
    }
    browsers.push(bench.log_in_at(&user, a_bit(end)).await);
    let mut live = Vec::new();
    for browser in &browsers {
        live.push(bench.is_live(browser, a_bit(end)).await);
    }
    assert_eq!(live, [true, false, true, true], "the expired go before the living");
    browsers.push(bench.log_in_at(&user, a_bit(end)).await);
    live.clear();
    for browser in &browsers {
        live.push(bench.is_live(browser, a_bit(end)).await);
    }
    assert_eq!(live, [false, false, true, true, true], "then the oldest go");
    assert_eq!(bench.looked_at(&browsers[0], a_bit(end)).await, Found::Revoked);
}

pub(crate) async fn the_same_id_in_another_tenant_is_another_user<S: SessionStore + 'static>(
    bench: Bench<S>,
) {
    let here = somebody();
    let there = User::new(here.id(), "another", &raw("{}").unwrap());
    let mut browsers = Vec::new();
    for user in [&here, &there] {
        for _ in 0..PER_USER {
            browsers.push(bench.log_in(user).await);
        }
    }
    for browser in &browsers {
        assert!(bench.is_live(browser, bench.start).await);
    }
    if bench.lists {
        let owner = Owner { tenant: there.tenant(), user: there.id() };
        assert_eq!(bench.store.remove_by_user(owner, None, bench.start).await, Ok(PER_USER));
        assert_eq!(bench.listed(&here).await, PER_USER);
    }
}

pub(crate) async fn two_logins_at_once_keep_the_share<S: SessionStore + 'static>(bench: Bench<S>) {
    if !bench.lists {
        return;
    }
    let user = somebody();
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (bench, user) = (bench.clone(), user.clone());
        crowd.spawn(async move {
            let mut browsers = Vec::new();
            for _ in 0..10 {
                browsers.push(bench.log_in(&user).await);
            }
            browsers
        });
    }
    let browsers: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
    let mut live = 0;
    for browser in &browsers {
        live += usize::from(bench.is_live(browser, bench.start).await);
    }
    assert_eq!((live, bench.listed(&user).await), (PER_USER, PER_USER));
}

pub(crate) async fn a_list_of_one_s_own<S: SessionStore + 'static>(bench: Bench<S>) {
    let user = somebody();
    let other_tenant = User::new(user.id(), "another", &raw("{}").unwrap());
    let owner = Owner { tenant: user.tenant(), user: user.id() };
    let mine = bench.log_in(&user).await;
    let listed = bench.store.list_by_user(owner, bench.start).await;
    if !bench.lists {
        assert_eq!(listed, Err(StoreError::Unsupported));
        let handle = bench.ticket(&mine).key().handle();
        let now = bench.start;
        assert_eq!(
            bench.store.remove_by_user(owner, None, now).await,
            Err(StoreError::Unsupported)
        );
        let by_handle = bench.store.remove_by_handle(owner, handle, now).await;
        assert_eq!(by_handle, Err(StoreError::Unsupported));
        return;
    }
    let later = a_bit(bench.start);
    let second = bench.log_in_at(&user, later).await;
    let theirs = bench.log_in(&other_tenant).await;
    let strangers = bench.log_in(&somebody()).await;
    let listed = bench.store.list_by_user(owner, later).await.unwrap();
    let handles: Vec<_> = listed.iter().map(|line| line.handle).collect();
    let handle = |browser: &Browser| bench.ticket(browser).key().handle();
    assert_eq!(handles, [handle(&second), handle(&mine)], "newest first");
    assert_eq!(listed[0].activity, Activity { created: later, last_seen: later });

    // What is not one's own cannot be ended by its handle.
    for browser in [&theirs, &strangers] {
        let ended = bench.store.remove_by_handle(owner, handle(browser), later).await;
        assert_eq!(ended, Ok(false));
        assert!(bench.is_live(browser, later).await);
    }
    assert_eq!(bench.store.remove_by_handle(owner, handle(&mine), later).await, Ok(true));
    assert_eq!(bench.store.remove_by_handle(owner, handle(&mine), later).await, Ok(false));
    assert_eq!(bench.looked_at(&mine, later).await, Found::Revoked);
    assert_eq!(bench.listed(&user).await, 1);
    // Past its time a session is not listed.
    let end = later.after(LIFETIMES.idle);
    assert_eq!(bench.store.list_by_user(owner, a_bit(end)).await.unwrap(), []);
}

pub(crate) async fn ending_all_but_one<S: SessionStore + 'static>(bench: Bench<S>) {
    if !bench.lists {
        return;
    }
    let (user, other) = (somebody(), somebody());
    let owner = Owner { tenant: user.tenant(), user: user.id() };
    let (kept, gone) = (bench.log_in(&user).await, bench.log_in(&user).await);
    let stranger = bench.log_in(&other).await;
    let ticket = bench.ticket(&kept);
    assert_eq!(bench.store.remove_by_user(owner, Some(&ticket), bench.start).await, Ok(1));
    assert!(bench.is_live(&kept, bench.start).await);
    assert_eq!(bench.looked_at(&gone, bench.start).await, Found::Revoked);
    assert_eq!(bench.store.remove_by_user(owner, None, bench.start).await, Ok(1));
    assert_eq!(bench.store.remove_by_user(owner, None, bench.start).await, Ok(0));
    assert_eq!(bench.looked_at(&kept, bench.start).await, Found::Revoked);
    assert!(bench.is_live(&stranger, bench.start).await);
}

pub(crate) async fn logouts_that_begin_at_the_provider<S: SessionStore + 'static>(bench: Bench<S>) {
    let issuer = "https://id.example";
    let sub = somebody();
    let session = |issuer: &str, sid: Option<&str>| NewSession {
        user: somebody(),
        idp: Some(Arc::new(IdpSession {
            issuer: issuer.into(),
            sub: sub.id().into(),
            sid: sid.map(Into::into),
            tokens: tokens("access"),
        })),
        agent: Agent::default(),
    };
    let sid = format!("sid-of-{}", sub.id());
    let mut browsers = Vec::new();
    for session in [
        session(issuer, Some(&sid)),
        session(issuer, Some("another")),
        session("https://elsewhere.example", Some(&sid)),
        session(issuer, None),
    ] {
        browsers.push(bench.log_in_with(session, None, bench.start).await.unwrap());
    }
    let by_sid = bench.store.remove_by_idp_sid(issuer, &sid, bench.start).await;
    if !bench.lists {
        assert_eq!(by_sid, Err(StoreError::Unsupported));
        let by_sub = bench.store.remove_by_idp_sub(issuer, sub.id(), bench.start).await;
        assert_eq!(by_sub, Err(StoreError::Unsupported));
        return;
    }
    assert_eq!(by_sid, Ok(1));
    assert_eq!(bench.store.remove_by_idp_sid(issuer, &sid, bench.start).await, Ok(0));
    let mut live = Vec::new();
    for browser in &browsers {
        live.push(bench.is_live(browser, bench.start).await);
    }
    assert_eq!(live, [false, true, true, true]);
    // A session that has moved to another secret is still found.
    let (to, from) = (ticket(), bench.ticket(&browsers[3]));
    assert!(bench.store.rotate(&from, &to, bench.start).await.unwrap().live().is_some());
    assert_eq!(bench.store.remove_by_idp_sub(issuer, sub.id(), bench.start).await, Ok(2));
    assert_eq!(bench.store.get(&to, bench.start).await, Ok(Found::Revoked));
    assert!(bench.is_live(&browsers[2], bench.start).await, "another provider's");
}
