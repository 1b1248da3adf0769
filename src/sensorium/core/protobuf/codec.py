"""The messages of an operation: bytes to what its Structs take, and Structs to bytes.

Made from the operations of one noun when the first of them is called, in whichever process that is.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct

from sensorium.core.errors import MalformedInputError
from sensorium.core.operation import Operation
from sensorium.core.protobuf import lock as locks
from sensorium.core.protobuf.layout import SHARED, message_name
from sensorium.core.protobuf.lock import Lock
from sensorium.core.protobuf.reading import Readers
from sensorium.core.protobuf.schema import (
    PACKAGE,
    noun_file,
    shared_file,
    structs_of,
    structs_of_operations,
)
from sensorium.core.protobuf.writing import Writers

CORE = "sensorium.core"


class NounCodec:
    """The messages of a noun's operations, numbered by the locks of their package and of `core`.

    Raises:
        StaleLockError: a lock is of other Structs.
    """

    def __init__(
        self, noun: str, operations: Sequence[Operation], lock: Lock, shared: Lock
    ) -> None:
        self._noun = noun
        self.files = [shared_file(shared_structs(), shared), noun_file(noun, operations, lock)]
        """What it is made of, each file after those that it needs."""
        self._pool = DescriptorPool()
        for file in self.files:
            self._pool.Add(file)
        numbers = {
            kind: (shared if kind.__module__ in SHARED else lock).messages[message_name(noun, kind)]
            for kind in structs_of_operations(operations)
        }
        self._writers = Writers(numbers)
        self._readers = Readers(numbers)

    def to_bytes(self, value: Struct) -> bytes:
        """A Struct as its message."""
        message = self._message(type(value))
        self._writers.write(value, message)
        data: bytes = message.SerializeToString()
        return data

    def from_bytes(self, kind: type[Struct], data: bytes) -> dict[str, Any]:
        """The plain values of a Struct in a message, still to be validated.

        Raises:
            MalformedInputError: the bytes are no such message.
            InvalidInputError: a number is not finite, or JSON within is none.
        """
        message = self._message(kind)
        try:
            message.ParseFromString(data)
        except DecodeError:
            raise MalformedInputError("the request is not a message of this operation") from None
        return self._readers.read(kind, message)

    def _message(self, kind: type[Struct]) -> Any:
        name = f"{PACKAGE}.{message_name(self._noun, kind)}"
        return GetMessageClass(self._pool.FindMessageTypeByName(name))()


def codec_of(operation: Operation) -> NounCodec:
    """The codec of the operation's noun.

    Raises:
        UnavailableError: its package has no lock, or a stale one.
    """
    return _codec(operation.name.partition(".")[0], operation.function.__module__)


@cache
def _codec(noun: str, module: str) -> NounCodec:
    lock = locks.read(package_of(module))
    return NounCodec(noun, operations_in(module, noun), lock, locks.read(CORE))


def shared_structs() -> list[type[Struct]]:
    """The Structs that are everybody's."""
    values = [value for name in SHARED for value in vars(import_module(name)).values()]
    return structs_of(
        value
        for value in values
        if isinstance(value, type) and issubclass(value, Struct) and value.__module__ in SHARED
    )


def operations_in(module: str, noun: str) -> list[Operation]:
    """The operations of a noun that a module declares, by name."""
    declared = (
        getattr(value, "__operation__", None) for value in vars(import_module(module)).values()
    )
    found = {each.name: each for each in declared if isinstance(each, Operation)}
    return [found[name] for name in sorted(found) if name.startswith(f"{noun}.")]


def package_of(module: str) -> str:
    """The package that a module of operations lies in."""
    return import_module(module).__package__ or module
