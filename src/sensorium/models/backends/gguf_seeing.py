"""GGUF models with a projector, which take pictures in a conversation."""

import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from sensorium.core.conversation import ImagePart, Message
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.core.loading import load
from sensorium.models.backends.gguf import GgufModel
from sensorium.models.backends.gguf_requests import chat_request
from sensorium.models.backends.gguf_texts import Emit
from sensorium.models.backends.openai_form import images_of, in_order
from sensorium.models.backends.templated import begun, taken
from sensorium.models.tools import CallReader, held, told

ENCODING = "sensorium.models.pictures.encoding:as_png"
BLANKS = "sensorium.models.pictures.encoding:blanks"
"""Enough to count by, as a picture's size decides on its tokens. The library counts at its listener
alone, which takes 100 MB."""
COUNT = "/v1/chat/completions/input_tokens"
MARK_BYTES = 16
"""Random ones stand for a picture where a template is tried. The library's own mark is random,
too: nobody can write it into a text."""
NOT_ITS_OWN = "llama.cpp may not have this model's chat template, and takes no pictures without it"


class SeeingModel(GgufModel):
    """See `GgufModel`. The library itself renders what has pictures in it, tools told in words.

    It is given no files but those that were made here from pixels: its own decoders never see
    what strangers send, nor is any address followed.
    """

    picture_tasks: Sequence[str] = ()

    def size(self, task: Generation) -> int:
        """See `TextModel.size`; a picture counts as the tokens that stand for it."""
        if not images_of(task.messages):
            return super().size(task)
        found: int = self._engine.ask(COUNT, self._request(begun(task), BLANKS))["input_tokens"]
        return found

    def _answering(self, task: Generation) -> Any:
        if not images_of(task.messages):
            return super()._answering(task)
        return partial(self._see, task)  # where its pictures take no memory before its turn

    def _see(self, task: Generation, emit: Emit) -> None:
        reads_calls = task.tools and not self._is_read_there(task)
        hears = CallReader(task.tools, emit) if reads_calls else emit
        self._make(self._request(task), task.stop, hears, chat=True)

    def _request(self, task: Generation, encoding: str = ENCODING) -> dict[str, Any]:
        """What the library is asked, its template having been tried.

        Raises:
            InvalidInputError: a picture cannot be decoded, or the template does not take this.
            UnavailableError: a library that decodes pictures is not installed.
        """
        if not self._is_read_there(task):
            task = told(held(task))
        mark = secrets.token_hex(MARK_BYTES)
        marked = replace(task, messages=[_marked(each, mark) for each in task.messages])
        _, as_taken = taken(self._template, marked)
        if not self._engine.has_template:
            raise InvalidInputError(NOT_ITS_OWN)
        self._try_with_more(as_taken)
        files = iter(load(encoding)(images_of(task.messages)))
        seen = [_unmarked(each, mark, files) for each in as_taken.messages]
        return chat_request(replace(as_taken, messages=seen))


def _marked(said: Message, mark: str) -> Message:
    """A message with marks in its text for the pictures."""
    content = said.content
    for image in reversed(in_order(said)):
        content = content[: image.at] + mark + content[image.at :]
    return replace(said, content=content, images=[])


def _unmarked(said: Message, mark: str, files: Iterator[bytes]) -> Message:
    """A message with the next files as pictures, where its text has marks."""
    *before, last = said.content.split(mark)
    images, content = [], ""
    for part in before:
        content += part
        images.append(ImagePart(data=next(files), at=len(content)))
    return replace(said, content=content + last, images=images)
