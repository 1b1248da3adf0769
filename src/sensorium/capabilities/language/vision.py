"""The `vision` operations."""

from base64 import b64decode
from collections.abc import Sequence
from contextlib import aclosing

from sensorium.capabilities.language.choices import chunks
from sensorium.capabilities.language.collecting import collect_chat
from sensorium.capabilities.language.images import check, fetched
from sensorium.capabilities.language.vision_schema import Box, DescribeRequest, DescribeResponse
from sensorium.capabilities.language.vision_tasks import (
    PLACED,
    SCHEMA,
    mark,
    marked_boxes,
    plain,
    told_boxes,
    words,
)
from sensorium.core.asking import See, Sight
from sensorium.core.conversation import ImagePart, Message
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation
from sensorium.core.operation import Context, Execution, operation
from sensorium.core.pictures import Picture, look

NO_PLACES = (
    "this model does not tell where things are: those of the Florence-2 kind do, and those that "
    "are held to a JSON schema (GGUF files, models of other servers)"
)
EXAMPLE = DescribeRequest(
    image=ImagePart(
        data=b64decode(
            "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQAAAABbAUdZAAAAD0lEQVR42mP4DwQMg5cAANrp"
            "f4Em8vpjAAAAAElFTkSuQmCC"
        )
    )
)
"""A white square."""


@operation(
    "vision.describe", execution=Execution.ASYNC, large=True, deadline_s=600.0, example=EXAMPLE
)
async def describe(request: DescribeRequest, context: Context) -> DescribeResponse:
    """What is in a picture, in words or in boxes.

    Raises:
        InvalidInputError: it is no picture, or a prompt is missing.
        NotSupportedError: the model takes no pictures, or does not tell places.
    """
    if bool(request.image.data) == bool(request.image.url):
        raise InvalidInputError("image: give its data or its url")
    check(context, bool(request.image.url))
    if request.image.data:
        look(request.image.data)  # what is no picture is no reason to load a model
    sight = await context.ask(request.model, See(), Sight, version=request.version)
    if not sight.images:
        raise NotSupportedError("this model takes no pictures")
    text = mark(request, sight.tasks) if sight.tasks else words(request)
    data = request.image.data
    if not data:
        data = (await fetched(context, [request.image.url]))[request.image.url]
    picture = look(data)
    message = Message(role="user", content=text, images=[ImagePart(data=data)])
    in_json = request.task in PLACED and not sight.tasks
    task = Generation(
        messages=[message],
        temperature=0.0,
        max_tokens=request.max_tokens,
        json_schema=SCHEMA if in_json else {},
    )
    return await _answer(request, task, picture, context)


async def _answer(
    request: DescribeRequest, task: Generation, picture: Picture, context: Context
) -> DescribeResponse:
    try:
        async with aclosing(chunks(context, request.model, request.version, task, 1)) as answers:
            found = await collect_chat(answers)
    except NotSupportedError:
        if task.json_schema:
            raise NotSupportedError(NO_PLACES) from None
        raise
    (choice,) = found.choices
    text = choice.message.content
    boxes: list[Box] = []
    if task.json_schema:
        boxes = told_boxes(text, picture, cut=choice.finish == "length")
    elif request.task in PLACED:
        boxes = marked_boxes(text, picture)
    return DescribeResponse(
        model=found.model,
        version=found.version,
        digest=found.digest,
        text=_labels(boxes) if request.task in PLACED else plain(text),
        boxes=boxes,
        width=picture.width,
        height=picture.height,
        usage=found.usage,
    )


def _labels(boxes: Sequence[Box]) -> str:
    return ", ".join(dict.fromkeys(each.label for each in boxes))
