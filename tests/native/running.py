"""Native messaging as a browser has it: a process, and the ends of its pipes."""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sensorium.transports.native import MAX_OUTGOING
from tests.servers import PLUGIN, ROOT

LENGTH = struct.Struct("=I")


class Host:
    """The process that a browser would start, and the browser's side of its pipes."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.log = log
        """What it writes to standard error."""
        self._stdin = process.stdin
        self._stdout = process.stdout

    def send(self, message: Any) -> None:
        self.send_bytes(json.dumps(message).encode())

    def send_bytes(self, body: bytes, length: int | None = None) -> None:
        self.send_raw(LENGTH.pack(len(body) if length is None else length) + body)

    def send_raw(self, sent: bytes) -> None:
        """Send what need not be a frame."""
        self._stdin.write(sent)
        self._stdin.flush()

    def frame(self) -> bytes:
        head = self._stdout.read(LENGTH.size)
        assert len(head) == LENGTH.size, "it closed its end"
        (length,) = LENGTH.unpack(head)
        assert length <= MAX_OUTGOING
        return self._stdout.read(length)

    def receive(self) -> Any:
        """The next message, put together where it came in parts."""
        message = json.loads(self.frame())
        if "part" not in message:
            return message
        text = message["part"]
        while message["more"]:
            message = json.loads(self.frame())
            text += message["part"]
        return json.loads(text)

    def call(self, operation: str, data: Any, number: Any = 1) -> Any:
        self.send({"id": number, "op": operation, "data": data})
        return self.receive()

    def all_alive(self) -> bool:
        """Whether every worker is up."""
        workers = self.call("system.ready", {})["data"]["workers"]
        return bool(workers["alive"] == workers["wanted"])

    def leave(self) -> int:
        self._stdin.close()
        return self.process.wait(60)

    def vanish(self) -> None:
        """Close the pipes, as the system does for a browser that was killed."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()


@contextmanager
def started(**environ: str) -> Iterator[Host]:
    """A process, ended at the end if it has not ended by itself."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "stderr"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "sensorium", "serve", "--mode", "native"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(PLUGIN)]),
                    "SENSORIUM_DATA_DIR": folder,
                    **environ,
                },
            )
        host = Host(process, log)
        try:
            yield host
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(60)
            host.vanish()
