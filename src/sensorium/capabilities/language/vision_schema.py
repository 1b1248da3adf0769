"""What goes in and out of `vision.describe`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.capabilities.language.schema import DEFAULT, ModelName, Usage, Version
from sensorium.core.conversation import ImagePart
from sensorium.core.types import Count

Work = Literal["caption", "detailed_caption", "detect", "ground", "ocr"]


class DescribeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture to be described."""

    model: ModelName = DEFAULT
    version: Version = ""
    image: Annotated[ImagePart, Meta(description="The picture: `data`, or the `url` of one.")]
    task: Annotated[
        Work,
        Meta(
            description="'caption': in a sentence; 'detailed_caption': in several; 'detect': what "
            "is where, all or what `prompt` names; 'ground': where that is which the sentence "
            "`prompt` tells of; 'ocr': what is written there."
        ),
    ] = "caption"
    prompt: Annotated[
        str, Meta(max_length=10_000, description="What to look for, or how to tell it.")
    ] = ""
    max_tokens: Annotated[
        int, Meta(ge=1, le=1_000_000, description="The answer ends after so many tokens.")
    ] = 512


class Box(Struct, frozen=True, kw_only=True):
    """A part of a picture, from its left and its top."""

    label: Annotated[str, Meta(description="What is there.")]
    x: Annotated[float, Meta(description="Pixels from the picture's left to the box's.")]
    y: Annotated[float, Meta(description="Pixels from the picture's top to the box's.")]
    width: Annotated[float, Meta(description="In pixels.")]
    height: Annotated[float, Meta(description="In pixels.")]


class DescribeResponse(Struct, frozen=True, kw_only=True):
    """What is in a picture."""

    model: Annotated[str, Meta(description="The model that answered.")]
    version: Annotated[str, Meta(description="Its version.")]
    digest: Annotated[str, Meta(description="What its files hash to (SHA-256).")]
    text: Annotated[str, Meta(description="What the model says; of boxes, their labels.")]
    boxes: Annotated[list[Box], Meta(description="What is where.")]
    width: Annotated[Count, Meta(description="The picture's width in pixels, as it is seen.")]
    height: Annotated[Count, Meta(description="Its height in pixels.")]
    usage: Annotated[Usage, Meta(description="How much it has used.")]
