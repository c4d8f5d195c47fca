use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::effects::{Clock as _, SystemClock, random};
use crate::identity::User;
use crate::policy::session::SessionSecret;
use crate::secret::Secret;
use crate::store::conformance::{self, Bench, LIFETIMES, PER_USER, suite};
use crate::store::{IdpSession, Tokens};

/// A server of our own, ended with the test.
struct Server {
    folder: TempDir,
    process: Child,
    options: Vec<String>,
}

impl Server {
    /// `None`, and a word about it, where there is no redis-server; an error in CI.
    async fn start(options: &[&str]) -> Option<Self> {
        let there = Command::new("redis-server").arg("--version").output().is_ok();
        if !there {
            assert!(std::env::var_os("CI").is_none(), "no redis-server: run .ci/setup");
            eprintln!("skipped: no redis-server");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|o| (*o).to_owned()).collect();
        let process = launch(folder.path(), &options);
        let server = Self { folder, process, options };
        server.wait().await;
        Some(server)
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("socket").display())
    }

    async fn wait(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut tries = 0;
        loop {
            let ping = async {
                let mut connection = client.get_multiplexed_async_connection().await?;
                cmd("PING").query_async::<String>(&mut connection).await
            };
            match ping.await {
                Ok(_) => return,
                Err(error) => assert!(tries < 500, "redis-server does not come up: {error}"),
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// As a machine that loses its power.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("socket"));
        self.process = launch(self.folder.path(), &self.options);
    }

    fn store(&self) -> RedisStore {
        RedisStore::new(&self.url(), false, LIFETIMES, PER_USER).unwrap()
    }
}

fn launch(folder: &Path, options: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    // Every write is on the disk before it is answered.
    command.args(["--port", "0", "--unixsocket"]).arg(folder.join("socket"));
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    command.args(options).arg("--dir").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

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

    async fn bench() -> Option<Bench<RedisStore>> {
        let server = Server::start(&[]).await?;
        let store = Arc::new(server.store());
        Some(Bench { store, start: present(), lists: true, kept: Some(Arc::new(server)) })
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
    let Some(server) = Server::start(&options).await else { return };
    let mut connection = redis::Client::open(server.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let slots = cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16383).to_owned();
    slots.exec_async(&mut connection).await.unwrap();
    let url = format!("redis://127.0.0.1:{port}");
    let store = RedisStore::new(&url, true, LIFETIMES, PER_USER).unwrap();
    let mut tries = 0;
    // It takes a moment until the cluster believes that it is whole.
    while let Err(error) = store.create(&ticket(), session(User::named("x")), None, present()).await
    {
        assert!(tries < 20, "{error}");
        tries += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let bench = Bench {
        store: Arc::new(store),
        start: present(),
        lists: true,
        kept: Some(Arc::new(server)),
    };
    conformance::what_was_stored_comes_back(bench.clone()).await;
    conformance::a_slow_request_does_not_undo_a_logout(bench.clone()).await;
    conformance::of_many_rotations_one_succeeds(bench.clone()).await;
    conformance::a_user_has_a_share_and_the_oldest_goes(bench.clone()).await;
    conformance::a_list_of_one_s_own(bench.clone()).await;
    conformance::logouts_that_begin_at_the_provider(bench).await;
}

#[tokio::test]
async fn two_instances_share_one_store() {
    let Some(server) = Server::start(&[]).await else { return };
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
    let Some(mut server) = Server::start(&[]).await else { return };
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
        server.wait().await;
        // The first question after the return is answered.
        let found = store.touch(&kept, now).await;
        assert!(matches!(found, Ok(Found::Live(_))), "{found:?}");
        assert_eq!(store.touch(&ended, now).await, Ok(Found::Revoked));
        assert_eq!(store.ready().await, Ok(()));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let Some(server) = Server::start(&[]).await else { return };
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
    let Some(server) = Server::start(&["--maxmemory", "1mb"]).await else { return };
    let error =
        server.store().create(&ticket(), session(User::named("ada")), None, present()).await;
    assert_eq!(error, Err(StoreError::Full));
}

#[tokio::test]
async fn a_dump_is_useless() {
    let Some(mut server) = Server::start(&[]).await else { return };
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
    let Some(server) = Server::start(&[]).await else { return };
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
    let Some(server) = Server::start(&[]).await else { return };
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
    let Some(server) = Server::start(&[]).await else { return };
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
    for list in idp_names(&stored).into_iter().chain([owner_name(stored.owner())]) {
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
