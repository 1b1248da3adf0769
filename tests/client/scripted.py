"""A server that answers what a test wrote down, and keeps what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Script:
    """What is answered, in order; the last answer is given for ever."""

    answers: list[tuple[int, dict[str, str], bytes]]
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of every request, with its path under `path`."""


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], bytes], port: int = 0) -> Iterator[Script]:
    """A server on a free port that follows a script."""
    script = Script(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.asked.append({"path": self.path, **headers})
            number = min(len(script.asked), len(script.answers)) - 1
            status, headers, body = script.answers[number]
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = "content-length" in headers

        def log_message(self, *arguments: object) -> None:
            del arguments

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
