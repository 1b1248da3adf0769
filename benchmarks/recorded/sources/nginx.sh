#!/usr/bin/env bash
# Records nginx.log (its error log) and nginx_access.log: a small site under load with wrong
# passwords, missing files, dead and slow upstreams, floods, killed workers and bad settings.
# About two minutes. Usage: nginx.sh INTO    (needs nginx, openssl; root)
set -u
into=$1
work=$(mktemp -d)
chmod 755 "$work"
port=9391
log=$work/error.log
pids=()
mkdir "$work/site" "$work/site/empty" "$work/small"
mount -t tmpfs -o size=1m tmpfs "$work/small"
chmod 777 "$work/small"
trap 'for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null; done; umount "$work/small"; rm -rf "$work"' EXIT
echo hello > "$work/site/index.html"
head -c 60000 /dev/zero | tr '\0' x > "$work/site/large.txt"
echo secret > "$work/site/locked.txt"; chmod 600 "$work/site/locked.txt"
printf 'alice:%s\nbroken:$9$x\n' "$(openssl passwd -apr1 wonderland)" > "$work/passwords"
cat > "$work/upstream.py" <<'C'
import http.server, sys, time
class Odd(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if "slow" in self.path: time.sleep(1.6)
        elif "close" in self.path: return
        elif "garbage" in self.path: self.wfile.write(b"\x00\x01 not http\r\n\r\n"); return
        elif "large" in self.path:
            self.send_response(200); self.send_header("X-Large", "x" * 9000); self.end_headers(); return
        elif "short" in self.path:
            self.send_response(200); self.send_header("Content-Length", "5000"); self.end_headers()
            self.wfile.write(b"x" * 100); return
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Odd).serve_forever()
C
python3 "$work/upstream.py" $((port + 1)) 2>/dev/null & pids+=($!)
cat > "$work/nginx.conf" <<C
worker_processes 2;
pid $work/nginx.pid;
error_log $log info;
events { worker_connections 64; }
http {
  log_format timed '\$remote_addr - \$remote_user [\$time_local] "\$request" \$status \$body_bytes_sent "\$http_referer" "\$http_user_agent" \$request_time';
  access_log $work/access.log timed;
  client_body_temp_path $work/small; proxy_temp_path $work/proxy; fastcgi_temp_path $work/f;
  uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  limit_req_zone \$uri zone=calm:1m rate=5r/s;
  limit_conn_zone \$server_name zone=few:1m;
  client_header_timeout 2s; client_body_timeout 2s; keepalive_timeout 3s; client_max_body_size 2m;
  large_client_header_buffers 2 1k; client_header_buffer_size 512;
  proxy_connect_timeout 1s; proxy_read_timeout 1s;
  upstream dead { server 127.0.0.1:9399 max_fails=2 fail_timeout=4s; server 127.0.0.1:9398 max_fails=2 fail_timeout=4s; }
  server {
    listen 127.0.0.1:$port; server_name shop.invalid; root $work/site;
    location /private { auth_basic "staff"; auth_basic_user_file $work/passwords; }
    location /lost { auth_basic "lost"; auth_basic_user_file $work/none; }
    location /denied { deny all; }
    location /calm { limit_req zone=calm burst=2 nodelay; }
    location /calmer { limit_req zone=calm burst=4; }
    location /few { limit_conn few 2; limit_rate 20k; alias $work/site/large.txt; }
    location /dead { proxy_pass http://dead; }
    location /api { proxy_pass http://127.0.0.1:$((port + 1)); }
    location /upload { client_body_in_file_only clean; proxy_pass http://127.0.0.1:$((port + 1)); }
    location /loop { rewrite ^ /loop/x last; }
  }
}
C
site="http://127.0.0.1:$port"
ask() { curl -s -m 4 -o /dev/null "$@"; }
raw() { timeout 3 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf '$1' >&3; cat <&3" >/dev/null; }
launch() { nginx -p "$work" -e "$log" -c "$work/nginx.conf" -g 'daemon off;' & main=$!; pids+=($main); sleep 1; }
visit() {
  for n in $(seq 1 12); do ask "$site/" "$site/index.html" "$site/?page=$n"; done
  for name in favicon.ico robots.txt wp-login.php .env admin/config.php images/$RANDOM.png; do ask "$site/$name"; done
  ask -u alice:wonderland "$site/private"; ask -u alice:guess$RANDOM "$site/private"; ask -u mallory:x "$site/private"
  ask -u broken:x "$site/private"; ask "$site/private"; ask -u a:b "$site/lost"
  ask "$site/denied/file$RANDOM"; ask "$site/empty/"; ask "$site/locked.txt"; ask "$site/loop"
  for n in 1 2 3 4 5 6 7; do ask "$site/calm" & done; for n in 1 2 3 4 5 6 7; do ask "$site/calmer" & done
  for n in 1 2 3 4 5; do ask "$site/few" & done
  for n in 1 2 3 4; do ask "$site/dead/$n"; done
  ask "$site/api/slow"; ask "$site/api/close"; ask "$site/api/garbage"; ask "$site/api/large"; ask "$site/api/short"; ask "$site/api/fine"
  curl -s -m 0.4 "$site/api/slow" >/dev/null
  head -c 3000000 /dev/zero | ask --data-binary @- -H 'Expect:' "$site/upload"
  head -c 1500000 /dev/zero | ask --data-binary @- -H 'Expect:' "$site/upload"
  head -c 40000 /dev/zero | ask --data-binary @- "$site/upload"
  ask -H "Host: bad host" "$site/"; ask -H "X-Long: $(head -c 1500 /dev/zero | tr '\0' y)" "$site/"
  ask "$site/$(head -c 1200 /dev/zero | tr '\0' u)"
  raw 'GARBAGE\\r\\n\\r\\n'; raw 'GET / HTTP/9.9\\r\\n\\r\\n'; raw 'GET / HTTP/1.1\\r\\n\\r\\n'; raw 'GET /../../etc/passwd HTTP/1.0\\r\\n\\r\\n'
  raw '\\x16\\x03\\x01\\x00'; raw 'POST /api HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: nine\\r\\n\\r\\n'; raw 'GET / HTT'
  for pid in $(jobs -p); do case " ${pids[*]} " in *" $pid "*) ;; *) wait "$pid" ;; esac; done
}
{
sed 's/worker_processes 2/worker_procs 2/' "$work/nginx.conf" > "$work/bad.conf"
nginx -p "$work" -e "$log" -c "$work/bad.conf"
launch
nginx -p "$work" -e "$log" -c "$work/nginx.conf" -g 'daemon off;'
for turn in 1 2 3 4 5 6 7 8; do
  visit
  case $turn in
    1) kill -HUP $main ;;
    2) kill -9 "$(pgrep -P $main | head -1)" ;;
    3) cp "$work/nginx.conf" "$work/kept.conf"; sed -i "s#$work/site;#$work/site#" "$work/nginx.conf"; kill -HUP $main; sleep 1; cp "$work/kept.conf" "$work/nginx.conf" ;;
    4) kill -USR1 $main; for n in $(seq 1 180); do sleep 6 < "/dev/tcp/127.0.0.1/$port" & done; ask "$site/"; sleep 6 ;;
    5) kill -QUIT $main; sleep 4; launch ;;
  esac
  sleep 1
done
kill -TERM $main; sleep 2
} > "$work/output" 2>&1
sed -E "s#$work#/srv/nginx#g; s#OS: Linux .*#OS: Linux 6.1.0-host#" "$log" > "$into/nginx.log"
sed "s#$work#/srv/nginx#g" "$work/access.log" > "$into/nginx_access.log"
