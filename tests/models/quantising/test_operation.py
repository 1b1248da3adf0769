"""`models.quantize` as callers and people have it."""

import json
import shutil

import pytest

from tests.cli.running import sensorium
from tests.models.quantising.test_quantising import TINYLM, edit, needs_tinylm
from tests.servers import serving

pytest.importorskip("gguf", reason="gguf is not installed: sensorium[quantize]")
pytestmark = needs_tinylm
QUESTION = "What is the capital of France?"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(TINYLM / "hf-f16", tmp_path / "models/org--tiny")
    for file in (tmp_path / "models/org--tiny", *(tmp_path / "models/org--tiny").iterdir()):
        file.chmod(0o755)
    edit(tmp_path / "models/org--tiny/tokenizer_config.json", add_bos_token=True)
    return tmp_path / "models"


def test_a_server_quantises_and_then_talks(folder):
    with serving("--model-cache-path", str(folder)) as server, server.client() as http:
        asked = {"model": "org/tiny", "to": "q8_0"}
        events = http.post(
            "/v1/models/quantize", json=asked, headers={"accept": "text/event-stream"}
        ).text
        steps = [json.loads(each[6:]) for each in events.splitlines() if each[:6] == "data: "]
        outcomes = [each["outcome"] for each in steps if each.get("outcome")]
        assert [each["name"] for each in outcomes] == ["org--tiny-q8_0"]
        said = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
        found = http.post("/v1/chat/complete", json={"model": "org/tiny-q8_0", **said}).text
        assert "Paris" in found
        wrong = http.post("/v1/models/quantize", json={"model": "machine-state", "to": "q8_0"})
        assert "machine-state is onnx" in wrong.text


def test_people_see_what_was_made(folder, tmp_path):
    where = {"SENSORIUM_MODEL_CACHE_PATH": str(folder), "SENSORIUM_DATA_DIR": str(tmp_path)}
    ran = sensorium("models", "quantize", "org/tiny", "--to", "q4_K", "--name", "small", **where)
    assert (ran.status, ran.out) == (0, "small: gguf, 1.9 MiB from 5.5 MiB\n")
    assert "token_embd.weight in Q8_0" in ran.err
    told = sensorium("models", "list", **where).out
    assert "small" in told
    ran = sensorium("models", "quantize", "machine-state", "--to", "q8_0", **where)
    assert ran.status != 0
    assert ran.err.startswith("sensorium: machine-state is onnx")
