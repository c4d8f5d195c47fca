#!/usr/bin/env bash
# The service beside its peers, in the same rounds on this machine: CPU per request, pinned to one core.
#
#   tests/benches/peers.sh PATH_TO_PEERS [arguments of its run_peers.sh]
#
# PATH_TO_PEERS is the folder with run_peers.sh (not part of this repository).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
peers=${1:?"usage: tests/benches/peers.sh PATH_TO_PEERS [arguments]"}
shift
cargo build --release --quiet --manifest-path "$root/Cargo.toml" -p withcreds
target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$root/Cargo.toml" |
  sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
exec "$peers/run_peers.sh" \
  --extra ours http://127.0.0.1:4200 \
  --extra-cmd ours "$target/release/withcreds serve --config $here/peers.toml" \
  --login-body '{"username":"alice","password":"correct"}' --cookie-name sid "$@"
