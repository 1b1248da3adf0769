"""How texts are made, as OpenAI's clients ask for it.

Fields that change nothing here (`user`, `store`, `metadata`) are passed over, as other servers do.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from sensorium.core.errors import NotSupportedError

ModelName = Annotated[str, Meta(min_length=1)]
Likeliest = Annotated[int, Meta(ge=0, le=20)]


class StreamOptions(Struct):
    """How a stream is told."""

    include_usage: bool | None = None


class SchemaFormat(Struct):
    """A JSON schema."""

    name: str = ""
    schema: dict[str, Any] | None = None


class Common(Struct, kw_only=True):
    """What all that make text ask."""

    model: ModelName = "default"
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    grammar: str | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def sampling(self, max_tokens: int) -> dict[str, Any]:
        """Our fields, of what is said; OpenAI's defaults for those that it has."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        given = {
            "max_tokens": self.max_tokens if self.max_tokens is not None else max_tokens,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "n": self.n,
            "stop": [each for each in stop if each],
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repeat_penalty": self.repetition_penalty,
            "logit_bias": self.logit_bias,
            "seed": None if self.seed is None else self.seed % 2**32,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "grammar": self.grammar,
        }
        return {name: value for name, value in given.items() if value is not None}


def refuse(asked: Struct, names: tuple[str, ...]) -> None:
    """Refuse what would make another answer, and is not done here.

    Raises:
        NotSupportedError: one of the fields of these names says something.
    """
    for name in names:
        if getattr(asked, name):
            raise NotSupportedError("this server does not do that", details={"at": name})
