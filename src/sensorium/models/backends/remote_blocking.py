"""A remote language model for those who wait on a thread, as backends are called."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from sensorium.core.errors import NotSupportedError
from sensorium.core.generation import Generation, Piece
from sensorium.models.backends.looking import Looking
from sensorium.models.backends.remote_text import RemoteTexts
from sensorium.models.backends.remote_thread import LoopThread
from sensorium.models.backends.remote_vectors import vectors


class RemoteTextModel:
    """See `base.TextModel`. It tells no numbers of tokens: those protocols have none."""

    def __init__(self, texts: RemoteTexts, parallel: int) -> None:
        self.spec = texts.spec
        self.parallel = parallel
        self.picture_tasks: Sequence[str] = ()
        self._texts = texts
        self._thread = LoopThread(texts.close)
        self.close = self._thread.close

    def generate(self, task: Generation, emit: Callable[[Piece], bool]) -> None:
        """See `TextModel.generate`.

        Raises:
            UnavailableError: also where the text breaks off before its end.
        """
        looking = Looking(emit)
        with closing(self._thread.items(self._texts.generate(task), looking.wanted)) as pieces:
            for piece in pieces:
                if not looking.emit(piece):
                    return

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        body, dialect = self._thread.result(self._texts.ask_vectors(texts))
        return vectors(dialect, body, len(texts))

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        raise NotSupportedError("a remote model does not tell its tokens")

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        raise NotSupportedError("a remote model does not tell its tokens")

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        raise NotSupportedError("a remote model does not tell its tokens")
