mod server;

use std::process::Command;
use std::sync::{Arc, Mutex};

use redis::cmd;

use self::server::Server;
use super::names::{idp_name, owner_name};
use super::*;
use crate::effects::{Clock as _, SystemClock, random};
use crate::identity::User;
use crate::policy::agent::Agent;
use crate::policy::session::SessionSecret;
use crate::secret::Secret;
use crate::store::conformance::{self, Bench, LIFETIMES, PER_USER, suite};
use crate::store::{IdpSession, Tokens};

fn ticket() -> Ticket {
    Ticket::new(SessionSecret::from_random(random()))
}

/// The server itself drops what is past its time, so tests begin at the present moment.
fn present() -> UnixMillis {
    SystemClock::new().now()
}

fn session(user: User) -> NewSession {
    let tokens = Tokens {
        access: Some(Secret::new("the-access-token".into())),
        refresh: Some(Secret::new("the-refresh-token".into())),
        ..Tokens::default()
    };
    let (issuer, sub, sid) = ("https://id.example".into(), "a-sub".into(), Some("a-sid".into()));
    let idp = Some(Arc::new(IdpSession { issuer, sub, sid, tokens }));
    NewSession { user, idp, agent: Agent::default() }
}

mod conforms {
    use super::*;

    #[expect(clippy::unused_async, reason = "the suite awaits what makes a bench")]
    async fn bench() -> Option<Bench<RedisStore>> {
        // Behind a mutex: a receiver of lines is for one thread at a time.
        let server = Server::start(&[])?;
        let store = Arc::new(server.store());
        Some(Bench {
            store,
            start: present(),
            lists: true,
            kept: Some(Arc::new(Mutex::new(server))),
        })
    }

    suite!(bench());
}

/// A cluster of one machine refuses, as larger ones do, whatever touches two slots at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_on_a_cluster() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // Both at once, or the second might be the first; let go before the server comes.
    let ports = [free(), free()].map(|free| free.local_addr().unwrap().port().to_string());
    let [port, bus] = ports;
    let options = [
        "--port",
        &port,
        "--cluster-port",
        &bus,
        "--bind",
        "127.0.0.1",
        "--cluster-enabled",
        "yes",
    ];
    let Some(server) = Server::start(&options) else { return };
    let mut connection = redis::Client::open(server.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let slots = cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16383).to_owned();
    slots.exec_async(&mut connection).await.unwrap();
    let url = format!("redis://127.0.0.1:{port}");
    let store = RedisStore::new(&url, true, LIFETIMES, PER_USER).unwrap();
    server.wait_for("Cluster state changed: ok");
    let bench = Bench {
        store: Arc::new(store),
        start: present(),
        lists: true,
        kept: Some(Arc::new(Mutex::new(server))),
    };
    conformance::what_was_stored_comes_back(bench.clone()).await;
    conformance::a_slow_request_does_not_undo_a_logout(bench.clone()).await;
    conformance::of_many_rotations_one_succeeds(bench.clone()).await;
    conformance::a_move_does_not_escape_a_logout_of_everything(bench.clone()).await;
    conformance::a_user_has_a_share_and_the_oldest_goes(bench.clone()).await;
    conformance::a_list_of_one_s_own(bench.clone()).await;
    conformance::logouts_that_begin_at_the_provider(bench).await;
}

#[tokio::test]
async fn two_instances_share_one_store() {
    let Some(server) = Server::start(&[]) else { return };
    let (here, there) = (server.store(), server.store());
    let (ticket, now) = (ticket(), present());
    here.create(&ticket, session(User::named("ada")), None, now).await.unwrap();
    let change =
        |n: u32| Change { metadata: serde_json::value::to_raw_value(&n).ok(), tokens: None };
    let Ok(Updated::Done(_)) = there.update(&ticket, 0, change(1), now).await else {
        panic!("refused")
    };
    let Ok(Updated::Stale(seen)) = here.update(&ticket, 0, change(2), now).await else {
        panic!("not stale")
    };
    assert_eq!((seen.version, seen.user.metadata()), (1, "1"));
    assert!(there.remove(&ticket, now).await.unwrap().is_some());
    assert_eq!(here.touch(&ticket, now).await, Ok(Found::Revoked));
}

#[tokio::test]
async fn nothing_is_lost_when_the_server_dies_and_comes_back() {
    let Some(mut server) = Server::start(&[]) else { return };
    let store = server.store();
    let (kept, ended, now) = (ticket(), ticket(), present());
    store.create(&kept, session(User::named("ada")), None, now).await.unwrap();
    store.create(&ended, session(User::named("ada")), None, now).await.unwrap();
    store.remove(&ended, now).await.unwrap();

    for _ in 0..2 {
        server.kill();
        let (got, waited) = timed(store.touch(&kept, now)).await;
        assert!(matches!(got, Err(StoreError::Unavailable { .. })), "{got:?}");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
        assert!(store.ready().await.is_err());

        server.restart();
        // The first question after the return is answered.
        let found = store.touch(&kept, now).await;
        assert!(matches!(found, Ok(Found::Live(_))), "{found:?}");
        assert_eq!(store.touch(&ended, now).await, Ok(Found::Revoked));
        assert_eq!(store.ready().await, Ok(()));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    let (ticket, now) = (ticket(), present());
    store.create(&ticket, session(User::named("ada")), None, now).await.unwrap();
    let signal = |name: &str| {
        let status = Command::new("kill").arg(name).arg(server.process.id().to_string()).status();
        assert!(status.unwrap().success());
    };
    signal("-STOP");
    let (got, waited) = timed(store.get(&ticket, now)).await;
    signal("-CONT");
    assert!(matches!(got, Err(StoreError::Unavailable { .. })), "{got:?}");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    assert!(matches!(store.get(&ticket, now).await, Ok(Found::Live(_))));
}

async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let clock = SystemClock::new();
    let begun = clock.now();
    let out = what.await;
    (out, Duration::from_millis(clock.now().0 - begun.0))
}

#[tokio::test]
async fn a_full_server_refuses_the_login() {
    let Some(server) = Server::start(&["--maxmemory", "100kb"]) else { return };
    let error =
        server.store().create(&ticket(), session(User::named("ada")), None, present()).await;
    assert_eq!(error, Err(StoreError::Full));
}

#[tokio::test]
async fn a_dump_is_useless() {
    let Some(mut server) = Server::start(&[]) else { return };
    let store = server.store();
    let user = User::from_parts("ada-lovelace", "the-tenant", "{\"email\":\"ada@example.com\"}");
    let (ticket, to, now) = (ticket(), ticket(), present());
    let stored = store.create(&ticket, session(user), None, now).await.unwrap();
    let tokens = stored.idp.as_ref().map(|idp| idp.tokens.clone());
    store.update(&ticket, 0, Change { tokens, metadata: None }, now).await.unwrap();
    store.rotate(&ticket, &to, now).await.unwrap();
    server.kill();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(server.folder.path().join("appendonlydir")).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(find(&bytes, b"withcreds:s:"), "this is not the dump");
    for part in [
        &b"the-access-token"[..],
        b"the-refresh-token",
        b"ada-lovelace",
        b"ada@example.com",
        b"the-tenant",
        b"a-sub",
        b"a-sid",
        ticket.secret().expose(),
        ticket.secret().to_cookie_value().as_bytes(),
        to.secret().to_cookie_value().as_bytes(),
    ] {
        assert!(!find(&bytes, part), "{} is readable", part.escape_ascii());
    }
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn whoever_writes_to_the_server_can_neither_swap_nor_prolong() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    let (one, other, now) = (ticket(), ticket(), present());
    for ticket in [&one, &other] {
        store.create(ticket, session(User::named("ada")), None, now).await.unwrap();
    }
    let (one_name, other_name) = (session_name(one.key()), session_name(other.key()));
    let record: Vec<u8> = store.command(cmd("HGET").arg(&other_name).arg("d")).await.unwrap();
    let _: i64 = store.command(cmd("HSET").arg(&one_name).arg("d").arg(record)).await.unwrap();
    assert_eq!(store.get(&one, now).await, Ok(Found::Nothing));
    let later = now.after(LIFETIMES.absolute).0;
    let _: i64 = store.command(cmd("HSET").arg(&other_name).arg("c").arg(later)).await.unwrap();
    assert_eq!(store.get(&other, now).await, Ok(Found::Nothing));
}

/// The moment between a look and a change, which no request is fast enough to hit on purpose.
#[tokio::test]
async fn a_change_after_the_end_writes_nothing() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    let (ended, unknown, now) = (ticket(), ticket(), present());
    store.create(&ended, session(User::named("ada")), None, now).await.unwrap();
    store.remove(&ended, now).await.unwrap();
    for (ticket, fields) in [(&ended, &["r"][..]), (&unknown, &[])] {
        let name = session_name(ticket.key());
        for version in [0, 1] {
            let mut script = store.scripts.change.key(&name);
            store.times(&mut script, now);
            script.arg(version).arg(version + 1).arg("record");
            let answer: Vec<String> = store.script(&script).await.unwrap();
            assert_eq!(answer, ["gone"]);
        }
        store.look(ticket, true, now).await.unwrap();
        // Of what was ended only that it was is left.
        let left: Vec<String> = store.command(cmd("HKEYS").arg(&name)).await.unwrap();
        assert_eq!(left, fields);
    }
}

#[tokio::test]
async fn the_server_itself_forgets() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    let (ticket, now) = (ticket(), present());
    let stored = store.create(&ticket, session(User::named("ada")), None, now).await.unwrap();
    let left = async |name: String| {
        let left: i64 = store.command(cmd("PTTL").arg(name)).await.unwrap();
        Duration::from_millis(u64::try_from(left).expect("an end"))
    };
    let session = session_name(ticket.key());
    let until_the_end = left(session.clone()).await;
    assert!(until_the_end <= LIFETIMES.idle + REMEMBERED);
    assert!(until_the_end > LIFETIMES.idle / 2 + REMEMBERED);
    for list in lists(&stored) {
        assert!(left(list).await <= LIFETIMES.absolute);
    }
    // Use moves the end; the absolute one is never passed.
    store.touch(&ticket, now.after(LIFETIMES.idle)).await.unwrap();
    assert!(left(session.clone()).await > LIFETIMES.idle + REMEMBERED);
    for n in 2..=3 {
        store.touch(&ticket, now.after(LIFETIMES.idle * n)).await.unwrap();
    }
    assert!(left(session.clone()).await <= LIFETIMES.absolute + REMEMBERED);
    store.remove(&ticket, now).await.unwrap();
    assert!(left(session).await <= REMEMBERED);
}

async fn members(store: &RedisStore, list: &str) -> usize {
    store.command(cmd("ZCARD").arg(list)).await.unwrap()
}

fn some_lists() -> [String; 3] {
    let owner = Owner { tenant: "default", user: "ada" };
    let issuer = "https://id.example";
    [owner_name(owner), idp_name("sid", issuer, "a-sid"), idp_name("sub", issuer, "a-sub")]
}

#[tokio::test]
async fn what_ends_leaves_every_list_that_names_it() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, now) = (server.store(), present());
    let owner = Owner { tenant: "default", user: "ada" };
    for way in ["logout", "handle", "user", "sid", "sub", "login", "move", "share"] {
        let (one, two) = (ticket(), ticket());
        store.create(&one, session(User::named("ada")), None, now).await.unwrap();
        match way {
            "logout" => assert!(store.remove(&one, now).await.unwrap().is_some()),
            "handle" => {
                let ended = store.remove_by_handle(owner, one.key().handle(), now).await;
                assert_eq!(ended, Ok(true));
            }
            "user" => assert_eq!(store.remove_by_user(owner, None, now).await, Ok(1)),
            "sid" => {
                let ended = store.remove_by_idp_sid("https://id.example", "a-sid", now).await;
                assert_eq!(ended, Ok(1));
            }
            "sub" => {
                let ended = store.remove_by_idp_sub("https://id.example", "a-sub", now).await;
                assert_eq!(ended, Ok(1));
            }
            "login" => {
                let session = session(User::named("ada"));
                store.create(&two, session, Some(&one), now).await.unwrap();
            }
            "move" => assert!(store.rotate(&one, &two, now).await.unwrap().live().is_some()),
            _ => {
                for _ in 0..2 * PER_USER {
                    store.create(&ticket(), session(User::named("ada")), None, now).await.unwrap();
                }
            }
        }
        let left = match way {
            "login" | "move" => 1,
            "share" => PER_USER,
            _ => 0,
        };
        for list in some_lists() {
            assert_eq!(members(&store, &list).await, left, "{way}: {list}");
        }
        store.remove_by_user(owner, None, now).await.unwrap();
    }
}

/// Sessions that end by themselves, with no script to take them off anything.
#[tokio::test]
async fn lists_drop_what_has_ended_by_itself() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, start) = (server.store(), present());
    let step = LIFETIMES.absolute / 6;
    let mut now = start;
    for _ in 0..30 {
        // Another user each time, but one subject and one session at the provider.
        let user = User::named(&format!("user-{}", now.0));
        store.create(&ticket(), session(user), None, now).await.unwrap();
        now = now.after(step);
    }
    for list in &some_lists()[1..] {
        assert!(members(&store, list).await <= 7, "{list}");
    }
    // The youngest decides how long a list lives, also after it has moved.
    let (from, to) = (ticket(), ticket());
    let stored = store.create(&from, session(User::named("ada")), None, now).await.unwrap();
    let later = now.after(LIFETIMES.idle / 2);
    assert!(store.rotate(&from, &to, later).await.unwrap().live().is_some());
    for list in lists(&stored) {
        let ends: u64 = store.command(cmd("PEXPIRETIME").arg(&list)).await.unwrap();
        assert_eq!(ends, now.after(LIFETIMES.absolute).0, "{list}");
    }
}

/// A move, step by step, and what may come in between.
#[tokio::test]
async fn a_move_can_be_stopped_at_each_step() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, now) = (server.store(), present());
    let owner = Owner { tenant: "default", user: "ada" };
    for steps in 1..=3 {
        let (from, to) = (ticket(), ticket());
        let stored = store.create(&from, session(User::named("ada")), None, now).await.unwrap();
        store.announce(&to, &stored, now).await.unwrap();
        assert_eq!(store.get(&to, now).await, Ok(Found::Nothing));
        assert_eq!(store.list_by_user(owner, now).await.unwrap().len(), 1);
        if steps > 1 {
            store.end_of(&from, IfLost::Tell).await.unwrap().unwrap();
            assert_eq!(store.list_by_user(owner, now).await.unwrap().len(), 0);
        }
        if steps > 2 {
            assert!(store.arrive(&to, &stored).await.unwrap());
            assert!(store.arrive(&to, &stored).await.unwrap(), "asked again");
        }
        store.remove_by_user(owner, None, now).await.unwrap();
        if steps == 1 {
            assert!(store.end_of(&from, IfLost::Tell).await.unwrap().is_none());
        }
        if steps < 3 {
            assert!(!store.arrive(&to, &stored).await.unwrap());
        }
        for ticket in [&from, &to] {
            assert_eq!(store.get(ticket, now).await, Ok(Found::Revoked), "{steps}");
        }
        for list in some_lists() {
            assert_eq!(members(&store, &list).await, 0, "{steps}: {list}");
        }
    }
}

#[test]
fn addresses() {
    for (url, good) in [
        ("redis://127.0.0.1:6379", true),
        ("rediss://user:secret@cache.example.com:6380/1", true),
        ("redis+unix:///run/redis.sock", true),
        ("http://cache.example.com", false),
        ("cache.example.com:6379", false),
        ("", false),
    ] {
        let store = RedisStore::new(url, false, LIFETIMES, PER_USER);
        assert_eq!(store.is_ok(), good, "{url}");
        assert!(!format!("{store:?}").contains("secret"));
    }
}
