"""Pictures for GGUF models: operations, and the doors of others, of tinylm with a projector."""

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import ollama
import pytest
from msgspec.structs import replace

from sensorium.app import App
from sensorium.capabilities.language.schema import ConversationRequest
from sensorium.capabilities.language.text_schema import CountRequest
from sensorium.capabilities.language.vision_schema import DescribeRequest
from sensorium.capabilities.models.schema import GetRequest
from sensorium.core.conversation import ImagePart, Message
from sensorium.core.dispatch import Caller
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.models.pictures.fetching import Fetcher
from tests.language.openai_words import connect
from tests.language.running import running
from tests.models.projecting import TOKENS, seeing
from tests.models.seeing import picture
from tests.security.test_fetching import answering
from tests.servers import Server, serving

pytest.importorskip("PIL.Image", reason="Pillow is not installed: sensorium[pictures]")
RED, GREEN = ImagePart(data=picture("red")), ImagePart(data=picture("green", "JPEG"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a model that takes pictures."""
    data = tmp_path_factory.mktemp("data")
    seeing(data / "models" / "tiny")
    return data


@pytest.fixture(scope="module")
def standing() -> Iterator[Server]:
    with serving() as found:
        seeing(found.data_dir / "models" / "tiny")
        yield found


async def called(app: App, name: str, request: Any) -> Any:
    return (await app.dispatcher.call(name, request, Caller())).value


def conversation(*images: ImagePart, model: str = "tiny") -> ConversationRequest:
    message = Message(role="user", content="what is this", images=list(images))
    return ConversationRequest(
        model=model, messages=[message], max_tokens=6, temperature=0.0, logprobs=3
    )


def test_pictures_in_conversations(folder: Path) -> None:
    async def main() -> None:
        file = RED.data
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(file) + file
        async with running(folder) as app, answering(lambda _: answer) as (port, _):
            app.dispatcher.parts[Fetcher] = Fetcher([f"127.0.0.1:{port}"])
            link = ImagePart(url=f"http://127.0.0.1:{port}/a.png")
            plain = await called(app, "chat.complete", conversation())
            given = await called(app, "chat.complete", conversation(RED))
            assert given.usage.prompt_tokens == plain.usage.prompt_tokens + TOKENS
            assert given.choices != plain.choices
            assert (await called(app, "chat.complete", conversation(link))).choices == given.choices
            other = await called(app, "chat.complete", conversation(GREEN))
            assert other.choices != given.choices
            count = CountRequest(model="tiny", messages=conversation(RED, GREEN).messages)
            told = (await called(app, "text.count", count)).tokens
            assert told == plain.usage.prompt_tokens + 2 * TOKENS

            chunks = [
                each
                async for each in app.dispatcher.stream("chat.stream", conversation(RED), Caller())
            ]
            text = "".join(each.value.text for each in chunks)
            assert text == given.choices[0].message.content
            with pytest.raises(InvalidInputError, match="takes no images"):
                await called(app, "chat.complete", conversation(RED, model="tinylm"))

    asyncio.run(main())


def test_a_picture_is_described(folder: Path) -> None:
    async def main() -> None:
        async with running(folder) as app:
            wide = ImagePart(data=picture(size=(300, 200)))
            asked = DescribeRequest(model="tiny", image=wide, max_tokens=16)
            told = await called(app, "vision.describe", asked)
            assert (told.model, told.width, told.height, told.boxes) == ("tiny", 300, 200, [])
            assert told.text
            assert told.usage.prompt_tokens > TOKENS
            found = await called(app, "vision.describe", replace(asked, task="detect"))
            assert found.boxes == []  # random weights, held to JSON
            assert found.usage.generated_tokens > 2
            with pytest.raises(NotSupportedError, match="no pictures"):
                await called(app, "vision.describe", replace(asked, model="tinylm"))

    asyncio.run(main())


def test_it_is_told_that_it_sees(folder: Path) -> None:
    async def main() -> None:
        async with running(folder) as app:
            found = await called(app, "models.get", GetRequest(model="tiny", header=True))
            assert found.entry.task == "image-text-to-text"
            assert found.header.details["projector"] == "mlp"
            assert found.header.details["pictures"] == "yes"
            files = (folder / "models" / "tiny").iterdir()
            assert found.entry.size_bytes == sum(each.stat().st_size for each in files)

    asyncio.run(main())


def test_openais_client_shows_a_picture(standing: Server) -> None:
    with connect(standing) as client:
        asked: Any = {"model": "tiny", "temperature": 0, "max_tokens": 6, "logprobs": True}
        found = []
        for image in (RED, GREEN):
            url = f"data:image/png;base64,{b64encode(image.data).decode()}"
            content: Any = [
                {"type": "text", "text": "what is this"},
                {"type": "image_url", "image_url": {"url": url}},
            ]
            answer = client.chat.completions.create(
                messages=[{"role": "user", "content": content}], **asked
            )
            assert answer.usage is not None
            assert answer.usage.prompt_tokens > TOKENS
            found.append(answer.choices[0].logprobs)
        assert found[0] != found[1]


def test_anthropics_client_shows_a_picture(standing: Server) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": b64encode(RED.data).decode()}
    content: Any = [{"type": "image", "source": source}, {"type": "text", "text": "what is this"}]
    talk: Any = [{"role": "user", "content": content}]
    with anthropic.Anthropic(base_url=standing.url, api_key="any", max_retries=0) as client:
        found = client.messages.create(model="tiny", max_tokens=6, messages=talk)
        counted = client.messages.count_tokens(model="tiny", messages=talk)
        known = found.usage.cache_read_input_tokens or 0
        assert found.usage.input_tokens + known == counted.input_tokens > TOKENS


def test_ollamas_client_shows_a_picture(standing: Server) -> None:
    with ollama.Client(host=standing.url) as client:
        assert "vision" in (client.show("tiny").capabilities or [])
        assert "vision" not in (client.show("tinylm").capabilities or [])
        plain, shown = (
            client.chat(
                "tiny",
                [{"role": "user", "content": "what is this", **more}],
                options={"num_predict": 4},
            )
            for more in ({}, {"images": [RED.data]})
        )
        assert shown.prompt_eval_count == (plain.prompt_eval_count or 0) + TOKENS


def test_a_damaged_projector_leaves_the_server_standing(standing: Server) -> None:
    folder = standing.data_dir
    model = seeing(folder / "models" / "broken")
    projector = model.with_name("mmproj-tiny-f32.gguf")
    whole = projector.read_bytes()
    wrong = whole.replace(b"head_count\4\0\0\0\2", b"head_count\4\0\0\0\3")
    with standing.client(timeout=60.0) as http:
        for data in (whole[:5000], whole.replace(b"clip", b"clap"), wrong):
            projector.write_bytes(data)
            answer = asked(http, "broken")
            assert answer.json()["code"] == "invalid_input", answer.text
            assert str(folder) not in answer.text
            assert asked(http, "tiny").status_code == 200


def asked(http: httpx.Client, model: str) -> httpx.Response:
    messages = [{"role": "user", "content": "a"}]
    return http.post("/v1/chat/complete", json={"model": model, "messages": messages})
