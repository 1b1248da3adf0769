"""`sensorium lock`: field numbers for the operations of a package, and their `.proto` files."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct

from sensorium.app import MODULES
from sensorium.cli.render import note
from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.operation import Operation
from sensorium.core.protobuf import codec, layout, schema
from sensorium.core.protobuf import lock as locks
from sensorium.core.protobuf.lock import Lock, Numbers
from sensorium.core.protobuf.text import Notes, proto_text
from sensorium.core.registry import Registry


def lock(
    package: Annotated[
        str, Parameter(help="A package of operations, such as my_plugin; default: Sensorium's own.")
    ] = "",
    /,
    *,
    protos: Annotated[
        Path | None, Parameter(help="Write the .proto files below this folder too.")
    ] = None,
    check: Annotated[
        bool, Parameter(negative=(), help="Write nothing; fail where something would change.")
    ] = False,
) -> int:
    """Give every field of the operations a number for gRPC, once and for ever.

    New fields get new numbers in the package's fields.lock; the numbers of removed ones are
    reserved.
    """
    wanted = _contents(package, protos)
    changed = [path for path, content in wanted.items() if _now(path) != content]
    for path in changed:
        note(f"{'stale' if check else 'wrote'}: {path}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path])
    return 1 if check and changed else 0


def _now(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _contents(package: str, protos: Path | None) -> dict[Path, bytes]:
    """What each file is to hold."""
    nouns = _nouns(package)
    written: dict[Path, bytes] = {}
    shared_structs = codec.shared_structs()
    shared = _extended(codec.CORE, {"": shared_structs})
    by_package: dict[str, dict[str, list[Operation]]] = {}
    for noun, module in nouns.items():
        operations = codec.operations_in(module, noun)
        by_package.setdefault(codec.package_of(module), {})[noun] = operations
    if not package:
        written[locks.path_of(codec.CORE)] = shared.to_json()
        if protos is not None:
            file = schema.shared_file(shared_structs, shared)
            text = proto_text(file, _notes("", [], shared_structs))
            written[protos / schema.SHARED_FILE] = text.encode()
    for owner, members in by_package.items():
        structs = {noun: schema.structs_of_operations(each) for noun, each in members.items()}
        numbers = _extended(owner, structs)
        written[locks.path_of(owner)] = numbers.to_json()
        for noun, operations in members.items():
            if protos is not None:
                file = schema.noun_file(noun, operations, numbers)
                text = proto_text(file, _notes(noun, operations, structs[noun]))
                written[protos / schema.file_name(noun)] = text.encode()
    return written


def _nouns(package: str) -> dict[str, str]:
    """The modules of operations by noun: ours, or those of another package."""
    if not package:
        return dict(MODULES)
    registry = Registry({})
    registry.find_plugins()
    found = {}
    for operation in registry:
        module = operation.function.__module__
        if module == package or module.startswith(f"{package}."):
            found[operation.name.partition(".")[0]] = module
    if not found:
        raise InvalidInputError(
            f"no installed plugin has operations in {package}; it names them in the entry-point "
            "group sensorium.capabilities"
        )
    return found


def _extended(package: str, structs: dict[str, list[type[Struct]]]) -> Lock:
    """The lock of a package, with numbers for what is new."""
    try:
        known = locks.read(package).messages
    except UnavailableError:
        known = {}
    messages = {}
    for noun, kinds in structs.items():
        for kind in kinds:
            if noun and kind.__module__ in layout.SHARED:
                continue
            name = layout.message_name(noun, kind)
            fields = layout.fields_of(kind)
            messages[name] = locks.extended(known.get(name, Numbers()), fields)
    return Lock(messages={**known, **messages})


def _notes(noun: str, operations: Iterable[Operation], structs: Iterable[type[Struct]]) -> Notes:
    """The words of the docstrings and descriptions."""
    notes: Notes = {}
    for operation in operations:
        verb = layout.title(operation.name.partition(".")[2])
        notes[f"{schema.service_name(noun)}.{verb}"] = operation.summary
    for struct in structs:
        name = layout.message_name(noun, struct)
        notes[name] = inspect.cleandoc(struct.__doc__ or "").partition("\n")[0]
        for field in layout.fields_of(struct):
            notes[f"{name}.{field.name}"] = field.description
    return notes
