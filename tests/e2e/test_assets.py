"""What the pages consist of: whole, ours, and nothing beside it."""

import gzip
import hashlib
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from sensorium.transports.http.pages import ASSETS
from tests.servers import Server, serving

VENDORED = ASSETS / "vendored"
NAMESPACES = ("http://www.w3.org/2000/svg", "http://localhost:8484/")


def described() -> list[dict[str, str]]:
    packages = tomllib.loads((VENDORED / "VENDORED.toml").read_text())["package"]
    return [each for package in packages for each in package["file"]]


def test_other_peoples_files_are_what_they_are_said_to_be() -> None:
    for each in described():
        stored = (VENDORED / each["name"]).read_bytes()
        plain = gzip.decompress(stored) if each["name"].endswith(".gz") else stored
        assert hashlib.sha256(plain).hexdigest() == each["sha256"], each["name"]
        if plain is not stored:
            assert hashlib.sha256(stored).hexdigest() == each["packed_sha256"], each["name"]


def test_every_vendored_file_is_described_and_every_package_brings_its_licence() -> None:
    names = {each["name"] for each in described()}
    assert names == {path.name for path in VENDORED.iterdir()} - {"VENDORED.toml"}
    for package in tomllib.loads((VENDORED / "VENDORED.toml").read_text())["package"]:
        assert any(each["name"].endswith(".LICENSE") for each in package["file"]), package["name"]


def test_our_own_files_name_no_other_host() -> None:
    for folder in ("page", "api-doc"):
        for path in (ASSETS / folder).iterdir():
            found = re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+[^\s\"')]*", path.read_text())
            assert [each for each in found if each not in NAMESPACES] == [], path.name


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/api-doc/assets/swagger-ui.css", "text/css; charset=utf-8"),
        ("/api-doc/assets/rapidoc-min.js", "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_travels_compressed_or_plain_or_not_at_all(
    server: Server, path: str, media_type: str
) -> None:
    with server.client() as http:
        packed = http.get(path, headers={"accept-encoding": "gzip, br"})
        plain = http.get(path, headers={"accept-encoding": "gzip;q=0, identity"})
        again = http.get(path, headers={"if-none-match": packed.headers["etag"]})
        head = http.head(path)
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert plain.headers["content-type"] == media_type
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert (again.status_code, again.content) == (304, b"")
    assert (head.status_code, head.content) == (200, b"")


def test_the_policy_allows_no_other_host(server: Server) -> None:
    with server.client() as http:
        for path in ("/", "/api-doc/", "/api-doc/swagger", "/api-doc/redoc", "/api-doc/rapidoc"):
            policy = http.get(path).headers["content-security-policy"]
            parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
            assert parts.pop("default-src") == "'none'"
            sources = set(" ".join(parts.values()).split())
            assert sources <= {"'self'", "'none'", "'unsafe-inline'", "data:", "blob:"}
            assert parts["script-src"] == "'self'"
            assert "'unsafe-inline'" not in parts["style-src"] or path.startswith("/api-doc/")


def asked_raw(server: Server, path: str) -> bytes:
    """The answer to a path sent as it is, which an HTTP client would tidy up first."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80), timeout=60) as raw:
        head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
        raw.sendall(head.encode())
        return b"".join(iter(lambda: raw.recv(65536), b""))


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../pages.py",
        "/assets/%2e%2e/pages.py",
        "/assets/..%2fpages.py",
        "/assets//etc/passwd",
        "/assets/",
        "/api-doc/assets/VENDORED.toml",
        "/api-doc/assets/swagger-ui.LICENSE",
        "/api-doc/../pages.py",
    ],
)
def test_only_files_of_the_table_are_served(server: Server, path: str) -> None:
    assert asked_raw(server, path).startswith(b"HTTP/1.1 404")


def test_a_folder_of_ones_own_is_served_and_nothing_beside_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "site", tmp_path / "secret.txt"
    (inside / "deep").mkdir(parents=True)
    (inside / "index.html").write_text("<p>home")
    (inside / "deep" / "note.txt").write_text("0123456789")
    outside.write_text("secret")
    (inside / "link.txt").symlink_to(outside)
    with serving("--static-dir", str(inside), ready=False) as own, own.client() as http:
        assert http.get("/static/").text == "<p>home"
        assert http.get("/static/deep/note.txt").text == "0123456789"
        part = http.get("/static/deep/note.txt", headers={"range": "bytes=2-4"})
        assert (part.status_code, part.text) == (206, "234")
        assert http.head("/static/deep/note.txt").headers["content-length"] == "10"
        assert http.get("/static/missing.txt").json()["code"] == "not_found"
        assert http.post("/static/deep/note.txt").status_code == 405
        for path in (
            "link.txt",
            "../secret.txt",
            "%2e%2e/secret.txt",
            "deep/..%2f../../secret.txt",
        ):
            answer = asked_raw(own, f"/static/{path}")
            assert answer.startswith(b"HTTP/1.1 404"), path
            assert not answer.endswith(b"secret"), path


def test_a_folder_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sensorium", "serve", "--port", "0", "--static-dir", "nowhere"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"SENSORIUM_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ASSETS.parents[3])},
        timeout=60,
    )
    assert ended.returncode == 1
    assert "static_dir is 'nowhere', and there is no such folder" in ended.stderr
