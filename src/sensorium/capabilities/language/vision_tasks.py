"""How models are asked about a picture, and what their answers say.

Those of the Florence-2 kind (https://arxiv.org/abs/2311.06242) answer to marks, and tell places in
thousandths of the picture, as words of the answer: `fox<loc_120><loc_250><loc_340><loc_510>`.
Others are asked in words, and held to JSON where they are to tell places.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sensorium.capabilities.language.vision_schema import Box, DescribeRequest, Work
from sensorium.core.errors import InvalidInputError, NotSupportedError, UnavailableError
from sensorium.core.pictures import Picture

PLACED: tuple[Work, ...] = ("detect", "ground")
"""Whose answers are boxes."""
BINS = 1000
MARKS: dict[Work, str] = {
    "caption": "<CAPTION>",
    "detailed_caption": "<MORE_DETAILED_CAPTION>",
    "detect": "<OD>",
    "ground": "<CAPTION_TO_PHRASE_GROUNDING>",
    "ocr": "<OCR>",
}
NAMED = "<OPEN_VOCABULARY_DETECTION>"
WORDS: dict[Work, str] = {
    "caption": "Describe this picture in one sentence.",
    "detailed_caption": "Describe in detail what is to be seen in this picture.",
    "ocr": "Write down the text that is in this picture, and nothing else.",
    "detect": "Find every object in this picture.",
    "ground": "Find in this picture what this sentence tells of:",
}
HOW = (
    'Answer with JSON: {"boxes": [{"label": what it is, "box": [left, top, right, bottom]}]}, '
    f"in {BINS}ths of the picture's width and height."
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "boxes": {
            "type": "array",
            "maxItems": 200,
            "items": {
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "box": {
                        "type": "array",
                        "items": {"type": "integer", "minimum": 0, "maximum": BINS},
                        "minItems": 4,
                        "maxItems": 4,
                    },
                },
                "required": ["label", "box"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["boxes"],
    "additionalProperties": False,
}
_RUN = re.compile(r"(?:<(?:loc_\d{1,3}|/?poly|and|sep)>)+")
_PLACE = re.compile(r"<loc_(\d{1,3})>")
_TAG = re.compile(r"</?(?:s|pad|od|ocr|unk)>")


class _Found(Struct):
    label: str
    box: Annotated[list[float], Meta(min_length=4, max_length=4)]


class _Answer(Struct):
    boxes: list[_Found]


def mark(request: DescribeRequest, known: Collection[str]) -> str:
    """What a model is asked that answers to these marks.

    Raises:
        InvalidInputError: a prompt is missing, or is for nothing.
        NotSupportedError: the model was not made for that.
    """
    prompt = " ".join(request.prompt.split())
    if request.task not in PLACED and prompt:
        raise InvalidInputError(f"prompt: this model takes none for {request.task!r}")
    if request.task == "ground" and not prompt:
        raise InvalidInputError("prompt: say what is to be found")
    found = NAMED if request.task == "detect" and prompt else MARKS[request.task]
    if found not in known:
        raise NotSupportedError(f"this model was not made for {request.task!r}")
    return found + prompt


def words(request: DescribeRequest) -> str:
    """What any other model is asked.

    Raises:
        InvalidInputError: a prompt is missing.
    """
    prompt = request.prompt.strip()
    if request.task == "ground" and not prompt:
        raise InvalidInputError("prompt: say what is to be found")
    asked = WORDS[request.task]
    if request.task == "detect" and prompt:
        asked = f"Find in this picture: {prompt}"
    elif prompt:
        asked = f"{asked} {prompt}"
    return f"{asked}\n{HOW}" if request.task in PLACED else asked


def marked_boxes(text: str, picture: Picture) -> list[Box]:
    """The boxes in an answer that has places among its words; of polygons, those around them."""
    found: list[Box] = []
    label, at = "", 0
    for run in _RUN.finditer(text):
        label = plain(text[at : run.start()]) or label
        at = run.end()
        found += [_box(label, corners, picture, 0.5) for corners in _corners(run[0])]
    return found


def plain(text: str) -> str:
    """An answer without marks and places."""
    return _TAG.sub("", _RUN.sub(" ", text)).strip()


def told_boxes(text: str, picture: Picture, *, cut: bool) -> list[Box]:
    """The boxes in an answer that is JSON.

    Raises:
        InvalidInputError: the answer was `cut` off.
        UnavailableError: it is none.
    """
    try:
        answer = msgspec.json.decode(text.encode(), type=_Answer)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        if cut:
            raise InvalidInputError("max_tokens: the answer did not fit into so many") from None
        raise UnavailableError("the model does not tell places as it was asked to") from None
    return [_box(each.label, each.box, picture, 0.0) for each in answer.boxes]


def _corners(run: str) -> Iterator[Sequence[float]]:
    """Left, top, right and bottom of each box in a run of places."""
    if "<poly>" not in run:
        numbers = [int(each) for each in _PLACE.findall(run)]
        for start in range(0, len(numbers) - 3, 4):
            yield numbers[start : start + 4]
        return
    for part in run.split("<poly>"):
        numbers = [int(each) for each in _PLACE.findall(part)]
        if len(numbers) >= 4:
            across, down = numbers[::2], numbers[1::2]
            yield min(across), min(down), max(across), max(down)


def _box(label: str, corners: Sequence[float], picture: Picture, middle: float) -> Box:
    """`middle` is where in its thousandth a place is meant."""
    sizes = (picture.width, picture.height) * 2
    at = [
        min(max((corner + middle) * size / BINS, 0.0), float(size))
        for corner, size in zip(corners, sizes, strict=True)
    ]
    left, right = sorted((at[0], at[2]))
    top, bottom = sorted((at[1], at[3]))
    return Box(
        label=label,
        x=round(left, 2),
        y=round(top, 2),
        width=round(right - left, 2),
        height=round(bottom - top, 2),
    )
