"""GGUF models through llama-cpp-python, where somebody has compiled it."""

import json
import re
import threading
import time

import msgspec
import numpy as np
import pytest

from sensorium.core.conversation import ImagePart, Message, Tool, ToolCall
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation, Piece
from sensorium.models.backends.base import LoadOptions
from tests.models.backends.contract import artifact, load
from tests.models.backends.test_gguf import ENDLESS, FILE, TINYLM, roomy
from tests.models.backends.text_contract import TextContract, generated, text_of

pytest.importorskip(
    "llama_cpp",
    reason="llama-cpp-python is not installed: it is compiled for 20 minutes, so CI has none",
)
pytestmark = [
    pytest.mark.skipif(not FILE.exists(), reason="../shared/models/tinylm is not there"),
    # llguidance's own binding calls it
    pytest.mark.filterwarnings("ignore:llama_token_get_attr is deprecated:DeprecationWarning"),
]
from sensorium.models.backends.gguf_llama_cpp_words import Words  # noqa: E402

OPTIONS = LoadOptions(engine="llama-cpp-python", threads=1)
CAPITAL = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
__all__ = ["roomy"]


@pytest.fixture(scope="module")
def model():
    loaded = load(artifact(FILE, "gguf"), OPTIONS)
    yield loaded
    loaded.close()


class TestText(TextContract):
    embeds = True
    options = OPTIONS

    @pytest.fixture
    def made(self):
        return artifact(FILE, "gguf")


def test_the_tokens_are_those_of_the_reference():
    """Greedy, through the file's own template: the same token numbers as transformers.

    From the file that is not quantised: with instructions of some processors, the quantised one's
    sums are rounded otherwise, and a long story takes another turn.
    """
    model = load(artifact(TINYLM / "tinylm-f16.gguf", "gguf"), OPTIONS)
    for prompt, told in json.loads((TINYLM / "greedy_hf.json").read_text()).items():
        asked = {"messages": [{"role": "user", "content": prompt}]}
        if 3 in told["prompt_ids"]:  # it has a system's message too
            asked = {"prompt": model.detokenize(told["prompt_ids"][1:])}
        pieces = generated(model, **asked, max_tokens=128, temperature=0.0)
        tokens = [token for piece in pieces for token in piece.tokens]
        assert tokens == [each for each in told["gen_ids"] if each != 2][: len(tokens)], prompt
        assert text_of(pieces).strip() == told["text"]
        assert pieces[-1].prompt_tokens == len(told["prompt_ids"])
    model.close()


def test_it_says_the_same_as_the_other_library():
    pytest.importorskip("xllamacpp", reason="the extra gguf is not installed")
    models = [
        load(artifact(TINYLM / "tinylm-f16.gguf", "gguf"), LoadOptions(engine=engine, threads=1))
        for engine in ("llama-cpp-python", "xllamacpp")
    ]
    try:
        for task in (
            CAPITAL,
            {"prompt": "Once upon a time", "stop": ["turtle"], **ENDLESS},
            {"prompt": "Once upon a time", "repeat_penalty": 1.4, "presence_penalty": 0.5},
            {"prompt": "The sky is", "grammar": 'root ::= " red" | " blue"'},
            {"prompt": "A city", "json_schema": {"enum": ["Paris", "Rome"]}},
        ):
            both = [
                generated(each, max_tokens=40, temperature=0.0, logprobs=3, **task)
                for each in models
            ]
            assert text_of(both[0]) == text_of(both[1]), task
            assert both[0][-1].finish == both[1][-1].finish, task
            assert both[0][-1].prompt_tokens == both[1][-1].prompt_tokens, task
            logprobs = [
                [step.chosen.logprob for piece in pieces for step in piece.steps] for pieces in both
            ]
            count = min(map(len, logprobs))
            np.testing.assert_allclose(logprobs[0][:count], logprobs[1][:count], atol=0.05)
    finally:
        for each in models:
            each.close()


def test_it_reads_conversations_as_the_other_library():
    pytest.importorskip("xllamacpp", reason="the extra gguf is not installed")
    models = [
        load(artifact(FILE, "gguf"), LoadOptions(engine=engine, threads=1))
        for engine in ("llama-cpp-python", "xllamacpp")
    ]
    said = [Message(role="user", content="What is the capital of France?")]
    begun = [*said, Message(role="assistant", content="The capital")]
    looked = [
        *said,
        Message(role="assistant", tool_calls=[ToolCall(name="look", id="1")]),
        Message(role="tool", content="Paris", tool_call_id="1"),
    ]
    tools = [Tool(name="look", description="does")]
    try:
        for task in (
            Generation(messages=begun),
            Generation(messages=[*said, Message(role="assistant")]),
            Generation(messages=said, tools=tools),
            Generation(messages=looked, tools=tools),
        ):
            sizes = [each.size(task) for each in models]
            assert sizes[0] == sizes[1], task
        asked = {"messages": begun, "max_tokens": 20, "temperature": 0.0}
        assert text_of(generated(models[0], **asked)) == text_of(generated(models[1], **asked))
        pictures = Generation(
            messages=[Message(role="user", content="a", images=[ImagePart(data=b"a")])]
        )
        for each in models:
            with pytest.raises(InvalidInputError, match="takes no images"):
                each.generate(pictures, lambda _: True)
    finally:
        for each in models:
            each.close()


def test_a_template_that_takes_tools_is_given_them(tmp_path):
    source = "{% for each in tools %}{{ each.function.name }}{% endfor %}{{ messages[0].content }}"
    words = Words(TemplatedLlama(load(artifact(FILE, "gguf"), OPTIONS), source))
    task = Generation(
        messages=[Message(role="user", content=" a")], tools=[Tool(name="look", description="b")]
    )
    assert words.text(words.prompt(task), marks=True).removesuffix("</s>").endswith("look a")


class TemplatedLlama:
    """A model of the library, with another template."""

    def __init__(self, model, source):
        self._llama = model._turns._model
        self.model = self._llama.model
        self.metadata = {"tokenizer.chat_template": source}

    def tokenize(self, *args, **more):
        return self._llama.tokenize(*args, **more)


def test_a_schema_is_held_to(model):
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "n": {"type": "integer"}},
        "required": ["city", "n"],
        "additionalProperties": False,
    }
    for temperature in (0.0, 1.5):
        pieces = generated(
            model, prompt="A city", json_schema=schema, max_tokens=120, temperature=temperature
        )
        made = text_of(pieces)
        if pieces[-1].finish == "stop":
            assert set(json.loads(made)) == {"city", "n"}
        else:  # a number that did not end
            assert re.match(r'\{"city":"(Paris|Rome)","n":-?\d+$', made)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"json_schema": {"type": "nonsense"}}, "Invalid type"),
        ({"json_schema": {"$ref": "#/nothing"}}, "does not exist"),
        ({"grammar": "root := @@@"}, "grammar"),
        ({"prompt": "word " * 4000}, "the model's context"),
        ({"logit_bias": {"999999": 1.0}}, "no token"),
        ({"messages": [{"role": "", "content": "x"}] * 2, "prompt": ""}, None),
    ],
)
def test_what_cannot_be_done_is_said(model, wrong, why):
    task = {"prompt": "x", "max_tokens": 4, **wrong}
    if why is not None:
        with pytest.raises(InvalidInputError, match=why):
            generated(model, **task)
    assert text_of(generated(model, **CAPITAL, max_tokens=20, temperature=0.0)).endswith("Paris.")


def test_a_text_that_fills_its_context_ends_there_and_says_so(model):
    last = generated(model, prompt="Once upon a time", max_tokens=500, temperature=0.0, **ENDLESS)[
        -1
    ]
    assert last.finish == "length"
    assert last.prompt_tokens + last.generated_tokens == 256


def test_a_beginning_that_was_read_before_is_not_read_again(roomy):
    model = load(artifact(roomy, "gguf"), msgspec.structs.replace(OPTIONS, context=8192))
    beginning = "The cat sat on the mat. " * 300
    texts, seconds = [], []
    for prompt in (beginning + "Who sat?", beginning + "Where?", "Other", beginning + "Where?"):
        began = time.perf_counter()
        texts.append(text_of(generated(model, prompt=prompt, max_tokens=5, temperature=0.0)))
        seconds.append(time.perf_counter() - began)
    model.close()
    assert seconds[1] < seconds[0] / 3
    assert texts[1] == texts[3]


def test_whoever_leaves_while_a_long_prompt_is_read_is_heard(roomy):
    model = load(artifact(roomy, "gguf"), msgspec.structs.replace(OPTIONS, context=32_768))
    left = threading.Event()
    task = {"prompt": "The cat sat on the mat. " * 2500, "max_tokens": 1}

    def emit(piece):
        assert piece == Piece()
        left.set()
        return False

    thread = threading.Thread(target=model.generate, args=(Generation(**task), emit))
    thread.start()
    assert left.wait(20)
    began = time.perf_counter()
    assert generated(model, prompt="Hi", max_tokens=1)
    assert time.perf_counter() - began < 2.0
    thread.join(20)
    model.close()


def test_more_than_it_can_take_for_a_vector_is_said():
    model = load(artifact(FILE, "gguf"), OPTIONS)
    with pytest.raises(InvalidInputError, match="the model takes 256"):
        model.embed(["word " * 1000])
    assert model.embed([])[0].shape == (0, 256)
    assert model.embed(["a dog", "a cat"])[0].shape == (2, 256)
    model.close()


def test_providers_are_of_other_formats():
    with pytest.raises(NotSupportedError, match="gpu_layers"):
        load(artifact(FILE, "gguf"), msgspec.structs.replace(OPTIONS, providers=["cuda"]))


@pytest.mark.parametrize("size", [0, 3, 24, 5000, 2_000_000])
def test_a_file_that_is_cut_short_is_a_typed_error(size, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(FILE.read_bytes()[:size])
    with pytest.raises(InvalidInputError) as caught:
        load(artifact(path, "gguf"), OPTIONS)
    assert str(tmp_path) not in caught.value.message
