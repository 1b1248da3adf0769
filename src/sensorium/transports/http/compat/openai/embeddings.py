"""`/v1/embeddings`."""

import asyncio
from base64 import b64encode
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import unpack_numbers
from sensorium.transports.http.compat.openai.call import Call
from sensorium.transports.http.compat.openai.prompts import Texts, texts_of
from sensorium.transports.http.compat.openai.sampling import ModelName
from sensorium.transports.http.exchange import JSON

MAX_INPUTS = 2048
FLOAT_BYTES = 4


class Embedding(Struct):
    """The body."""

    input: Texts
    model: ModelName = "default-embedding"
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class _Vectors(Struct):
    """What is read of the answer of `text.embed`; `data` are the vectors as float32."""

    model: str
    dimensions: int
    data: bytes
    tokens: int = 0


async def embeddings(call: Call) -> None:
    """Vectors of texts, as numbers or as float32 in base64."""
    asked = await call.read(Embedding)
    with call.exchange.while_connected():
        texts = await texts_of(call, asked.input, asked.model, "input", MAX_INPUTS)
        if not all(texts):
            raise InvalidInputError("an empty text has no vector", details={"field": "input"})
        fields = {
            "model": asked.model,
            "texts": texts,
            "dimensions": asked.dimensions or 0,
            "raw": True,
        }
        request = call.request("text.embed", fields, {"texts": "input"})
        found = await call.ask("text.embed", request, _Vectors)
    as_text = asked.encoding_format == "base64"
    await call.exchange.answer(200, JSON, await asyncio.to_thread(_body, found, as_text=as_text))


def _body(found: _Vectors, *, as_text: bool) -> bytes:
    step = found.dimensions * FLOAT_BYTES
    rows = [found.data[start : start + step] for start in range(0, len(found.data), step)]
    body: dict[str, Any] = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": b64encode(row).decode() if as_text else unpack_numbers("FP32", row),
            }
            for index, row in enumerate(rows)
        ],
        "model": found.model,
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
    }
    return msgspec.json.encode(body)
