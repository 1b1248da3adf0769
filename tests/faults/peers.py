"""Every door from outside, as bare bytes: for peers that babble, do not read, or vanish."""

import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import grpc
import httpx
import psutil
from websockets.sync.client import connect

from sensorium.core.operation import Operation
from sensorium.core.protobuf.codec import codec_of
from tests.conformance import doors
from tests.conformance.grpc_driver import method_of, to_message
from tests.conformance.mcp_driver import ACCEPT
from tests.conformance.mcp_driver import request as tool_call
from tests.grpc import raw as http2
from tests.grpc.running import port_of
from tests.security.raw import request
from tests.servers import Server, serving

PATIENCE_S = 30.0
MODERN = "2026-07-28"
"""The protocol of MCP of that date, which has a path of its own through the SDK."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that says nothing but RST."""
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def vanish(line: socket.socket) -> None:
    """Be gone without a goodbye."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    line.close()


class Peer(ABC):
    """A door of a server, and how to speak to it by hand."""

    name: ClassVar[str]
    opening: bytes = b""
    """What a connection begins with."""
    awaited: bytes = b""
    """How what is heard then ends, before which nothing more may be sent."""
    largest_byte: ClassVar[int] = 255
    """The largest that may stand anywhere in it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.process = psutil.Process(server.process.pid)

    @property
    def port(self) -> int:
        """Where the door is."""
        return httpx.URL(self.server.url).port or 0

    def line(self, *, reads: bool = True) -> socket.socket:
        """A new connection; one that will not read has room for little that is unread."""
        line = socket.socket()
        if not reads:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(PATIENCE_S)
        try:
            line.connect(("127.0.0.1", self.port))
            line.sendall(self.opening)
            heard = b""
            while not heard.endswith(self.awaited):
                heard += line.recv(1)
        except OSError:
            line.close()
            raise
        return line

    def content(self, verb: str, values: dict[str, Any]) -> bytes:
        """A call's content, before it is framed."""
        del verb
        return json.dumps(values).encode()

    @abstractmethod
    def framed(self, verb: str, content: bytes) -> bytes:
        """What is sent to call `testing.VERB`."""

    def begin(self, verb: str, values: dict[str, Any]) -> bytes:
        """What is sent to make a call."""
        return self.framed(verb, self.content(verb, values))

    def oversized(self) -> list[bytes]:
        """Beginnings that announce more than anybody may send."""
        return []

    @abstractmethod
    def echo(self, token: str) -> str:
        """The token, back from `testing.inline` through this door by a client that behaves."""


class Http(Peer):
    name = "http"

    def framed(self, verb: str, content: bytes) -> bytes:
        return request("POST", f"/v1/testing/{verb}", body=content)

    def oversized(self) -> list[bytes]:
        return [
            request("POST", "/v1/testing/lines", f"content-length: {10**15}"),
            request("POST", "/v1/testing/lines", "transfer-encoding: chunked")
            + b"7fffffffffffffff\r\n{",
        ]

    def echo(self, token: str) -> str:
        with self.server.client(timeout=PATIENCE_S) as http:
            return str(http.post("/v1/testing/inline", json={"token": token}).json()["token"])


class WebSocket(Peer):
    name = "websocket"
    opening = UPGRADE
    awaited = b"\r\n\r\n"

    def content(self, verb: str, values: dict[str, Any]) -> bytes:
        return json.dumps({"id": 1, "op": f"testing.{verb}", "data": values}).encode()

    def framed(self, verb: str, content: bytes) -> bytes:
        del verb
        return _text_frame(len(content)) + content

    def oversized(self) -> list[bytes]:
        return [_text_frame(size) + b"{" * 100 for size in (5 << 20, 2**62)]

    def echo(self, token: str) -> str:
        with connect(self.server.ws_url, open_timeout=PATIENCE_S) as socket:
            socket.send(self.content("inline", {"token": token}))
            return str(json.loads(socket.recv(PATIENCE_S))["data"]["token"])


class Grpc(Peer):
    name = "grpc"
    opening = http2.OPENING
    largest_byte = 127  # grpcio's server ends, and is replaced, at a method that is not UTF-8

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._port = port_of(server)
        self._operations: dict[str, Operation] = {each.name: each for each in doors.operations()}

    @property
    def port(self) -> int:
        return self._port

    def content(self, verb: str, values: dict[str, Any]) -> bytes:
        operation = self._operations[f"testing.{verb}"]
        packed = to_message(codec_of(operation), operation.request, json.dumps(values).encode())
        assert packed is not None
        return packed

    def framed(self, verb: str, content: bytes) -> bytes:
        return http2.call(method_of(f"testing.{verb}").encode(), content)

    def oversized(self) -> list[bytes]:
        call = self.framed("inline", b"abcd")
        long_message = call[:-8] + b"\xff\xff\xff\xff" + call[-4:]
        long_frame = b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"
        return [long_message, long_frame]

    def echo(self, token: str) -> str:
        operation = self._operations["testing.inline"]
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            method = channel.unary_unary(method_of(operation.name))
            answer = method(
                self.content("inline", {"token": token}), timeout=PATIENCE_S, wait_for_ready=True
            )
        return str(codec_of(operation).from_bytes(operation.response, answer)["token"])


class Mcp(Peer):
    """As clients speak it that were made before the requests had to say everything themselves."""

    name = "mcp"

    def content(self, verb: str, values: dict[str, Any]) -> bytes:
        return tool_call(1, f"testing_{verb}", json.dumps(values).encode())

    def headers(self, verb: str) -> dict[str, str]:
        """What is said beside the content."""
        del verb
        return {"accept": ACCEPT, "content-type": "application/json"}

    def framed(self, verb: str, content: bytes) -> bytes:
        lines = [f"{name}: {value}" for name, value in self.headers(verb).items()]
        return request("POST", "/mcp", *lines, body=content)

    def oversized(self) -> list[bytes]:
        return [self.framed("inline", b" " * (2 << 20))]

    def echo(self, token: str) -> str:
        with self.server.client(timeout=PATIENCE_S) as http:
            answer = http.post(
                "/mcp",
                content=self.content("inline", {"token": token}),
                headers=self.headers("inline"),
            )
        message = json.loads(answer.text.removeprefix("event: message\r\ndata: "))
        return str(message["result"]["structuredContent"]["token"])


class ModernMcp(Mcp):
    """As they speak it since."""

    name = f"mcp {MODERN}"

    def content(self, verb: str, values: dict[str, Any]) -> bytes:
        message = json.loads(super().content(verb, values))
        prefix = "io.modelcontextprotocol"
        meta = {f"{prefix}/protocolVersion": MODERN, f"{prefix}/clientCapabilities": {}}
        message["params"]["_meta"] = meta
        return json.dumps(message).encode()

    def headers(self, verb: str) -> dict[str, str]:
        named = {"mcp-method": "tools/call", "mcp-name": f"testing_{verb}"}
        return {**super().headers(verb), "mcp-protocol-version": MODERN, **named}


ON_SOCKETS: tuple[type[Peer], ...] = (Http, WebSocket, Grpc, Mcp, ModernMcp)


@contextmanager
def served(*flags: str) -> Iterator[Server]:
    """A server with every door that has a port."""
    with serving("--mode", "http,grpc", "--grpc-port", "0", *flags) as server:
        port_of(server)
        yield server


def _text_frame(size: int) -> bytes:
    """The head of a text frame from a client, masked with zeros."""
    if size < 126:
        return struct.pack(">BB4x", 0x81, 0x80 | size)
    if size < 1 << 16:
        return struct.pack(">BBH4x", 0x81, 0x80 | 126, size)
    return struct.pack(">BBQ4x", 0x81, 0x80 | 127, size)
