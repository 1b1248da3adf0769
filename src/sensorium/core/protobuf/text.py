"""A file of messages as a `.proto` that people and their compilers read."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

from sensorium.core.protobuf.schema import PACKAGE

INDENT = "  "
HEAD = "// Made from the operations by `sensorium lock`; edits are lost."
_NAMES = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
}

Notes = dict[str, str]
"""What to say of a service's method, a message, or a message's field, by its dotted name."""


def proto_text(file: FileDescriptorProto, notes: Notes) -> str:
    """The file as text, with `notes` as comments."""
    lines = [HEAD, 'syntax = "proto3";', "", f"package {file.package};"]
    if file.dependency:
        lines += ["", *(f'import "{name}";' for name in file.dependency)]
    for service in file.service:
        lines += ["", *_service(service, notes)]
    for message in file.message_type:
        lines += ["", *_message(message, message.name, notes)]
    return "\n".join(lines) + "\n"


def _service(service: ServiceDescriptorProto, notes: Notes) -> Iterator[str]:
    yield f"service {service.name} {{"
    for method in service.method:
        yield from _comment(notes, f"{service.name}.{method.name}")
        takes = ("stream " if method.client_streaming else "") + _plain(method.input_type)
        gives = ("stream " if method.server_streaming else "") + _plain(method.output_type)
        yield f"{INDENT}rpc {method.name}({takes}) returns ({gives});"
    yield "}"


def _message(message: DescriptorProto, name: str, notes: Notes) -> Iterator[str]:
    yield from (line.removeprefix(INDENT) for line in _comment(notes, name))
    if not (message.field or message.reserved_range):
        yield f"message {message.name} {{}}"
        return
    yield f"message {message.name} {{"
    if message.reserved_range:
        yield f"{INDENT}reserved {', '.join(str(each.start) for each in message.reserved_range)};"
    for enum in message.enum_type:
        yield from _indented(_enum(enum))
    entries = {each.name: each for each in message.nested_type if each.options.map_entry}
    for nested in message.nested_type:
        if nested.name not in entries:
            yield from _indented(_message(nested, f"{name}.{nested.name}", notes))
    real = [each for each in message.field if not _in_oneof(each)]
    for field in sorted(real, key=lambda each: each.number):
        yield from _comment(notes, f"{name}.{field.name}")
        yield f"{INDENT}{_field(field, entries)}"
    for index, oneof in enumerate(message.oneof_decl):
        members = [f for f in message.field if _in_oneof(f) and f.oneof_index == index]
        if members:
            yield f"{INDENT}oneof {oneof.name} {{"
            yield from (f"{INDENT * 2}{_field(each, entries)}" for each in members)
            yield f"{INDENT}}}"
    yield "}"


def _in_oneof(field: FieldDescriptorProto) -> bool:
    return field.HasField("oneof_index") and not field.proto3_optional


def _enum(enum: EnumDescriptorProto) -> Iterator[str]:
    yield f"enum {enum.name} {{"
    yield from (f"{INDENT}{value.name} = {value.number};" for value in enum.value)
    yield "}"


def _field(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    entry = entries.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = entry.field
        kind = f"map<{_type(key)}, {_type(value)}>"
    elif field.label == FieldDescriptorProto.LABEL_REPEATED:
        kind = f"repeated {_type(field)}"
    else:
        kind = ("optional " if field.proto3_optional else "") + _type(field)
    return f"{kind} {field.name} = {field.number};"


def _type(field: FieldDescriptorProto) -> str:
    return _NAMES.get(field.type) or _plain(field.type_name)


def _plain(name: str) -> str:
    return name.removeprefix(f".{PACKAGE}.")


def _comment(notes: Notes, name: str) -> Iterator[str]:
    for line in notes.get(name, "").splitlines():
        yield f"{INDENT}// {line}".rstrip()


def _indented(lines: Iterable[str]) -> Iterator[str]:
    yield from (f"{INDENT}{line}" for line in lines)
