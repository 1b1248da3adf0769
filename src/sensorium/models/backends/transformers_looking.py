"""Models of the Florence-2 kind: they answer to tasks about one picture.

The first word of what they are asked is the task, such as `<CAPTION>` or `<OD>`. Places in the
picture come as words of the answer, `<loc_0>` to `<loc_999>` of its width or height.
"""

from typing import Any

from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import ModelSpec
from sensorium.models.backends.openai_form import images_of
from sensorium.models.backends.transformers_generation import Read
from sensorium.models.backends.transformers_seeing import SeeingModel


class LookingModel(SeeingModel):
    """See `GeneratingModel`. A task and its picture are the last message of a conversation."""

    def __init__(self, model: Any, processor: Any, spec: ModelSpec, context: int) -> None:
        super().__init__(model, processor, spec, context, begins=False)
        self.picture_tasks = sorted(
            {*processor.task_prompts_without_inputs, *processor.task_prompts_with_input}
        )
        tokenizer = processor.tokenizer
        self._unsaid = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens, those that stand for places among them."""
        said = [token for token in tokens if token not in self._unsaid]
        return self._tokens.decoded(
            said, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    def _read(self, task: Generation) -> Read:
        self._refuse_marks(task)
        images = images_of(task.messages[-1:])
        if len(images) != 1 or len(task.messages) != 1:
            raise InvalidInputError("this model takes one message, with one picture in it")
        text = task.messages[0].content.strip()
        if not text.startswith(tuple(self.picture_tasks)):
            raise InvalidInputError(
                f"this model answers to tasks: begin with one of {', '.join(self.picture_tasks)}"
            )
        return self._processed(text, images)

    def _room(self, size: int) -> int:
        """See `GeneratingModel._room`: what is read takes nothing from what is made."""
        super()._room(size)
        return self._context - 1
