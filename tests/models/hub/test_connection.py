"""Connections that are encrypted, led through a proxy, or kept for the next request."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sensorium.core.errors import UnavailableError
from sensorium.models.hub import connection
from sensorium.models.hub.connection import Connections, Target, TransientError
from tests.conftest import missing


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked, as a server or as a proxy."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str | None]]
    tunnel_to: int

    def do_GET(self) -> None:
        self.note()
        if "redirect" in self.path:
            self.send_response(302)
            self.send_header("Location", self.path.partition("=")[2])
            self.send_header("Content-Length", "0")
        else:
            self.send_response(200)
            self.send_header("Content-Length", "2")
        if "close" in self.path:
            self.send_header("Connection", "close")
        self.end_headers()
        if "redirect" not in self.path:
            self.wfile.write(b"ok")

    def do_CONNECT(self) -> None:
        self.note()
        with socket.create_connection(("127.0.0.1", self.tunnel_to)) as there:
            self.send_response(200)
            self.end_headers()
            pipe = threading.Thread(target=relay, args=(there, self.connection), daemon=True)
            pipe.start()
            relay(self.connection, there)
            pipe.join(60)
        self.close_connection = True

    def note(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Proxy-Authorization")))

    def log_message(self, *_: object) -> None:
        pass


def relay(here: socket.socket, there: socket.socket) -> None:
    try:
        while data := here.recv(65536):
            there.sendall(data)
        there.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def serving(certificate: Path | None = None, tunnel_to: int = 0) -> Iterator[tuple[int, list]]:
    asked: list[tuple[str, str, str | None]] = []
    kind = type("Kind", (Handler,), {"asked": asked, "tunnel_to": tunnel_to})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost and hub.test that nobody trusts yet."""
    if shutil.which("openssl") is None:
        missing("openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:hub.test",
         "-keyout", path, "-out", path.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    with path.open("ab") as file:
        file.write(path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections(connect_s=5, stall_s=5, token="", token_for="")
    yield made
    made.close()


@pytest.fixture
def trusting(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    connection._trust.cache_clear()
    yield
    connection._trust.cache_clear()


def body(connections: Connections, url: str) -> bytes:
    answer = connections.get(Target(url), {})
    data = answer.read()
    answer.finish()
    return data


def test_a_certificate_that_nobody_signed(certificate: Path, connections: Connections) -> None:
    with serving(certificate) as (port, asked):
        with pytest.raises(UnavailableError, match="certificate of localhost is not trusted"):
            body(connections, f"https://localhost:{port}/m")
        assert asked == []


@pytest.mark.usefixtures("trusting")
def test_encrypted(certificate: Path, connections: Connections) -> None:
    with serving(certificate) as (port, asked), serving() as (plain, plainly_asked):
        url = f"https://localhost:{port}"
        assert body(connections, f"{url}/m") == b"ok"
        with pytest.raises(UnavailableError, match="redirects"):
            body(connections, f"{url}/redirect=http://127.0.0.1:{plain}/m")
        assert plainly_asked == []
        assert body(connections, f"{url}/redirect={url}/n") == b"ok"
        assert [path for _, path, _ in asked][-1] == "/n"


@pytest.mark.usefixtures("trusting")
def test_through_a_proxy(
    certificate: Path, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(certificate) as (port, asked), serving(tunnel_to=port) as (proxy, seen):
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{proxy}")
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy}")
        assert body(connections, "http://hub.test/m?x=1") == b"ok"
        assert seen == [("GET", "http://hub.test/m?x=1", "Basic bWU6cEBzcw==")]
        assert body(connections, "https://hub.test/n") == b"ok"
        assert seen[1][:2] == ("CONNECT", "hub.test:443")
        assert asked == [("GET", "/n", None)], "the proxy's credentials are the proxy's alone"
        assert body(connections, f"https://localhost:{port}/direct") == b"ok"
        through = [path for _, path, _ in seen]
        assert not any("localhost" in path for path in through), "this machine is asked directly"
        connections.close()


def test_a_connection_is_kept_and_made_anew(connections: Connections) -> None:
    with serving() as (port, asked):
        for path in ("a", "b", "close", "c"):
            assert body(connections, f"http://127.0.0.1:{port}/{path}") == b"ok"
        assert len(asked) == 4
        connections.close()
    with pytest.raises(TransientError):
        body(connections, f"http://127.0.0.1:{port}/d")


def test_a_kept_connection_that_the_server_closed_meanwhile(connections: Connections) -> None:
    def answer_once(server: socket.socket) -> None:
        for _ in range(2):
            there, _ = server.accept()
            with there:
                while b"\r\n\r\n" not in there.recv(65536):
                    pass
                there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_once, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert body(connections, url) == b"ok"
        assert body(connections, url) == b"ok"
        thread.join(60)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_break_reaches_a_thread_that_waits(certificate: Path, scheme: str) -> None:
    made = Connections(connect_s=5, stall_s=30, token="", token_for="")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:
        failed = threading.Event()

        def ask() -> None:
            try:
                made.get(Target(f"{scheme}://localhost:{server.getsockname()[1]}/"), {})
            except TransientError:
                failed.set()

        thread = threading.Thread(target=ask)
        thread.start()
        there, _ = server.accept()
        if scheme == "https":
            there = context.wrap_socket(there, server_side=True)
        with there:
            there.recv(1)
            made.abort()
            assert failed.wait(25)
        thread.join()
    made.close()
