#!/usr/bin/env bash
# Real tools against the service on loopback, each bounded; `just attack`. What they showed is in docs/reliability.md.
# Wants slowhttptest, h2load (nghttp2-client), sslscan, openssl and curl; BINARY is the service's.
set -euo pipefail
binary=$(realpath "${1:?usage: run.sh BINARY}")
for tool in slowhttptest h2load sslscan openssl curl; do
    command -v "$tool" > /dev/null || { echo "$tool is missing: apt-get install slowhttptest nghttp2-client sslscan openssl curl" >&2; exit 3; }
done
folder=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
    rm -rf "$folder"
}
trap finish EXIT
cd "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2> /dev/null

# start NAME SCHEME LINES: a service in development mode; sets address and admin.
start() {
    cat > "$1.toml" << END
[server]
listen = ["127.0.0.1:0"]
admin_listen = ["127.0.0.1:0"]
public_origin = "$2://localhost"
limits = { head = "3s", body = "3s", write = "3s", idle = "6s" }
$3
[cors]
allow_origins = ["$2://localhost:3000"]
[dev]
enabled = true
END
    "$binary" --config "$1.toml" > "$1.out" 2> "$1.err" &
    pids+=($!)
    for _ in $(seq 100); do
        grep -q "Ctrl-C" "$1.out" && break
        sleep 0.1
    done
    address=$(sed -n 's/.*listening //p' "$1.out")
    admin=$(sed -n 's,.*admin *\(http://[^/]*\).*,\1,p' "$1.out")
}
after() {
    curl -s -o /dev/null -w "another client: %{http_code} after %{time_total} s\n" "$1/api/auth/session"
    curl -s "$admin/metrics" | grep -E "^withcreds_(connections_cut_total|connections_open|panics_total)"
}

start plain http ""
for mode in "-H -i 1" "-B -i 1 -s 8192 -f application/json" "-X -w 1 -y 1 -n 1 -z 1 -k 3"; do
    echo "== slowhttptest $mode"
    # shellcheck disable=SC2086
    timeout 60 slowhttptest -c 400 -r 200 -l 12 -p 2 $mode -u "http://$address/api/auth/login" 2>&1 |
        sed 's/\x1b\[[0-9;]*[mHJ]//g' | grep -E "^(closed|connected|error|pending|Exit)" | tail -5 || true
    after "http://$address"
done

start tls https 'tls = { cert = "cert.pem", key = "key.pem" }'
port=${address##*:}
echo "== h2load"
timeout 60 h2load -n 20000 -c 20 -m 50 "https://localhost:$port/api/auth/session" | grep -E "^(finished|requests|status|Application)"
echo "== h2load while it stops"
timeout 30 h2load -D 4 -c 20 -m 20 "https://localhost:$port/api/auth/session" > stop.out 2>&1 &
load=$!
sleep 1.5
echo "== sslscan"
sslscan --no-colour "127.0.0.1:$port" | grep -E "^(SSL|TLS|Preferred|Accepted|Session|Signature)" || true
curl -s "$admin/metrics" | grep -E "^withcreds_(tls_handshakes_total|panics_total)"
kill "${pids[1]}"
wait "${pids[1]}" && echo "the service drained"
wait "$load" || true
grep -E "^(finished|requests|status)" stop.out
