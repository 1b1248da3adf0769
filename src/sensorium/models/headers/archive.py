"""Directories of zip files, for the formats that are zip files.

Read anew and not by `zipfile`: that one takes its directory from wherever the file says, in the
size that it says. Only one reading of a file is accepted: its directory lies at its end with
nothing behind, its members do not overlap, and each is called the same in both places.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from struct import Struct, unpack_from

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.header import MAX_NAME, decoded, shown
from sensorium.models.headers.source import Source

MAX_MEMBERS = 1 << 16
MAX_DIRECTORY = 1 << 25
MAX_INFLATED = 1 << 28
"""Bytes of all compressed members together, once they are not."""
MAX_RATIO = 200
"""By how much one may grow; text of code does not grow by a tenth of it."""
SMALL = 1 << 16
"""A smaller one may grow by more."""
UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError),
    NotImplementedError,  # a way of packing that it does not know
)
"""What `zipfile`, which reads them after us, raises of files that are no good."""
STORED, DEFLATED = 0, 8
END = Struct("<4s4H2LH")
END64 = Struct("<4sQ2H2L4Q")
LOCATOR = Struct("<4sLQL")
ENTRY = Struct("<4s6H3L5H2L")
LOCAL = Struct("<4s5H3L2H")
_UNSAID = 0xFFFFFFFF
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a zip file: its name, where its bytes begin, and how many there are."""

    name: str
    at: int
    packed: int
    """Bytes as they lie in the file."""
    size: int
    method: int


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    flags: int
    method: int
    packed: int
    size: int
    local: int
    """Where its own header begins."""
    mode: int


def members(source: Source) -> list[Member]:
    """The files in a zip file; folders are left out.

    Raises:
        InvalidInputError: it is none, ambiguous, a bomb, or holds a name that leads elsewhere.
    """
    count, size, start = _directory(source)
    if count > MAX_MEMBERS:
        raise InvalidInputError(f"{count} members are more than {MAX_MEMBERS}")
    if size > MAX_DIRECTORY or count * ENTRY.size > size:
        raise InvalidInputError(f"its zip directory of {size} bytes cannot have {count} members")
    data = source.read(start, size)
    entries: list[_Entry] = []
    at = 0
    while at < size:
        entry, at = _entry(data, at)
        entries.append(entry)
    if len(entries) != count:
        raise InvalidInputError(f"its zip directory has {len(entries)} members, not {count}")
    found = [_member(source, each) for each in sorted(entries, key=lambda each: each.local)]
    _check(found, entries, start)
    return [each for each in found if not each.name.endswith("/")]


def content(source: Source, member: Member, most: int) -> bytes:
    """The bytes of a member.

    Raises:
        InvalidInputError: there are more than `most`, or other than it says.
    """
    if member.size > most:
        raise InvalidInputError(f"{shown(member.name)} is longer than {most} bytes")
    data = source.read(member.at, member.packed)
    if member.method == STORED:
        return data
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
    except zlib.error:
        inflated = b""
    if len(inflated) != member.size:
        raise InvalidInputError(f"{shown(member.name)} is compressed wrongly")
    return inflated


def _directory(source: Source) -> tuple[int, int, int]:
    """How many entries the directory has, how many bytes, and where it begins."""
    tail_at = max(0, source.size - END.size - 0xFFFF)
    tail = source.read(tail_at, source.size - tail_at)
    found = tail.rfind(b"PK\5\6")
    if found < 0 or found + END.size > len(tail):
        raise InvalidInputError("it is no zip file, or was cut short")
    _, disk, first, here, count, size, start, comment = END.unpack_from(tail, found)
    if found + END.size + comment != len(tail):
        raise InvalidInputError("there are bytes behind its zip directory")
    end = tail_at + found
    if end >= LOCATOR.size:
        magic, _, at, disks = LOCATOR.unpack(source.read(end - LOCATOR.size, LOCATOR.size))
        if magic == b"PK\6\7":
            end -= LOCATOR.size
            if disks > 1 or at + END64.size != end:
                raise InvalidInputError("its zip64 directory is not where it should be")
            record = END64.unpack(source.read(at, END64.size))
            magic, _, _, _, disk, first, here, count, size, start = record
            if magic != b"PK\6\6":
                raise InvalidInputError("its zip64 directory is not where it should be")
            end = at
    if disk or first or here != count:
        raise InvalidInputError("it is one of several parts of a zip file")
    if start + size != end:
        raise InvalidInputError("its zip directory is not where it should be")
    return count, size, start


def _entry(data: bytes, at: int) -> tuple[_Entry, int]:
    """The entry of the directory at a position, and where the next begins."""
    if at + ENTRY.size > len(data):
        raise InvalidInputError("its zip directory ends within an entry")
    magic, _, _, flags, method, _, _, _, packed, size, *lengths, _, _, mode, local = (
        ENTRY.unpack_from(data, at)
    )
    name_length, extra_length, comment_length = lengths
    name_at = at + ENTRY.size
    extra_at = name_at + name_length
    end = extra_at + extra_length + comment_length
    if magic != b"PK\1\2" or end > len(data):
        raise InvalidInputError("its zip directory has an entry that is none")
    size, packed, local = _wide(data[extra_at : extra_at + extra_length], [size, packed, local])
    return _Entry(data[name_at:extra_at], flags, method, packed, size, local, mode >> 16), end


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """Values of 32 bits; those that did not fit are in the extra field, as 64 bits."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = unpack_from("<2H", extra, at)
        if kind == 1:
            wide = extra[at + 4 : at + 4 + length]
            for place, value in enumerate(values):
                if value == _UNSAID:
                    if len(wide) < 8:
                        raise InvalidInputError("its zip directory lacks a 64-bit size")
                    values[place] = int.from_bytes(wide[:8], "little")
                    wide = wide[8:]
            return values
        at += 4 + length
    return values


def _member(source: Source, entry: _Entry) -> Member:
    """A member whose own header agrees with its entry in the directory."""
    name = _safe_name(entry.name)
    if entry.flags & 1 or entry.method not in (STORED, DEFLATED):
        raise InvalidInputError(f"{shown(name)} is encrypted, or compressed in a way not read")
    if entry.mode & 0o170000 == 0o120000:
        raise InvalidInputError(f"{shown(name)} is a link")
    head = LOCAL.unpack(source.read(entry.local, LOCAL.size))
    magic, method, name_length, extra_length = head[0], head[3], head[9], head[10]
    own = source.read(entry.local + LOCAL.size, name_length)
    if magic != b"PK\3\4" or method != entry.method or own != entry.name:
        raise InvalidInputError(f"{shown(name)} has a header that says otherwise")
    if entry.method == STORED and entry.size != entry.packed:
        raise InvalidInputError(f"{shown(name)} is stored, but has two sizes")
    at = entry.local + LOCAL.size + name_length + extra_length
    source.check(at, entry.packed)
    return Member(name, at, entry.packed, entry.size, entry.method)


def _safe_name(data: bytes) -> str:
    """A name that leads into the folder where it is unpacked, and nowhere else."""
    if len(data) > MAX_NAME:
        raise InvalidInputError(f"a member's name is longer than {MAX_NAME} bytes")
    name = decoded(data, "a member's name")
    parts = name.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or _DRIVE.match(name) or not name.isprintable():
        raise InvalidInputError(f"the member {shown(name)} leads out of the archive")
    return name


def _check(found: list[Member], entries: list[_Entry], end: int) -> None:
    """That members share no bytes, have different names, and do not grow beyond measure."""
    free = inflated = 0
    for member, entry in zip(found, sorted(entries, key=lambda each: each.local), strict=True):
        if entry.local < free:
            raise InvalidInputError(f"{shown(member.name)} shares bytes with another member")
        free = member.at + member.packed
        if member.method == DEFLATED:
            inflated += member.size
            if member.size > max(SMALL, MAX_RATIO * member.packed):
                raise InvalidInputError(f"{shown(member.name)} is a bomb: {member.size} bytes")
    if free > end:
        raise InvalidInputError("a member goes beyond the beginning of the zip directory")
    if inflated > MAX_INFLATED:
        raise InvalidInputError(f"its compressed members have {inflated} bytes together")
    if len({member.name for member in found}) != len(found):
        raise InvalidInputError("two members have the same name")
