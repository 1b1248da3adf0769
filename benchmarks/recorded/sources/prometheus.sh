#!/usr/bin/env bash
# Records prometheus.log: a server that scrapes itself, dead and broken targets, evaluates rules of
# which some fail, is reloaded with bad settings, killed, and started again. About six minutes.
# Usage: prometheus.sh INTO    (needs prometheus and python3)
set -u
into=$1
work=$(mktemp -d)
log=$work/prometheus.log
port=9381
pids=()
trap 'for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null; done; rm -rf "$work"' EXIT
mkdir "$work/sd" "$work/web"
printf 'broken{ 12\n' > "$work/web/garbage"
printf 'a{x="1"} 1\na{x="1"} 2\n' > "$work/web/duplicate"
printf 'a 1 1000\na 2 900\n' > "$work/web/old"
for n in $(seq 1 300); do echo "many{n=\"$n\"} $n"; done > "$work/web/many"
for n in $(seq 1 40); do echo "pair{n=\"$n\",side=\"l\"} $n"; echo "pair{n=\"$n\",side=\"r\"} $n"; done > "$work/web/pairs"
( cd "$work/web" && exec python3 -m http.server --bind 127.0.0.1 $((port + 1)) ) >/dev/null 2>&1 & pids+=($!)

cat > "$work/rules.yml" <<'C'
groups:
  - name: shop
    interval: 4s
    rules:
      - {record: "job:up:sum", expr: "sum by (job) (up)"}
      - {record: "twice", expr: "pair * on (n) pair"}
      - {record: "same", expr: "label_replace(pair, \"side\", \"x\", \"side\", \".*\")"}
      - alert: TargetDown
        expr: up{job="missing"} == 0
        labels: {severity: page}
        annotations: {text: "{{ $labels.job }} is down {{ template \"none\" }}"}
      - {alert: Always, expr: "vector(1)"}
C
cat > "$work/good.yml" <<C
global: {scrape_interval: 3s, scrape_timeout: 2s, evaluation_interval: 4s}
rule_files: [$work/rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:9389"]}]}]}
remote_write: [{url: "http://127.0.0.1:9388/write", queue_config: {max_backoff: 2s}}]
scrape_configs:
  - {job_name: self, static_configs: [{targets: ["127.0.0.1:$port"]}]}
  - {job_name: dead, static_configs: [{targets: ["127.0.0.1:9387", "127.0.0.1:9386"]}]}
  - {job_name: missing, metrics_path: /nothing, static_configs: [{targets: ["127.0.0.1:$((port + 1))"]}]}
  - {job_name: garbage, metrics_path: /garbage, static_configs: [{targets: ["127.0.0.1:$((port + 1))"]}]}
  - {job_name: duplicate, metrics_path: /duplicate, static_configs: [{targets: ["127.0.0.1:$((port + 1))"]}]}
  - {job_name: old, metrics_path: /old, static_configs: [{targets: ["127.0.0.1:$((port + 1))"]}]}
  - {job_name: many, sample_limit: 100, metrics_path: /many, static_configs: [{targets: ["127.0.0.1:$((port + 1))"]}]}
  - {job_name: pairs, metrics_path: /pairs, static_configs: [{targets: ["127.0.0.1:$((port + 1))"]}]}
  - {job_name: files, file_sd_configs: [{files: ["$work/sd/*.json"], refresh_interval: 10s}]}
  - {job_name: names, dns_sd_configs: [{names: ["shop.invalid"], refresh_interval: 8s}]}
  - {job_name: web, http_sd_configs: [{url: "http://127.0.0.1:$((port + 1))/sd.json", refresh_interval: 5s}]}
C
cp "$work/good.yml" "$work/now.yml"

launch() { # launch LEVEL OPTIONS...
  prometheus --config.file "$work/now.yml" --storage.tsdb.path "$work/data" --log.level "$1" \
    --web.listen-address "127.0.0.1:$port" --web.enable-lifecycle --web.enable-admin-api \
    --storage.tsdb.min-block-duration 20s --storage.tsdb.max-block-duration 60s \
    --storage.tsdb.retention.time 90s --storage.remote.flush-deadline 2s "${@:2}" 2>> "$log" & pid=$!; pids+=($pid)
}
ask() { curl -s -m 10 -o /dev/null "$@"; }

echo 'scrape_configs: [{job_name: x, scrape_interval: 1x}]' > "$work/now.yml"
launch info; sleep 1
cp "$work/good.yml" "$work/now.yml"
launch info
sleep 20
( prometheus --config.file "$work/now.yml" --storage.tsdb.path "$work/data" --web.listen-address "127.0.0.1:$port" 2>> "$log" ) & other=$!; sleep 3; kill -9 $other 2>/dev/null
echo '{"not": "a list"}' > "$work/sd/a.json"; sleep 12
echo '[{"targets": ["127.0.0.1:9384"]}]' > "$work/sd/a.json"; sleep 3
for change in 's/scrape_interval: 3s/scrape_interval: soon/' 's/job_name: dead/job_name: self/' 's#rules.yml#*.yaml[#' 's/garbage,/garbage, no_such_field: 1,/'; do
  sed "$change" "$work/good.yml" > "$work/now.yml"; kill -HUP $pid; sleep 2
  ask -X POST "http://127.0.0.1:$port/-/reload"
done
cp "$work/good.yml" "$work/now.yml"; kill -HUP $pid; sleep 25
ask -X POST "http://127.0.0.1:$port/api/v1/admin/tsdb/snapshot"
ask "http://127.0.0.1:$port/api/v1/query_range?query=sum(pair*on(n)pair)&start=1&end=2&step=1"
sleep 20
kill -9 $pid; sleep 1
launch debug; sleep 40
kill -TERM $pid; sleep 4
truncate -s -7 "$(ls "$work"/data/wal/0* | tail -1)"
head -c 4000 /dev/urandom | dd of="$(ls "$work"/data/wal/0* | tail -1)" bs=1 seek=5000 conv=notrunc 2>/dev/null
launch info; sleep 45
kill -TERM $pid; sleep 4
rm -f "$work"/data/chunks_head/*; : > "$work/data/chunks_head/000001"
launch info; sleep 30
sed "s#global: {#global: {query_log_file: $work/none/query.log, #" "$work/good.yml" > "$work/now.yml"; kill -HUP $pid; sleep 2
kill -INT $pid; sleep 4
for block in "$work"/data/0*/meta.json; do echo '{' > "$block"; break; done
for _ in 1 2 3; do
  cp "$work/good.yml" "$work/now.yml"; launch info; sleep 22; kill -TERM $pid; sleep 4
done
rm -f "$work"/data/0*/index; launch info; sleep 15; kill -9 $pid
sed -E "s#$work#/srv/prometheus#g; s#host_details=\"[^\"]*\"#host_details=\"(Linux x86_64 host.invalid)\"#" "$log" > "$into/prometheus.log"
