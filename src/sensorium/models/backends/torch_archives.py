"""What a file for torch really holds, seen before torch opens it: never a Python pickle.

`torch.export.load` unpickles what an archive has, evaluates its expressions as Python and calls
whatever its nodes name, so an exported program is read here, and only what has been understood is
written into the archive that torch gets.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from torch.export.pt2_archive._package import PT2ArchiveWriter

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.archive import UNREADABLE

Kind = Literal["script", "exported"]
MAX_MEMBERS = 100_000
MAX_RATIO = 1000
SIDECAR = "extra/model.toml"
"""What says of its inputs a file may itself carry."""
PROGRAM = "models/model.json"
WEIGHTS, CONSTANTS = "data/weights/", "data/constants/"
CONFIGS = {
    f"{WEIGHTS}model_weights_config.json": re.compile(r"weight_\d+"),
    f"{CONSTANTS}model_constants_config.json": re.compile(r"tensor_\d+"),
}
"""Where the tensors of an exported program are listed, and what their files are called."""
PASSED_OVER = ("extra/", "data/sample_inputs/", ".data/", "byteorder", "archive_", "version")
DAMAGE = (
    *UNREADABLE,
    *(KeyError, TypeError, AttributeError, RecursionError),
)
_TOUCHES_FILES = re.compile(rb"\bfrom_file\b|\b(?:torch|aten)\s*\.\s*save\b")
_TARGET = re.compile(
    r"torch\.ops\.(?:aten|prims?)\.(?!__|from_file\b|save\b)\w+\.(?!__)\w+"
    r"|torch\.ops\.higher_order\.(?:cond|while_loop|scan|wrap_with_(?:set_grad_enabled|autocast))"
    r"|_operator\.(?:getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|abs|eq|ne|lt|le|gt|ge"
    r"|and_|or_|not_)|math\.(?:ceil|floor|trunc|sqrt)"
    r"|torch\.sym_(?:int|float|max|min|not|ite|sqrt|sum)"
)
_PLAIN = re.compile(r"[\w.,:>+*/ -]*")
"""Names, versions, equations; nothing of it calls or looks up anything, as Python."""
_EXPRESSION = re.compile(
    r"(?:Symbol\('\w+'|\b(?:Add|Mul|Pow|Max|Min|Mod|PythonMod|Integer|Rational|Float|Symbol"
    r"|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Equality|Unequality|(?:Strict)?(?:Less|Greater)Than"
    r"|true|false|True|False|positive|nonnegative|integer|FloorDiv|CleanDiv|CeilDiv"
    r"|ModularIndexing|Where|CeilToInt|FloorToInt|TruncToInt|RoundToInt|ToFloat|Identity"
    r"|PowByNatural|IntTrueDiv|FloatTrueDiv|[suz]\d+)\b|\b\d+(?:\.\d+)?\b|[\s(),=<>+*/-])*"
)
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


def kind_of(path: Path, *, trusted: bool = False) -> tuple[Kind, str]:
    """What a file is, and what it carries of its own about its inputs (empty: nothing).

    The code of one that is `trusted` may touch files.

    Raises:
        InvalidInputError: it is neither TorchScript nor an exported program, or its code touches
            files.
    """
    with _opened(path) as archive:
        members = _members(archive)
        if "constants.pkl" in members and any(each.startswith("code/") for each in members):
            for name, member in members.items():
                if trusted or not name.startswith("code/"):
                    continue
                if _TOUCHES_FILES.search(archive.read(member)):
                    raise InvalidInputError("its code reads or writes files, which no model may")
            kind: Kind = "script"
        elif PROGRAM in members:
            kind = "exported"
        elif "serialized_exported_program.json" in members:
            raise InvalidInputError("an old torch exported it; export it anew with torch 2.8 or on")
        elif "data.pkl" in members:
            raise InvalidInputError(
                "it holds pickled objects, which are never loaded; save the model with "
                "torch.jit.save or torch.export.save, and weights alone as safetensors"
            )
        else:
            raise InvalidInputError("it is neither TorchScript nor an exported program")
        told = archive.read(members[SIDECAR]).decode() if SIDECAR in members else ""
    return kind, told


def vetted(path: Path) -> io.BytesIO:
    """An exported program anew, of nothing but its graph and its plain tensors.

    Raises:
        InvalidInputError: there is something in it that could do more than compute.
    """
    made = io.BytesIO()
    with _opened(path) as archive, PT2ArchiveWriter(made) as writer:
        members = _members(archive)
        program = _json(archive, members[PROGRAM])
        program["guards_code"] = []
        _check_program(program)
        writer.write_string(PROGRAM, json.dumps(program))
        writer.write_bytes("data/sample_inputs/model.pt", b"")
        expected = {PROGRAM}
        for name, pattern in CONFIGS.items():
            config = _json(archive, members[name])
            writer.write_string(name, json.dumps(config))
            expected.add(name)
            folder = name.rpartition("/")[0] + "/"
            for file in sorted(set(_tensor_files(config, pattern))):
                writer.write_bytes(folder + file, archive.read(members[folder + file]))
                expected.add(folder + file)
        for name in members.keys() - expected:
            if not name.startswith(PASSED_OVER):
                raise _suspicious("compiled code or objects")
    made.seek(0)
    return made


class _opened:  # noqa: N801
    """An archive that is open; whatever is wrong with it is `InvalidInputError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            with self._path.open("rb") as file:
                head = file.read(2)
            if head[:1] == b"\x80":
                raise InvalidInputError("it is a pickle, which is never loaded")
            self._archive = zipfile.ZipFile(self._path)
        except DAMAGE:
            raise _damaged() from None
        return self._archive

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._archive.close()
        if kind is not None and issubclass(kind, DAMAGE):
            raise _damaged() from None


def _damaged() -> InvalidInputError:
    return InvalidInputError("it is no archive of torch, or a damaged one")


def _suspicious(what: str) -> InvalidInputError:
    return InvalidInputError(f"the exported program holds {what}, which is never loaded")


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by their names without the archive's own folder."""
    infos = archive.infolist()
    found = {each.filename.partition("/")[2]: each for each in infos}
    if len(infos) > MAX_MEMBERS or len(found) < len(infos):
        raise InvalidInputError("the archive has too many members, or two of one name")
    if any(each.file_size > MAX_RATIO * max(each.compress_size, 1) for each in infos):
        raise InvalidInputError("a member of the archive unpacks to far more than it is")
    return found


def _json(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(archive.read(member))
    if not isinstance(found, dict):
        raise ValueError
    return found


def _tensor_files(config: dict[str, Any], pattern: "re.Pattern[str]") -> Iterator[str]:
    """The files of tensors that a list names.

    Raises:
        InvalidInputError: something in it is no plain tensor.
    """
    for entry in config["config"].values():
        if entry["use_pickle"] is not False or not pattern.fullmatch(entry["path_name"]):
            raise _suspicious("pickled objects")
        yield entry["path_name"]


def _check_program(value: Any, key: str = "") -> None:
    """Let a program through whose strings do nothing but name, and drop notes about its origin.

    Raises:
        InvalidInputError: one might do more, once torch evaluates it.
    """
    if isinstance(value, dict):
        if "metadata" in value:
            value["metadata"] = {}
        for name, each in value.items():
            _check_text(name, "")
            _check_program(each, name)
    elif isinstance(value, list):
        for each in value:
            _check_program(each, key)
    elif isinstance(value, str):
        _check_text(value, key)


def _check_text(text: str, key: str) -> None:
    match key:
        case "target" | "as_operator":
            safe = _TARGET.fullmatch(text) is not None
        case "expr_str":
            safe = _EXPRESSION.fullmatch(text) is not None
        case "in_spec" | "out_spec":
            safe = _is_plain_tree(json.loads(text))
        case _:
            safe = _PLAIN.fullmatch(text) is not None
    if not safe:
        raise _suspicious("what no model needs" if key != "target" else f"the call {text[:60]!r}")


def _is_plain_tree(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain_tree, value))
    if isinstance(value, dict):
        return value.get("type") in _CONTAINERS and _is_plain_tree(value.get("children_spec"))
    return isinstance(value, int)
