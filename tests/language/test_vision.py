"""Pictures in conversations and in `vision.describe`, of small models made here."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sensorium.app import App, load_settings
from sensorium.capabilities.language.schema import ConversationRequest
from sensorium.capabilities.language.text_schema import CountRequest
from sensorium.capabilities.language.vision_schema import Box, DescribeRequest
from sensorium.core.conversation import ImagePart, Message
from sensorium.core.dispatch import Caller
from sensorium.core.errors import InvalidInputError, NotSupportedError, SensoriumError
from sensorium.models.pictures.fetching import Fetcher
from tests.core.test_pictures import png_of
from tests.language.running import running
from tests.models import seeing
from tests.models.seeing import picture
from tests.security.test_fetching import answering

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NEAR = "http://127.0.0.1:1/a.png"
SAYS = "fox<loc_100><loc_200><loc_500><loc_700>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with models that take pictures."""
    data = tmp_path_factory.mktemp("data")
    for name in ("llava", "florence", "fox"):
        (data / "models" / name).mkdir(parents=True)
    seeing.llava(data / "models/llava")
    seeing.florence(data / "models/florence")
    seeing.florence(data / "models/fox", SAYS)
    return data


async def called(app: App, name: str, request: Any) -> Any:
    return (await app.dispatcher.call(name, request, Caller())).value


def describing(model: str, image: ImagePart | None = None, **more: Any) -> DescribeRequest:
    image = image or ImagePart(data=picture(size=(300, 200)))
    return DescribeRequest(model=model, image=image, max_tokens=16, **more)


def conversation(model: str, *images: ImagePart) -> ConversationRequest:
    message = Message(role="user", content="what is this", images=list(images))
    return ConversationRequest(
        model=model, messages=[message], max_tokens=4, temperature=0.0, logit_bias={"2": -1000.0}
    )


def test_pictures_in_conversations(folder: Path) -> None:
    async def main() -> None:
        file = picture("green", "JPEG")
        jpeg = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(file) + file
        async with running(folder) as app, answering(lambda _: jpeg) as (port, heads):
            app.dispatcher.parts[Fetcher] = Fetcher([f"127.0.0.1:{port}"])
            link = ImagePart(url=f"http://127.0.0.1:{port}/a.jpg")
            given = await called(app, "chat.complete", conversation("llava", ImagePart(data=file)))
            assert given.usage.prompt_tokens == 11
            assert given.usage.generated_tokens == 4
            found = await called(app, "chat.complete", conversation("llava", link, link))
            assert found.usage.prompt_tokens == 15
            assert len(heads) == 1
            once = await called(app, "chat.complete", conversation("llava", link))
            assert once.choices == given.choices
            count = CountRequest(model="llava", messages=conversation("llava", link).messages)
            assert (await called(app, "text.count", count)).tokens == 11
            assert len(heads) == 3

            refused = [
                conversation("llava", ImagePart(url=NEAR)),
                conversation("llava", link, ImagePart(url=NEAR)),
                conversation("llava", ImagePart(data=b"nothing")),
                conversation("llava", *[ImagePart(url=f"{link.url}?{n}") for n in range(17)]),
            ]
            for request in refused:
                with pytest.raises(InvalidInputError):
                    await called(app, "chat.complete", request)
            before = len(heads)
            with pytest.raises(InvalidInputError, match="takes no images"):
                await called(app, "chat.complete", conversation("tinylm", link))
            assert len(heads) == before

    asyncio.run(main())


def test_a_picture_is_described(folder: Path) -> None:
    async def main() -> None:
        async with running(folder) as app:
            told = await called(app, "vision.describe", describing("llava"))
            assert (told.model, told.width, told.height, told.boxes) == ("llava", 300, 200, [])
            assert told.usage.prompt_tokens > 4
            told = await called(app, "vision.describe", describing("florence"))
            assert told.usage.generated_tokens

            found = await called(app, "vision.describe", describing("fox", task="detect"))
            box = Box(label="fox", x=30.15, y=40.1, width=120.0, height=100.0)
            assert found.boxes == [box]
            assert (found.text, found.width, found.height) == ("fox", 300, 200)
            assert found.usage.generated_tokens == 7
            named = describing("fox", task="ground", prompt="a fox")
            assert (await called(app, "vision.describe", named)).boxes == [box]

    asyncio.run(main())


Refused = tuple[str, ImagePart | None, dict[str, Any], type[SensoriumError], str]
REFUSED: list[Refused] = [
    ("tinylm", None, {}, NotSupportedError, "no pictures"),
    ("llava", None, {"task": "detect"}, NotSupportedError, "where things are"),
    ("fox", None, {"task": "ground"}, InvalidInputError, "prompt"),
    ("fox", None, {"prompt": "a"}, InvalidInputError, "prompt"),
    ("fox", ImagePart(), {}, InvalidInputError, "data or its url"),
    ("fox", ImagePart(data=b"a", url="b"), {}, InvalidInputError, "data or its url"),
    ("fox", ImagePart(url=NEAR), {}, InvalidInputError, "ports"),
    ("fox", ImagePart(url="http://127.0.0.1/"), {}, InvalidInputError, "public"),
    ("fox", ImagePart(data=b"<svg/>"), {}, InvalidInputError, "PNG, JPEG"),
    ("fox", ImagePart(data=png_of(30, 20)), {}, InvalidInputError, "damaged"),
    ("fox", ImagePart(data=png_of(10**5, 10**5)), {}, InvalidInputError, "pixels"),
]


def test_what_is_not_described(folder: Path) -> None:
    async def main() -> None:
        async with running(folder) as app:
            for model, image, more, error, message in REFUSED:
                with pytest.raises(error, match=message):
                    await called(app, "vision.describe", describing(model, image, **more))

    asyncio.run(main())


@pytest.mark.parametrize("setting", [{"offline": True}, {"fetch_images": False}])
def test_a_server_that_fetches_nothing(folder: Path, setting: dict[str, Any]) -> None:
    async def main() -> None:
        settings = load_settings({"data_dir": str(folder), **setting}, environ={}, directory=folder)
        async with App(settings, isolated=False).running() as app:
            for url in ("https://pictures.example/a.png", NEAR):
                link = ImagePart(url=url)
                with pytest.raises(NotSupportedError, match="fetches no images"):
                    await called(app, "vision.describe", describing("llava", link))

    asyncio.run(main())
