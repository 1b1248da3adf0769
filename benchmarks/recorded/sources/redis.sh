#!/usr/bin/env bash
# Records redis.log: a primary, a replica and a sentinel that write to one file, through load,
# refused log-ins, full disks, killed children, lost replicas and a failover. About three minutes.
# Usage: redis.sh INTO    (needs redis-server, redis-cli, redis-benchmark; root for the tmpfs)
set -u
into=$1
work=$(mktemp -d)
log=$work/redis.log
small=$work/small
port=9351
replica=9352
sentinel=9353
pids=()
mkdir -p "$small" "$work/a" "$work/b"
mount -t tmpfs -o size=2m tmpfs "$small"
trap 'for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null; done; umount "$small"; rm -rf "$work"' EXIT

serve() { # serve PORT FOLDER OPTIONS...
  redis-server --port "$1" --dir "$2" --logfile "$log" --loglevel verbose --bind 127.0.0.1 \
    --requirepass hunter2 --masterauth hunter2 --enable-debug-command yes --enable-protected-configs yes --save "" "${@:3}" &
  pids+=($!)
}
ask() { timeout 20 redis-cli --no-auth-warning -p "$port" -a hunter2 "$@"; }
ask_replica() { timeout 20 redis-cli --no-auth-warning -p "$replica" -a hunter2 "$@"; }
load() { timeout 20 redis-benchmark -q -p "$port" -a hunter2 -c "$1" -n "$2" -r 5000 -d "$3" -t set,get,lpush; }

{
# Starts that fail: a folder that is not there, an address in use, a word it does not know.
redis-server --port 9354 --dir "$work/none" --logfile "$log"
redis-server --port 9354 --logfile "$log" --maxmemory-policy sometimes
serve $port "$work/a" --latency-tracking no
sleep 1
redis-server --port $port --bind 127.0.0.1 --logfile "$log"
load 12 3000 64
for word in letmein hunter1 password; do
  for _ in 1 2 3; do timeout 5 redis-cli -p $port -a $word ping; done
done
timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf 'POST / HTTP/1.1\r\nHost: x\r\n\r\n' >&3; cat <&3"
timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf '*1\r\n\$abc\r\n' >&3; cat <&3"
timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf '*99999999\r\n' >&3; cat <&3"
# Saves that work, are killed, and find the disk full.
ask config set save "5 1"
load 6 2000 512
sleep 7
ask debug sleep 0.2
ask config set rdb-key-save-delay 4000
ask bgsave
sleep 1
child=$(pgrep -P "${pids[0]}" | head -1)
[ -n "$child" ] && kill -9 "$child"
ask config set rdb-key-save-delay 0
ask config set dir "$small"
ask set big "$(head -c 3000000 /dev/urandom | base64 -w0 | head -c 100000)"
for n in $(seq 1 30); do ask setrange "big:$n" 0 "$(head -c 80000 /dev/urandom | base64 -w0)"; done
ask bgsave; sleep 2; ask bgsave; sleep 6
ask set refused 1
ask config set appendonly yes; sleep 1
ask config set dir "$work/a"; ask bgsave; sleep 2
ask config set appendonly yes; sleep 1
load 5 500 64
ask bgrewriteaof; sleep 2
ask config set appendonly no
ask debug reload
# A replica that comes, is refused, is cut off, comes back.
serve $replica "$work/b" --replicaof "127.0.0.1 $port" --repl-timeout 5 --repl-backlog-size 64kb
sleep 3
load 8 2000 64
ask client kill type replica; sleep 2
ask_replica config set masterauth wrong; ask client kill type replica; sleep 4
ask_replica config set masterauth hunter2; sleep 3
ask_replica replicaof no one; load 5 300 32; ask_replica replicaof 127.0.0.1 $port; sleep 2
ask_replica set readonly 1
kill -STOP "${pids[1]}"; load 6 3000 900; sleep 9; kill -CONT "${pids[1]}"; sleep 3
ask config set client-output-buffer-limit "replica 32kb 16kb 1"
for n in $(seq 1 3); do ask setrange "big:$n" 0 "$(head -c 90000 /dev/urandom | base64 -w0)"; done
sleep 2
ask config set client-output-buffer-limit "replica 256mb 64mb 60"
# Scripts that do not end, memory that does.
ask config set lua-time-limit 200
for _ in 1 2 3; do
  ask eval "while true do end" 0 & sleep 0.8; ask ping; ask script kill; wait $!
done
ask config set maxmemory 3mb; ask config set maxmemory-policy noeviction; ask set more memory
ask config set maxmemory-policy allkeys-lru; load 10 1000 800
ask config set maxmemory 0
ask config set maxclients 4; load 20 200 16; ask config set maxclients 1000
ask config set loglevel debug; sleep 4; load 5 200 16; ask config set loglevel verbose
# A sentinel sees the primary die and makes the replica the primary.
printf 'port %s\nlogfile %s\ndir %s\nsentinel monitor shop 127.0.0.1 %s 1\nsentinel auth-pass shop hunter2\nsentinel down-after-milliseconds shop 2000\nsentinel failover-timeout shop 6000\n' \
  $sentinel "$log" "$work" $port > "$work/sentinel.conf"
redis-server "$work/sentinel.conf" --sentinel & pids+=($!)
sleep 5
kill -9 "${pids[0]}"; sleep 12
serve $port "$work/a"; sleep 14
load 10 500 64
kill -TERM "${pids[1]}"; sleep 6
serve $replica "$work/b"; sleep 8
for n in 1 2 3 4 5 6; do load 5 200 16; sleep 2; done
for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
sleep 3
} >/dev/null 2>"$work/errors"
cp "$work/errors" "$into/redis.stderr"
sed "s#$work#/srv/redis#g" "$log" > "$into/redis.log"
