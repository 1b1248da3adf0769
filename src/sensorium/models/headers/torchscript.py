"""TorchScript and torch.export files: zip files of tensors and of code.

TorchScript is read by code that knows no Python objects; a plain pickle is not, and is refused. A
torch.export program would evaluate expressions and pickles of its own as it is loaded: the backend
looks through it first, and gives torch nothing but its graph and its tensors.
"""

import re

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers import archive
from sensorium.models.headers.archive import Member
from sensorium.models.headers.header import Header, decoded, listed, shown
from sensorium.models.headers.source import Source

COMPILED = (".a", ".cubin", ".dll", ".dylib", ".hsaco", ".o", ".pyd", ".so")
MAX_CODE = 1 << 22
"""Bytes of one file of code."""
MAX_CODES = 1 << 26
"""Bytes of all code."""
_TENSOR = re.compile(r"(data|constants)/[0-9]+|data/(weights|constants)/(weight|tensor)_[0-9]+")
_REACHING = re.compile(r"\b(save|from_file|rpc_async|rpc_sync|rpc_remote)\b")
"""Operators that write files, read files, or reach other machines. Where code only speaks of one,
in a message, it is refused as well: telling the two apart would take a parser."""
_CUSTOM = re.compile(r"\bops\s*\.\s*(\w+)\s*\.")
_OWN_NAMESPACES = {"aten", "prim", "prims", "quantized", "inductor"}
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TOO_FREE = "which can run any code as it is loaded"


def read(source: Source, *, trusted: bool = False) -> Header:
    """The header of a file of tensors and code; the code of one that is `trusted` may do more.

    Raises:
        InvalidInputError: it is malformed, a pickle, or reaches for what no model needs.
    """
    if source.read(0, min(2, source.size)) in _PICKLES:
        raise InvalidInputError(f"this is a pickle, {_TOO_FREE}: save it as TorchScript or ONNX")
    found, root = _without_root(archive.members(source))
    if "models/model.json" in found:
        return _exported(source, found)
    if "serialized_exported_program.json" in found:
        raise InvalidInputError("an old torch exported it; export it anew with torch 2.8 or on")
    if "data.pkl" not in found:
        raise InvalidInputError("it is neither TorchScript nor a torch.export program")
    if not any(name.startswith("code/") for name in found):
        raise InvalidInputError(
            f"this is a pickle in a zip file, {_TOO_FREE}: save it as TorchScript or ONNX"
        )
    if "constants.pkl" not in found or "version" not in found or "model.json" in found:
        raise InvalidInputError("it is TorchScript of a version that is not read")
    customs = _check_code(source, found, trusted)
    version = archive.content(source, found["version"], 64)
    return _header(
        source,
        found,
        {
            "kind": "TorchScript",
            "name": root,
            "version": decoded(version, "its version").strip(),
            "custom_operators": listed(sorted(customs)),
        },
    )


def _without_root(found: list[Member]) -> tuple[dict[str, Member], str]:
    """Members without the one folder that all of them lie in, and what it is called."""
    roots = {member.name.partition("/")[0] for member in found}
    if len(roots) != 1:
        raise InvalidInputError("its members are not all in one folder")
    return {member.name.partition("/")[2]: member for member in found}, roots.pop()


def _exported(source: Source, found: dict[str, Member]) -> Header:
    if any(name.endswith(COMPILED) for name in found):
        raise InvalidInputError("the exported program holds compiled code, which is never loaded")
    return _header(source, found, {"kind": "torch.export"})


def _header(source: Source, found: dict[str, Member], details: dict[str, str]) -> Header:
    sizes = [member.size for name, member in found.items() if _TENSOR.fullmatch(name)]
    return Header(
        format="torchscript",
        file_bytes=source.size,
        tensor_bytes=sum(sizes),
        tensors=len(sizes),
        details={
            **{key: text for key, text in details.items() if text},
            "members": str(len(found)),
        },
    )


def _check_code(source: Source, found: dict[str, Member], trusted: bool) -> set[str]:
    """The namespaces of operators that are not torch's own."""
    customs: set[str] = set()
    left = MAX_CODES
    for name, member in found.items():
        if not name.startswith("code/") or not name.endswith(".py"):
            continue
        left -= member.size
        if left < 0:
            raise InvalidInputError(f"its code is more than {MAX_CODES} bytes")
        text = decoded(archive.content(source, member, MAX_CODE), shown(name))
        if (match := _REACHING.search(text)) and not trusted:
            raise InvalidInputError(
                f"its code has the word {match[0]}: TorchScript that saves, reads files or calls "
                "other machines is read from trusted sources only"
            )
        customs |= {each for each in _CUSTOM.findall(text) if each not in _OWN_NAMESPACES}
    return customs
