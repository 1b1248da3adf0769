"""Files of the kernel that are not as they should be: what they should say is left out."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.models.hardware import apis, cgroups, files, linux, macos, nvml, windows
from sensorium.models.hardware.cpu import _blocks
from sensorium.models.hardware.parts import Parts
from sensorium.models.hardware.schema import Hardware
from tests.models.hardware.machines import MACHINES, laid_out, read


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


def words(path: Path) -> None:
    path.write_text("-1 nan : = 9999999999999999999999 0x{}\n" * 40)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 36)  # 64 GiB that take no room; reading them all would take a minute


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def lost(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGE = [empty, garbage, words, huge, folder, pipe, lost, circle]


def valid(found: Parts) -> bool:
    """Whether it can be told: all within the bounds of the Structs."""
    told = Hardware(
        cpu=found.cpu,
        memory=found.memory,
        gpus=found.gpus,
        npus=found.npus,
        apis=found.apis,
        providers=[],
        problems=list(found.problems),
    )
    return msgspec.json.decode(msgspec.json.encode(told), type=Hardware) == told


def files_of(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize("spoil", DAMAGE, ids=lambda each: each.__name__)
@pytest.mark.parametrize("machine", MACHINES)
def test_every_file_spoilt(machine: str, spoil: Callable[[Path], None], tmp_path: Path) -> None:
    root = laid_out(machine, tmp_path)
    for path in files_of(root):
        if spoil is not huge or path.name in ("cpuinfo", "mountinfo", "uevent", "information"):
            spoil(path)
    assert valid(read(root))


@pytest.mark.parametrize("machine", MACHINES)
def test_one_file_spoilt_leaves_the_others(machine: str, tmp_path: Path) -> None:
    root = laid_out(machine, tmp_path)
    whole = read(root)
    for path in files_of(root):
        content = path.read_bytes()
        garbage(path)
        found = read(root)
        assert valid(found)
        same = [part for part, before in zip(found, whole, strict=True) if part == before]
        assert len(same) >= 3, path
        path.write_bytes(content)
    assert read(root) == whole


@pytest.mark.parametrize("machine", MACHINES)
def test_permission_denied(machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = laid_out(machine, tmp_path)

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError

    for name in ("open", "listdir", "stat"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, denied)
            found = read(root)
        assert valid(found)


def test_a_read_that_fails_in_the_middle() -> None:
    assert files.text(Path("/proc/self/mem")) == ""


@pytest.mark.parametrize(
    ("found", "numbers"),
    [
        ("0-3,8", {0, 1, 2, 3, 8}),
        ("5", {5}),
        ("3-1", set()),
        ("a,,1-,-2,7", {7}),
        ("", set()),
    ],
)
def test_lists_of_numbers(found: str, numbers: set[int]) -> None:
    assert files.numbered(found) == numbers


def test_a_list_of_numbers_that_would_not_end() -> None:
    assert len(files.numbered("0-999999")) == (1 << 16) + 1


@pytest.mark.parametrize("found", ["-1", "1.5", "", "x", str(2**63), "1" * 30, "\u0661"])
def test_what_is_no_number(found: str) -> None:
    assert files.whole(found) is None


@given(st.text())
def test_any_text(found: str) -> None:
    _blocks(found)
    files.pairs(found)
    files.numbered(found)
    list(cgroups._groups(found))
    cgroups._mounts(found)
    apis._vulkan_driver(found)
    nvml._slot(found)
    macos.processors(found)
    macos.neural(found)
    assert macos.graphics(macos._displays(found)) == []
    assert windows.graphics(found) == windows.accelerators(found) == []
    assert windows.processors(found, lambda _: False).logical_cores is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = [
    *("Name", "Manufacturer", "Architecture", "NumberOfCores", "NumberOfLogicalProcessors"),
    *("MaxClockSpeed", "AdapterRAM", "DriverVersion", "PNPDeviceID", "MatchingDeviceId"),
    *(windows.MEMORY_SIZE, "Service", "sppci_model", "sppci_cores", "spdisplays_vendor"),
    *("spdisplays_vram", *macos.METAL),
]
ROWS = st.lists(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=len(KEYS)) | JSON)


@given(
    st.dictionaries(
        st.sampled_from(["processors", "video", "memory", "accelerators", "SPDisplaysDataType"]),
        ROWS | JSON,
    )
)
def test_any_json(told: Any) -> None:
    text = msgspec.json.encode(told).decode()
    displays = macos._displays(text)
    found = Parts(
        cpu=windows.processors(text, lambda _: True),
        memory=linux.memory.read(Path("/nowhere"), cgroups.Limits()),
        gpus=[*windows.graphics(text), *macos.graphics(displays)],
        npus=windows.accelerators(text),
        apis=macos.interfaces(displays, Path("/nowhere")),
    )
    assert valid(found)
