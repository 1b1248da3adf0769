#!/usr/bin/env bash
# Records dpkg.log and apt.log: small Debian packages installed, reinstalled, removed, purged, and
# requests that cannot be met. Touches only packages that were absent before. About two minutes.
# Usage: packages.sh INTO    (root; Debian)
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
into=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wanted=(jq tree pv moreutils socat ncdu dos2unix lsof sysstat htop cron rsyslog openssh-server
        telnet whois iproute2 netcat-openbsd apt-file bc ed mc nano screen)
absent=()
for name in "${wanted[@]}"; do
  dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || absent+=("$name")
done
before_dpkg=$(wc -l < /var/log/dpkg.log)
before_term=$(wc -l < /var/log/apt/term.log)
get() { timeout 150 apt-get -y --no-install-recommends "$@"; }

{
get install "${absent[@]}"
get install no-such-package-here
get install --reinstall "${absent[@]:0:6}"
cat > "$work/control" <<'C'
Package: needs-nothing-real
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@example.invalid>
Depends: no-such-library (>= 2)
Description: a package whose dependency does not exist
C
mkdir -p "$work/needs/DEBIAN" "$work/breaks/DEBIAN"
cp "$work/control" "$work/needs/DEBIAN/control"
sed -e '/^Depends/d' -e 's/needs-nothing-real/breaks-on-setup/' "$work/control" > "$work/breaks/DEBIAN/control"
printf '#!/bin/sh\necho "cannot reach the licence server" >&2\nexit 3\n' > "$work/breaks/DEBIAN/postinst"
chmod 755 "$work/breaks/DEBIAN/postinst"
dpkg-deb --build "$work/needs" "$work/needs.deb"
dpkg-deb --build "$work/breaks" "$work/breaks.deb"
for turn in 1 2; do
  dpkg -i "$work/needs.deb"; dpkg --purge needs-nothing-real
  get install "$work/breaks.deb"; dpkg --configure -a; dpkg --purge breaks-on-setup
  get remove "${absent[@]:0:12}"
  get install "${absent[@]:2:10}"
  get purge "${absent[@]:0:9}"
  get install "${absent[@]:0:9}"
done
get purge tree pv dos2unix
} > "$work/output" 2>&1
keep() { # what a terminal shows in the end: the last of a line's rewrites, no empty lines
  sed -E 's/\r+$//; s/.*\r//; s#https?://[^ /]+#http://mirror.invalid#g; s#/tmp/tmp\.[A-Za-z0-9]+#/srv/packages#g' \
    | sed "s/@$(hostname)/@host/g" | grep -v '^$'
}
tail -n "+$((before_dpkg + 1))" /var/log/dpkg.log > "$into/dpkg.log"
tail -n "+$((before_term + 1))" /var/log/apt/term.log | keep > "$into/apt.log"
keep < "$work/output" > "$into/apt_output.log"
