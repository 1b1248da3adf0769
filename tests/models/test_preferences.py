"""How models are wanted: by version, and trusted only as the file that was looked at."""

from dataclasses import replace
from pathlib import Path

from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.preferences import Preferences


def version(number: str, digest: str = "", name: str = "m") -> Artifact:
    return Artifact(name, number, "onnx", Path("/models/m") / number / "x.onnx", digest=digest)


def test_a_version_is_wanted_as_the_nearest_below_it() -> None:
    told = Preferences()
    told.note(version("2"), options=LoadOptions(threads=2), keep_alive_s=5)
    told.note(version("10"), keep_alive_s=10)
    assert told.of(version("1")).options is None
    assert told.of(version("9")).keep_alive_s == 5
    assert told.of(version("11")).keep_alive_s == 10
    assert told.of(version("11")).options == LoadOptions(threads=2)
    assert told.of(version("9", name="n")).options is None


def test_trust_is_in_one_file() -> None:
    told = Preferences()
    options = LoadOptions(trusted=True, threads=2)
    told.note(version("1", "abc"), options=options)
    assert told.of(version("1", "abc")).options == options
    changed = told.of(version("1", "def")).options
    newer = told.of(version("2", "abd")).options
    assert changed == newer == LoadOptions(threads=2)


def test_what_is_deleted_is_forgotten() -> None:
    told = Preferences()
    artifact, other = version("1"), replace(version("1", name="n"), path=Path("/models/n/x.onnx"))
    for each in (artifact, other):
        told.note(each, keep_alive_s=5)
    told.forget(Path("/models/m"))
    assert told.of(artifact).keep_alive_s is None
    assert told.of(other).keep_alive_s == 5
