"""Settings: flag > environment > `.env` > `sensorium.toml` > default, and where each came from."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import fields as struct_fields

from sensorium.core.errors import InvalidInputError

S = TypeVar("S", bound=Struct)
PREFIX = "SENSORIUM_"
ALIASES = {"PORT": "port"}
"""Environment names of others that we honour, after our own."""


class Secret:
    """A value that is never shown: not in a log, not in `config show`, not in a traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"

    def __bool__(self) -> bool:
        return bool(self._value)


class Loaded(Struct, frozen=True):
    """One setting: its dotted name, its value, and where the value came from."""

    name: str
    value: Any
    origin: str
    description: str


def load(
    sections: Mapping[str, type[Struct]],
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> tuple[dict[str, Any], list[Loaded]]:
    """The settings of each section, and the account of where each came from.

    A field's name is unique over all sections: its flag is `--port`, its variable
    `SENSORIUM_PORT` (a secret may also stand in the file that `SENSORIUM_..._FILE` names), its
    place in the file `[section] port`.

    Raises:
        InvalidInputError: a value that does not fit, or a name in the file that is none.
    """
    known = {field.name for kind in sections.values() for field in struct_fields(kind)}
    for name in sorted((flags or {}).keys() - known):
        raise InvalidInputError(f"there is no option --{name.replace('_', '-')}")
    directory = directory or Path.cwd()
    environment = dict(environ if environ is not None else os.environ)
    sources = _Sources(
        flags={name: value for name, value in (flags or {}).items() if value is not None},
        environ=environment,
        dotenv=_read_dotenv(directory / ".env"),
        file=_read_toml(_config_path(environment, directory), sections),
    )
    structs: dict[str, Any] = {}
    account: list[Loaded] = []
    for section, kind in sections.items():
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for field in struct_fields(kind):
            value, origin = sources.find(section, field.name, _holds_secret(field.type))
            if origin != "default":
                values[field.name] = _fit(f"{section}.{field.name}", origin, value, field.type)
            origins[field.name] = origin
        structs[section] = whole = kind(**values)
        for field in struct_fields(kind):
            name, value = f"{section}.{field.name}", getattr(whole, field.name)
            account.append(Loaded(name, value, origins[field.name], _description(field.type)))
    return structs, account


class _Sources:
    def __init__(
        self,
        flags: Mapping[str, Any],
        environ: Mapping[str, str],
        dotenv: Mapping[str, str],
        file: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._flags = flags
        self._variables = (("environment", environ), (".env", dotenv))
        self._file = file

    def find(self, section: str, name: str, secret: bool) -> tuple[Any, str]:
        """A setting's raw value and its origin, `default` where nobody set it."""
        if name in self._flags:
            return self._flags[name], f"flag --{name.replace('_', '-')}"
        variable = PREFIX + name.upper()
        names = [variable, *(alias for alias, real in ALIASES.items() if real == name)]
        for origin, variables in self._variables:
            for key in names:
                if variables.get(key):
                    return variables[key], f"{origin} {key}"
            if secret and variables.get(f"{variable}_FILE"):
                path = variables[f"{variable}_FILE"]
                return _read_secret(path, variable), f"{origin} {variable}_FILE"
        if name in self._file.get(section, {}):
            return self._file[section][name], "sensorium.toml"
        return None, "default"


def _fit(name: str, origin: str, value: Any, kind: Any) -> Any:
    if _is_list(kind) and isinstance(value, str):
        value = _parts(value)
    if _is_table(kind) and isinstance(value, str):
        value = {
            name.strip(): content.strip()
            for name, _, content in (part.partition("=") for part in _parts(value))
        }
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=_decode_custom)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"the setting {name} (from {origin}): {error}") from None


def _decode_custom(kind: type[Any], value: Any) -> Any:
    return kind(str(value))


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _is_table(kind: Any) -> bool:
    return str(_bare(kind)).startswith("dict[")


def _is_list(kind: Any) -> bool:
    return str(_bare(kind)).startswith(("list[", "tuple["))


def _holds_secret(kind: Any) -> bool:
    return _bare(kind) is Secret or Secret in get_args(_bare(kind))


def _description(kind: Any) -> str:
    return next((m.description for m in getattr(kind, "__metadata__", ()) if m.description), "")


def _config_path(environ: Mapping[str, str], directory: Path) -> Path | None:
    named = environ.get(PREFIX + "CONFIG")
    if named:
        if not Path(named).is_file():
            raise InvalidInputError("SENSORIUM_CONFIG names a file that is not there")
        return Path(named)
    here = directory / "sensorium.toml"
    return here if here.is_file() else None


def _read_toml(path: Path | None, sections: Mapping[str, type[Struct]]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"sensorium.toml is not TOML: {error}") from None
    for section, values in found.items():
        known = (
            {field.name for field in struct_fields(sections[section])}
            if (section in sections)
            else set[str]()
        )
        unknown = sorted(values.keys() - known) if isinstance(values, dict) and known else [""]
        if unknown:
            raise InvalidInputError(
                f"sensorium.toml: there is no setting {section}.{unknown[0]}".rstrip(".")
            )
    return found


def _read_dotenv(path: Path) -> dict[str, str]:
    """`NAME=value` lines; `#` starts a comment, quotes around a value are dropped."""
    values: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text().splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and not name.startswith("#"):
                values[name.strip()] = value.strip().strip("\"'")
    return values


def _read_secret(path: str, variable: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise InvalidInputError(f"{variable}_FILE cannot be read: {error.strerror}") from None
