"""Models by all that they are called: loaded, unloaded and deleted by the same names."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.models import files
from tests.servers import serving

NAMES = ("org/m:q4", "org--m:net-q4", "bge-small", "other")
X = {"name": "x", "datatype": "FP32", "shape": [1, 8], "values": [1] * 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def models(folder: Path) -> None:
    """Two variants in one folder, and a model of the library."""
    made = files.mlp(folder.parent / "made")
    for path in ("org--m/net-q4", "org--m/net-q8", "BAAI--bge-small-en-v1.5/onnx/model"):
        target = folder / f"{path}.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, target)


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[httpx.Client]:
    environ = {
        "SENSORIUM_MODEL_CACHE_PATH": str(folder),
        "SENSORIUM_MODEL_ALIASES": "other=org/m:q4",
    }
    with serving("--workers", "1", environ=environ) as server, server.client() as client:
        yield client


def ask(http: httpx.Client, name: str, model: str, **fields: object) -> int:
    return http.post(f"/v1/models/{name}", json={"model": model, **fields}).status_code


def loaded(http: httpx.Client) -> list[str]:
    found = http.post("/v1/models/list", json={"loaded": True}).json()["loaded"]
    return [each["name"] for each in found]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_unloaded_by_the_name_that_it_was_loaded_with(
    http: httpx.Client, name: str
) -> None:
    assert ask(http, "load", name) == 200
    assert len(loaded(http)) == 1
    assert ask(http, "unload", name) == 200
    assert loaded(http) == []
    assert ask(http, "unload", name) == 404


@pytest.mark.usefixtures("models")
def test_a_model_is_unloaded_by_another_name_and_a_folder_with_all_it_holds(
    http: httpx.Client,
) -> None:
    for loads, unloads in (
        (["org/m:q4"], "org--m:net-q4.onnx"),
        (["org/m:q4", "org/m:q8"], "org/m"),
        (["BAAI/bge-small-en-v1.5"], "bge-small"),
    ):
        for name in loads:
            assert ask(http, "load", name) == 200
        assert ask(http, "unload", unloads) == 200
        assert loaded(http) == []


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["org/m:q4", "bge-small"])
def test_a_model_that_is_deleted_does_not_answer_any_more(http: httpx.Client, name: str) -> None:
    assert ask(http, "infer", name, inputs=[X]) == 200
    assert ask(http, "load", "org/m:q8") == 200
    assert ask(http, "delete", name) == 200
    assert ask(http, "infer", name, inputs=[X]) == 404
    assert loaded(http) == ["org--m:net-q8"], "and the others stay"
    assert ask(http, "unload", "org--m:net-q8") == 200, "though it is alone now"


def test_latest_is_no_variant_at_any_door(http: httpx.Client) -> None:
    """Apps list models where Ollama's clients do, and chat elsewhere."""
    asked = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    for name in ("tinylm:latest", "default:latest"):
        assert http.post("/v1/chat/completions", json={**asked, "model": name}).is_success
        assert http.post("/v1/chat/complete", json={**asked, "model": name}).is_success
        assert http.get(f"/v1/models/{name}").json()["id"]
        assert ask(http, "unload", name) == 200
    refused = http.post("/v1/chat/complete", json={**asked, "model": "tinylm:other"})
    assert "no variant 'other'" in refused.json()["detail"]
