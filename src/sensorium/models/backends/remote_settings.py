"""What `remote.toml` says: where a model is served by others, and how they are spoken to."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.settings import Secret

ENVIRONMENT = "env:"


class RemoteSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`remote.toml`, which a model's folder holds instead of weights."""

    url: str
    """`http` or `https`; with its path for `openai`, such as `https://host/v1`."""
    protocol: Literal["openai", "ollama", "oip"]
    model: Annotated[str, Meta(min_length=1, max_length=256)]
    version: Annotated[str, Meta(max_length=20, pattern="^[0-9]*$")] = ""
    """Of an `oip` model."""
    api_key: Secret = Secret("")
    """The key, or `env:NAME` for the variable that holds it."""
    timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """So long may the server be silent."""
    task: Literal["generate", "embed"] = "generate"
    completions: bool = False
    """Whether an `openai` server goes on with a prompt as it is, under `/completions`; else a
    prompt is sent as a user's message."""
    extended: bool = False
    """Whether an `openai` server takes `top_k`, `min_p`, `repeat_penalty` and `grammar`."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    proxy: str = ""
    ca_file: str = ""
    """Certificates to trust instead of the usual ones."""


def read_settings(path: Path) -> RemoteSettings:
    """The settings in a `remote.toml`, its key revealed from the environment where it is there.

    Raises:
        InvalidInputError: it cannot be read, or its address is none.
        UnavailableError: the variable with the key is not set.
    """
    try:
        text = path.read_text("utf-8")
        found = msgspec.convert(tomllib.loads(text), RemoteSettings, dec_hook=_secret)
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError("remote.toml cannot be read") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidInputError(f"remote.toml: {error}") from None
    for name, address in (("url", found.url), ("proxy", found.proxy)):
        if address or name == "url":
            _check_address(name, address)
    key = found.api_key.reveal()
    if key.startswith(ENVIRONMENT):
        variable = key.removeprefix(ENVIRONMENT)
        value = os.environ.get(variable, "")
        if not value:
            raise UnavailableError(f"remote.toml: the variable {variable[:80]} is not set")
        found = msgspec.structs.replace(found, api_key=Secret(value))
    return found


def _secret(kind: type, value: object) -> object:
    return kind(str(value))


def _check_address(name: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise InvalidInputError(f"remote.toml: {name} is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"remote.toml: {name} is http://… or https://…")
    if name == "url" and (parts.username or parts.password or parts.query or parts.fragment):
        raise InvalidInputError("remote.toml: the url has no user, query or fragment; use api_key")
