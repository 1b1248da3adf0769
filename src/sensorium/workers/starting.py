"""Starting the process of a worker."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from sensorium.workers.shared import Arena


def start_process(
    handler: str, slots: int, environment: Mapping[str, str], arenas: Sequence[Arena]
) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """A process that serves calls with `handler`, and our end of its socket; in a millisecond.

    Raises:
        OSError: there can be no more processes or descriptors.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    passed = [theirs.fileno(), *(arena.descriptor for arena in arenas)]
    # -P: nothing is imported from whatever folder the server was started in.
    command = [sys.executable, "-P", "-m", "sensorium.workers.child"]
    environment = (
        os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | dict(environment)
    )
    try:
        process = subprocess.Popen(
            [*command, str(theirs.fileno()), handler, str(slots), *map(str, passed[1:])],
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            env=environment,
            # Ctrl-C is for the server, which stops its workers in order. A group suffices: in
            # a session of its own, Linux would give each worker as much as all of the server.
            process_group=0,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours
