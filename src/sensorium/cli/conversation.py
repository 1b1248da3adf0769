"""A conversation with a model as a program holds it: what was said, and how answers are made."""

import errno
import json
import os
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from sensorium.capabilities.language.schema import DEFAULT, Chunk
from sensorium.client import Sensorium
from sensorium.core.codec import explained
from sensorium.core.conversation import Message
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Sampling

SETTINGS = {field.name: field for field in fields(Sampling)}
OF_FOLDERS = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS)
MAX_TOKENS = 2048
"""Somebody who reads along can stop an answer, so it may be longer than a program's."""


class Saved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conversation in a file."""

    model: str = DEFAULT
    system: str = ""
    settings: dict[str, Any] = {}
    messages: list[Message] = []


class Conversation:
    """What was said so far; `ask` goes on with it.

    `settings` are those fields of `Sampling` that are not as usual.
    """

    def __init__(self, model: str = DEFAULT, system: str = "", **settings: Any) -> None:
        self.model = model
        self.system = system
        self.settings: dict[str, Any] = {"max_tokens": MAX_TOKENS, **settings}
        self.messages: list[Message] = []

    def request(self, text: str) -> dict[str, Any]:
        """The request of `chat.complete` and `chat.stream` that says this next."""
        said = [*self.messages, Message(role="user", content=text)]
        if self.system:
            said.insert(0, Message(role="system", content=self.system))
        return {"model": self.model, "messages": said, **self.settings}

    def ask(self, client: Sensorium, text: str) -> Generator[Chunk, None, None]:
        """What the model answers, as it comes.

        An answer that is broken off by Ctrl-C, or by closing this, counts as far as it came. One
        that fails was never asked for.
        """
        answer: list[str] = []
        try:
            with closing(client.chat.stream(**self.request(text))) as chunks:
                for chunk in chunks:
                    answer.append(chunk.text)
                    yield chunk
        except Exception:
            answer.clear()
            raise
        finally:
            if said := "".join(answer):
                self.messages.append(Message(role="user", content=text))
                self.messages.append(Message(role="assistant", content=said))

    def set(self, name: str, text: str) -> None:
        """Set a field of `Sampling` from what was typed; with nothing it is as usual again.

        Raises:
            InvalidInputError: there is no such field, or the value does not fit it.
        """
        if name not in SETTINGS:
            raise InvalidInputError(
                f"there is no setting {name[:80]!r}; there are: {', '.join(SETTINGS)}"
            )
        if not text:
            self.settings.pop(name, None)
            return
        self.settings[name] = _fitting(name, _read(name, text))

    def save(self, path: Path) -> None:
        """Write it to a file, which is replaced as a whole.

        Raises:
            OSError: it cannot be written; about the folder where that is why, else about the file.
        """
        saved = Saved(
            model=self.model, system=self.system, settings=self.settings, messages=self.messages
        )
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(saved), indent=2) + b"\n")
            draft.replace(path)
        except OSError as error:
            place = path.parent if error.errno in OF_FOLDERS else path
            raise OSError(error.errno, error.strerror, str(place)) from None
        finally:
            with suppress(OSError):
                draft.unlink()

    def load(self, path: Path) -> None:
        """Take up the conversation in a file, with its model and settings.

        Raises:
            InvalidInputError: no conversation was saved there.
            OSError: it cannot be read.
        """
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=Saved)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInputError(f"{path} holds no saved conversation: {error}") from None
        settings = {name: _fitting(name, value) for name, value in saved.settings.items()}
        self.model, self.system = saved.model, saved.system
        self.settings, self.messages = settings, saved.messages


def _read(name: str, text: str) -> Any:
    """A typed value: JSON where it is some, else the text; one text of a list needs no brackets."""
    if name == "grammar":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return [text] if name == "stop" and not isinstance(value, list) else value


def _fitting(name: str, value: Any) -> Any:
    try:
        return getattr(msgspec.convert({name: value}, Sampling), name)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"{name}: {explained(error).message}") from None
