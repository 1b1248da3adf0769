"""The addresses under `/hub`, asked by hand."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from sensorium.control.keys import KeyStore
from tests.hub.conftest import KEY
from tests.hub.folder import PULLED, SECRET, TEXT, WEIGHTS, put, sha256
from tests.security.raw import request, status, talk
from tests.servers import Server, serving

AUTHORISED = {"authorization": f"Bearer {KEY}"}
FILE = "/hub/org/text/resolve/main/model.safetensors"


@pytest.fixture
def http(node: Server) -> Iterator[httpx.Client]:
    with node.client(headers=AUTHORISED) as client:
        yield client


def info(http: httpx.Client, name: str, revision: str = "") -> dict[str, object]:
    answer = http.get(f"/hub/api/models/{name}{revision and '/revision/'}{revision}")
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    assert answer.headers["x-repo-commit"] == found["sha"]
    return found


# What there is


def test_a_model_is_told_with_its_files(http: httpx.Client) -> None:
    found = info(http, "org/pulled")
    assert (found["id"], found["pipeline_tag"]) == ("org/pulled", "text-generation")
    assert found["cardData"] == {"license": "mit"}
    siblings: list[dict[str, object]] = found["siblings"]  # type: ignore[assignment]
    assert {each["rfilename"]: each["lfs"] for each in siblings} == {
        path: {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
        for path, data in PULLED.items()
    }


def test_names_have_a_slash_two_dashes_or_neither(http: httpx.Client) -> None:
    assert info(http, "org/text") == info(http, "org--text")
    assert info(http, "alone")["id"] == "alone"
    assert info(http, "machine-state")["id"] == "machine-state", "a sample"


def test_the_commit_is_the_beginning_of_the_digest(http: httpx.Client) -> None:
    commit = info(http, "alone")["sha"]
    entry = http.post("/v1/models/get", json={"model": "alone"}).json()["entry"]
    assert entry["digest"] == sha256(b"alone")
    assert commit == entry["digest"][:40]


def test_a_revision_is_main_a_version_or_a_commit(http: httpx.Client) -> None:
    latest, first = info(http, "counted"), info(http, "counted", "1")
    assert latest == info(http, "counted", "main") == info(http, "counted", "2")
    assert first["sha"] != latest["sha"]
    for revision, commit in (("1", first["sha"]), ("2", latest["sha"])):
        assert info(http, "counted", str(commit))["sha"] == commit
        answer = http.get(f"/hub/counted/resolve/{commit}/m.onnx")
        assert answer.content == {"1": b"first", "2": b"second"}[revision]
        assert answer.headers["x-repo-commit"] == commit
    assert http.get("/hub/counted/resolve/1/labels.txt").headers["x-error-code"] == "EntryNotFound"


def test_a_tree_whole_and_by_folder(http: httpx.Client) -> None:
    whole = http.get("/hub/api/models/org/text/tree/main?recursive=True").json()
    files = {each["path"]: each["size"] for each in whole if each["type"] == "file"}
    assert files == {**{k: len(v) for k, v in TEXT.items()}, "again.json": 22}
    assert [e["path"] for e in whole if e["type"] == "directory"] == ["sub", "sub/deep"]
    top = http.get("/hub/api/models/org/text/tree/main").json()
    assert [e["path"] for e in top if e["type"] == "directory"] == ["sub"]
    assert "sub/vocab.txt" not in {each["path"] for each in top}
    inner = http.get("/hub/api/models/org/text/tree/main/sub").json()
    assert {each["path"] for each in inner} == {"sub/deep", "sub/vocab.txt"}
    answer = http.get("/hub/api/models/org/text/tree/main/none")
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "EntryNotFound")


def test_paths_are_told_by_form_and_by_json(http: httpx.Client) -> None:
    address = "/hub/api/models/org/text/paths-info/main"
    paths = ["config.json", "sub", "none", "../secret", "config.json"]
    expected = [("file", "config.json"), ("directory", "sub")]
    for body in ({"data": {"paths": paths}}, {"json": {"paths": paths, "expand": False}}):
        told = http.post(address, **body).json()  # type: ignore[arg-type]
        assert [(each["type"], each["path"]) for each in told] == expected
    assert http.post(address, json=[1]).status_code == 400
    assert http.post(address, content=b"paths=" * 20_000).status_code == 413
    assert http.get(address).status_code == 405


# Files


def test_a_file_is_sent_with_what_the_hub_says_of_it(http: httpx.Client) -> None:
    answer = http.get(FILE)
    assert answer.content == WEIGHTS
    etag = f'"{sha256(WEIGHTS)}"'
    expected = {
        "etag": etag,
        "x-linked-etag": etag,
        "x-linked-size": str(len(WEIGHTS)),
        "content-length": str(len(WEIGHTS)),
        "accept-ranges": "bytes",
        "content-type": "application/octet-stream",
        "x-content-type-options": "nosniff",
        "x-repo-commit": str(info(http, "org/text")["sha"]),
    }
    assert {name: answer.headers[name] for name in expected} == expected
    head = http.head(FILE)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in expected} == expected


@pytest.mark.parametrize("path", sorted(TEXT))
def test_every_file_is_had_by_its_path(http: httpx.Client, path: str) -> None:
    quoted = path.replace(" ", "%20").replace("#", "%23")
    answer = http.get(f"/hub/org/text/resolve/main/{quoted}")
    assert (answer.status_code, answer.content) == (200, TEXT[path])


def test_a_link_within_the_folder_is_a_file(http: httpx.Client) -> None:
    answer = http.get("/hub/org/text/resolve/main/again.json")
    assert answer.content == TEXT["config.json"]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=2999990-", 2_999_990, 2_999_999),
        ("bytes=-5", 2_999_995, 2_999_999),
        ("bytes=2999999-9999999", 2_999_999, 2_999_999),
        ("bytes=1048000-2100000", 1_048_000, 2_100_000),
    ],
)
def test_a_range_of_a_file(http: httpx.Client, wanted: str, first: int, last: int) -> None:
    answer = http.get(FILE, headers={"range": wanted})
    assert (answer.status_code, answer.content) == (206, WEIGHTS[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(WEIGHTS)}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.headers["etag"] == f'"{sha256(WEIGHTS)}"'


def test_a_range_is_for_who_has_the_beginning_of_the_same_file(http: httpx.Client) -> None:
    def code(if_range: str) -> int:
        headers = {"range": "bytes=10-19", "if-range": if_range}
        return http.get(FILE, headers=headers).status_code

    assert code(f'"{sha256(WEIGHTS)}"') == 206
    assert code(f'"{sha256(b"another")}"') == 200, "the whole"
    assert code(f'W/"{sha256(WEIGHTS)}"') == 200


@pytest.mark.parametrize("wanted", ["bytes=3000000-", "bytes=9999999-99999999"])
def test_a_range_beyond_the_end(http: httpx.Client, wanted: str) -> None:
    answer = http.get(FILE, headers={"range": wanted})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(WEIGHTS)}"


def test_a_range_that_makes_no_sense(http: httpx.Client) -> None:
    for wanted in ("bytes=", "bytes=b-a", "lines=1-2", "bytes=5-1", "x", "bytes=1-" + "9" * 5000):
        assert http.get(FILE, headers={"range": wanted}).status_code in (200, 206, 400, 416)


# What there is not


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/hub/api/models/org/none", "RepoNotFound"),
        ("/hub/api/models/none", "RepoNotFound"),
        ("/hub/api/models/.partial", "RepoNotFound"),
        ("/hub/api/models/far", "RepoNotFound"),
        ("/hub/org/none/resolve/main/config.json", "RepoNotFound"),
        ("/hub/api/models/counted/revision/3", "RevisionNotFound"),
        ("/hub/api/models/counted/revision/01", "RevisionNotFound"),
        ("/hub/api/models/counted/revision/dev", "RevisionNotFound"),
        (f"/hub/api/models/counted/revision/{'ab' * 20}", "RevisionNotFound"),
        ("/hub/counted/resolve/9/m.onnx", "RevisionNotFound"),
        ("/hub/counted/resolve/refs%2Fpr%2F1/m.onnx", "RevisionNotFound"),
        ("/hub/counted/resolve/main/none.onnx", "EntryNotFound"),
        ("/hub/org/pulled/resolve/main/sensorium.json", "EntryNotFound"),
        ("/hub/org/pulled/resolve/main/remote.toml", "EntryNotFound"),
    ],
)
def test_what_is_not_here_is_called_as_the_hub_calls_it(
    http: httpx.Client, path: str, code: str
) -> None:
    for method in ("GET", "HEAD"):
        answer = http.request(method, path)
        assert (answer.status_code, answer.headers["x-error-code"]) == (404, code)
        assert answer.headers["x-error-message"]
        assert ("x-repo-commit" in answer.headers) is (code == "EntryNotFound")
    assert http.get(path).json()["error"]


def test_addresses_that_are_none(http: httpx.Client) -> None:
    for path in ("/hub", "/hub/", "/hub/x", "/hub/api/models/", "/hub/a/b/c/resolve/main/x"):
        answer = http.get(path)
        assert (answer.status_code, "x-error-code" in answer.headers) == (404, False), path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = http.request(method, FILE)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


TRAVERSALS = [
    "../secret", "../../secret", "sub/../../secret", "%2e%2e/secret", "%2e%2e%2fsecret",
    "..%2fsecret", "..%2f..%2fsecret", ".%2e/secret", "%252e%252e/secret", "..%252fsecret",
    "..%5csecret", "..%5c..%5csecret", "..\\secret", "sub\\..\\..\\secret", "%00", "config.json%00",
    "%00../secret", "../secret%00.json", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd",
    "..%c0%afsecret", "%c0%ae%c0%ae/secret", "..%ef%bc%8fsecret", "leaves", "out", "out/secret",
    "tohidden", "circle", ".env", "sub/.env", ".cache/secret", "./.env", "sub/./.env", "sub//.env",
    "C:secret", "config.json:stream", "~/secret", "", ".", "..", "sub", "sub/", "config.json/",
    "config.json/..", "config.json/../.env", "../.partial/org--half/m.onnx", "../notes/secret",
    "../org--text/.env", "..;/secret", "%0a", "..%0d%0asecret", "../../elsewhere/secret",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_path_leads_out(node: Server, method: str, path: str) -> None:
    answer = talk(node, request(method, f"/hub/org/text/resolve/main/{path}", *_headers()))
    assert status(answer) in (400, 404), answer[:200]
    assert SECRET not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "/hub/../resolve/main/secret",
        "/hub/../../secret",
        "/hub/%2e%2e/resolve/main/secret",
        "/hub/%2e%2e/%2e%2e/resolve/main/secret",
        "/hub/./resolve/main/secret",
        "/hub/.partial/resolve/main/org--half/m.onnx",
        "/hub/.partial/org--half/resolve/main/m.onnx",
        "/hub/.partial%2forg--half/resolve/main/m.onnx",
        "/hub/notes/resolve/main/secret",
        "/hub/org--text%2f..%2f..%2f/resolve/main/secret",
        "/hub/org--text%00/resolve/main/secret",
        "/hub/%00/resolve/main/secret",
        "/hub/%2fetc/resolve/main/passwd",
        "/hub/%5c/resolve/main/secret",
        "/hub/org/text/resolve/..%2f..%2fmain/secret",
        "/hub/org/text/resolve/../main/secret",
        "/hub/far/resolve/main/remote.toml",
        "/hub/org:text/resolve/main/.env",
        f"/hub/{'a' * 300}/resolve/main/secret",
        f"/hub/org/text/resolve/main/{'sub/' * 2000}secret",
        "/hub/api/models/..%2f..%2fsecret",
        "/hub/api/models/org/text/tree/main/..%2f..",
        "/hub/api/models/org/text/tree/main/.cache",
    ],
)
def test_no_name_and_no_revision_leads_out(node: Server, path: str) -> None:
    answer = talk(node, request("GET", path, *_headers()))
    assert status(answer) in (400, 404, 422), answer[:200]
    assert SECRET not in answer


def _headers() -> list[str]:
    return [f"authorization: Bearer {KEY}"]


# Who may


@pytest.mark.parametrize("path", [FILE, "/hub/api/models/org/text", "/hub/api/models/none"])
def test_without_a_key_nothing_is_told(node: Server, path: str) -> None:
    with node.client() as http:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
            for method in ("GET", "HEAD"):
                answer = http.request(method, path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "x-error-code" not in answer.headers, "not whether there is such a model"
                message = answer.headers["x-error-message"]
                assert message == "Invalid credentials in Authorization header"
            assert set(http.get(path, headers=headers).json()) == {"error"}


def test_a_foreign_host_and_a_foreign_page_are_refused(http: httpx.Client) -> None:
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        for path in (FILE, "/hub/api/models/org/text"):
            answer = http.get(path, headers=headers)
            assert (answer.status_code, answer.headers.get("etag")) == (403, None)


def test_keys_that_cover_it_keys_that_do_not_and_a_revoked_one(models: Path) -> None:
    environ = {"SENSORIUM_MODEL_CACHE_PATH": str(models)}
    with serving(environ=environ, ready=False) as server, server.client() as http:
        assert http.get(FILE).status_code == 200, "a server without keys needs none"
        store = KeyStore(server.data_dir)
        whole, whole_text = store.create("node", ("models.*",))
        _, logs = store.create("logs", ("logs.*",))
        _, get = store.create("get", ("models.get",))
        _, rated = store.create("rated", ("models.files",), rate_per_s=0.01)

        def answer(text: str, path: str = FILE) -> httpx.Response:
            return http.get(path, headers={"authorization": f"Bearer {text}"})

        _until(lambda: answer(whole_text).status_code == 200)
        _until(lambda: http.get(FILE).status_code == 401)
        for text in (logs, get):
            for path in (FILE, "/hub/api/models/org/text"):
                refused = answer(text, path)
                assert refused.status_code == 403
                assert "models.files" in refused.headers["x-error-message"]
        assert answer(rated).status_code == 200
        refused = answer(rated)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 1
        KeyStore(server.data_dir).revoke(whole.id)
        _until(lambda: answer(whole_text).status_code == 401)


def _until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.05)


# What changes


def test_a_model_that_changes_has_another_commit_and_the_old_one_is_gone(
    http: httpx.Client, models: Path
) -> None:
    put(models / "changing", {"m.onnx": b"before", "labels.txt": b"same"})
    before = info(http, "changing")["sha"]
    put(models / "changing", {"m.onnx": b"after it"})
    after = info(http, "changing")["sha"]
    assert before != after
    answer = http.get(f"/hub/changing/resolve/{before}/m.onnx")
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RevisionNotFound")
    assert http.get(f"/hub/changing/resolve/{after}/m.onnx").content == b"after it"
