"""The default library says of each model what is needed to pull it."""

from pathlib import Path

import msgspec
import pytest

from sensorium.models.artifact import SUFFIXES
from sensorium.models.catalogue.library import LibraryModel, library
from sensorium.models.hub.reference import parse


def test_every_model_can_be_pulled_by_its_short_name() -> None:
    for name, model in library().items():
        assert "/" not in name
        assert parse(name).location == model.repository
        assert model.note
        assert model.licence
        assert model.task
        for file in model.files:
            assert SUFFIXES[Path(file).suffix] == model.format


def test_it_has_something_of_each_kind() -> None:
    kinds = {(model.task, model.format) for model in library().values()}
    assert kinds >= {
        ("text-generation", "gguf"),
        ("feature-extraction", "onnx"),
        ("automatic-speech-recognition", "transformers"),
        ("object-detection", "onnx"),
        ("voice-activity-detection", "onnx"),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "../x"},
        {"files": ["../x.onnx"]},
        {"sha256": {"other.onnx": "ab" * 32}},
        {"sha256": {"a.onnx": "x"}},
        {"format": "pickle"},
        {"size": 1},
    ],
)
def test_a_model_that_is_described_wrongly_is_refused(change: dict[str, object]) -> None:
    right = {
        "repository": "org/name", "format": "onnx", "task": "t", "licence": "mit", "note": "n",
        "files": ["a.onnx"], "sha256": {"a.onnx": "ab" * 32},
    }  # fmt: skip
    assert msgspec.convert(right, LibraryModel).folder == "org--name"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**right, **change}, LibraryModel)
