# Every supported command. `just` lists them.

# List the commands
default:
    @just --list --unsorted

# Run the service and the page in development mode: http://localhost:3000
[group('run')]
run *ARGS:
    cargo run --release -- {{ ARGS }}

# Prove the claims in real browsers, e.g. `just prove --engine firefox --controls`
[group('run')]
prove *ARGS: setup
    cargo run --quiet -p withcreds-harness -- prove {{ ARGS }}

# What a line of a browser's console means, e.g. `just explain acao-missing`
[group('run')]
[positional-arguments]
explain *TEXT:
    @cargo run --quiet -p withcreds-harness --no-default-features -- explain "$@"

# What is wrong with a running backend, e.g. `just doctor http://localhost:8080/api/auth/session --origin http://localhost:3000`
[group('run')]
[positional-arguments]
doctor *ARGS:
    @cargo run --quiet -p withcreds-harness --no-default-features -- doctor "$@"

# What went wrong in a recording, or is wrong in a copied line, e.g. `just diagnose app.example.com.har`
[group('run')]
[positional-arguments]
diagnose *ARGS:
    @cargo run --quiet -p withcreds-harness --no-default-features -- diagnose "$@"

# All tests, browsers included; sets up what is missing
[group('test')]
test: setup
    CI=true cargo test -p withcreds
    CI=true cargo test -p withcreds-harness

# The tests that need no browser: seconds
[group('test')]
quick:
    cargo test -p withcreds
    cargo test -p withcreds-harness --no-default-features

# Random policies, requests, configurations and cookies against the model, for SECONDS
[group('test')]
fuzz SECONDS="60":
    WITHCREDS_FUZZ_SECONDS={{ SECONDS }} cargo test -p withcreds --test cors -- --ignored --nocapture batches_hold_until_time_is_up

# Ask other CORS libraries again what the tables say they answer; installs each for the moment
[group('test')]
peers *NAMES:
    python3 tests/cors/peers/record/record.py {{ NAMES }}

# Slow clients, floods and TLS scans by real tools, on loopback (slowhttptest, h2load, sslscan)
[group('test')]
attack:
    cargo build
    tests/attacks/run.sh "${CARGO_TARGET_DIR:-target}/debug/withcreds"

# One engine, claim, client or topology, e.g. `just repro firefox::same-site::csrf-token::xhr`
[group('test')]
repro FILTER: setup
    CI=true cargo test -p withcreds-harness --test browsers -- {{ FILTER }}

# Install what tests need: three engines and redis-server (Debian, Ubuntu), and the npm packages
[group('test')]
setup:
    @.ci/setup

# All tests, and an engine that is missing is an error, not skipped
[group('test')]
test-require:
    .ci/setup --require
    WITHCREDS_REQUIRE_ENGINES=1 just test

# The binary, its manual page and completions in DIR
[group('run')]
dist DIR="dist":
    cargo build --release --locked
    mkdir -p "{{ DIR }}"
    cp "${CARGO_TARGET_DIR:-target}/release/withcreds" "{{ DIR }}/"
    "{{ DIR }}/withcreds" man > "{{ DIR }}/withcreds.1"
    for shell in bash zsh fish; do "{{ DIR }}/withcreds" completions $shell > "{{ DIR }}/withcreds.$shell"; done

# Formatting and clippy, warnings as errors
[group('check')]
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy -p withcreds-harness --no-default-features --all-targets -- -D warnings

# The documentation of the crates, warnings as errors
[group('check')]
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# What CI runs, here
[group('check')]
ci:
    bash .ci/run

# Functions (criterion), a million sessions, then verdicts a second; `just bench PEERS` adds the service beside its peers
[group('measure')]
bench PEERS="" *ARGS="":
    cargo bench --bench decisions -- --noplot
    cargo bench --bench memory
    just prove --format json | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["summary"]["timing"]))'
    {{ if PEERS == "" { "@echo 'just bench PATH_TO_PEERS measures the service beside its peers, too'" } else { "tests/benches/peers.sh " + PEERS + " " + ARGS } }}
