"""How texts are made, as OpenAI's clients ask for it.

Fields that change nothing here (`user`, `metadata`, `reasoning_effort`) are passed over, as other
servers do.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError, NotSupportedError

ModelName = Annotated[str, Meta(min_length=1)]
Likeliest = Annotated[int, Meta(ge=0, le=20)]
NAMES = {"repeat_penalty": "repetition_penalty", "json_schema": "response_format"}
"""What the fields of ours are called here that have other names."""
REFUSED = (
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),
    *("allowed_token_ids", "bad_words", "stop_token_ids", "include_stop_str_in_output"),
    *("ignore_eos", "min_tokens", "use_beam_search", "prompt_logprobs"),
)
"""What vLLM's clients ask that would make another answer, and is not done; see `refuse`."""


class Sampled(Struct, kw_only=True):
    """What all that make text ask; what is null is as if it were not there."""

    model: ModelName = "default"
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    grammar: str | None = None

    def __post_init__(self) -> None:
        """OpenAI's defaults, of what has one."""
        self.temperature = 1.0 if self.temperature is None else self.temperature
        self.top_p = 1.0 if self.top_p is None else self.top_p

    def sampling(self, *max_tokens: int | None) -> dict[str, Any]:
        """Our fields, of what is said; of the limits, the first that is."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        given = {
            "model": self.model,
            "max_tokens": next(each for each in max_tokens if each is not None),
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "min_p": self.min_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repeat_penalty": self.repetition_penalty,
            "logit_bias": self.logit_bias,
            "seed": None if self.seed is None else self.seed % 2**32,
            "stop": [each for each in stop if each],
            "grammar": self.grammar,
        }
        return {name: value for name, value in given.items() if value is not None}


class StreamOptions(Struct):
    """How a stream is told."""

    include_usage: bool | None = None


class Format(Struct, omit_defaults=True):
    """What a text is held to; conversations have the schema in an object of its own."""

    type: str = ""
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None
    json_schema: "Format | None" = None


class Completing(Sampled, kw_only=True):
    """What the two kinds of completions ask alike."""

    max_tokens: int | None = None
    n: int | None = None
    stream_options: StreamOptions | None = None
    response_format: Format | None = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    structured_outputs: Any = None
    allowed_token_ids: Any = None
    bad_words: Any = None
    stop_token_ids: Any = None
    include_stop_str_in_output: Any = None
    ignore_eos: Any = None
    min_tokens: Any = None
    use_beam_search: Any = None
    prompt_logprobs: Any = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def json_schema(self) -> dict[str, Any]:
        """The JSON schema that a text is held to; as for `held_to`."""
        return held_to(self.response_format, "response_format")


def held_to(given: Format | None, field: str) -> dict[str, Any]:
    """The JSON schema; {} for none.

    Raises:
        InvalidInputError: the format is not known.
    """
    match given.type if given is not None else "text":
        case "text":
            return {}
        case "json_object" | "json_schema" if given is not None:
            return (given.json_schema or given).schema or {"type": "object"}
        case other:
            raise InvalidInputError(f"{other!r} is none that is known", details={"at": field})


def refuse(asked: Struct, names: tuple[str, ...]) -> None:
    """Refuse what would make another answer, and is not done here.

    Raises:
        NotSupportedError: one of the fields of these names says something.
    """
    for name in names:
        if getattr(asked, name):
            raise NotSupportedError("this server does not do that", details={"at": name})
