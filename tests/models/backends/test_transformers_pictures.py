"""Models of transformers that take pictures, made here with random weights."""

import asyncio

import pytest

from sensorium.core.asking import See, Sight
from sensorium.core.conversation import ImagePart, Message, Tool, ToolCall
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation
from sensorium.models.answering import answer
from sensorium.models.placement.process import InProcess
from tests.models import seeing
from tests.models.backends.contract import OPTIONS, artifact, load
from tests.models.backends.text_contract import generated, text_of
from tests.models.seeing import picture

transformers = seeing.transformers()
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SAYS = "fox<loc_100><loc_200><loc_500><loc_700>"


@pytest.fixture(scope="session")
def llava(tmp_path_factory):
    return artifact(seeing.llava(tmp_path_factory.mktemp("llava")), "transformers")


@pytest.fixture(scope="session")
def florence(tmp_path_factory):
    return artifact(seeing.florence(tmp_path_factory.mktemp("florence")), "transformers")


@pytest.fixture(scope="session")
def rigged(tmp_path_factory):
    return artifact(seeing.florence(tmp_path_factory.mktemp("rigged"), SAYS), "transformers")


def said(text, *images, role="user"):
    return Message(role=role, content=text, images=list(images))


def shown(text="what is this", *files, at=0):
    return [said(text, *(ImagePart(data=file, at=at) for file in files or [picture()]))]


def called(arguments):
    return Message(role="assistant", tool_calls=[ToolCall(name="f", arguments=arguments)])


def test_a_text_about_a_picture_is_the_librarys_own(llava):
    import torch
    from PIL import Image

    folder = llava.path
    whole = transformers.LlavaForConditionalGeneration.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    text = "user : what <image> is this assistant :"
    read = processor(images=[Image.new("RGB", (30, 20), "red")], text=[text], return_tensors="pt")
    with torch.inference_mode():
        known = whole.generate(**read, max_new_tokens=8, do_sample=False, eos_token_id=None)
    model = load(llava)
    pieces = generated(
        model,
        messages=shown("what is this", at=5),
        max_tokens=8,
        temperature=0.0,
        logit_bias={"2": -1000.0},
    )
    tokens = [token for piece in pieces for token in piece.tokens]
    assert pieces[-1].prompt_tokens == read["input_ids"].shape[1] == 11
    assert tokens == known[0, 11:].tolist() or 2 in known[0, 11:]
    assert model.size(Generation(messages=shown("what is this", at=5))) == 11


def test_it_is_the_picture_that_is_seen(llava):
    model = load(llava)

    def likelihoods(*files):
        pieces = generated(
            model, messages=shown("what is this", *files), max_tokens=1, temperature=0.0, logprobs=5
        )
        return [(each.token, each.logprob) for each in pieces[0].steps[0].top]

    red, green = picture("red"), picture("green")
    assert likelihoods(red) == likelihoods(red) != likelihoods(green)
    assert likelihoods(red, green) != likelihoods(green, red)
    assert likelihoods(picture("red", "WEBP", (64, 64))) != likelihoods(green)


def test_several_messages_and_none_with_pictures(llava):
    model = load(llava)
    talk = [said("be brief", role="system"), *shown(), said("a fox", role="assistant"), *shown()]
    assert generated(model, messages=talk, max_tokens=2)[-1].prompt_tokens == 28
    assert generated(model, messages=[said("what is this")], max_tokens=2)[-1].prompt_tokens == 7
    assert generated(model, prompt="a red", max_tokens=2)[-1].prompt_tokens == 2


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([said("a", ImagePart(url="https://pictures.example/a.png"))], "no addresses"),
        ([said("a", ImagePart(data=b"nothing"))], "PNG, JPEG"),
        ([said("a", ImagePart(data=picture()[:40]))], "damaged"),
        ([said("<image> what", ImagePart(data=picture()))], "own mark"),
        ([said("<image> what")], "own mark"),
        ([*shown(), Message(role="assistant", reasoning="a <image> b")], "own mark"),
        ([Message(role="assistant", reasoning="a <image> b"), said("what")], "own mark"),
        ([called('{"a": ["\\u003cimage>"]}'), said("what")], "own mark"),
        ([called('{"<image>": 1}'), said("what")], "own mark"),
        ([said("what", role="<image>")], "own mark"),
        ([said("a", *[ImagePart(data=picture())] * 20)], "tokens"),
    ],
)
def test_what_it_does_not_take(llava, messages, message):
    model = load(llava)
    with pytest.raises(InvalidInputError, match=message):
        generated(model, messages=messages, max_tokens=1)
    assert generated(model, messages=shown(), max_tokens=1)


@pytest.mark.parametrize(
    "tool",
    [
        Tool(name="f", description="a <image> b"),
        Tool(name="f", parameters={"properties": {"a": {"enum": ["<image>"]}}}),
    ],
)
def test_tools_that_tell_of_a_picture(llava, tool):
    model = load(llava)
    task = Generation(messages=[said("what")], tools=[tool])
    for ask in (lambda: model.generate(task, lambda _: True), lambda: model.size(task)):
        with pytest.raises(InvalidInputError, match="own mark"):
            ask()


def test_too_many_pixels_in_all(llava, monkeypatch):
    monkeypatch.setattr("sensorium.models.pictures.decoding.MAX_ALL", 1000)
    with pytest.raises(InvalidInputError, match="together"):
        generated(load(llava), messages=shown("a", picture(), picture()), max_tokens=1)


def test_a_text_about_a_picture_ends_when_nobody_wants_it(llava):
    model = load(llava)
    pieces = []

    def emit(piece):
        pieces.append(piece)
        return len([each for each in pieces if each.tokens]) < 2

    model.generate(Generation(messages=shown(), max_tokens=40, logit_bias={"2": -1000.0}), emit)
    assert not any(piece.finish for piece in pieces)


def test_a_schema_is_for_another_backend(llava):
    with pytest.raises(NotSupportedError, match="GGUF"):
        generated(load(llava), messages=shown(), json_schema={"type": "object"})


def test_models_say_whether_they_take_pictures(llava, florence):
    assert answer(load(llava), See()) == Sight(images=True)
    sight = answer(load(florence), See())
    assert {"<OD>", "<CAPTION>", "<CAPTION_TO_PHRASE_GROUNDING>"} <= {*sight.tasks}


def test_a_task_is_answered_as_the_library_does(florence):
    import torch
    from PIL import Image

    folder = florence.path
    whole = transformers.Florence2ForConditionalGeneration.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    read = processor(images=[Image.new("RGB", (30, 20), "red")], text=["<OD>"], return_tensors="pt")
    whole.generation_config = transformers.GenerationConfig()
    config = transformers.GenerationConfig(
        max_new_tokens=8, do_sample=False, decoder_start_token_id=2, suppress_tokens=[0, 1, 2]
    )
    with torch.inference_mode():
        known = whole.generate(**read, generation_config=config)[0, 1:9].tolist()
    model = load(florence)
    silent = {str(each): -1000.0 for each in range(3)}
    pieces = generated(
        model, messages=shown("<OD>"), max_tokens=8, temperature=0.0, logit_bias=silent
    )
    assert [token for piece in pieces for token in piece.tokens] == known
    assert pieces[-1].prompt_tokens == read["input_ids"].shape[1]
    assert text_of(pieces) == processor.tokenizer.decode(known, skip_special_tokens=False)


def test_places_are_words_of_the_answer(rigged):
    pieces = generated(load(rigged), messages=shown("<OD>"), temperature=0.0)
    assert text_of(pieces) == SAYS
    assert pieces[-1].finish == "stop"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([said("<OD>")], "one picture"),
        (shown("<OD>", picture(), picture()), "one picture"),
        ([*shown("<OD>"), *shown("<OD>")], "one message"),
        (shown("what is this"), "begin with one of <CAPTION>"),
        (shown("<OD> a fox"), "does not take"),
        (shown("<CAPTION_TO_PHRASE_GROUNDING> <image>"), "own mark"),
        (shown("<CAPTION_TO_PHRASE_GROUNDING>" + "a" * 300), "tokens"),
    ],
)
def test_tasks_that_are_none(florence, messages, message):
    with pytest.raises(InvalidInputError, match=message):
        generated(load(florence), messages=messages)


def test_a_model_of_tasks_makes_no_texts(florence):
    with pytest.raises(InvalidInputError):
        generated(load(florence), prompt="a")


@pytest.mark.parametrize("kind", ["llava", "florence"])
def test_in_a_process_of_its_own(kind, request):
    made = request.getfixturevalue(kind)
    text = {"llava": "what is this", "florence": "<OD>"}[kind]

    async def main():
        placed = await InProcess.load(made, OPTIONS, text=True)
        try:
            task = Generation(messages=shown(text), max_tokens=3, temperature=0.0)
            pieces = [piece async for piece in placed.generate(task)]
            sight = await placed.ask(See(), Sight)
        finally:
            await placed.close()
        return pieces, sight, placed.facts

    pieces, sight, facts = asyncio.run(main())
    assert pieces[-1].finish
    assert sight.images
    assert facts.parallel == 1
