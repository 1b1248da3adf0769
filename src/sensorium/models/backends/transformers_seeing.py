"""Language models of transformers that take pictures in a conversation."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from sensorium.core.conversation import ImagePart
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import ModelSpec
from sensorium.models.backends.openai_form import images_of, openai_messages, openai_tools
from sensorium.models.backends.transformers_generation import GeneratingModel, Read
from sensorium.models.pictures.decoding import decode_all


class SeeingModel(GeneratingModel):
    """See `GeneratingModel`. Its template says where the pictures are, its processor reads them."""

    takes_pictures = True

    def __init__(
        self, model: Any, processor: Any, spec: ModelSpec, context: int, *, begins: bool
    ) -> None:
        template = processor.chat_template
        super().__init__(
            model, processor.tokenizer, spec, context, begins=begins, template=template
        )
        self.picture_tasks: Sequence[str] = ()
        self._processor = processor
        self._processing = threading.Lock()

    def size(self, task: Generation) -> int:
        """See `TextModel.size`; a picture counts as the tokens that stand for it."""
        if images_of(task.messages):
            return len(self._read(task).ids)
        self._refuse_marks(task)
        return super().size(task)

    def _read(self, task: Generation) -> Read:
        self._refuse_marks(task)
        images = images_of(task.messages)
        if not images:
            return super()._read(task)
        text = self._templated(task)
        begin = self._tokens.tokenizer.bos_token if self._first is not None else ""
        if not text.startswith(begin):
            text = begin + text
        return self._processed(text, images, add_special_tokens=False)

    def _processed(self, text: str, images: Sequence[ImagePart], **more: Any) -> Read:
        """What the model reads of a text and the pictures in it.

        Raises:
            InvalidInputError: a picture cannot be decoded, or they do not fit the text.
        """
        pictures = list(decode_all(images))
        try:
            with self._processing, self._tokens.turn:
                found = dict(
                    self._processor(images=pictures, text=[text], return_tensors="pt", **more)
                )
        except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError):
            raise InvalidInputError(
                "the model does not take these pictures with this text"
            ) from None
        ids = found.pop("input_ids")[0].tolist()
        found.pop("attention_mask", None)
        return Read(ids, found)

    def _refuse_marks(self, task: Generation) -> None:
        """Refuse a text that says of itself that a picture is there, where none is.

        Whatever the template is given may come to stand in the prompt.
        """
        marks = [getattr(self._processor, name, None) for name in ("image_token", "video_token")]
        messages = openai_messages(task.messages, parsed=True, marked=True)
        texts = [*_texts([task.prompt, messages, openai_tools(task.tools)])]
        for mark in marks:
            if isinstance(mark, str) and any(mark in text for text in texts):
                raise InvalidInputError(
                    f"the text has {mark!r} in it, which is the model's own mark for a picture"
                )


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON, the names of its fields among them."""
    left = [value]
    while left:  # and not one within the other: it may be nested deeper than calls may
        each = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            left += [*each, *each.values()]
        elif isinstance(each, list):
            left += each
