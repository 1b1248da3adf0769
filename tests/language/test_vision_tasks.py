"""What models are asked about a picture, and how their answers are read."""

import pytest

from sensorium.capabilities.language.vision_schema import Box, DescribeRequest
from sensorium.capabilities.language.vision_tasks import (
    MARKS,
    NAMED,
    mark,
    marked_boxes,
    plain,
    told_boxes,
    words,
)
from sensorium.core.conversation import ImagePart
from sensorium.core.errors import InvalidInputError, NotSupportedError, UnavailableError
from sensorium.core.pictures import Picture

PICTURE = Picture("image/png", 1000, 500, 1)
Corners = tuple[str, float, float, float, float]
ALL = [*MARKS.values(), NAMED]


def request(task: str, prompt: str = "") -> DescribeRequest:
    return DescribeRequest(image=ImagePart(data=b"a"), task=task, prompt=prompt)  # type: ignore[arg-type]


def corners(box: Box) -> Corners:
    return box.label, box.x, box.y, box.x + box.width, box.y + box.height


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red fox", []),
        ("", []),
        ("fox<loc_0><loc_0><loc_999><loc_999>", [("fox", 0.5, 0.25, 999.5, 499.75)]),
        (
            "<s>fox<loc_1><loc_2><loc_3><loc_4><loc_5><loc_6><loc_7><loc_8>dog<loc_9><loc_9>"
            "<loc_10><loc_10></s>",
            [
                ("fox", 1.5, 1.25, 3.5, 2.25),
                ("fox", 5.5, 3.25, 7.5, 4.25),
                ("dog", 9.5, 4.75, 10.5, 5.25),
            ],
        ),
        ("fox<loc_900><loc_800><loc_100><loc_200>", [("fox", 100.5, 100.25, 900.5, 400.25)]),
        ("fox<loc_1><loc_2><loc_3>", []),
        ("fox<loc_1><loc_2><loc_3><loc_4><loc_5>", [("fox", 1.5, 1.25, 3.5, 2.25)]),
        ("<loc_1><loc_2><loc_3><loc_4>", [("", 1.5, 1.25, 3.5, 2.25)]),
        (
            "fox<poly><loc_1><loc_9><loc_7><loc_3><loc_5><loc_5></poly><poly><loc_1><loc_1>"
            "<loc_2><loc_2></poly>",
            [("fox", 1.5, 1.75, 7.5, 4.75), ("fox", 1.5, 0.75, 2.5, 1.25)],
        ),
        ("fox<loc_1000><loc_1><loc_1><loc_1><loc_x>", []),
    ],
)
def test_places_among_words(
    text: str, expected: list[tuple[str, float, float, float, float]]
) -> None:
    assert [corners(each) for each in marked_boxes(text, PICTURE)] == expected


def test_many_places_are_read_in_no_time() -> None:
    assert len(marked_boxes("<loc_1>" * 100_000, PICTURE)) == 25_000
    assert not marked_boxes("<loc_" * 100_000 + "<" * 100_000, PICTURE)
    assert plain("<s>a<loc_1> b</s>") == "a  b"


def test_what_is_asked_by_marks() -> None:
    assert mark(request("caption"), ALL) == "<CAPTION>"
    assert mark(request("detect"), ALL) == "<OD>"
    assert mark(request("detect", " a  fox\n"), ALL) == "<OPEN_VOCABULARY_DETECTION>a fox"
    assert mark(request("ground", "a fox"), ALL) == "<CAPTION_TO_PHRASE_GROUNDING>a fox"
    for wrong in (request("caption", "a"), request("ground"), request("ocr", "a")):
        with pytest.raises(InvalidInputError, match="prompt"):
            mark(wrong, ALL)
    with pytest.raises(NotSupportedError, match="'ocr'"):
        mark(request("ocr"), ["<CAPTION>"])


def test_what_is_asked_in_words() -> None:
    assert words(request("caption")) == "Describe this picture in one sentence."
    assert words(request("caption", "In French.")).endswith("sentence. In French.")
    assert words(request("detect", "foxes")).startswith("Find in this picture: foxes\nAnswer")
    assert "what this sentence tells of: a fox" in words(request("ground", "a fox"))
    with pytest.raises(InvalidInputError, match="prompt"):
        words(request("ground"))


def test_places_in_json() -> None:
    text = '{"boxes": [{"label": "fox", "box": [100, 200, 300, 400]}]}'
    (box,) = told_boxes(text, PICTURE, cut=False)
    assert box == Box(label="fox", x=100.0, y=100.0, width=200.0, height=100.0)
    (wide,) = told_boxes(text.replace("300", "90000"), PICTURE, cut=False)
    assert wide.x + wide.width == 1000.0
    for wrong in ("", "[]", text[:-3], text.replace("400", ""), "[" * 100_000):
        with pytest.raises(UnavailableError, match="as it was asked to"):
            told_boxes(wrong, PICTURE, cut=False)
        with pytest.raises(InvalidInputError, match="max_tokens"):
            told_boxes(wrong, PICTURE, cut=True)
