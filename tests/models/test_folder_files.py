"""What lies beside a model's weights, whole and damaged."""

from pathlib import Path
from typing import Any

import pytest

from sensorium.core.errors import InvalidInputError
from sensorium.models.folder_files import NamedTemplate, Templates, read_json, template_of


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "missing, or may not be read"),
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b'{"a": 1', "damaged"),
        (b'{"a": "\xff"}', "damaged"),
        (b'{"a": ' + b"[" * 500_000, "damaged"),
        (b'{"a": "' + b"b" * (1 << 20) + b'"}', "damaged"),  # longer than it may be
    ],
)
def test_what_is_no_json_is_said(tmp_path: Path, data: bytes | None, reason: str) -> None:
    path = tmp_path / "config.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=rf"its config\.json is {reason}") as caught:
        read_json(path, dict[str, Any], 1 << 20)
    assert str(tmp_path) not in caught.value.message


def test_what_may_be_missing_is_empty_then(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert read_json(path, dict[str, Any], optional=True) == {}
    path.write_text('{"a": 1}')
    assert read_json(path, dict[str, Any], optional=True) == {"a": 1}
    path.write_text("{")
    with pytest.raises(InvalidInputError):
        read_json(path, dict[str, Any], optional=True)


SEVERAL = [
    NamedTemplate(name="tools", template="a"),
    NamedTemplate(name="default", template="b"),
]


@pytest.mark.parametrize(
    ("told", "found"), [(None, ""), ("a", "a"), (SEVERAL, "b"), (SEVERAL[:1], ""), ([], "")]
)
def test_a_template_of_its_own_comes_first(tmp_path: Path, told: Templates, found: str) -> None:
    assert template_of(tmp_path, told) == found
    (tmp_path / "chat_template.jinja").write_text("über")
    assert template_of(tmp_path, told) == "über"
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(InvalidInputError, match=r"chat_template\.jinja is damaged"):
        template_of(tmp_path, told)
