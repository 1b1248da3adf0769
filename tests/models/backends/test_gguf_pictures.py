"""GGUF models that take pictures: tinylm with a projector made here."""

import asyncio
import random
import re
import struct
import threading
from dataclasses import replace as changed
from io import BytesIO

import msgspec
import pytest

from sensorium.core.asking import See, Sight
from sensorium.core.conversation import ImagePart, Message, Tool
from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.core.generation import Generation
from sensorium.models.answering import answer
from sensorium.models.backends.base import LoadOptions
from sensorium.models.placement.process import InProcess
from sensorium.models.weighing import weigh
from tests.models import projecting
from tests.models.backends.contract import OPTIONS, artifact, load
from tests.models.backends.test_gguf_counting import KEY, WITH_TOOLS
from tests.models.backends.text_contract import TextContract, generated, text_of
from tests.models.projecting import TOKENS
from tests.models.seeing import picture

PIL = pytest.importorskip("PIL.Image", reason="Pillow is not installed: sensorium[pictures]")


def made_of(path, beside="mmproj-tiny-f32.gguf"):
    return artifact(path, "gguf", projector=path.with_name(beside) if beside else None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_of(projecting.seeing(tmp_path_factory.mktemp("seeing")))


@pytest.fixture(scope="module")
def model(made):
    loaded = load(made)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def blind(made):
    loaded = load(changed(made, projector=None))
    yield loaded
    loaded.close()


class TestSeeing(TextContract):
    """Whatever a model of texts does, one that sees does, too."""

    embeds = True

    @pytest.fixture
    def made(self, tmp_path):
        return made_of(projecting.seeing(tmp_path))


def shown(text="what is this", *files, at=0):
    images = [ImagePart(data=file, at=at) for file in files or [picture()]]
    return [Message(role="user", content=text, images=images)]


def said(text, role="user"):
    return Message(role=role, content=text)


def likelihoods(model, messages, **more):
    task = {"max_tokens": 2, "temperature": 0.0, "logprobs": 5, **more}
    pieces = generated(model, messages=messages, **task)
    return [(each.token, each.logprob) for p in pieces for step in p.steps for each in step.top]


def test_it_is_the_picture_that_is_seen(model):
    red, green = picture("red"), picture("green")
    plain = likelihoods(model, [said("what is this")])
    first = likelihoods(model, shown("what is this", red))
    assert first == likelihoods(model, shown("what is this", red))
    assert len({*map(str, (plain, first, likelihoods(model, shown("what is this", green))))}) == 3
    both = [shown("what is this", *files) for files in ((red, green), (green, red))]
    assert likelihoods(model, both[0]) != likelihoods(model, both[1])
    early, late = (likelihoods(model, shown("what is this", red, at=at)) for at in (0, 12))
    assert early != late


def test_every_kind_of_file_is_the_same_picture(model):
    wanted = likelihoods(model, shown("a", picture("red", "PNG")))
    assert wanted == likelihoods(model, shown("a", picture("red", "GIF")))
    assert likelihoods(model, shown("a", picture("red", "WEBP")))  # llama.cpp itself reads none
    clear = PIL.new("RGBA", (30, 20), (255, 0, 0, 255))
    assert wanted == likelihoods(model, shown("a", saved(clear)))
    assert wanted != likelihoods(model, shown("a", saved(PIL.new("RGBA", (30, 20)))))


def saved(image):
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_the_tokens_of_pictures_are_counted(model):
    without = generated(model, messages=[said("what is this")], max_tokens=1)[-1].prompt_tokens
    for count in (1, 3):
        messages = shown("what is this", *[picture()] * count)
        read = generated(model, messages=messages, max_tokens=1)[-1].prompt_tokens
        assert read == without + count * TOKENS
        assert model.size(Generation(messages=messages)) == read
    assert model.size(Generation(messages=[said("what is this")])) == without


def test_to_count_no_pixels_are_passed_on(model, monkeypatch):
    asked, ask = [], model._engine.ask
    monkeypatch.setattr(model._engine, "ask", lambda *each: asked.append(each) or ask(*each))
    noise = PIL.frombytes("RGB", (300, 200), random.Random(0).randbytes(180_000))
    messages = shown("what is this", saved(noise))
    size = model.size(Generation(messages=messages))
    assert size == generated(model, messages=messages, max_tokens=1)[-1].prompt_tokens
    assert len(msgspec.json.encode(asked)) < 3000


def test_several_messages_with_pictures(model):
    talk = [said("be brief", "system"), *shown("a", picture("red")), said("fox", "assistant")]
    whole = [*talk, *shown("b", picture("green"))]
    pieces = generated(model, messages=whole, max_tokens=2)
    assert pieces[-1].prompt_tokens == model.size(Generation(messages=whole))
    assert likelihoods(model, whole) != likelihoods(model, [*talk, *shown("b", picture("blue"))])


def test_a_text_is_what_the_blind_model_makes(model, blind):
    talk = [said("What is the capital of France?")]
    assert likelihoods(model, talk, max_tokens=8) == likelihoods(blind, talk, max_tokens=8)
    tasks = [{"prompt": "Once upon"}, {"messages": talk}]
    for task in tasks:
        texts = [text_of(generated(m, **task, max_tokens=9, seed=3)) for m in (model, blind)]
        assert texts[0] == texts[1]
        assert model.size(Generation(**task)) == blind.size(Generation(**task))
    assert model.embed(["a"])[0].tolist() == blind.embed(["a"])[0].tolist()


def test_what_it_says_of_itself(model, blind, made):
    assert answer(model, See()) == Sight(images=True)
    assert answer(blind, See()) == Sight(images=False)
    more = made.projector.stat().st_size
    assert weigh(made, OPTIONS) == weigh(changed(made, projector=None), OPTIONS) + more


def test_a_model_without_projector_refuses(blind):
    with pytest.raises(InvalidInputError, match="takes no images"):
        generated(blind, messages=shown())
    assert generated(blind, messages=[said("a")], max_tokens=1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([ImagePart(url="https://pictures.example/a.png")], "no addresses"),
        ([ImagePart(url="file:///etc/passwd")], "no addresses"),
        ([ImagePart(data=b"nothing")], "PNG, JPEG"),
        ([ImagePart(data=b"RIFF1234WAVEfmt ")], "PNG, JPEG"),
        ([ImagePart(data=picture()[:40])], "damaged"),
        ([ImagePart(data=picture())] * 64, r"too long: it has \d+ tokens, and .* 256"),
    ],
)
def test_what_it_does_not_take(model, images, message):
    messages = [Message(role="user", content="a", images=images)]
    with pytest.raises(InvalidInputError, match=message):
        generated(model, messages=messages, max_tokens=1)
    assert generated(model, messages=shown(), max_tokens=1)


def test_a_text_too_long_with_its_picture_is_refused_and_nothing_is_forgotten(model):
    begun = model.size(Generation(messages=[said("")]))
    words = " the" * (254 - begun)
    alone = model.size(Generation(messages=[said(words)]))
    assert alone == 254
    generated(model, messages=[said(words)], max_tokens=1)
    with pytest.raises(InvalidInputError, match=f"has {alone + TOKENS} tokens, and .* 256"):
        generated(model, messages=shown(words), max_tokens=1)
    bias = {str(token): -1000.0 for token in range(3)}
    filled = generated(model, messages=shown("a"), max_tokens=400, logit_bias=bias)[-1]
    assert (filled.finish, filled.prompt_tokens + filled.generated_tokens) == ("length", 256)


def test_too_many_pixels_in_all(model, monkeypatch):
    monkeypatch.setattr("sensorium.models.pictures.decoding.MAX_ALL", 1000)
    with pytest.raises(InvalidInputError, match="together"):
        generated(model, messages=shown("a", picture(), picture()), max_tokens=1)


def test_a_large_picture_is_reduced_before_it_is_passed_on(model, monkeypatch):
    decoding = pytest.importorskip("sensorium.models.pictures.decoding")
    encoding = pytest.importorskip("sensorium.models.pictures.encoding")
    wide = ImagePart(data=picture(size=(5000, 50)))
    monkeypatch.setattr(encoding, "LONGEST", 100)
    (file,) = encoding.as_png([wide])
    assert decoding.decode(file).size == (100, 1)
    assert generated(model, messages=[Message(role="user", images=[wide])], max_tokens=1)


def test_the_librarys_own_marks_are_words_in_a_text(model):
    marks = "<__media__> <image> <|image_pad|>"
    plain = generated(model, messages=[said(marks)], max_tokens=1)
    seen = generated(model, messages=shown(marks), max_tokens=1)
    assert seen[-1].prompt_tokens == plain[-1].prompt_tokens + TOKENS


def test_a_schema_is_kept_to_about_a_picture(model):
    schema = {"enum": ["yes", "no"]}
    text = text_of(generated(model, messages=shown(), json_schema=schema))
    assert text in ('"yes"', '"no"')


TOOL = Tool(name="look", parameters={"type": "object", "properties": {"n": {"type": "integer"}}})


def test_tools_are_called_about_a_picture(model):
    task = {"messages": shown(), "tools": [TOOL], "tool_choice": "required", "max_tokens": 60}
    pieces = generated(model, **task, temperature=0.0)
    assert [call.name for piece in pieces for call in piece.tool_calls] == ["look"]
    assert pieces[-1].finish == "tool_calls"
    assert pieces[-1].prompt_tokens == model.size(Generation(**task))
    assert generated(model, messages=shown(), tools=[TOOL], max_tokens=2)[-1].finish


def test_a_template_of_its_own_tools_is_told_of_them_and_of_the_picture(tmp_path):
    path = projecting.seeing(tmp_path)
    path.write_bytes(with_template(WITH_TOOLS))
    model = load(made_of(path), LoadOptions(threads=1, context=256))
    tasks = [{"tools": [TOOL]}, {}]
    reads = [generated(model, messages=shown("a"), max_tokens=1, **each)[-1] for each in tasks]
    assert reads[0].prompt_tokens > reads[1].prompt_tokens
    assert model.size(Generation(messages=shown("a"), tools=[TOOL])) == reads[0].prompt_tokens
    model.close()


SLOW = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"


TURNS = """\
{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('turns of two') }}{% endif %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
<|assistant|>"""


def test_a_template_of_two_speakers_is_shown_the_pictures_of_all(tmp_path):
    path = projecting.seeing(tmp_path)
    path.write_bytes(with_template(TURNS))
    model = load(made_of(path))
    talk = [said("be brief", "system"), *shown("a", picture("red")), *shown("b", picture("green"))]
    pieces = generated(model, messages=talk, max_tokens=1)
    assert pieces[-1].prompt_tokens == model.size(Generation(messages=talk))
    other = [*talk[:2], *shown("b", picture("red"))]
    assert likelihoods(model, talk) != likelihoods(model, other)
    model.close()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no pictures') }}", "does not take this: no pictures"),
        (
            "{% for m in messages if m.content | length > 30 %}{{ 1 / 0 }}{% endfor %}",
            "does not take this: division",
        ),
        (
            "{% for m in messages if 'weather' in m.content %}" + SLOW + "{% endfor %}",
            "may not have",
        ),
    ],
)
def test_a_template_that_takes_no_pictures(tmp_path, template, message):
    path = projecting.seeing(tmp_path)
    path.write_bytes(with_template(template))
    refuses(made_of(path), message)


def test_a_model_without_a_template(tmp_path):
    path = projecting.seeing(tmp_path)
    path.write_bytes(path.read_bytes().replace(KEY, KEY.replace(b"chat", b"none")))
    refuses(made_of(path), "has no chat template")


def refuses(made, message):
    model = load(made)
    try:
        with pytest.raises(InvalidInputError, match=message):
            generated(model, messages=shown(), max_tokens=1)
        assert generated(model, prompt="a", max_tokens=1)
    finally:
        model.close()


def with_template(template):
    data = bytearray(projecting.TINYLM.read_bytes())
    at = data.index(KEY) + len(KEY) + 4
    (size,) = struct.unpack_from("<Q", data, at)
    more = -(len(template) - size) % 32  # what follows stays where it is aligned to
    new = template.encode() + b"{#" + b" " * (more + 28) + b"#}"
    data[at : at + 8 + size] = struct.pack("<Q", len(new)) + new
    return bytes(data)


def test_a_text_about_a_picture_ends_when_nobody_wants_it(model):
    pieces = []

    def emit(piece):
        pieces.append(piece)
        return len([each for each in pieces if each.tokens]) < 2

    bias = {str(token): -1000.0 for token in range(3)}
    task = Generation(messages=shown(), max_tokens=200, logprobs=1, logit_bias=bias)
    model.generate(task, emit)
    assert not any(piece.finish for piece in pieces)
    assert generated(model, messages=shown(), max_tokens=1)[-1].finish


def test_several_at_once_see_each_their_own(model):
    colours = ("red", "green", "blue", "white", "black")
    alone = [likelihoods(model, shown("a", picture(each))) for each in colours]
    found = [None] * len(colours)

    def see(at):
        found[at] = likelihoods(model, shown("a", picture(colours[at])))

    threads = [threading.Thread(target=see, args=(at,)) for at in range(len(colours))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    tokens = [[token for token, _ in each] for each in alone]
    assert [[token for token, _ in each] for each in found] == tokens
    assert len({*map(str, alone)}) == len(colours)


def placed(made):
    async def run():
        loaded = await InProcess.load(made, OPTIONS, text=True)
        await loaded.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: b"", "GGUF"),
        (lambda data: b"PK" + data[2:], "GGUF"),
        (lambda data: data[: len(data) // 2], "end of the file"),
        (lambda data: data[:200], "projector"),
        (lambda data: data.replace(b"\3" + bytes(7) + b"mlp", b"\3" + bytes(7) + b"mlx"), "mlx"),
        (lambda data: data.replace(b"v.blk.1.ffn_up.weight", b"v.blk.1.ffn_pu.weight"), "ffn_up"),
        (lambda data: data.replace(b"size\4\0\0\0\x0e", b"size\4\0\0\0\0"), "patch_size"),
        (lambda data: data.replace(b"head_count\4\0\0\0\2", b"head_count\4\0\0\0\0"), "died"),
    ],
)
def test_a_damaged_projector_is_a_typed_error(tmp_path, damage, why):
    path = projecting.seeing(tmp_path)
    made = made_of(path)
    data = made.projector.read_bytes()
    made.projector.write_bytes(damage(data))
    assert made.projector.read_bytes() != data
    with pytest.raises(InvalidInputError, match=why) as refused:
        placed(made)
    assert not re.search(r"/|tmp", refused.value.message)


def test_a_projector_of_another_model(tmp_path):
    with pytest.raises(InvalidInputError, match=r"mismatch .*n_embd = 128"):
        placed(made_of(projecting.seeing(tmp_path, width=128)))


def test_a_file_that_is_no_projector(tmp_path):
    with pytest.raises(InvalidInputError, match="is none, but of the architecture 'llama'"):
        placed(made_of(projecting.seeing(tmp_path, architecture="llama")))


def test_a_projector_that_is_gone(tmp_path):
    made = made_of(projecting.seeing(tmp_path))
    made.projector.unlink()
    with pytest.raises(NotFoundError):
        placed(made)


def test_a_projector_for_sound_alone_gives_no_eyes(tmp_path):
    model = load(made_of(projecting.seeing(tmp_path, sees=False)))
    assert answer(model, See()) == Sight(images=False)
    with pytest.raises(InvalidInputError, match="takes no images"):
        generated(model, messages=shown())
    model.close()
