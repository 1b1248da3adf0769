"""Field numbers, once given, for ever: `fields.lock`, one file in each package of operations.

The file is JSON: for each message its fields and their numbers, the words of its enums and theirs,
and the numbers of what was removed, which are never given again.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from sensorium.core.errors import UnavailableError
from sensorium.core.protobuf.layout import Choice, Field, Items, Mapping, Nullable, Shape, Words

FILE = "fields.lock"


class Numbers(Struct, kw_only=True, omit_defaults=True):
    """The numbers of one message, or of one enum's words."""

    fields: dict[str, int] = {}
    enums: dict[str, dict[str, int]] = {}
    """By field: the number of each word; 0 says nothing."""
    reserved: list[int] = []
    """Numbers of fields that were removed."""


class Lock(Struct, kw_only=True):
    """A lock file."""

    messages: dict[str, Numbers] = {}

    def to_json(self) -> bytes:
        """The file's content, the same for the same numbers."""
        ordered = Lock(messages=dict(sorted(self.messages.items())))
        return msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n"


class StaleLockError(UnavailableError):
    """The Structs have changed since `fields.lock` was made."""


def read(package: str) -> Lock:
    """The lock of a package.

    Raises:
        UnavailableError: it has none.
    """
    source = files(package) / FILE
    try:
        return msgspec.json.decode(source.read_bytes(), type=Lock)
    except FileNotFoundError:
        raise UnavailableError(
            f"{package} has no {FILE}, so it has no gRPC; `sensorium lock {package}` makes it"
        ) from None
    except msgspec.MsgspecError as error:
        raise UnavailableError(f"the {FILE} of {package} is damaged: {error}") from None


def path_of(package: str) -> Path:
    """Where the lock of a package is written."""
    return Path(str(files(package))) / FILE


def checked(lock: Lock, message: str, fields: Iterable[Field]) -> Numbers:
    """The numbers of a message whose fields are these.

    Raises:
        StaleLockError: the lock knows other fields or words.
    """
    numbers = lock.messages.get(message)
    wanted = list(fields)
    if numbers is None or numbers.fields.keys() != {field.name for field in wanted}:
        raise StaleLockError(f"the fields of {message} changed; run `sensorium lock`")
    for field in wanted:
        if not set(words_of(field.shape)) <= numbers.enums.get(field.name, {}).keys():
            raise StaleLockError(f"the words of {message}.{field.name} changed; `sensorium lock`")
    return numbers


def extended(numbers: Numbers, fields: Iterable[Field]) -> Numbers:
    """The numbers with those of new fields and words; what went is reserved."""
    wanted = {field.name: field for field in fields}
    kept = {name: number for name, number in numbers.fields.items() if name in wanted}
    gone = {number for name, number in numbers.fields.items() if name not in wanted}
    reserved = sorted({*numbers.reserved, *gone})
    highest = max([0, *kept.values(), *reserved])
    for name in wanted:
        if name not in kept:
            highest += 1
            kept[name] = highest
    enums = {}
    for name, field in wanted.items():
        if words := words_of(field.shape):
            known = numbers.enums.get(name, {})
            enums[name] = _words(known, words)
    return Numbers(fields=kept, enums=enums, reserved=reserved)


def words_of(shape: Shape) -> tuple[str, ...]:
    """The words of the enum that a field needs, or none."""
    match shape:
        case Words(values):
            return values
        case Choice(options):
            return tuple(tag for tag, _ in options)
        case Items(inner) | Mapping(inner) | Nullable(inner):
            return words_of(inner)
    return ()


def _words(known: dict[str, int], words: Iterable[str]) -> dict[str, int]:
    """A word keeps its number, even one that went: an old client may still send it."""
    numbers = dict(known)
    for word in words:
        numbers.setdefault(word, max([0, *numbers.values()]) + 1)
    return numbers
