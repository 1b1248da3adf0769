"""Language models that others serve, in OpenAI's protocol or Ollama's."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from sensorium.core.errors import (
    InvalidInputError,
    NotSupportedError,
    UnavailableError,
)
from sensorium.core.generation import Finish, Generation, Piece, Step
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.backends.looking import Looking
from sensorium.models.backends.remote_settings import RemoteSettings
from sensorium.models.backends.remote_wire import Wire


class Part(msgspec.Struct, kw_only=True):
    """What one line of an answer tells; all of it may be missing."""

    text: str = ""
    steps: list[Step] = []
    reason: str = ""
    """Why the text ends here."""
    error: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    done: bool = False
    """Nothing more comes."""


@dataclass
class _Known:
    """What has been told of a text so far."""

    reason: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    pieces: int = 0

    def add(self, part: Part) -> None:
        """Note what a part tells."""
        self.reason = part.reason or self.reason
        self.prompt_tokens = part.prompt_tokens or self.prompt_tokens
        self.generated_tokens = part.generated_tokens or self.generated_tokens
        self.pieces += bool(part.text or part.steps)

    def last(self) -> Piece:
        """The end of the text; tokens that were not told are counted by pieces."""
        return Piece(
            finish=_finish(self.reason),
            prompt_tokens=self.prompt_tokens,
            generated_tokens=self.generated_tokens or self.pieces,
        )


class Dialect(Protocol):
    """How one protocol says things."""

    media_type: str
    """Of an answer that comes in lines."""

    def request(self, task: Generation) -> tuple[str, Mapping[str, Any]]:
        """Where to and what to send, to have a text made.

        Raises:
            NotSupportedError: the protocol cannot ask for it.
        """

    def part(self, line: str) -> Part:
        """What a line says.

        Raises:
            UnavailableError: it is not of the protocol.
        """

    def embedding(self, texts: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
        """Where to and what to send, to have texts embedded."""

    def vectors(self, body: bytes) -> list[list[float]]:
        """The vectors of an answer, in the order of the texts; errors as for `part`."""


class RemoteTextModel:
    """See `base.TextModel`. It tells no numbers of tokens: those protocols have none."""

    def __init__(
        self, settings: RemoteSettings, wire: Wire, dialect: Dialect, options: LoadOptions
    ) -> None:
        self.spec = ModelSpec(
            platform=f"remote_{settings.protocol}", inputs=[], outputs=[], providers=["remote"]
        )
        self.parallel = options.parallel
        self._task = settings.task
        self._wire = wire
        self._dialect = dialect
        self.close = wire.close

    def generate(self, task: Generation, emit: Callable[[Piece], bool]) -> None:
        """See `TextModel.generate`.

        Raises:
            UnavailableError: also where the text breaks off before its end.
        """
        if self._task == "embed":
            raise NotSupportedError("this model makes embeddings, and no text")
        path, body = self._dialect.request(task)
        looking = Looking(emit)
        known = _Known()
        try:
            if not self._tell(path, msgspec.json.encode(body), looking, known):
                return
        except UnavailableError:
            if not known.reason:
                raise  # with a reason to end, the text is whole
        if not known.reason:
            raise UnavailableError("the remote server broke off within the text", retry_after_s=1.0)
        looking.emit(known.last())

    def _tell(self, path: str, body: bytes, looking: Looking, known: _Known) -> bool:
        """Hand out the text as it comes, and note in `known` what is told of it.

        False where nobody wants it any more.
        """
        kind = self._dialect.media_type
        with closing(self._wire.lines(path, body, kind, looking.wanted)) as lines:
            for part in map(self._dialect.part, lines):
                if part.error:
                    said = self._wire.scrubbed(part.error)
                    raise UnavailableError(f"the remote server failed within the text: {said}")
                known.add(part)
                piece = Piece(text=part.text, steps=part.steps)
                if piece != Piece() and not looking.emit(piece):
                    return False
                if part.done:
                    break
        return looking.wanted()

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        if not texts:
            raise InvalidInputError("there is no text to embed")
        path, body = self._dialect.embedding(texts)
        answer = self._wire.ask("POST", path, msgspec.json.encode(body))
        try:
            found = np.array(self._dialect.vectors(answer.body), dtype=np.float32)
        except ValueError:
            found = np.zeros(0, np.float32)
        if found.ndim != 2 or len(found) != len(texts) or not np.isfinite(found).all():
            raise UnavailableError("the remote server answers with other vectors than asked for")
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.maximum(length, np.finfo(np.float32).tiny), 0

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        raise NotSupportedError("a remote model does not tell its tokens")

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        raise NotSupportedError("a remote model does not tell its tokens")

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        raise NotSupportedError("a remote model does not tell its tokens")


def _finish(reason: str) -> Finish:
    """Why a text ended.

    Raises:
        InvalidInputError: it was withheld.
    """
    if reason == "content_filter":
        raise InvalidInputError("the remote server withholds the rest of the text")
    return "length" if reason == "length" else "stop"
