"""What Ollama's clients ask, as requests of our operations.

How a model is loaded (`num_ctx`, `num_gpu`, `num_thread` …) is said when it is loaded, by
`models.load`; here such options are passed over, as those are that llama.cpp no longer has.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import asdict

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.transports.http.compat.ollama.names import ours, seconds
from sensorium.transports.http.compat.spoken import MAX_TOKENS

SEEDS = 2**32
USUAL = {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.1}
"""Ollama's defaults; of the other options they are ours."""


NAMES = {"max_tokens": "options.num_predict", "json_schema": "format", "texts": "input"}
"""What the fields of ours are called here."""


class Options(Struct, kw_only=True):
    """How a text is made. Whole numbers may come as `5.0`."""

    num_predict: float | None = None
    temperature: float | None = None
    top_k: float | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: float | None = None
    stop: str | list[str] | None = None

    def sampling(self) -> dict[str, Any]:
        """The same in our words."""
        said = {name: each for name, each in asdict(self).items() if each is not None}
        given: dict[str, Any] = {**USUAL, **said}
        given["max_tokens"] = max(0, int(given.pop("num_predict", 0))) or MAX_TOKENS
        given["top_k"] = max(0, int(given["top_k"]))
        given["seed"] = int(given["seed"]) % SEEDS if given.get("seed", -1) >= 0 else None
        if isinstance(self.stop, str):
            given["stop"] = [self.stop]
        return given


class Named(Struct, kw_only=True):
    """A request that names a model."""

    model: Annotated[str, Meta(max_length=4096)] = ""
    name: Annotated[str, Meta(max_length=4096)] = ""
    """The same, of older clients."""
    stream: bool | None = None

    @property
    def named(self) -> str:
        """The name as it was said.

        Raises:
            InvalidInputError: none was.
        """
        if not (self.model or self.name):
            raise InvalidInputError("a name is required", details={"at": "model"})
        return self.model or self.name

    @property
    def streams(self) -> bool:
        """Whether the answer comes in lines, as it does where nothing is said."""
        return self.stream is not False


class Kept(Named, kw_only=True):
    """A request that has a model loaded."""

    keep_alive: float | str | None = None
    options: Options | None = None

    @property
    def keep_s(self) -> float | None:
        """How long the model stays loaded after it; see `names.seconds`."""
        return seconds(self.keep_alive)


class Generating(Kept, kw_only=True):
    """What `/api/chat` and `/api/generate` ask alike."""

    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    @property
    def thinks(self) -> bool:
        """Whether the answer shows what the model thought."""
        return self.think is not False

    @property
    def top(self) -> int:
        """How many likeliest tokens each token is told with."""
        return self.top_logprobs or 0

    def common(self) -> dict[str, Any]:
        """The fields of our requests that are made of these."""
        asked = {
            **(self.options or Options()).sampling(),
            "model": ours(self.named),
            "json_schema": _schema(self.format),
        }
        if self.logprobs:
            asked["logprobs"] = max(1, self.top)
        return asked


class Embedding(Kept, kw_only=True):
    """The body of `/api/embed`."""

    input: str | list[str] | None = None
    dimensions: Annotated[int, Meta(ge=0)] | None = None
    truncate: bool | None = None

    @property
    def texts(self) -> list[str]:
        """The texts; the empty one alone is none."""
        given = self.input or []
        return [given] if isinstance(given, str) else given

    def request(self) -> dict[str, Any]:
        """The request of `text.embed`; without a text it has the model loaded by any."""
        return {
            "model": ours(self.named),
            "texts": self.texts or ["a"],
            "dimensions": self.dimensions or 0,
            "truncate": self.truncate is not False,
            "raw": True,
        }


class OldEmbedding(Kept, kw_only=True):
    """The body of `/api/embeddings`."""

    prompt: str = ""

    def request(self) -> dict[str, Any]:
        """The request of `text.embed`."""
        texts = [self.prompt]
        return {"model": ours(self.named), "texts": texts, "truncate": True, "raw": True}


def _schema(given: str | dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    if given == "json":
        return {"type": "object"}
    if given:
        raise NotSupportedError("it is 'json', or a JSON schema", details={"at": "format"})
    return {}
