//! Sessions that get another secret.

use super::*;

pub(crate) async fn a_session_moves_to_a_new_secret<S: SessionStore + 'static>(bench: Bench<S>) {
    let user = somebody();
    let old = bench.log_in(&user).await;
    let (now, to) = (a_bit(bench.start), ticket());
    let moved = bench.store.rotate(&bench.ticket(&old), &to, now).await.unwrap().live().unwrap();
    assert_eq!(moved.activity, Activity { created: bench.start, last_seen: now });
    let new = Browser { cookie: bench.store.cookie_value(&to, &moved) };
    assert_eq!(bench.looked_at(&new, now).await, Found::Live(moved));
    assert_eq!(bench.looked_at(&old, now).await, Found::Revoked);
    assert_eq!(bench.store.rotate(&bench.ticket(&old), &ticket(), now).await, Ok(Found::Revoked));
    if bench.lists {
        assert_eq!(bench.listed(&user).await, 1);
    }
    assert!(bench.store.remove(&bench.ticket(&new), now).await.unwrap().is_some());
    assert_eq!(bench.looked_at(&new, now).await, Found::Revoked);
}

pub(crate) async fn of_many_rotations_one_succeeds<S: SessionStore + 'static>(bench: Bench<S>) {
    for _ in 0..20 {
        let user = somebody();
        let browser = bench.log_in(&user).await;
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (bench, from) = (bench.clone(), bench.ticket(&browser));
            crowd.spawn(async move {
                for _ in 0..5 {
                    bench.store.touch(&from, bench.start).await.unwrap();
                }
                let to = ticket();
                let moved = bench.store.rotate(&from, &to, bench.start).await.unwrap();
                moved
                    .live()
                    .map(|stored| Browser { cookie: bench.store.cookie_value(&to, &stored) })
            });
        }
        let moved: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
        assert_eq!(moved.len(), 1);
        assert!(bench.is_live(&moved[0], bench.start).await);
        assert_eq!(bench.looked_at(&browser, bench.start).await, Found::Revoked);
        if bench.lists {
            assert_eq!(bench.listed(&user).await, 1);
        }
    }
}

/// A taken key belongs to somebody, who must neither lose their session nor get another.
pub(crate) async fn a_session_does_not_move_onto_another<S: SessionStore + 'static>(
    bench: Bench<S>,
) {
    if !bench.lists {
        // Where the cookie is the store, keys take no place.
        return;
    }
    let (one, two) = (bench.log_in(&somebody()).await, bench.log_in(&somebody()).await);
    let (from, to) = (bench.ticket(&one), bench.ticket(&two));
    let before = bench.looked_at(&two, bench.start).await;
    let moved = bench.store.rotate(&from, &to, bench.start).await;
    assert!(matches!(moved, Err(StoreError::Unavailable { .. })), "{moved:?}");
    assert!(bench.is_live(&one, bench.start).await);
    assert_eq!(bench.looked_at(&two, bench.start).await, before);
    // Nor onto the remains of one.
    bench.store.remove(&to, bench.start).await.unwrap();
    assert_ne!(bench.store.rotate(&from, &from, bench.start).await, Ok(Found::Nothing));
    assert!(bench.is_live(&one, bench.start).await);
}

/// Whichever comes first, nothing is alive afterwards.
pub(crate) async fn a_move_does_not_escape_a_logout_of_everything<S>(bench: Bench<S>)
where
    S: SessionStore + 'static,
{
    if !bench.lists {
        return;
    }
    let issuer = "https://id.example";
    for round in 0..60 {
        let user = somebody();
        let (sub, tokens) = (user.id().into(), tokens("access"));
        let idp = IdpSession { issuer: issuer.into(), sub, sid: Some(user.id().into()), tokens };
        let session =
            NewSession { user: user.clone(), idp: Some(Arc::new(idp)), agent: Agent::default() };
        let browser = bench.log_in_with(session, None, bench.start).await.unwrap();
        let (other, first) = (bench.clone(), bench.ticket(&browser));
        let moving = tokio::spawn(async move {
            let mut tickets = vec![first];
            for _ in 0..4 {
                let (from, to) = (tickets.last().unwrap(), ticket());
                let moved = other.store.rotate(from, &to, other.start).await.unwrap();
                tickets.push(to);
                if moved.live().is_none() {
                    break;
                }
            }
            tickets
        });
        let owner = Owner { tenant: user.tenant(), user: user.id() };
        let store = &bench.store;
        let ended = match round % 3 {
            0 => store.remove_by_user(owner, None, bench.start).await,
            1 => store.remove_by_idp_sid(issuer, user.id(), bench.start).await,
            _ => store.remove_by_idp_sub(issuer, user.id(), bench.start).await,
        };
        assert!(ended.is_ok());
        for ticket in moving.await.unwrap() {
            let found = store.get(&ticket, bench.start).await.unwrap();
            assert!(!matches!(found, Found::Live(_)), "round {round}");
        }
    }
}
