"""Tokenizers by themselves, and those of models whose library is missing."""

import asyncio
import json
import shutil
import sys

import pytest
from tokenizers import Tokenizer

from sensorium.capabilities.language.text_schema import CountRequest, TokenizeRequest
from sensorium.core.conversation import Message
from sensorium.core.dispatch import Caller
from sensorium.core.errors import InvalidInputError, NotSupportedError, UnavailableError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import LoadOptions
from sensorium.models.loading import load_model
from tests.language.running import running
from tests.models.backends import contract
from tests.servers import ROOT

TINYLM = ROOT.parent / "shared/models/tinylm"
OPTIONS = LoadOptions()
TEXTS = ("Once upon a time", "", "  été 🚀\n\tx = 42;", "<|user|>\nHi</s>", "a" * 5000)
pytestmark = pytest.mark.skipif(
    not TINYLM.is_dir(), reason="the small language model that lies beside the project is not here"
)


@pytest.fixture
def folder(tmp_path):
    """A tokenizer, its configuration, and a template in a file."""
    made = tmp_path / "models" / "words"
    made.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (made / name).write_bytes((TINYLM / "hf-f16" / name).read_bytes())
    return made


def loaded(folder):
    model, facts = load_model(contract.artifact(folder / "tokenizer.json", "tokenizer"), OPTIONS)
    assert facts.parallel
    return model


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_tokens_are_the_librarys(folder):
    model, peer = loaded(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in TEXTS:
        for special in (True, False):
            tokens = peer.encode(text, add_special_tokens=special).ids
            assert model.tokenize(text, special=special) == tokens
        assert model.size(Generation(prompt=text)) == len(peer.encode(text).ids)
        assert model.detokenize(peer.encode(text).ids) == text
    with pytest.raises(InvalidInputError, match="numbers from 0 to"):
        model.detokenize([10**6])


def test_a_conversation_is_counted_as_the_model_was_trained_to_read_it(folder):
    change(folder / "tokenizer_config.json", add_bos_token=True)
    model = loaded(folder)
    for question, known in json.loads((TINYLM / "greedy_hf.json").read_text()).items():
        if 3 not in known["prompt_ids"]:  # else it has a system's message too
            task = Generation(messages=[Message(role="user", content=question)])
            assert model.size(task) == len(known["prompt_ids"])


def test_a_template_in_the_configuration_is_taken_and_one_must_be_there(folder):
    task = Generation(messages=[Message(role="user", content="Once upon a time")])
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InvalidInputError, match="no chat template"):
        loaded(folder).size(task)
    for template in ("{{ messages[0].content }}", "{{ bos_token }}{{ messages[0].content }}"):
        named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": template}]
        marked = template.startswith("{{ bos")
        for told in (template, named):
            change(folder / "tokenizer_config.json", chat_template=told)
            model = loaded(folder)
            assert model.size(task) == len(model.tokenize("Once upon a time")) + marked


def test_an_answer_that_is_begun_is_gone_on_with(folder):
    model = loaded(folder)
    said = [Message(role="user", content="Hi")]
    asked = model.size(Generation(messages=said))
    for begun in ("", "The capital"):
        task = Generation(messages=[*said, Message(role="assistant", content=begun)])
        assert model.size(task) == asked + len(model.tokenize(begun))


def test_the_token_that_begins_a_text_is_added_once_where_the_configuration_says_so(folder):
    bare = loaded(folder).tokenize("Hello", special=True)
    change(folder / "tokenizer_config.json", add_bos_token=True)
    model = loaded(folder)
    begun = model.tokenize("Hello", special=True)
    assert begun[0] == 1
    assert begun[-len(bare) :] == bare
    assert model.tokenize("<s>Hello", special=True).count(1) == 1
    assert model.size(Generation(prompt="Hello")) == len(begun)


def test_what_would_cut_or_fill_up_is_not_done(folder):
    peer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    long = "Once upon a time " * 50
    size = len(peer.encode(long).ids)
    peer.enable_truncation(16)
    peer.enable_padding(length=16)
    peer.save(str(folder / "tokenizer.json"))
    model = loaded(folder)
    assert model.size(Generation(prompt=long)) == size
    assert model.size(Generation(prompt="Hi")) < 16


def test_it_makes_neither_texts_nor_vectors(folder):
    model = loaded(folder)
    with pytest.raises(NotSupportedError, match="a tokenizer alone"):
        model.generate(Generation(prompt="a"), lambda _: True)
    with pytest.raises(NotSupportedError, match="a tokenizer alone"):
        model.embed(["a"])
    model.close()
    model.close()
    with pytest.raises(UnavailableError):
        model.tokenize("a")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"[]",
        b'{"model": {"type": "BPE"}}',
        b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}, "added_tokens": []}',
        b'{"model": {"type": "Nothing", "vocab": {}}, "added_tokens": []}',
    ],
)
def test_a_damaged_one_is_refused(folder, broken):
    (folder / "tokenizer.json").write_bytes(broken)
    with pytest.raises(InvalidInputError) as caught:
        loaded(folder)
    assert str(folder) not in caught.value.message


def test_a_damaged_configuration_is_refused(folder):
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"tokenizer_config\.json is damaged"):
        loaded(folder)


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_without_its_library_a_language_model_still_tells_tokens(monkeypatch, tmp_path, library):
    folder = tmp_path / "tinylm"
    shutil.copytree(TINYLM / "hf-f16", folder)
    for file in (folder, *folder.iterdir()):
        file.chmod(0o755)
    change(folder / "tokenizer_config.json", add_bos_token=True)
    for name in list(sys.modules):
        if name.startswith("sensorium.models.backends.transformers"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    made = contract.artifact(folder, "transformers")
    model, facts = load_model(made, OPTIONS)
    known = next(iter(json.loads((TINYLM / "greedy_hf.json").read_text()).items()))
    task = Generation(messages=[Message(role="user", content=known[0])])
    assert model.size(task) == len(known[1]["prompt_ids"])
    assert "pip install 'sensorium[" in facts.spec.degraded
    with pytest.raises(NotSupportedError, match="pip install 'sensorium"):
        model.generate(Generation(prompt="a"), lambda _: True)
    change(folder / "config.json", architectures=["LlamaForSequenceClassification"])
    with pytest.raises(UnavailableError, match="pip install 'sensorium"):
        load_model(made, OPTIONS)


def test_it_is_found_in_a_folder_and_answers_the_operations(folder, tmp_path):
    async def run():
        async with running(tmp_path) as app:
            ask = app.dispatcher.call
            counted = await ask("text.count", CountRequest(model="words", text=TEXTS[0]), Caller())
            asked = TokenizeRequest(model="words", text=TEXTS[0])
            return counted.value.tokens, (await ask("text.tokenize", asked, Caller())).value.tokens

    count, tokens = asyncio.run(run())
    assert count == len(tokens) > 0
