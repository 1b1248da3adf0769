"""GGUF models through llama.cpp, in a process of their own."""

import asyncio
import json
import os
import re
import signal
import statistics
import struct
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from msgspec.structs import replace

from sensorium.core.asking import (
    Detokenize,
    Embed,
    Measure,
    Size,
    Text,
    Tokenize,
    Tokens,
    Vectors,
)
from sensorium.core.conversation import Message
from sensorium.core.errors import (
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from sensorium.core.generation import Generation
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.gguf_reason import reason_of
from sensorium.models.placement.process import InProcess
from tests.models.backends import contract
from tests.models.backends.text_contract import TextContract
from tests.servers import ROOT

TINYLM = ROOT.parent / "shared" / "models" / "tinylm"
FILE = TINYLM / "tinylm-q8_0.gguf"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="../shared/models/tinylm is not there")


def artifact(path: Path = FILE) -> Artifact:
    return Artifact("tinylm", "1", "gguf", path, size=path.stat().st_size)


ENDLESS = {"logit_bias": {"0": -1000.0, "1": -1000.0, "2": -1000.0}}
"""Without the tokens that would end it, a text goes on to its limit."""


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    """The same model, said to be trained on longer texts."""
    path = tmp_path_factory.mktemp("roomy") / "roomy.gguf"
    data = bytearray(FILE.read_bytes())
    key = b"llama.context_length"
    struct.pack_into("<I", data, data.index(key) + len(key) + 4, 1 << 16)
    path.write_bytes(data)
    return path


class TestGguf(TextContract):
    embeds = True

    @pytest.fixture
    def made(self):
        return contract.artifact(FILE, "gguf")


def with_model(work, options=LoadOptions(threads=1), path=FILE):  # noqa: B008 - frozen
    async def run():
        placed = await InProcess.load(artifact(path), options, text=True)
        try:
            return await work(placed)
        finally:
            await placed.close()

    return asyncio.run(run())


def task(**fields) -> Generation:
    return Generation(**{"max_tokens": 24, "temperature": 0.0, **fields})


def ask(text: str, **fields) -> Generation:
    return task(messages=[Message(role="user", content=text)], **fields)


async def pieces(placed, generation):
    return [each async for each in placed.generate(generation)]


async def text(placed, generation):
    return "".join(each.text for each in await pieces(placed, generation))


def test_why_it_cannot_be_loaded_is_told(tmp_path):
    whole = FILE.read_bytes()
    kinds = {
        "kind": (
            whole.replace(b"\x05" + bytes(7) + b"llama", b"\x05" + bytes(7) + b"llamb"),
            "llamb",
        ),
        "part": (whole.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_pu.weight"), "ffn_up"),
    }
    for name, (data, told) in kinds.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(data.replace(b"llama.", b"llamb.") if name == "kind" else data)
        with pytest.raises(InvalidInputError, match=f"cannot load it: .*{told}") as refused:
            with_model(None, path=path)
        assert str(tmp_path) not in refused.value.message


@pytest.mark.parametrize("name", [b"\x1b[31m", b"../ab", b"ll\rma"])
def test_words_of_a_file_that_are_none_for_a_terminal_are_not_told(tmp_path, name):
    kind = b"\x05" + bytes(7)
    whole = FILE.read_bytes().replace(kind + b"llama", kind + name)
    path = tmp_path / "m.gguf"
    path.write_bytes(whole.replace(b"llama.", name + b"."))
    with pytest.raises(InvalidInputError, match=r"llama\.cpp cannot load it: it may be damaged"):
        with_model(None, path=path)


def test_what_others_write_meanwhile_is_not_lost(capfd):
    def attempt():
        os.write(2, b"0.00.005.856 E llama_model_load: error loading model: no such\n")
        os.write(2, b"somebody else\n")
        raise RuntimeError

    assert reason_of(attempt) == "no such"
    assert capfd.readouterr().err == "somebody else\n"


def test_the_tokens_are_those_of_the_reference():
    """Greedy, through the chat template: the same token numbers as transformers."""
    reference = json.loads((TINYLM / "greedy_hf.json").read_text())

    async def work(placed):
        for prompt, told in reference.items():
            got = await pieces(placed, ask(prompt, max_tokens=len(told["gen_ids"]), logprobs=1))
            ids = [token for piece in got for token in piece.tokens]
            assert told["gen_ids"][: len(ids)] == ids, prompt
            assert len(ids) >= len(told["gen_ids"]) - 1, prompt

    with_model(work)


def test_a_text_comes_in_pieces_and_says_how_it_ended():
    async def work(placed):
        got = await pieces(placed, ask("What is the capital of France?"))
        assert "".join(each.text for each in got) == "The capital of France is Paris."
        assert len([each for each in got if each.text]) > 1
        assert [each.finish for each in got[:-1]] == [""] * (len(got) - 1)
        assert got[-1].finish == "stop"
        assert got[-1].prompt_tokens > 0
        assert got[-1].generated_tokens >= 7
        short = await pieces(placed, ask("What is the capital of France?", max_tokens=3))
        assert short[-1].finish == "length"
        assert short[-1].generated_tokens == 3

    with_model(work)


def test_sampling_is_as_it_is_told():
    async def work(placed):
        same = [await text(placed, task(prompt="Once", temperature=1.5, seed=7)) for _ in range(2)]
        assert same[0] == same[1]
        assert same[0] != await text(placed, task(prompt="Once", temperature=1.5, seed=8))
        stopped = await text(placed, ask("What is the capital of France?", stop=["France"]))
        assert stopped == "The capital of "
        (first,) = await placed_ids(placed, "Paris")
        banned = await text(
            placed, ask("What is the capital of France?", logit_bias={str(first): -100.0})
        )
        assert "Paris" not in banned

    async def placed_ids(placed, word):
        found = await placed.ask(Tokenize(text=f" {word}", special=False), Tokens)
        return found.tokens[:1]

    with_model(work)


def test_likelihoods_come_with_the_tokens():
    async def work(placed):
        got = await pieces(placed, ask("What is the capital of France?", logprobs=3))
        steps = [step for piece in got for step in piece.steps]
        assert "".join(step.chosen.text for step in steps) == "The capital of France is Paris."
        for step in steps:
            assert len(step.top) == 3
            assert step.chosen == step.top[0]
            assert step.chosen.logprob <= 0

    with_model(work)


def test_a_schema_and_a_grammar_are_held_to():
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "n": {"type": "integer"}},
        "required": ["city", "n"],
        "additionalProperties": False,
    }

    async def work(placed):
        made = await text(placed, ask("A city", json_schema=schema, max_tokens=120, stop=["\n\n"]))
        assert set(json.loads(made)) == {"city", "n"}
        chosen = await text(placed, task(prompt="The sky is", grammar='root ::= " red" | " blue"'))
        assert chosen in (" red", " blue")

    with_model(work)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"json_schema": {"type": "nonsense"}}, "Invalid type"),
        ({"json_schema": {"$ref": "#/nothing"}}, "does not exist"),
        ({"grammar": "root := @@@"}, "grammar"),
        ({"prompt": "word " * 4000}, "context"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, why):
    async def work(placed):
        with pytest.raises(InvalidInputError, match=why):
            await pieces(placed, task(**{"prompt": "x", **wrong}))
        assert await text(placed, ask("What is the capital of France?")) != ""

    with_model(work)


def test_several_texts_are_made_at_once_and_none_gets_anothers():
    questions = {
        "What is the capital of France?": "The capital of France is Paris.",
        "What is the opposite of hot?": None,
        "What sound does a cow make?": None,
        "What is the capital of Italy?": None,
    }

    async def work(placed):
        alone = {each: await text(placed, ask(each)) for each in questions}
        assert alone["What is the capital of France?"].endswith("Paris.")
        assert len(set(alone.values())) == len(questions)
        many = [question for question in questions for _ in range(6)]
        found = await asyncio.gather(*(text(placed, ask(each)) for each in many))
        assert found == [alone[each] for each in many]

    with_model(work)


def test_a_text_that_nobody_wants_ends_at_the_next_token(roomy):
    async def work(placed):
        story = task(prompt="Once upon a time", max_tokens=8000, **ENDLESS)
        stream = placed.generate(story)
        await anext(stream)
        began = time.perf_counter()
        await stream.aclose()
        await text(placed, ask("What is the capital of France?"))
        assert time.perf_counter() - began < 15.0  # all of it takes longer anywhere
        assert placed.pid is not None

    with_model(work, LoadOptions(threads=1, context=8192, parallel=1), roomy)


def test_whoever_leaves_while_a_long_prompt_is_read_harms_nobody(roomy):
    """Others' texts go on, between its batches, and so does the process; its place is free soon."""
    prompt = "The cat sat on the mat. " * 1500

    async def work(placed):
        story = task(prompt="Once upon a time", max_tokens=300, **ENDLESS)
        alone = await text(placed, story)
        pid = placed.pid
        other = asyncio.create_task(pieces(placed, story))
        long = asyncio.create_task(pieces(placed, task(prompt=prompt, max_tokens=1)))
        done, _ = await asyncio.wait([long], timeout=0.5)
        assert not done
        began = time.perf_counter()
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        left = time.perf_counter() - began
        await text(placed, task(prompt="Hi", max_tokens=1))
        free = time.perf_counter() - began
        whole = await other
        assert "".join(each.text for each in whole) == alone
        assert whole[-1].generated_tokens == 300
        assert placed.pid == pid
        assert left < 2.0
        assert free < 3.0  # all of the prompt takes several times as long

    with_model(work, LoadOptions(threads=1, context=16_384, parallel=2), roomy)


def test_more_callers_than_places_are_served_in_turn_and_may_leave(roomy):
    async def work(placed):
        story = task(prompt="Once upon a time", max_tokens=8000, **ENDLESS)
        running = placed.generate(story)
        await anext(running)
        waiting = asyncio.create_task(pieces(placed, story))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        began = time.perf_counter()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await running.aclose()
        assert await text(placed, ask("What is the capital of France?"))
        assert time.perf_counter() - began < 15.0

    with_model(work, LoadOptions(threads=1, context=8192, parallel=1), roomy)


def test_a_beginning_that_was_read_before_is_not_read_again(roomy):
    async def work(placed):
        known = []
        for question in ("Who sat?", "Where did the cat sit?"):
            prompt = "The cat sat on the mat. " * 400 + question
            got = await pieces(placed, task(prompt=prompt, max_tokens=1))
            known.append(got[-1].cached_tokens / got[-1].prompt_tokens)
            assert got[-1].prompt_tokens > 2000
        assert known[0] == 0
        assert known[1] > 0.99

    with_model(work, LoadOptions(threads=1, context=8192), roomy)


def test_a_text_that_fills_its_context_ends_there_and_says_so():
    async def work(placed):
        got = await pieces(placed, task(prompt="Once upon a time", max_tokens=500, **ENDLESS))
        assert got[-1].finish == "length"
        assert got[-1].prompt_tokens + got[-1].generated_tokens == 256
        assert len("".join(each.text for each in got)) > 100

    with_model(work, LoadOptions(threads=1, context=256))


def test_many_texts_at_once_starve_nobody(roomy):
    async def work(placed):
        made = [0] * 32
        began = []

        async def tell(number):
            story = task(prompt=f"Story number {number}", max_tokens=400, logprobs=1, **ENDLESS)
            async for piece in placed.generate(story):
                made[number] += len(piece.steps)
                if all(made) and not began:
                    began.extend(made)

        telling = [asyncio.create_task(tell(number)) for number in range(32)]
        await asyncio.wait(telling, return_when=asyncio.FIRST_COMPLETED)
        since = [now - before for now, before in zip(made, began, strict=True)]
        assert min(since) >= statistics.mean(since) / 2
        await asyncio.gather(*telling)
        assert made == [400] * 32

    with_model(work, LoadOptions(threads=1, context=512, parallel=32), roomy)


def test_pieces_of_a_fast_text_come_together(roomy):
    async def work(placed):
        story = task(prompt="Once upon a time", max_tokens=600, **ENDLESS)
        plain = await pieces(placed, story)
        told = await pieces(placed, replace(story, logprobs=1))
        assert "".join(each.text for each in plain) == "".join(each.text for each in told)
        steps = [step for piece in told for step in piece.steps]
        assert len(steps) == told[-1].generated_tokens == 600
        assert [step.chosen.token for step in steps] == [n for piece in told for n in piece.tokens]
        assert len(plain) < 600

    with_model(work, LoadOptions(threads=1, context=1024), roomy)


def test_words_become_tokens_and_words_again():
    async def work(placed):
        found = await placed.ask(Tokenize(text="Hello world", special=False), Tokens)
        assert len(found.tokens) >= 2
        back = await placed.ask(Detokenize(tokens=found.tokens), Text)
        assert back.text == "Hello world"
        whole = await placed.ask(Tokenize(text="Hello world", special=True), Tokens)
        assert whole.tokens == [1, *found.tokens]
        size = await placed.ask(Measure(task=Generation(prompt="Hello world")), Size)
        assert size.tokens == len(whole.tokens)

    with_model(work)


def test_vectors():
    async def work(placed):
        found = await placed.ask(Embed(texts=["a dog", "a cat"]), Vectors)
        assert (found.dimensions, len(found.data)) == (256, 2 * 256 * 4)
        assert found.tokens > 4
        short = await placed.ask(Embed(texts=["a dog", "a cat"], dimensions=16), Vectors)
        rows = np.frombuffer(short.data, np.float32).reshape(2, 16)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
        whole = np.frombuffer(found.data, np.float32).reshape(2, 256)
        np.testing.assert_allclose(rows / rows[:, :1], (whole / whole[:, :1])[:, :16], rtol=1e-4)
        with pytest.raises(InvalidInputError, match="256"):
            await placed.ask(Embed(texts=["a dog"], dimensions=257), Vectors)

    with_model(work)


def listeners(pid):
    """Where a process holds sockets of the library's: on Linux by descriptor alone."""
    held = Path(f"/proc/{pid}/fd")
    return [each for each in held.iterdir() if "llama.sock" in os.path.realpath(each)]


def test_the_librarys_own_listener_is_closed_off(tmp_path, monkeypatch):
    """It is a Unix socket without a place in the file system, and wants a key; no port is open."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def work(placed):
        child = psutil.Process(placed.pid)
        assert [each for each in child.net_connections("inet") if each.status == "LISTEN"] == []
        assert [*tmp_path.iterdir()] == []
        (socket,) = listeners(placed.pid)
        over = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=over, base_url="http://x") as http:
            for path in ("/completion", "/v1/chat/completions", "/tokenize"):
                assert (await http.post(path, json={"prompt": "x"})).status_code == 401
            for path in ("/slots", "/props", "/"):
                assert (await http.get(path)).status_code in (401, 403, 404, 501)
        os.kill(placed.pid, signal.SIGKILL)
        assert [*tmp_path.iterdir()] == []

    with_model(work)


def test_a_killed_process_ends_its_texts_and_comes_back(roomy):
    async def work(placed):
        stream = placed.generate(task(prompt="Once upon a time", max_tokens=8000, **ENDLESS))
        await anext(stream)
        os.kill(placed.pid, signal.SIGKILL)
        with pytest.raises(UnavailableError, match="died"):
            async for _ in stream:
                pass
        assert await text(placed, ask("What is the capital of France?"))

    with_model(work, LoadOptions(threads=1, context=8192), roomy)


@pytest.mark.parametrize("size", [0, 3, 24, 5000, 2_000_000])
def test_a_file_that_is_cut_short_is_a_typed_error(size, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(FILE.read_bytes()[:size])

    async def run():
        with pytest.raises((InvalidInputError, NotFoundError)) as caught:
            await InProcess.load(artifact(path), LoadOptions(), text=True)
        assert not re.search(r"/|tmp", caught.value.message)

    asyncio.run(run())


def test_a_closed_model_makes_no_engine_for_vectors():
    before = len(listeners(os.getpid()))
    model = contract.load(contract.artifact(FILE, "gguf"), LoadOptions(threads=1))
    assert len(listeners(os.getpid())) == before + 1
    model.close()
    with pytest.raises(UnavailableError, match="closed"):
        model.embed(["a"])
    assert len(listeners(os.getpid())) == before


def test_a_special_token_that_is_none_leaves_no_engine(tmp_path, monkeypatch):
    data = bytearray(FILE.read_bytes())
    key = b"tokenizer.ggml.eos_token_id"
    struct.pack_into("<I", data, data.index(key) + len(key) + 4, 1 << 30)
    path = tmp_path / "wrong.gguf"
    path.write_bytes(data)
    folder = tmp_path / "engines"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(InvalidInputError):
        contract.load(contract.artifact(path, "gguf"), LoadOptions(threads=1))
    assert not [*folder.iterdir()]
