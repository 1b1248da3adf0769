"""Headers of the usual layouts are recognised; what only looks like one is left alone."""

import pytest

from sensorium.capabilities.logs.headers import split_header, time_stamp
from sensorium.capabilities.logs.masking import flatten

CASES = [
    ("2024-05-01 12:00:00,123 INFO [main] org.acme.Server: started", "started", "INFO"),
    ("2024-05-01 12:00:00,123 - acme.db - WARNING - pool is low", "pool is low", "WARNING"),
    ("2024-05-01T12:00:00.123Z ERROR acme::net: refused", "refused", "ERROR"),
    ("24/05/01 12:00:00 INFO acme.Executor: running task", "running task", "INFO"),
    ("May  1 12:00:00 web1 sshd[4242]: Accepted password", "Accepted password", ""),
    ("May  1 12:00:00 web1 kernel: eth0 link up", "eth# link up", ""),
    ("<34>1 2024-05-01T12:00:00Z web1 app: hello there", "hello there", ""),
    ("[Wed May 01 12:00:00 2024] [error] child died", "child died", "ERROR"),
    ("2024/05/01 12:00:00 [warn] 12#12: *5 upstream is slow", "upstream is slow", "WARN"),
    ("05-01 12:00:00.123  1702  2395 D WindowManager: laid out", "laid out", "D"),
    ("I0501 12:00:00.123456    1 server.go:42] Serving", "Serving", "I"),
    ("2024-05-01 12:00:00.123 UTC [77] LOG:  checkpoint starting", "checkpoint starting", "LOG"),
    ("2024-05-01 12:00:00, Info                  CBS    Loaded stack", "Loaded stack", "INFO"),
    ("20240501-12:00:00:123|Step_LSC|30002312|onChanged 3579", "onChanged #", ""),
    ('10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200', '"GET / HTTP/#.#" #', ""),
    ("240501 120000 35 INFO dfs.Name: BLOCK* ask", "BLOCK* ask", "INFO"),
    ("[05.01 12:00:00] chrome.exe - proxy open", "proxy open", ""),
    ("2024-05-01 12:00:00 UTC [7] bob@[unknown] LOG:  ready", "ready", "LOG"),
    ("DEB [20240501-12:00:00.123] thr=1   acme.transport: kex done", "kex done", ""),
    ("[INFO] ready to serve", "ready to serve", "INFO"),
    ("ERROR:root:it broke", "it broke", "ERROR"),
]


@pytest.mark.parametrize(("line", "content", "level"), CASES)
def test_layouts(line: str, content: str, level: str) -> None:
    flat = flatten(line)
    header = split_header(flat)
    assert flat[header.end :].replace("0", "#") == content
    assert header.level == level


@pytest.mark.parametrize(
    "line",
    [
        "Job started at 2024-05-01 12:00:00 by bob",
        "connection from 10.0.0.1 at Sun Jul 10 03:55:15 2005",
        "Received block 12 of size 34",
        "",
        "no header here: really",
    ],
)
def test_content_is_left_alone(line: str) -> None:
    assert split_header(flatten(line)).end == 0


def test_the_time_stamp_is_given_as_written() -> None:
    assert time_stamp("May  1 12:00:07 web1 sshd[1]: hi") == "May  1 12:00:07"
    assert time_stamp("2024-05-01T12:00:00.123Z INFO x: y") == "2024-05-01T12:00:00.123Z"
    assert time_stamp("nothing") is None
