"""`sensorium vision describe` for people: a picture's file in, words or a table of boxes out."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sensorium.capabilities.language.schema import DEFAULT
from sensorium.capabilities.language.vision_schema import Work
from sensorium.cli.connect import Target
from sensorium.cli.render import Output
from sensorium.core.conversation import ImagePart

HERE, PLAIN = Target(), Output()


def describe(
    image: Annotated[str, Parameter(help="A PNG, JPEG, GIF or WebP file, or its https: address.")],
    /,
    *,
    task: Annotated[Work, Parameter(help="What to tell of it.")] = "caption",
    prompt: Annotated[
        str, Parameter(show_default=False, help="What to look for, or how to tell it.")
    ] = "",
    model: Annotated[str, Parameter(help="The model: org/name, a name or an alias.")] = DEFAULT,
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """What is in a picture, in words or in boxes.

    Examples:
        sensorium vision describe photo.jpg --model florence-community/Florence-2-base
        sensorium vision describe photo.jpg --task detect --model florence-community/Florence-2-base
    """
    if image.startswith(("https://", "http://")):
        part = ImagePart(url=image)
    else:
        part = ImagePart(data=Path(image).read_bytes())
    with target.client() as client:
        answer = client.vision.describe(image=part, task=task, prompt=prompt, model=model)
    if output.as_json:
        output.value(answer)
    elif answer.boxes:
        output.table(
            ["label", "x", "y", "width", "height"],
            [
                (each.label, *(f"{n:.0f}" for n in (each.x, each.y, each.width, each.height)))
                for each in answer.boxes
            ],
        )
    else:
        output.line(answer.text)
