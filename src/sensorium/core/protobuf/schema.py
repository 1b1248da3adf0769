"""The messages and the service of one noun, as descriptors that protobuf's runtime takes."""

from collections.abc import Iterable

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)
from msgspec import Struct

from sensorium.core.operation import Kind, Operation
from sensorium.core.protobuf import lock as locks
from sensorium.core.protobuf.layout import (
    SHARED,
    Choice,
    Field,
    Items,
    Mapping,
    Message,
    Nullable,
    Scalar,
    Shape,
    Words,
    fields_of,
    inner_structs,
    message_name,
    title,
)
from sensorium.core.protobuf.lock import Lock, Numbers

PACKAGE = "sensorium.v1"
SHARED_FILE = "sensorium/v1/shared.proto"
ITEMS = "items"
"""The field of a message that stands for a list or a dictionary."""
NULL = "null"
"""The field of such a message that says that there is none."""
REQUEST, ITEM = "request", "item"
"""What a message to a listening operation holds: first the request, then items."""

_SINGLE, _REPEATED = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
_TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
}


def file_name(noun: str) -> str:
    """The file of a noun."""
    return f"sensorium/v1/{noun}.proto"


def service_name(noun: str) -> str:
    """The service of a noun."""
    return f"{title(noun)}Service"


def structs_of(kinds: Iterable[type[Struct] | None]) -> list[type[Struct]]:
    """These Structs and those inside them, in the order in which they are met."""
    found: dict[type[Struct], None] = {}
    waiting = [kind for kind in kinds if kind is not None][::-1]
    while waiting:
        struct = waiting.pop()
        if struct not in found:
            found[struct] = None
            for field in reversed(fields_of(struct)):
                waiting += reversed(list(inner_structs(field.shape)))
    return list(found)


def structs_of_operations(operations: Iterable[Operation]) -> list[type[Struct]]:
    """Every Struct that goes in or out of these operations."""
    return structs_of(
        kind for each in operations for kind in (each.request, each.incoming, each.response)
    )


def shared_file(structs: Iterable[type[Struct]], lock: Lock) -> FileDescriptorProto:
    """The file of the Structs that are everybody's."""
    file = FileDescriptorProto(name=SHARED_FILE, package=PACKAGE, syntax="proto3")
    file.message_type.extend(_message("", struct, lock) for struct in structs)
    return file


def noun_file(noun: str, operations: Iterable[Operation], lock: Lock) -> FileDescriptorProto:
    """The file of a noun: its messages and its service.

    Raises:
        StaleLockError: the lock is of other Structs.
    """
    operations = list(operations)
    structs = structs_of_operations(operations)
    file = FileDescriptorProto(name=file_name(noun), package=PACKAGE, syntax="proto3")
    if any(struct.__module__ in SHARED for struct in structs):
        file.dependency.append(SHARED_FILE)
    for struct in structs:
        if struct.__module__ not in SHARED:
            file.message_type.append(_message(noun, struct, lock))
    file.message_type.extend(
        _stream_message(noun, each) for each in operations if each.kind is Kind.DUPLEX
    )
    file.service.append(_service(noun, operations))
    return file


def stream_message_name(noun: str, operation: Operation) -> str:
    """The message to a listening operation."""
    return f"{title(noun)}{_verb(operation)}Stream"


def _verb(operation: Operation) -> str:
    return title(operation.name.partition(".")[2])


def _service(noun: str, operations: Iterable[Operation]) -> ServiceDescriptorProto:
    service = ServiceDescriptorProto(name=service_name(noun))
    for each in operations:
        duplex = each.kind is Kind.DUPLEX
        request = stream_message_name(noun, each) if duplex else message_name(noun, each.request)
        service.method.add(
            name=_verb(each),
            input_type=f".{PACKAGE}.{request}",
            output_type=f".{PACKAGE}.{message_name(noun, each.response)}",
            client_streaming=duplex,
            server_streaming=each.kind is not Kind.UNARY,
        )
    return service


def _stream_message(noun: str, operation: Operation) -> DescriptorProto:
    assert operation.incoming is not None
    message = DescriptorProto(name=stream_message_name(noun, operation))
    message.oneof_decl.add(name="message")
    for number, (name, struct) in enumerate(
        ((REQUEST, operation.request), (ITEM, operation.incoming)), 1
    ):
        field = message.field.add(name=name, number=number, label=_SINGLE, oneof_index=0)
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{message_name(noun, struct)}"
    return message


def _message(noun: str, struct: type[Struct], lock: Lock) -> DescriptorProto:
    name = message_name(noun, struct)
    fields = fields_of(struct)
    numbers = locks.checked(lock, name, fields)
    message = DescriptorProto(name=name)
    for field in fields:
        _Adder(noun, message, field, numbers).add()
    for number in numbers.reserved:
        message.reserved_range.add(start=number, end=number + 1)
    # Those that stand for presence come behind the real ones, of which there are none here.
    for each in message.field:
        if each.proto3_optional:
            each.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{each.name}")
    return message


class _Adder:
    """Adds one field of a Struct to its message, with what it needs beside it."""

    def __init__(self, noun: str, message: DescriptorProto, field: Field, numbers: Numbers) -> None:
        self._noun = noun
        self._message = message
        self._field = field
        self._scope = f".{PACKAGE}.{message.name}"
        self._numbers = numbers

    def add(self) -> None:
        """Add it."""
        field = self._field
        proto = FieldDescriptorProto(name=field.name, number=self._numbers.fields[field.name])
        if field.boxed:
            proto.label = _SINGLE
            self._refer(proto, self._box(field.shape))
        else:
            self._fill(proto, field.shape)
            single = proto.label == _SINGLE
            proto.proto3_optional = single and proto.type != FieldDescriptorProto.TYPE_MESSAGE
        self._message.field.append(proto)

    def _fill(self, proto: FieldDescriptorProto, shape: Shape) -> None:
        """Say what a field holds."""
        match shape:
            case Items(item):
                proto.label = _REPEATED
                self._fill_one(proto, item)
            case Mapping(value):
                proto.label = _REPEATED
                self._refer(proto, self._entry(value))
            case _:
                proto.label = _SINGLE
                self._fill_one(proto, shape)

    def _fill_one(self, proto: FieldDescriptorProto, shape: Shape) -> None:
        match shape:
            case Scalar(kind):
                proto.type = _TYPES[kind]
            case Words():
                proto.type = FieldDescriptorProto.TYPE_ENUM
                proto.type_name = f"{self._scope}.{self._enum()}"
            case Message(struct):
                proto.type = FieldDescriptorProto.TYPE_MESSAGE
                proto.type_name = f".{PACKAGE}.{message_name(self._noun, struct)}"
            case Choice(options):
                self._refer(proto, self._choice(options))
            case Items() | Mapping():
                self._refer(proto, self._box(shape))
            case Nullable(inner):
                self._refer(proto, self._box(inner, nullable=True))

    def _refer(self, proto: FieldDescriptorProto, nested: str) -> None:
        proto.type = FieldDescriptorProto.TYPE_MESSAGE
        proto.type_name = f"{self._scope}.{nested}"

    def _nested(self, ending: str) -> DescriptorProto:
        nested: DescriptorProto = self._message.nested_type.add(
            name=title(self._field.name) + ending
        )
        return nested

    def _box(self, shape: Shape, *, nullable: bool = False) -> str:
        boxes = sum("Box" in nested.name for nested in self._message.nested_type)
        box = DescriptorProto(name=f"{title(self._field.name)}Box{boxes or ''}")
        self._message.nested_type.append(box)
        box = self._message.nested_type[-1]
        self._fill(box.field.add(name=ITEMS, number=1), shape)
        if nullable:
            null = box.field.add(name=NULL, number=2, label=_SINGLE)
            null.type = FieldDescriptorProto.TYPE_BOOL
        return str(box.name)

    def _entry(self, value: Shape) -> str:
        entry = self._nested("Entry")
        entry.options.map_entry = True
        key = entry.field.add(name="key", number=1, label=_SINGLE)
        key.type = FieldDescriptorProto.TYPE_STRING
        self._fill_one(entry.field.add(name="value", number=2, label=_SINGLE), value)
        return str(entry.name)

    def _choice(self, options: Iterable[tuple[str, type[Struct]]]) -> str:
        nested = self._nested("Choice")
        nested.oneof_decl.add(name="kind")
        numbers = self._numbers.enums[self._field.name]
        for tag, struct in options:
            proto = nested.field.add(
                name=tag.lower(), number=numbers[tag], label=_SINGLE, oneof_index=0
            )
            self._fill_one(proto, Message(struct))
        return str(nested.name)

    def _enum(self) -> str:
        name = title(self._field.name)
        enum = EnumDescriptorProto(name=name)
        prefix = self._field.name.upper()
        enum.value.add(name=f"{prefix}_UNSPECIFIED", number=0)
        for word, number in self._numbers.enums[self._field.name].items():
            plain = "".join(c if c.isalnum() else "_" for c in word).upper()
            enum.value.add(name=f"{prefix}_{plain}", number=number)
        self._message.enum_type.append(enum)
        return name
