"""`sensorium keys`: who may call the server that keeps its records in this data folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sensorium.app import load_settings
from sensorium.cli.render import Output, note
from sensorium.control.keys import Key, KeyStore
from sensorium.core.errors import InvalidInputError

OTHER = "name the server's data folder with --data-dir, or SENSORIUM_DATA_DIR"
DataDir = Annotated[
    str,
    Parameter(
        help="The server's data folder; default: the one that the settings name.",
        show_default=False,
    ),
]


def create(
    *,
    name: Annotated[str, Parameter(help="Whose key it is, for the list.", show_default=False)] = "",
    operations: Annotated[
        str, Parameter(help="What it may call: names or patterns, such as logs.*,system.health.")
    ] = "*",
    rate: Annotated[
        float | None, Parameter(help="Calls per second that it may make; default: any number.")
    ] = None,
    tokens: Annotated[
        int | None,
        Parameter(help="Tokens of language models that it may spend a minute; default: any."),
    ] = None,
    data_dir: DataDir = "",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Make an API key. It is printed this once, and kept nowhere.

    From the first key on, the server asks every caller for one.
    """
    patterns = tuple(part.strip() for part in operations.split(",") if part.strip())
    if not patterns:
        raise InvalidInputError("--operations names none; leave it out to allow all")
    if rate is not None and not rate > 0:
        raise InvalidInputError("--rate is a number of calls per second, above 0")
    if tokens is not None and tokens < 1:
        raise InvalidInputError("--tokens is a number of tokens per minute, above 0")
    with _changed(data_dir) as store:
        key, text = store.create(name, patterns, rate, tokens)
    if output.as_json:
        output.value({"key": text, **_described(key)})
        return
    note(
        f"Key {key.id} is made. Keep it: it is not shown again. "
        "From now on the server with this data folder asks every caller for a key."
    )
    output.line(text)


def show(*, data_dir: DataDir = "", output: Output = Output()) -> None:  # noqa: B008 - frozen
    """List the keys, revoked ones too."""
    keys = _store(data_dir).all()
    if output.as_json:
        output.value([_described(key) for key in keys])
    elif not keys:
        note("There are no keys; `sensorium keys create` makes one.")
    else:
        output.table(
            ["id", "name", "operations", "calls/s", "tokens/min", "made", "state"],
            [
                (
                    key.id,
                    key.name,
                    ",".join(key.operations),
                    key.rate_per_s,
                    key.tokens_per_minute,
                    _when(key.created),
                    "valid" if key.revoked is None else f"revoked {_when(key.revoked)}",
                )
                for key in keys
            ],
            styles=["" if key.revoked is None else "dim" for key in keys],
        )


def revoke(
    key_id: Annotated[str, Parameter(help="Its id, as `sensorium keys list` shows it.")],
    /,
    *,
    data_dir: DataDir = "",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Make a key worthless; a running server refuses it within a second."""
    with _changed(data_dir) as store:
        key = store.revoke(key_id)
    if output.as_json:
        output.value(_described(key))
    else:
        output.line(f"revoked {key.id} {key.name}".rstrip())


def _store(data_dir: str) -> KeyStore:
    return KeyStore(_folder(data_dir))


def _folder(data_dir: str) -> Path:
    return load_settings({"data_dir": data_dir or None}).data_dir


@contextmanager
def _changed(data_dir: str) -> Iterator[KeyStore]:
    """The keys; where they cannot be written, what is said is about the folder."""
    folder = _folder(data_dir)
    try:
        yield KeyStore(folder)
    except OSError as error:
        said = f"no keys can be written to this folder: {error.strerror or error}; {OTHER}"
        raise OSError(error.errno, said, str(folder)) from None


def _described(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "operations": key.operations,
        "rate_per_s": key.rate_per_s,
        "tokens_per_minute": key.tokens_per_minute,
        "created": key.created,
        "revoked": key.revoked,
    }


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
