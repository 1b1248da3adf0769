"""GGUF files made of safetensors, run by llama.cpp beside the models that they were made of."""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sensorium.core.errors import (
    CancelledCallError,
    ConflictError,
    InvalidInputError,
    NotSupportedError,
    UnavailableError,
)
from sensorium.core.generation import Generation
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.catalogue.manifest import read_manifest
from sensorium.models.headers.reading import read_header
from sensorium.models.quantising.progress import Task
from sensorium.models.quantising.quantise import quantise
from sensorium.models.quantising.quantiser import Quantiser
from tests.models.backends.contract import artifact, load
from tests.models.backends.text_contract import generated, text_of
from tests.models.hub.pulling import never
from tests.servers import ROOT

pytest.importorskip("gguf", reason="gguf is not installed: sensorium[quantize]")
TINYLM = ROOT.parent / "shared/models/tinylm"
GREEDY = TINYLM / "greedy_hf.json"
needs_tinylm = pytest.mark.skipif(
    not TINYLM.is_dir(), reason="the small language model that lies beside the project is not here"
)
pytestmark = needs_tinylm


@pytest.fixture
def root(tmp_path):
    """A folder of models with the small language model, whose texts begin with a token."""
    shutil.copytree(TINYLM / "hf-f16", tmp_path / "tinylm")
    for file in (tmp_path / "tinylm", *(tmp_path / "tinylm").iterdir()):
        file.chmod(0o755)
    edit(tmp_path / "tinylm/tokenizer_config.json", add_bos_token=True)
    (tmp_path / "tinylm/LICENSE.txt").write_text("anybody may do anything")
    return tmp_path


def edit(path, **changed):
    told = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({key: each for key, each in told.items() if each is not None}))


def task(root, precision="q8_0", **more):
    folder = more.pop("folder", f"tinylm-{precision.lower()}")
    return Task(
        root=str(root),
        model="tinylm",
        source=str(root / "tinylm"),
        digest="12ab",
        licence="mit",
        task="text-generation",
        precision=precision,
        folder=folder,
        **more,
    )


def made(root, precision="q8_0", **more):
    told = list(quantise(task(root, precision, **more), never))
    assert all(step.outcome is None for step in told[:-1])
    return told, told[-1].outcome


def answers(path):
    model = load(artifact(path, "gguf"), LoadOptions(threads=2, parallel=1))
    found = {}
    for question, known in json.loads(GREEDY.read_text()).items():
        asked = {"messages": [{"role": "user", "content": question}]}
        if 3 in known["prompt_ids"]:  # it has a system's message too
            asked = {"prompt": model.detokenize(known["prompt_ids"][1:])}
        pieces = generated(model, **asked, max_tokens=128, temperature=0.0)
        found[question] = text_of(pieces).strip() == known["text"]
        assert pieces[-1].prompt_tokens == len(known["prompt_ids"])
    model.close()
    return found


def test_greedy_texts_are_those_of_the_model_it_was_made_of(root):
    told, outcome = made(root)
    assert outcome.tensors == {"F32": 9, "Q8_0": 29}
    assert outcome.kept == ""
    assert told[-1].done_bytes == told[-1].total_bytes == outcome.source_bytes
    found = answers(root / "tinylm-q8_0/tinylm-q8_0.gguf")
    assert sum(found.values()) == len(found) == 14


def test_4_bits_are_half_of_8(root):
    _, outcome = made(root, "q4_K")
    assert outcome.tensors == {"F32": 9, "Q4_K": 28, "Q8_0": 1}
    assert outcome.kept == "token_embd.weight in Q8_0, as errors there are heard most"
    assert outcome.size_bytes < outcome.source_bytes * 0.4
    found = answers(root / "tinylm-q4_k/tinylm-q4_k.gguf")
    assert sum(found.values()) >= 8  # one token that differs changes the rest


def test_what_is_made_is_a_model_of_the_folder(root):
    _, outcome = made(root)
    catalogue = Catalogue(root)
    found = catalogue.find("tinylm-q8_0")
    assert (found.format, found.licence, found.task) == ("gguf", "mit", "text-generation")
    assert found.digest == outcome.digest
    assert found.source == "quantised:tinylm@12ab"
    header = read_header(found.path, "gguf")
    assert (header.architecture, header.context_length) == ("llama", 256)
    assert header.chat_template == (TINYLM / "hf-f16/chat_template.jinja").read_text()
    manifest = read_manifest(root / "tinylm-q8_0")
    assert {file.path for file in manifest.files} == {"tinylm-q8_0.gguf", "LICENSE.txt"}
    assert (root / "tinylm-q8_0/LICENSE.txt").read_text() == "anybody may do anything"
    made(root)  # again, into its place
    assert [each.name for each in catalogue.entries()] == ["tinylm", "tinylm-q8_0"]


def test_another_model_of_the_name_stays(root):
    with pytest.raises(ConflictError, match="put there by hand"):
        made(root, folder="tinylm")
    made(root, folder="other")
    manifest = root / "other/sensorium.json"
    edit(manifest, source="hf://org/other")
    with pytest.raises(ConflictError, match="from elsewhere"):
        made(root, folder="other")
    assert (root / "other/other.gguf").is_file()


def test_it_ends_when_nobody_wants_it_and_leaves_nothing(root):
    def check():
        if list(root.rglob("*.gguf")):
            raise CancelledCallError

    with pytest.raises(CancelledCallError):
        list(quantise(task(root, "q4_K"), check))
    assert not list(root.rglob("*.gguf"))
    assert not (root / ".partial/tinylm-q4_k").exists()
    assert made(root, "q4_K")[1].size_bytes


def test_without_room_nothing_is_written(root, monkeypatch):
    usage = shutil.disk_usage(root)._replace(free=1 << 20)
    monkeypatch.setattr("sensorium.models.hub.room.shutil.disk_usage", lambda _: usage)
    with pytest.raises(UnavailableError, match="no room on the disk") as caught:
        made(root)
    assert caught.value.details["missing_bytes"] > 3_000_000
    assert not list(root.rglob("*.gguf"))


@pytest.mark.parametrize(
    ("changed", "error", "reason"),
    [
        ({"architectures": ["MixtralForCausalLM"]}, NotSupportedError, "it is a Mixtral"),
        ({"architectures": ["BertModel"]}, NotSupportedError, "it is a BertModel; converted are"),
        ({"architectures": []}, NotSupportedError, "model of no kind"),
        ({"num_local_experts": 8}, NotSupportedError, "a mixture of experts"),
        ({"quantization_config": {"bits": 4}}, NotSupportedError, "quantised already"),
        ({"hidden_act": "gelu"}, NotSupportedError, "computes with 'gelu'"),
        ({"partial_rotary_factor": 0.5}, NotSupportedError, "only a part of its heads"),
        ({"rope_parameters": {"rope_type": "yarn"}}, NotSupportedError, "scaled by 'yarn'"),
        ({"rope_parameters": {"rope_type": "llama3"}}, InvalidInputError, "says of positions"),
        ({"num_hidden_layers": 5}, InvalidInputError, "lack 9 tensors"),
        ({"num_hidden_layers": 3}, NotSupportedError, "9 tensors that are not converted"),
        ({"num_hidden_layers": "4"}, InvalidInputError, "config.json is damaged"),
        ({"tie_word_embeddings": False}, InvalidInputError, "lack 1 tensors, such as lm_head"),
        ({"hidden_size": 128}, InvalidInputError, "but its config.json says"),
        ({"vocab_size": 1000}, InvalidInputError, "tokens beyond the 1000"),
        ({"head_dim": 31}, InvalidInputError, "a length of 31"),
    ],
)
def test_models_that_are_not_converted_say_why(root, changed, error, reason):
    edit(root / "tinylm/config.json", **changed)
    with pytest.raises(error, match=reason):
        made(root)
    assert not (root / "tinylm-q8_0").exists()


def test_numbers_that_are_none_are_refused(root):
    file = root / "tinylm/model.safetensors"
    data = bytearray(file.read_bytes())
    data[-256:] = b"\xff" * 256
    file.write_bytes(data)
    with pytest.raises(InvalidInputError, match="not finite"):
        made(root)
    file.write_bytes(data[:-1])
    with pytest.raises(InvalidInputError):
        made(root)
    assert not list(root.rglob("*.gguf"))


def test_it_runs_in_a_process_of_its_own(root):
    async def run(**given):
        quantiser = Quantiser(root)
        try:
            found = Catalogue(root).find("tinylm")
            return [step async for step in quantiser.quantise(found, "q8_0", **given)]
        finally:
            await quantiser.close()

    steps = asyncio.run(run(name="org/small"))
    assert steps[-1].outcome.name == "org--small"
    assert Catalogue(root).find("org/small").format == "gguf"
    with pytest.raises(InvalidInputError, match="letters, digits"):
        asyncio.run(run(name="../small"))
    edit(root / "tinylm/config.json", hidden_act="gelu")
    with pytest.raises(NotSupportedError, match="'gelu'"):
        asyncio.run(run(name="more"))


def test_only_folders_of_transformers_are_quantised(root):
    async def run():
        given = Artifact("other", "1", "onnx", Path("other.onnx"))
        async for _ in Quantiser(root).quantise(given, "q8_0", ""):
            pass

    with pytest.raises(NotSupportedError, match="other is onnx"):
        asyncio.run(run())


def test_the_texts_of_a_file_go_on(root):
    made(root, "q4_K")
    model = load(artifact(root / "tinylm-q4_k/tinylm-q4_k.gguf", "gguf"))
    pieces = []
    ask = Generation(prompt="Once upon a time", max_tokens=8, temperature=0.0)
    model.generate(ask, lambda piece: pieces.append(piece) or True)
    assert text_of(pieces)
    assert np.isfinite(model.embed(["a fox"])[0]).all()
    model.close()
