"""Declared pipelines: those that are shipped, and those in a folder."""

import random
from pathlib import Path

import pytest

from sensorium.capabilities.pipelines.library import SHIPPED, Pipelines
from sensorium.core.errors import InvalidInputError
from tests.capabilities.pipelines.conftest import Runner

SAY = '[[stages]]\nname = "say"\noperation = "system.echo"\nrequest = { text = "$input.text" }\n'
ALSO = '[inputs.text]\nkind = "text"\ndefault = "hello"\n[outputs]\nsaid = "$say.text"\n'


@pytest.fixture
def folder(runner: Runner) -> Path:
    """The server's folder, emptied."""
    found = runner.folder / "pipelines"
    found.mkdir(exist_ok=True)
    for path in found.iterdir():
        path.unlink()
    return found


def listed(runner: Runner) -> dict[str, dict]:
    return {each["name"]: each for each in runner.call("pipelines.list", {})["pipelines"]}


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.iterdir()])
def test_each_that_is_shipped_is_sound_and_described(runner: Runner, name: str) -> None:
    assert runner.call("pipelines.check", {"name": name}) == {"valid": True, "problems": []}
    entry = listed(runner)[name]
    assert entry["source"] == "shipped"
    assert entry["description"]
    assert all(each["description"] for each in entry["inputs"].values())


def test_one_in_the_folder_is_found_at_once_and_read_again(runner: Runner, folder: Path) -> None:
    path = folder / "greet.toml"
    path.write_text(SAY + ALSO)
    assert runner.call("pipelines.run", {"name": "greet"})["outputs"] == {"said": "hello"}
    entry = listed(runner)["greet"]
    assert (entry["source"], entry["stages"], entry["outputs"]) == ("folder", ["say"], ["said"])
    assert entry["inputs"]["text"]["default"] == "hello"
    path.write_text((SAY + ALSO).replace("hello", "goodbye"))
    assert runner.call("pipelines.run", {"name": "greet"})["outputs"] == {"said": "goodbye"}


def test_json_will_do(runner: Runner, folder: Path) -> None:
    (folder / "said.json").write_text(
        '{"stages": [{"name": "s", "operation": "system.echo", "request": {"text": "x"}}],'
        ' "outputs": {"s": "$s.text"}}'
    )
    assert runner.call("pipelines.run", {"name": "said"})["outputs"] == {"s": "x"}


def test_one_in_the_folder_goes_before_one_that_is_shipped(runner: Runner, folder: Path) -> None:
    (folder / "log-bursts.toml").write_text(SAY + ALSO)
    assert listed(runner)["log-bursts"]["source"] == "folder"
    assert runner.call("pipelines.run", {"name": "log-bursts"})["outputs"] == {"said": "hello"}


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("bad.toml", "stages = [", "it is not TOML"),
        ("bad.toml", "\x00", "it is not TOML"),
        ("bad.json", "{", "not JSON"),
        ("bad.toml", "stages = []", "length >= 1"),
        ("bad.toml", SAY.replace("operation", "opration"), "unknown field `opration` (at $.stag"),
        ("bad.toml", 'name = "other"\n' + SAY, "bad.toml names its pipeline other"),
        ("bad.toml", "#" * (1 << 20) + "\n" + SAY, "at most 1048576 bytes"),
    ],
)
def test_one_that_cannot_be_read_says_why(
    runner: Runner, folder: Path, file: str, text: str, why: str
) -> None:
    (folder / file).write_text(text)
    assert why in listed(runner)["bad"]["problem"]
    with pytest.raises(Exception, match=r".+") as refused:
        runner.call("pipelines.run", {"name": "bad"})
    assert str(folder) not in str(refused.value)


def test_a_name_that_is_none_is_told(runner: Runner, folder: Path) -> None:
    (folder / "Bad Name.toml").write_text(SAY)
    assert "small letters" in listed(runner)["Bad Name"]["problem"]


def test_a_file_that_cannot_be_opened_is_told(runner: Runner, folder: Path) -> None:
    (folder / "gone.toml").symlink_to(folder / "nowhere")
    (folder / "dir.toml").mkdir()
    try:
        found = listed(runner)
        assert "cannot be read: No such file" in found["gone"]["problem"]
        assert "cannot be read: Is a directory" in found["dir"]["problem"]
    finally:
        (folder / "dir.toml").rmdir()


@pytest.mark.parametrize("name", ["../keys", "a/b", "log-bursts.toml", "/etc/passwd", "A"])
def test_a_name_is_never_a_path(runner: Runner, name: str) -> None:
    with pytest.raises(InvalidInputError, match="regex"):
        runner.call("pipelines.run", {"name": name})


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    names = Pipelines(tmp_path / "nowhere").declared()
    assert set(names) == {path.stem for path in SHIPPED.iterdir()}


def test_log_bursts_tells_of_a_burst_and_of_nothing_else(runner: Runner) -> None:
    calm = random.Random(3)
    kinds = ["user {} came", "user {} left", "stored {} rows", "read {} rows"]
    lines = [calm.choice(kinds).format(calm.randrange(1000)) for _ in range(1000)]
    lines[600:640] = [f"disk {number} is full" for number in range(40)]
    answer = runner.call("pipelines.run", {"name": "log-bursts", "inputs": {"lines": lines}})
    found = {each["name"]: each["anomalies"] for each in answer["outputs"]["bursts"]}
    (anomaly,) = found["disk <*> is full"]
    assert (anomaly["index"], anomaly["value"], anomaly["direction"]) == (12, 40.0, "above")
    assert "disk <*> is full" in answer["outputs"]["patterns"]
    lines[600:640] = lines[:40]
    answer = runner.call("pipelines.run", {"name": "log-bursts", "inputs": {"lines": lines}})
    assert "disk <*> is full" not in {each["name"] for each in answer["outputs"]["bursts"]}
