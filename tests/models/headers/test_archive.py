"""Zip files: one reading alone, no names that lead elsewhere, no bombs."""

import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers import archive
from sensorium.models.headers.source import Source, held
from tests.models.headers.building import zipped

TWO = {"a/one": b"1" * 100, "a/two": b"2" * 300}


def refusal(source: Source) -> str | None:
    try:
        archive.members(source)
    except InvalidInputError as refused:
        return refused.message
    return None


def why(data: bytes) -> str:
    refused = refusal(held(data))
    assert refused is not None
    return refused


def changed(data: bytes, layout: str, at: int, told: int) -> bytes:
    written = bytearray(data)
    struct.pack_into(layout, written, at, told)
    return bytes(written)


def test_members_and_what_they_hold() -> None:
    data = zipped({**TWO, "a/": b""}, deflated=["a/two"])
    source = held(data)
    found = {each.name: each for each in archive.members(source)}
    assert list(found) == ["a/one", "a/two"]
    assert archive.content(source, found["a/one"], 100) == TWO["a/one"]
    assert archive.content(source, found["a/two"], 300) == TWO["a/two"]
    with pytest.raises(InvalidInputError, match="longer than 99"):
        archive.content(source, found["a/one"], 99)


def test_64_bit_directories_are_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made, made.open("a/one", "w", force_zip64=True) as member:
        member.write(b"1" * 100)
    data = file.getvalue()
    start = data.index(b"PK\1\2")
    entry = changed(data[start:-22], "<L", 24, 0xFFFFFFFF)
    entry = changed(entry, "<H", 30, 12) + struct.pack("<2HQ", 1, 8, 100)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entry), start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(entry), 1)
    data = data[:start] + entry + record + locator + data[-22:]
    assert [each.size for each in archive.members(held(data))] == [100]
    extra = struct.pack("<2HQ", 1, 8, 100)
    assert "64-bit" in why(data.replace(extra, struct.pack("<2HQ", 1, 4, 100)))
    moved = changed(data, "<Q", data.index(b"PK\6\7") + 8, 7)
    assert "not where it should be" in why(moved)


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/x", "a//x", "./x", "a\\..\\x", "C:/x", "a\x01x", "a/..", "\u202ex"],
)
def test_names_lead_nowhere_else(name: str) -> None:
    assert "leads out of the archive" in why(zipped({"a": b"", name: b"x"}))


def test_names_are_bounded_and_different() -> None:
    assert "longer than 512" in why(zipped({"a" * 600: b"x"}))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("a", b"2")
    assert "same name" in why(file.getvalue())


def test_bombs_are_refused_before_they_are_opened() -> None:
    assert "is a bomb" in why(zipped({"a": bytes(50_000_000)}, deflated=["a"]))
    rest = b"".join(n.to_bytes(4, "big") * 8 for n in range(50_000))
    many = {f"a{n}": rest for n in range(2)}
    small = zipped(many, deflated=list(many))
    assert len(archive.members(held(small))) == 2


def test_what_a_member_says_of_its_size_is_checked() -> None:
    data = zipped({"a": b"text " * 40}, deflated=["a"])
    at = data.index(b"PK\1\2") + 24
    for told in (199, 201):
        source = held(changed(data, "<L", at, told))
        (member,) = archive.members(source)
        with pytest.raises(InvalidInputError, match="compressed wrongly"):
            archive.content(source, member, 1000)


def test_members_that_share_bytes_are_refused() -> None:
    data = zipped(TWO)
    first, second = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
    same = bytearray(data)
    same[second + 42 : second + 46] = same[first + 42 : first + 46]
    same[second + 46 : second + 51] = same[first + 46 : first + 51]
    same[second + 20 : second + 28] = same[first + 20 : first + 28]
    assert "shares bytes" in why(bytes(same))


def test_what_the_directory_says_is_checked() -> None:
    data = zipped(TWO)
    entry, end = data.index(b"PK\1\2"), len(data) - 22
    assert "no zip file" in why(b"")
    assert "no zip file" in why(data[:-22])
    assert "bytes behind" in why(data + b"x")
    assert "not where it should be" in why(b"x" + data)
    assert "not where it should be" in why(changed(data, "<L", end + 12, 1 << 31))
    assert "several parts" in why(changed(data, "<H", end + 4, 1))
    assert "cannot have 2 members" in why(
        changed(changed(data, "<L", end + 12, 60), "<L", end + 16, end - 60)
    )
    assert "has 2 members, not 1" in why(
        changed(changed(data, "<H", end + 8, 1), "<H", end + 10, 1)
    )
    assert "that is none" in why(changed(data, "<L", entry, 0))
    assert "that is none" in why(changed(data, "<H", entry + 28, 60_000))
    assert "encrypted" in why(changed(data, "<H", entry + 8, 1))
    assert "compressed in a way not read" in why(changed(data, "<H", entry + 10, 12))
    assert "says otherwise" in why(changed(data, "<H", entry + 10, 8))
    assert "says otherwise" in why(changed(data, "<L", entry + 42, 1))
    assert "names" in why(changed(data, "<L", entry + 42, 1 << 31))
    assert "two sizes" in why(changed(data, "<L", entry + 24, 101))
    assert "is a link" in why(changed(data, "<L", entry + 38, 0o120777 << 16))
    assert "says otherwise" in why(data.replace(b"a/one", b"a/oen", 1))
    assert "beyond the beginning" in why(
        changed(changed(data, "<L", entry + 71, 400), "<L", entry + 75, 400)
    )


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(max_size=12), st.binary(max_size=400), max_size=5),
    st.sets(st.integers(0, 4)),
)
def test_reads_what_the_standard_library_writes(
    members: dict[str, bytes], packed: set[int]
) -> None:
    members = {name: data for name, data in members.items() if "\0" not in name and name}
    deflated = [name for index, name in enumerate(members) if index in packed]
    try:
        data = zipped(members, deflated=deflated)
    except UnicodeEncodeError:
        return
    source = held(data)
    refused = refusal(source)
    if refused is not None:
        assert "leads out" in refused
        return
    found = archive.members(source)
    read = {each.name: archive.content(source, each, 400) for each in found}
    assert read == {name: data for name, data in members.items() if not name.endswith("/")}
