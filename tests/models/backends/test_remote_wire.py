"""The way to a remote model's server: TLS, proxies, and whatever HTTP it speaks."""

import asyncio
import ssl

import pytest
import uvloop

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.settings import Secret
from sensorium.models.backends.remote_settings import Upstream
from sensorium.models.backends.remote_wire import Wire
from tests.http.test_tls import make_certificate
from tests.models.backends.scripted_server import CUT, scripted, tunnelling

BODY = b'{"hello": "there"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine"
RUN = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=RUN)
def run(request):
    return RUN[request.param]


def asked(run, url, *, times=1, until=2.0, **more):
    """What the server at an address answers, on one wire."""

    async def main():
        upstream = Upstream(url=f"{url}/v1", protocol="openai", model="m", timeout_s=1.0, **more)
        wire = Wire(upstream)
        loop = asyncio.get_running_loop()
        try:
            for _ in range(times):
                answer = await wire.ask("POST", "/x", BODY, until=loop.time() + until)
            return answer.body
        finally:
            wire.close()
            await asyncio.sleep(0)

    return run(main())


def test_over_tls(run, certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with scripted(ANSWER, tls=context) as server, tunnelling() as proxy:
        trusted = str(certificate[0])
        assert asked(run, server.url, ca_file=trusted, times=2) == b"fine"
        with pytest.raises(UnavailableError, match="not trusted"):
            asked(run, server.url)
        signed = proxy.url.replace("://", "://me:pa%20ss@")
        assert asked(run, server.url, ca_file=trusted, proxy=signed, times=2) == b"fine"
        (head,) = proxy.keys
        assert head.startswith(f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1\r\n")
        assert "proxy-authorization: Basic bWU6cGEgc3M=" in head
        with pytest.raises(UnavailableError, match="not trusted"):
            asked(run, server.url, proxy=proxy.url)


def test_a_proxy_for_plain_http(run):
    with scripted(ANSWER) as proxy:
        assert asked(run, "http://llm.test:81", proxy=proxy.url) == b"fine"
        assert proxy.asked == [("http://llm.test:81/v1/x", {"hello": "there"})]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER, b"fine"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil it closes", b"until it closes"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
def test_ways_to_answer(run, answer, found):
    with scripted(answer, CUT) as server:
        assert asked(run, server.url, times=2) == found
        assert server.requests == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfine", "broke off"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nfine", "broke off"),
        (b"SSH-2.0-x\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", "packs"),
        (b"", "broke off"),
    ],
)
def test_answers_that_are_none(run, answer, reason):
    with (
        scripted(answer, CUT) as server,
        pytest.raises(UnavailableError, match=reason),
    ):
        asked(run, server.url)


def test_a_large_request_and_a_large_answer(run):
    size = 20 << 20
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size

    async def main(url):
        wire = Wire(Upstream(url=url, protocol="oip", model="m"))
        until = asyncio.get_running_loop().time() + 20
        answer = await wire.ask("POST", "/x", b'"%s"' % (b"x" * size), until=until)
        wire.close()
        await asyncio.sleep(0)
        return len(answer.body)

    with scripted(head, bytes(size)) as server:
        assert run(main(server.url)) == size
        assert len(server.asked[0][1]) == size


@pytest.mark.parametrize("key", ["a\r\nx: y", "ü", "a b"])
def test_keys_that_are_none(key):
    upstream = Upstream(url="http://host", protocol="oip", model="m", api_key=Secret(key))
    with pytest.raises(InvalidInputError, match="cannot be used"):
        Wire(upstream)
