"""Pictures that are fetched from addresses which a caller names: from nowhere near this server."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.pictures import MAX_BYTES
from sensorium.models.pictures.fetching import Fetcher
from sensorium.models.pictures.places import is_public, place, redirected
from tests.core.test_pictures import png_of

PNG = png_of(3, 2)
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-length: %d\r\n\r\n" % len(PNG) + PNG
NEAR = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "192.88.99.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "100::1", "2a00:1450::5efe:7f00:1", "2a00:1450::200:5efe:a00:1", "nonsense", "",
    "fe80::1%eth0", "127.1",
]  # fmt: skip
EVIL = [
    "file:///etc/passwd", "ftp://93.184.216.34/a.png", "gopher://127.0.0.1:6379/_x", "data:,a",
    "//93.184.216.34/a.png", "93.184.216.34/a.png", "", "http://", "http:///a.png", "https://:443/",
    "http://127.0.0.1/", "http://127.0.0.1:80/", "http://localhost/", "http://LOCALHOST./",
    "http://127.0.0.1./", "http://127.1/", "http://2130706433/", "http://0x7f000001/",
    "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/", "http://127.0.0.1.:80/",
    "http://0/", "http://0.0.0.0/", "http://127.0.0.1%00.example/", "http://①②⑦.⓪.⓪.①/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "http://127。0。0。1/", "http://[::1]/", "http://[::]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/", "http://[::1", "http://::1/", "http://[v1.a]/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://2852039166/",
    "http://user@93.184.216.34/", "http://user:pass@93.184.216.34/",
    "http://93.184.216.34@127.0.0.1/", "http://93.184.216.34\\@127.0.0.1/",
    "http://127.0.0.1\\@93.184.216.34/", "http://93.184.216.34#@127.0.0.1:22/\n",
    "http://127.0.0.1 @93.184.216.34/", "http://93.184.216.34/a\r\nhost: localhost",
    "http://93.184.216.34\t/", "http://93.184.216.34:22/", "http://93.184.216.34:8080/",
    "http://93.184.216.34:99999/", "http://93.184.216.34:-1/", "http://93.184.216.34:0/",
    "http://a..b/", "http://-a.example/", "http://exa mple/", "http://*/", "http://a,b/",
    "http://" + "a" * 64 + ".example/", "http://" + "a." * 200 + "example/",
    "http://93.184.216.34/" + "a" * 9000,
]  # fmt: skip


def fetched(fetcher: Fetcher, url: str) -> bytes:
    return asyncio.run(fetcher.fetch(url))


@pytest.mark.parametrize("address", NEAR)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", EVIL)
def test_an_address_that_leads_nearer_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        fetched(Fetcher(), url)


def test_an_address_is_read_in_one_way() -> None:
    assert place("HTTPS://Exämple.COM./ä b?ü#x".replace(" ", "")).url == (
        "https://xn--exmple-cua.com/%C3%A4b?%C3%BC"
    )
    assert place("http://[2606:4700:0::1111]:443/").authority == "[2606:4700::1111]:443"
    with pytest.raises(InvalidInputError, match="https to http"):
        redirected(place("https://a.example/"), "http://a.example/")
    assert redirected(place("https://a.example/b/c"), "../d").url == "https://a.example/d"


@asynccontextmanager
async def answering(
    reply: Callable[[str], bytes], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that gives an answer to each path, and the heads that it was sent."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            heads.append(head)
            writer.write(reply(head.split()[1]))
            await writer.drain()
            await reader.read()  # until the other end has enough
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


async def nobody(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was resolved again")


def test_a_name_is_resolved_once_and_the_checked_address_is_asked() -> None:
    asked: list[str] = []

    async def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async def main() -> None:
        async with answering(lambda _: WHOLE) as (port, heads):
            where = f"pictures.example:{port}"
            assert await Fetcher([where], changing).fetch(f"http://{where}/a.png?b=c") == PNG
            assert heads[0].startswith("GET /a.png?b=c HTTP/1.1\r\n")
            assert f"\r\nhost: {where}\r\n" in heads[0].lower()
            for secret in ("authorization", "cookie", "referer"):
                assert secret not in heads[0].lower()

    asyncio.run(main())
    assert asked == ["pictures.example"]


@pytest.mark.parametrize(
    "addresses", [[], ["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["?"]]
)
def test_a_name_is_refused_for_any_of_its_addresses(addresses: list[str]) -> None:
    async def found(host: str, port: int) -> list[str]:
        return addresses

    with pytest.raises(InvalidInputError, match="public addresses only"):
        fetched(Fetcher(resolve=found), "https://pictures.example/a.png")


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/", "http://localhost:{port}/b", "http://[::1]:{port}/b",
        "http://127.0.0.2/", "//10.0.0.1/", "file:///etc/passwd", "ftp://93.184.216.34/",
        "http://user:pass@127.0.0.1:{port}/b", "http://[", "http://127.0.0.1\\@a/", "a b",
    ],
)  # fmt: skip
def test_a_redirect_is_looked_at_as_the_first_address_was(location: str) -> None:
    async def main() -> None:
        def reply(path: str) -> bytes:
            to = location.format(port=port).encode()
            return b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: " + to + b"\r\n\r\n"

        async with answering(reply) as (port, heads):
            with pytest.raises(InvalidInputError):
                await Fetcher([f"127.0.0.1:{port}"]).fetch(f"http://127.0.0.1:{port}/a")
            assert len(heads) == 1

    asyncio.run(main())


@pytest.mark.parametrize("hops", [3, 4])
def test_only_so_many_redirects(hops: int) -> None:
    def reply(path: str) -> bytes:
        number = int(path[1:])
        if number == hops:
            return WHOLE
        return b"HTTP/1.1 307 On\r\ncontent-length: 0\r\nlocation: /%d\r\n\r\n" % (number + 1)

    async def main() -> None:
        async with answering(reply) as (port, heads):
            fetching = Fetcher([f"127.0.0.1:{port}"]).fetch(f"http://127.0.0.1:{port}/0")
            if hops == 3:
                assert await fetching == PNG
            else:
                with pytest.raises(InvalidInputError, match="more than 3 times"):
                    await fetching
            assert len(heads) == 4

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (OK + b"content-length: %d\r\n\r\n" % (MAX_BYTES + 1), "at most"),
        (OK + b"content-length: " + b"9" * 19 + b"\r\n\r\n", "at most"),
        (OK + b"\r\n" + PNG + bytes(MAX_BYTES), "at most"),
        (OK + b"transfer-encoding: chunked\r\n\r\n" + b"fffff\r\n%b\r\n" % bytes(0xFFFFF) * 21,
         "at most"),
        (OK + b"content-encoding: gzip\r\ncontent-length: 0\r\n\r\n", "packed"),
        (OK + b"content-type: image/png\r\ncontent-length: 5\r\n\r\n<html", "PNG, JPEG"),
        (OK + b"content-length: 57\r\n\r\n" + png_of(100_000, 100_000), "pixels"),
        (OK + b"content-length: 0\r\n\r\n", "PNG, JPEG"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", "404"),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", "204"),
        (b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", "302"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cannot be reached"),
        (OK + b"a: " + b"b" * 300_000 + b"\r\n\r\n", "cannot be reached"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_picture(answer: bytes, message: str) -> None:
    async def main() -> None:
        async with answering(lambda _: answer) as (port, _):
            with pytest.raises(InvalidInputError, match=message):
                await Fetcher([f"127.0.0.1:{port}"]).fetch(f"http://127.0.0.1:{port}/")

    asyncio.run(main())


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", OK, WHOLE[:-1]])
def test_an_answer_that_does_not_end(answer: bytes) -> None:
    async def main() -> None:
        async with answering(lambda _: answer) as (port, _):
            with pytest.raises(UnavailableError, match=r"within 0\.3 s"):
                await Fetcher([f"127.0.0.1:{port}"], time_s=0.3).fetch(f"http://127.0.0.1:{port}/")

    asyncio.run(main())


def test_a_name_that_does_not_resolve_in_time() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(UnavailableError, match=r"within 0\.1 s"):
        fetched(Fetcher(resolve=never, time_s=0.1), "https://pictures.example/")


def test_those_that_are_slow_hold_up_nobody_for_long() -> None:
    async def never(host: str, port: int) -> list[str]:
        if host == "slow.example":
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    async def main() -> None:
        async with answering(lambda _: WHOLE) as (port, _):
            where = f"pictures.example:{port}"
            fetcher = Fetcher([where, f"slow.example:{port}"], never, time_s=3.0)
            slow = [
                asyncio.create_task(fetcher.fetch(f"http://slow.example:{port}/{number}"))
                for number in range(100)
            ]
            began = asyncio.get_running_loop().time()
            assert await fetcher.fetch(f"http://{where}/") == PNG
            assert not any(each.done() for each in slow)
            found = await asyncio.gather(*slow, return_exceptions=True)
            assert all(isinstance(each, UnavailableError) for each in found)
            assert asyncio.get_running_loop().time() - began < 30  # and not 25 times 3 s

    asyncio.run(main())


def test_whoever_waits_for_a_turn_waits_as_long_as_for_the_picture() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async def main() -> None:
        fetcher = Fetcher(resolve=never, time_s=2.0)
        urls = [f"https://{number}.example/" for number in range(100)]
        began = asyncio.get_running_loop().time()
        found = await asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)
        assert all(isinstance(each, UnavailableError) for each in found)
        assert asyncio.get_running_loop().time() - began < 10  # and not 7 times 2 s

    asyncio.run(main())


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def main() -> None:
        async with answering(lambda _: WHOLE) as (port, _):
            found = await Fetcher([f"127.0.0.1:{port}"]).fetch(f"http://127.0.0.1:{port}/")
            assert found == PNG

    asyncio.run(main())


def test_a_certificate_is_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=a"
    )
    names = ["-addext", "subjectAltName=DNS:pictures.example"]
    subprocess.run(
        [*made.split(), *names, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))

    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def main() -> None:
        async with answering(lambda _: WHOLE, tls) as (port, _):
            right, wrong = (f"{name}.example:{port}" for name in ("pictures", "other"))
            trusting = Fetcher([right, wrong], here, trust=trust)
            assert await trusting.fetch(f"https://{right}/") == PNG
            with pytest.raises(InvalidInputError, match="cannot be reached"):
                await trusting.fetch(f"https://{wrong}/")
            with pytest.raises(InvalidInputError, match="cannot be reached"):
                await Fetcher([right], here).fetch(f"https://{right}/")

    asyncio.run(main())
