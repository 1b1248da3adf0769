#!/usr/bin/env bash
# Records the shop's logs: shop.log (text with tracebacks), shop_json.log, and before.log/after.log
# (one release and the next, whose settings turn the cache off, cut the backend's time and repair
# the mail relay). About six minutes. Usage: shop.sh INTO PYTHON [story|deploy]
# (root for the tmpfs; PYTHON has starlette and uvicorn; run from the repository's root)
set -u
into=$1
python=$2
what=${3:-all}
work=$(mktemp -d)
mkdir "$work/pictures" "$work/wide"
mount -t tmpfs -o size=100k tmpfs "$work/pictures"
pids=()
trap 'for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null; done; umount "$work/pictures"; rm -rf "$work"' EXIT
start() { "$python" -m "benchmarks.recorded.sources.$1" "${@:2}" & pids+=($!); }
backend() { start backend --port 9402 "$@"; backend=$!; sleep 1; }
shop() { # shop LOG OPTIONS...
  rm -f "$work"/shop.db*
  echo '{"version": 7, "prices": {"SKU-0001": 990, "SKU-0002": 450}}' > "$work/prices.json"
  start shop --port 9401 --backend 9402 --mail 9403 --folder "$work" --pictures "$work/pictures" --refresh-s 6 "${@:2}" > "$work/$1" 2>&1
  shop=$!
  sleep 2
}
buyers() { # buyers NUMBER SHARE-BAD SECONDS
  echo "$1" > "$work/plan"
  "$python" -m benchmarks.recorded.sources.shop_load --port 9401 --plan "$work/plan" --bad "$2" --seconds "$3" "${@:4}"
}
keep() { sed "s#$work#/srv/shop#g; s#$PWD/benchmarks/recorded/sources#/srv/shop/code#g; s#$("$python" -c 'import sys,sysconfig; print(sysconfig.get_paths()["purelib"])')#/srv/shop/packages#g; s#$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["stdlib"])')#/usr/lib/python3.11#g" "$work/$1" > "$into/$1"; }
story() { # story LOG OPTIONS... : everyday work, then what goes wrong in a week
  backend --mail 9403
  shop "$1" --backend-timeout-ms 400 "${@:2}"
  buyers 10 0.12 20
  echo '{"version": 8, "prices"' > "$work/prices.json"; buyers 10 0.12 8
  echo '{"prices": {}}' > "$work/prices.json"; buyers 8 0.12 8
  rm "$work/prices.json"; buyers 8 0.12 8
  echo '{"version": 9, "prices": {"SKU-0009": 5}}' > "$work/prices.json"
  kill -STOP $backend; buyers 10 0.12 6; kill -CONT $backend; buyers 8 0.12 4
  kill -9 $backend; buyers 10 0.12 6; backend --mail 9403
  buyers 8 0.2 12
  kill -TERM $shop; sleep 2
  kill -9 $backend
  keep "$1"
  rm -f "$work"/pictures/*
}
deploy() { # deploy LOG OPTIONS... : the same load on one release
  shop "$@"
  buyers 7 0.06 45 --crowding 8
  kill -TERM $shop; sleep 2
  keep "$1"
}
if [ "$what" != deploy ]; then
  story shop.log
  story shop_json.log --log-format json
fi
if [ "$what" != story ]; then
  backend --mail 9404
  deploy before.log --refresh-s 20 --pictures "$work/wide"
  deploy after.log --refresh-s 20 --pictures "$work/wide" --version 1.5.0 --mail 9404 --no-cache --backend-timeout-ms 20
  kill -9 $backend
fi
