"""Tokenizers without a model: a `tokenizer.json` alone, or one whose model cannot be run here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from tokenizers import Tokenizer

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation, Piece
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.backends.fast_tokens import begun, encoded, length, refusing, whole
from sensorium.models.backends.templated import templated
from sensorium.models.backends.turns import unloaded
from sensorium.models.folder_files import Templates, read_json, template_of
from sensorium.models.templates.rendering import ChatTemplate

FILE, CONFIG, SPECIAL = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
ALONE = "this is a tokenizer alone: it has no weights to make texts or vectors with"


class TokenizerModel:
    """See `base.TextModel`; it makes neither texts nor vectors, and says `why`."""

    parallel = 4
    """Calls at once: the library lets threads run beside each other."""

    def __init__(self, path: Path, why: str = ALONE, degraded: str = "") -> None:
        self.spec = ModelSpec(
            platform="tokenizers", inputs=[], outputs=[], providers=["cpu"], degraded=degraded
        )
        self._why = why
        self._tokenizer: Tokenizer | None = _read_tokenizer(path)
        told = read_json(path.with_name(CONFIG), _Config, optional=True)
        special = _specials(path)
        source = template_of(path.parent, told.chat_template)
        self._template = ChatTemplate(source, **special) if source else None
        begins = special.get("bos_token") if told.add_bos_token else None
        self._first = None if begins is None else self._whole.token_to_id(begins)
        self._size = self._whole.get_vocab_size(with_added_tokens=True)

    def generate(self, task: Generation, emit: Callable[[Piece], bool]) -> None:
        """See `TextModel.generate`."""
        raise NotSupportedError(self._why)

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        raise NotSupportedError(self._why)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        found = encoded(self._whole, text, special=special)
        return begun(found, self._first if special else None)

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        text = templated(self._template, task) if task.messages else task.prompt
        return length(encoded(self._whole, text, special=not task.messages), self._first)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        if not all(0 <= token < self._size for token in tokens):
            raise InvalidInputError(f"tokens are numbers from 0 to {self._size - 1}")
        return str(self._whole.decode(list(tokens), skip_special_tokens=False))

    def close(self) -> None:
        """See `TextModel.close`."""
        self._tokenizer = None

    @property
    def _whole(self) -> Tokenizer:
        if self._tokenizer is None:
            raise unloaded()
        return self._tokenizer


class TokenizerBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> TokenizerModel:
        """See `base.Backend.load`."""
        return TokenizerModel(artifact.path)


BACKEND = TokenizerBackend()


def of_folder(folder: Path, why: str) -> TokenizerModel:
    """The tokenizer of a model of which no more can be had here; `why` tells that.

    Raises:
        InvalidInputError: it is malformed.
    """
    return TokenizerModel(folder / FILE, f"only its tokenizer can be used: {why}", why)


class _Config(Struct):
    chat_template: Templates = None
    add_bos_token: Any = None


def _read_tokenizer(path: Path) -> Tokenizer:
    with refusing("tokenizers cannot load it"):
        return whole(Tokenizer.from_file(str(path)))


def _specials(path: Path) -> dict[str, str]:
    """Texts of special tokens, by names such as `bos_token`."""
    found: dict[str, str] = {}
    for name in (SPECIAL, CONFIG):
        for key, value in read_json(path.with_name(name), dict[str, Any], optional=True).items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(text, str):
                found[key] = text
    return found
