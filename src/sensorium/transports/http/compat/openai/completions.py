"""`/v1/completions`, the older interface: how a text goes on."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import reduce
from typing import Annotated, Any

from msgspec import Meta, Struct

from sensorium.core.dispatch import Answer
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.likelihoods import mean
from sensorium.transports.http.compat.openai.completions_answers import (
    TextSpeaker,
    completion,
)
from sensorium.transports.http.compat.openai.prompts import Texts, side_by_side, texts_of
from sensorium.transports.http.compat.openai.sampling import (
    NAMES,
    REFUSED,
    Completing,
    Likeliest,
    refuse,
)
from sensorium.transports.http.compat.spoken import (
    Chosen,
    Chunk,
    Told,
    Usage,
    Whole,
)
from sensorium.transports.http.speaking import speak

USUAL_TOKENS = 16
"""What OpenAI takes where nothing is said."""
MAX_PROMPTS = 128


class Completion(Completing, kw_only=True):
    """The body."""

    prompt: Texts
    echo: bool | None = None
    logprobs: Likeliest | None = None
    best_of: Annotated[int, Meta(ge=1, le=16)] | None = None
    suffix: str | None = None

    def check(self) -> None:
        """Raise what does not fit together, or is not done."""
        refuse(self, (*REFUSED, "suffix"))
        if self.echo and self.logprobs is not None:
            raise NotSupportedError(
                "logprobs of the prompt are not told here: ask without echo",
                details={"at": "logprobs"},
            )
        if self.best_of is not None and self.best_of < self.wanted:
            raise InvalidInputError("it is at least n", details={"at": "best_of"})
        if self.stream and self.made > self.wanted:
            raise InvalidInputError("a stream cannot choose", details={"at": "best_of"})

    @property
    def wanted(self) -> int:
        """How many texts are to be told for each prompt."""
        return self.n if self.n is not None else 1

    @property
    def made(self) -> int:
        """Among how many they are chosen."""
        return max(self.wanted, self.best_of or 0)

    def fields(self, prompt: str) -> dict[str, Any]:
        """The fields of the request of `text.complete` and `text.stream`."""
        asked = {
            **self.sampling(self.max_tokens, USUAL_TOKENS),
            "prompt": prompt,
            "n": self.made,
            "json_schema": self.json_schema,
        }
        if self.logprobs is not None or self.made > self.wanted:
            asked["logprobs"] = max(1, self.logprobs or 0)
        return asked


async def completions(call: Call) -> None:
    """Go on with a text or several, whole or as it comes."""
    asked = await call.read(Completion)
    asked.check()
    exchange = call.exchange
    with exchange.while_connected():
        prompts = await texts_of(call, asked.prompt, asked.model, "prompt", MAX_PROMPTS)
    requests = [call.request("text.complete", asked.fields(each), NAMES) for each in prompts]
    if asked.stream:
        speaker = TextSpeaker(
            exchange.request_id, asked.model, usage=asked.include_usage, top=asked.logprobs or 0
        )
        await speak(exchange, _chunks(call, requests, prompts, asked), speaker)
        return
    with exchange.while_connected():
        made = await side_by_side(lambda each: call.ask("text.complete", each, Whole), requests)
    found = Whole(
        model=made[0].model,
        digest=made[0].digest,
        usage=reduce(Usage.plus, (each.usage for each in made)),
        choices=[
            choice
            for each, prompt in zip(made, prompts, strict=True)
            for choice in _best(each, prompt, asked)
        ],
    )
    await call.answer(completion(found, exchange.request_id, asked.logprobs))


def _best(made: Whole, prompt: str, asked: Completion) -> list[Chosen]:
    """The likeliest of a prompt's texts, as many as are wanted."""
    choices = made.choices
    if asked.made > asked.wanted:
        choices = sorted(choices, key=lambda each: -mean(each.steps))[: asked.wanted]
    for each in choices:
        each.text = prompt + each.text if asked.echo else each.text
    return choices


async def _chunks(
    call: Call, requests: list[Struct], prompts: list[str], asked: Completion
) -> AsyncGenerator[Answer, None]:
    """The chunks of one prompt after those of the other, and in the end what all took."""
    told = Told()
    for number, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
        base = number * asked.wanted
        if asked.echo:
            for index in range(base, base + asked.wanted):
                yield Answer(Chunk(index=index, text=prompt))
        async with aclosing(call.dispatcher.stream("text.stream", request, call.caller)) as items:
            async for item in items:
                chunk = item.read(Chunk)
                if chunk.told is None:
                    chunk.index += base
                    yield Answer(chunk)
                else:
                    chunk.told.usage = told.usage.plus(chunk.told.usage)
                    told = chunk.told
    yield Answer(Chunk(told=told))
