#!/usr/bin/env bash
# Records syslog.log: sshd, cron, su and the account tools writing to one rsyslogd, through guessed
# passwords, wrong keys, lost clients, failing jobs and bad crontabs. About six minutes.
# Usage: syslog.sh INTO  (root; needs openssh-server, cron, rsyslog; adds and removes two accounts)
set -u
into=$1
work=$(mktemp -d)
chmod 755 "$work"
log=$work/syslog
port=9371
pids=()
if pgrep -x rsyslogd >/dev/null || pgrep -x cron >/dev/null; then
  echo "syslog.sh: a rsyslogd or cron runs here already; not recording" >&2
  exit 1
fi
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  rm -f /etc/cron.d/recorded_shop /etc/cron.d/recorded_ghost
  for name in shopper clerk; do userdel -f -r "$name" 2>/dev/null; done
  rm -rf "$work"
}
trap finish EXIT
cat > "$work/rsyslog.conf" <<C
module(load="imuxsock")
template(name="plain" type="string" string="%timestamp% host %syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%\n")
*.* action(type="omfile" file="$log" template="plain")
C
rsyslogd -n -f "$work/rsyslog.conf" -i "$work/rsyslog.pid" & pids+=($!)
sleep 1
mkdir -p /run/sshd
for name in shopper clerk; do useradd -m "$name"; echo "$name:$name-secret" | chpasswd; done
ssh-keygen -q -t ed25519 -N '' -f "$work/host"
ssh-keygen -q -t ed25519 -N '' -f "$work/good"
ssh-keygen -q -t ed25519 -N '' -f "$work/wrong"
ssh-keygen -q -t rsa -b 2048 -N '' -f "$work/other"
install -d -o shopper -m 700 ~shopper/.ssh
install -o shopper -m 600 "$work/good.pub" ~shopper/.ssh/authorized_keys
install -d -o clerk -m 777 ~clerk/.ssh
install -o clerk -m 666 "$work/good.pub" ~clerk/.ssh/authorized_keys
serve() {
  /usr/sbin/sshd -D -f /dev/null -p $port -h "$work/host" -o ListenAddress=127.0.0.1 \
    -o "PidFile=$work/sshd.pid" -o UsePAM=yes -o LogLevel=VERBOSE -o MaxAuthTries=3 -o LoginGraceTime=5 \
    -o MaxStartups=4:60:6 -o "DenyUsers=clerk@10.0.0.*" -o "Subsystem=sftp internal-sftp" -o PermitRootLogin=no & sshd=$!; pids+=($sshd); sleep 1
}
serve
timeout 2 /usr/sbin/sshd -D -f /dev/null -p $port -h "$work/host" -o ListenAddress=127.0.0.1
cat > "$work/askpass" <<'C'
#!/bin/sh
echo "$GUESS"
C
chmod 755 "$work/askpass"
enter() { # enter USER SECRET SSH-OPTIONS... : log in by password
  GUESS=$2 SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=: timeout 8 setsid ssh -p $port -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null -o PubkeyAuthentication=no "${@:3}" "$1@127.0.0.1" true
}
key() { timeout 8 ssh -p $port -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -i "$work/$1" "$2@127.0.0.1" "${@:3}"; }
cat > /etc/cron.d/recorded_shop <<C
* * * * * root true
* * * * * shopper echo stock count; exit 2
* * * * * shopper true
C
echo '* * * * * ghost true' > /etc/cron.d/recorded_ghost
cron -f -L 15 & pids+=($!)
{
for turn in 1 2 3 4 5 6; do
  for user in admin oracle test ubuntu git root shopper; do enter $user guess$RANDOM -o NumberOfPasswordPrompts=1; done
  enter shopper wrong -o NumberOfPasswordPrompts=3
  enter shopper shopper-secret; enter clerk clerk-secret
  key good shopper uptime; key wrong shopper true; key other shopper true; key good clerk true; key good nobody true
  key good shopper 'exit 3'; key good shopper 'sleep 30' & sleep 1; kill $! 2>/dev/null
  echo ls | timeout 5 sftp -q -P $port -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i "$work/good" shopper@127.0.0.1
  timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf 'GET / HTTP/1.1\r\n\r\n' >&3; cat <&3"
  timeout 1 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; sleep 0.3"
  timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf 'SSH-2.0-probe\r\n%0200d' 7 >&3; cat <&3"
  enter shopper x -o KexAlgorithms=diffie-hellman-group1-sha1; enter shopper x -o Ciphers=aes128-cbc
  for n in 1 2 3 4 5 6 7 8; do sleep 6 < /dev/tcp/127.0.0.1/$port & done
  su - shopper -c true; su shopper -c 'su clerk -c true' < /dev/null; su - nosuchuser
  logger -t shop -p user.err "could not open /srv/shop/prices: No such file or directory"
  logger -t shop "served $RANDOM requests in $turn minutes"
  groupadd "team$turn"; usermod -aG "team$turn" shopper; useradd "temp$turn"; passwd -l "temp$turn"
  chage -M 30 "temp$turn"; userdel "temp$turn"; groupdel "team$turn"
  sleep 6
  case $turn in
    2) kill -HUP $sshd ;; 
    4) kill -TERM $sshd; sleep 1; serve ;;
    3) echo '* * * * * shopper echo "unfinished' >> /etc/cron.d/recorded_shop; echo 'not a line' >> /etc/cron.d/recorded_shop ;;
    5) touch /etc/cron.d/recorded_shop; kill -HUP "${pids[0]}" ;;
  esac
  sleep 2
done
} > "$work/output" 2>&1
sleep 1
sed -E "s#$work#/srv/syslog#g; s/$(hostname)/host/g" "$log" > "$into/syslog.log"
