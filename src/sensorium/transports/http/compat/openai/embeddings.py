"""`/v1/embeddings`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError
from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.openai.prompts import Texts, texts_of
from sensorium.transports.http.compat.openai.sampling import ModelName
from sensorium.transports.http.compat.vectors import Vectors

MAX_INPUTS = 2048


class Embedding(Struct):
    """The body."""

    input: Texts
    model: ModelName = "default-embedding"
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


async def embeddings(call: Call) -> None:
    """Vectors of texts, as numbers or as float32 in base64."""
    asked = await call.read(Embedding)
    with call.exchange.while_connected():
        texts = await texts_of(call, asked.input, asked.model, "input", MAX_INPUTS)
        if not all(texts):
            raise InvalidInputError("an empty text has no vector", details={"at": "input"})
        fields = {
            "model": asked.model,
            "texts": texts,
            "dimensions": asked.dimensions or 0,
            "raw": True,
        }
        request = call.request("text.embed", fields, {"texts": "input"})
        found = await call.ask("text.embed", request, Vectors)
    rows = await found.rows(as_base64=asked.encoding_format == "base64")
    await call.answer(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": row}
                for index, row in enumerate(rows)
            ],
            "model": found.model,
            "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
        }
    )
