"""GGUF files that hold a vocabulary and no weights: tokens as llama.cpp's own test of them has."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from sensorium.core.asking import Measure, Size
from sensorium.core.conversation import Message
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import LoadOptions
from sensorium.models.loading import load_model
from sensorium.models.placement.process import InProcess
from tests.models.backends import contract
from tests.models.headers.building import ARCHITECTURE, LLAMA, MODELS, gguf, needs_models
from tests.servers import ROOT

NAMES = ("bert-bge", "gpt-2", "phi-3")
TINYLM = ROOT.parent / "shared" / "models" / "tinylm" / "tinylm-q8_0.gguf"
OPTIONS = LoadOptions(parallel=1, threads=1)


def vocabulary(name):
    return contract.artifact(MODELS / f"ggml-vocab-{name}.gguf", "gguf")


@pytest.fixture(scope="module", params=NAMES)
def told(request):
    """A model, its texts, and their tokens."""
    made = vocabulary(request.param)
    texts = Path(f"{made.path}.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    lines = Path(f"{made.path}.out").read_text().split("\n")
    model, facts = load_model(made, OPTIONS)
    assert facts.parallel == 1
    yield model, texts, [[int(each) for each in line.split()] for line in lines]
    model.close()


@needs_models
def test_every_text_has_the_tokens_that_it_should(told):
    model, texts, tokens = told
    assert len(texts) == len(tokens) == 47
    assert [model.tokenize(text) for text in texts] == tokens


@needs_models
def test_a_count_is_of_the_tokens_of_a_prompt(told):
    model, texts, _ = told
    for text in texts:
        assert model.size(Generation(prompt=text)) == len(model.tokenize(text, special=True))


@needs_models
@pytest.mark.parametrize("name", ["gpt-2", "phi-3"])
def test_tokens_become_the_text_again(name):
    model, _ = load_model(vocabulary(name), OPTIONS)
    for text in ("Hello, World! 🚀 (normal)", "Führer\t中文\n\n3333"):
        assert model.detokenize(model.tokenize(text)).strip() == text
    with pytest.raises(InvalidInputError):
        model.detokenize([10**6])
    model.close()


@needs_models
def test_it_makes_neither_texts_nor_vectors(told):
    model, _, _ = told
    with pytest.raises(NotSupportedError, match="a vocabulary alone"):
        model.generate(Generation(prompt="a"), lambda _: True)
    with pytest.raises(NotSupportedError, match="a vocabulary alone"):
        model.embed(["a"])


@needs_models
def test_a_conversation_is_counted_by_its_template():
    """`bos` and `<|user|>\\nhello<|end|>\\n<|assistant|>\\n`, with a token for each mark."""
    model, _ = load_model(vocabulary("phi-3"), OPTIONS)
    task = Generation(messages=[Message(role="user", content="hello")])
    text = "<|user|>\nhello<|end|>\n<|assistant|>\n"
    assert model.size(task) == len(model.tokenize(text, special=True))
    assert model.tokenize(text, special=True)[:2] == [1, 32010]
    model.close()


@needs_models
def test_in_a_process_of_its_own_nothing_is_left_on_the_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def run():
        placed = await InProcess.load(vocabulary("gpt-2"), OPTIONS, text=True)
        try:
            assert not list(tmp_path.rglob("*.gguf"))
            task = Generation(prompt="Hello world")
            return (await placed.ask(Measure(task=task), Size)).tokens
        finally:
            await placed.close()

    assert asyncio.run(run()) == 2


@pytest.mark.skipif(not TINYLM.exists(), reason="../shared/models/tinylm is not there")
def test_a_model_cut_down_to_its_vocabulary_has_the_same_tokens(tmp_path):
    """Its metadata alone, as `gguf` writes a file without tensors."""
    whole = contract.artifact(TINYLM, "gguf")
    data = bytearray(TINYLM.read_bytes())
    data[8:16] = bytes(8)
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(data)
    alone, _ = load_model(contract.artifact(path, "gguf"), OPTIONS)
    model, _ = load_model(whole, OPTIONS)
    for text in ("Once upon a time", "<|user|>\nété 🚀</s>", ""):
        for special in (True, False):
            assert alone.tokenize(text, special=special) == model.tokenize(text, special=special)
    alone.close()
    model.close()


@pytest.mark.parametrize("values", [[ARCHITECTURE], LLAMA], ids=["none", "of no kind"])
def test_without_a_vocabulary_that_can_be_read_it_is_refused(tmp_path, values):
    path = tmp_path / "empty.gguf"
    path.write_bytes(gguf(values))
    with pytest.raises(InvalidInputError):
        load_model(contract.artifact(path, "gguf"), OPTIONS)
