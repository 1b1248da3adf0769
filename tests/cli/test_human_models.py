"""`sensorium models …` as people use it: what is on disk, what a server has loaded, fetching."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorium.models.catalogue.shelves import SAMPLES
from tests.cli.running import Ran, on_terminal, sensorium
from tests.language.lasting import lasting
from tests.servers import Server, serving

ONNX = next(SAMPLES.glob("machine-state/*.onnx"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a folder of models of its own."""
    with serving(environ=lasting(tmp_path_factory.mktemp("models"))) as running:
        yield running


def models(server: Server, *words: str) -> Ran:
    return sensorium("models", *words, "--server", server.url)


def loaded(server: Server) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(models(server, "ps", "--json").out)
    return found


def test_what_is_on_disk_is_a_line_each() -> None:
    ran = sensorium("models", "list")
    rows = {line.split("\t")[0]: line.split("\t") for line in ran.out.splitlines()}
    assert {"machine-state", "machine-life", "tinylm"} <= set(rows)
    assert rows["tinylm"][2] == "gguf"
    assert json.loads(sensorium("models", "list", "--json").out)["models"]


def test_a_model_is_shown() -> None:
    ran = sensorium("models", "show", "machine-state")
    assert (ran.status, ran.err) == (0, "")
    assert "FP32" in ran.out
    assert "sha256" in ran.out
    shown = sensorium("models", "show", "tinylm").out
    assert "context\t256 tokens" in shown
    assert "parameters\t2,885,888 Q8_0" in shown


def test_a_model_is_loaded_as_the_options_say_and_stopped(own: Server) -> None:
    ran = models(own, "load", "machine-state", "--keep-alive", "-1", "--alias", "state")
    assert ran.status == 0
    assert "machine-state version 1 is loaded: " in ran.out
    ran = models(own, "load", "tinylm", "--context", "512", "--parallel", "2")
    assert (ran.status, ran.err) == (0, "")
    with own.client() as http:
        body = {"model": "tinylm", "messages": [{"role": "user", "content": "word " * 600}]}
        refused = http.post("/v1/chat/complete", json=body).json()
    assert refused["details"]["context"] == 512
    seen = models(own, "ps").out
    assert "for ever" in seen
    assert "tinylm" in seen
    assert models(own, "stop", "tinylm").out == "tinylm is unloaded\n"
    assert models(own, "stop", "state").status == 0
    assert loaded(own) == []


def test_what_is_not_as_asked_for_is_said(own: Server) -> None:
    ran = models(own, "load", "tinylm", "--context", "16384")
    assert ran.status == 0
    said = "it was trained on 8192 tokens"
    assert f"not as asked for: {said}" in ran.err
    assert f"sensorium: tinylm is not as asked for: {said}" in models(own, "ps").err
    assert f"not as asked for\t{said}" in models(own, "show", "tinylm").out
    assert models(own, "stop", "tinylm").status == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--context", "-8"], "context"),
        (["--placement", "nowhere"], '"inproc", "process"'),
        (["--gpu-layers", "-1"], "ask for fallback"),
        (["--providers", "nothing"], "gpu_layers"),
    ],
)
def test_options_that_cannot_be(own: Server, words: list[str], says: str) -> None:
    ran = models(own, "load", "tinylm", *words)
    assert ran.status != 0
    assert says in ran.err


def test_without_a_server_it_is_only_tried() -> None:
    ran = sensorium("models", "load", "machine-state")
    assert "machine-state version 1 is loaded" in ran.out
    assert "without --server" in ran.err
    assert "without --server" in sensorium("models", "ps").err


def test_a_file_is_fetched_and_deleted(own: Server, tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(ONNX.read_bytes())
    ran = sensorium("models", "pull", file.as_uri(), SENSORIUM_MODEL_CACHE_PATH=str(tmp_path / "m"))
    assert ran.status == 0
    listed = sensorium("models", "list", SENSORIUM_MODEL_CACHE_PATH=str(tmp_path / "m")).out
    (name,) = (line.split("\t")[0] for line in listed.splitlines() if "mine" in line)
    ran = sensorium("models", "rm", name, SENSORIUM_MODEL_CACHE_PATH=str(tmp_path / "m"))
    assert (ran.status, ran.out) == (0, f"{name} is deleted\n")
    assert models(own, "rm", "machine-state").status != 0  # a sample


def test_a_terminal_sees_a_table() -> None:
    status, seen = on_terminal("models", "list")
    assert status == 0
    assert "licence" in seen


@pytest.mark.parametrize("verb", ["show", "load", "stop", "rm"])
def test_a_model_that_is_not_there(own: Server, verb: str) -> None:
    ran = models(own, verb, "org/nothing")
    assert ran.status != 0
    assert "org/nothing" in ran.err
