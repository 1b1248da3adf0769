"""What is asked of texts beside texts, of the model that ships, in this process."""

import asyncio
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import Struct

from sensorium.capabilities.language.text_schema import (
    CountRequest,
    CountResponse,
    DetokenizeRequest,
    DetokenizeResponse,
    EmbedRequest,
    EmbedResponse,
    RerankRequest,
    RerankResponse,
    TokenizeRequest,
    TokenizeResponse,
)
from sensorium.core.conversation import Message
from sensorium.core.dispatch import Caller
from sensorium.core.errors import InvalidInputError, SensoriumError
from tests.language.running import running

R = TypeVar("R", bound=Struct)


def asked(folder: Path, name: str, request: Struct, kind: type[R]) -> R:
    async def main() -> Any:
        async with running(folder) as app:
            return (await app.dispatcher.call(name, request, Caller())).value

    found = asyncio.run(main())
    assert isinstance(found, kind)
    return found


def test_words_become_tokens_and_words_again(tmp_path: Path) -> None:
    text = "The capital of France, 42!"
    whole = asked(tmp_path, "text.tokenize", TokenizeRequest(text=text), TokenizeResponse)
    bare = asked(
        tmp_path, "text.tokenize", TokenizeRequest(text=text, special=False), TokenizeResponse
    )
    assert whole.tokens == [1, *bare.tokens]
    back = asked(
        tmp_path, "text.detokenize", DetokenizeRequest(tokens=bare.tokens), DetokenizeResponse
    )
    assert back.text == text
    count = asked(tmp_path, "text.count", CountRequest(text=text), CountResponse)
    assert count.tokens == len(whole.tokens)


def test_a_conversation_is_counted_as_the_model_reads_it(tmp_path: Path) -> None:
    messages = [Message(role="user", content="What is the capital of France?")]
    found = asked(tmp_path, "text.count", CountRequest(messages=messages), CountResponse)
    assert found.tokens == 13  # as its usage says of the same conversation


def test_vectors_are_numbers_or_bytes(tmp_path: Path) -> None:
    texts = ["a red fox", "a red fox", "seven plus five"]
    found = asked(tmp_path, "text.embed", EmbedRequest(texts=texts, dimensions=8), EmbedResponse)
    assert [len(each) for each in found.vectors] == [8, 8, 8]
    assert found.vectors[0] == pytest.approx(found.vectors[1], abs=1e-5)
    assert found.vectors[0] != pytest.approx(found.vectors[2], abs=1e-2)
    raw = asked(tmp_path, "text.embed", EmbedRequest(texts=texts, raw=True), EmbedResponse)
    assert (raw.vectors, raw.dimensions, len(raw.data)) == ([], 256, 3 * 256 * 4)
    assert raw.tokens > 0


def test_documents_come_into_order(tmp_path: Path) -> None:
    documents = ["seven plus five", "a red fox", "the sun"]
    request = RerankRequest(query="a red fox", documents=documents, top_n=2)
    found = asked(tmp_path, "text.rerank", request, RerankResponse)
    assert found.results[0].index == 1
    assert found.results[0].score == pytest.approx(1, abs=1e-4)
    assert (len(found.results), found.method) == (2, "embedding")


@pytest.mark.parametrize(
    ("name", "request_", "error"),
    [
        ("text.count", CountRequest(), InvalidInputError),
        ("text.detokenize", DetokenizeRequest(tokens=[10**9]), InvalidInputError),
        ("text.embed", EmbedRequest(texts=["a"], dimensions=10_000), InvalidInputError),
        ("text.embed", EmbedRequest(texts=["a"], model="machine-state"), SensoriumError),
    ],
)
def test_what_cannot_be_answered_is_said(
    name: str, request_: Struct, error: type[SensoriumError], tmp_path: Path
) -> None:
    with pytest.raises(error):
        asked(tmp_path, name, request_, Struct)
